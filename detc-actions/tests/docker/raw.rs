//! The engine's API by hand: what the tests do behind the back of detc, and what they look at without it.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::Value;

/// Calls the engine at a socket. `None`: nobody answers.
pub(crate) fn call(socket: &Path, method: &str, path: &str, body: Option<&Value>) -> Option<(u16, Vec<u8>)> {
    let mut stream = UnixStream::connect(socket).ok()?;
    let body = body.map(Value::to_string).unwrap_or_default();
    let head = format!(
        "{method} {path} HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let status = std::str::from_utf8(answer.get(9..12)?).ok()?.parse().ok()?;
    Some((status, answer.split_off(head + 4)))
}

/// Does something, which goes well.
#[track_caller]
pub(crate) fn done(socket: &Path, method: &str, path: &str, body: Option<&Value>) -> Vec<u8> {
    let (status, answer) = call(socket, method, path, body).expect("the engine answers");
    assert!((200..300).contains(&status), "{method} {path}: {status} {}", String::from_utf8_lossy(&answer));
    answer
}

/// Looks at something.
#[track_caller]
pub(crate) fn look(socket: &Path, path: &str) -> Value {
    serde_json::from_slice(&done(socket, "GET", path, None)).unwrap()
}

/// All that carries a label, of whatever kind and however it is, each as `kind name`.
#[track_caller]
pub(crate) fn labelled(socket: &Path, label: &str) -> Vec<String> {
    let filters =
        format!("{{\"label\":[\"{label}\"]}}").replace('"', "%22").replace('{', "%7B").replace('}', "%7D");
    let filters = filters.replace('[', "%5B").replace(']', "%5D").replace('=', "%3D");
    let mut found = Vec::new();
    for container in list(&look(socket, &format!("/containers/json?all=1&filters={filters}"))) {
        found.push(format!("container {}", text(&container["Names"][0]).trim_start_matches('/')));
    }
    for network in list(&look(socket, &format!("/networks?filters={filters}"))) {
        found.push(format!("network {}", text(&network["Name"])));
    }
    for volume in list(&look(socket, &format!("/volumes?filters={filters}"))["Volumes"]) {
        found.push(format!("volume {}", text(&volume["Name"])));
    }
    for image in list(&look(socket, &format!("/images/json?all=1&filters={filters}"))) {
        found.push(format!("image {}", image["RepoTags"]));
    }
    found.sort();
    found
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
