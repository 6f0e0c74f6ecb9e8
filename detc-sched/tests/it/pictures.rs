//! The pictures and the conversation in `docs/scheduling.md` are those of the example `place_and_explain`.

use std::path::Path;

#[path = "../../../examples/place_and_explain/conversation.rs"]
mod conversation;
#[path = "../../../examples/place_and_explain/picture.rs"]
mod picture;

fn docs(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_guide_shows_what_the_example_says_and_draws() {
    let held = conversation::hold().expect("the shop is a model");
    let guide = docs("scheduling.md");
    for (name, picture) in held.pictures {
        let again = "cargo run --release -p detc-examples --example place_and_explain docs/pictures";
        assert!(docs(&format!("pictures/{name}")) == picture, "{name} is another: {again}");
        assert!(guide.contains(&format!("(pictures/{name})")), "the guide shows {name}");
    }
    assert!(guide.contains(&held.text), "the guide tells:\n{}", held.text);
}
