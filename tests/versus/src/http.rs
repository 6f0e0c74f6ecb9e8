//! A place for Terraform's state: its `http` backend, without locks.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

/// Serves one state from now on, in memory, at the address that is returned.
pub fn serve() -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = format!("http://{}/", listener.local_addr()?);
    std::thread::spawn(move || {
        let mut state = None;
        for stream in listener.incoming().flatten() {
            if let Err(error) = answer(stream, &mut state) {
                eprintln!("the state's server: {error}");
            }
        }
    });
    Ok(address)
}

fn answer(stream: TcpStream, state: &mut Option<Vec<u8>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        if header.trim().is_empty() {
            break;
        }
        if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let (status, reply) = match request.split(' ').next() {
        Some("GET") => match state {
            Some(state) => ("200 OK", state.clone()),
            None => ("404 Not Found", Vec::new()),
        },
        Some("POST") => {
            *state = Some(body);
            ("200 OK", Vec::new())
        }
        _ => {
            *state = None;
            ("200 OK", Vec::new())
        }
    };
    let mut stream = reader.into_inner();
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", reply.len())?;
    stream.write_all(&reply)
}
