//! Rules in, a picture out, one machine lost, and why not: placement as a conversation.
//!
//! ```text
//! place_and_explain [FOLDER]
//! ```
//!
//! It prints the questions and the answers, and writes the pictures into a folder. All answers are values of the library,
//! said with the names of the model ([`Model::named`](detc_sched::place::Model::named)). What is asked is in
//! `conversation.rs`; `picture.rs` draws.

mod conversation;
mod picture;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let held = conversation::hold()?;
    print!("{}", held.text);
    let folder = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    println!("\nPictures:");
    for (name, picture) in held.pictures {
        let path = std::path::Path::new(&folder).join(name);
        std::fs::write(&path, picture)?;
        println!("  {}", path.display());
    }
    Ok(())
}
