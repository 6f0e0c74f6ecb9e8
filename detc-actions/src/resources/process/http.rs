//! As much HTTP as a health check needs: one GET, and the status of its answer. No TLS, no redirects, no body.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The parts of an `http://` URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HttpUrl {
    /// Host and port, as they stand in the `Host` header.
    authority: String,
    /// What to connect to: host and port, IPv6 addresses in brackets.
    address: String,
    /// Path and query.
    target: String,
}

/// Longest answer that is looked at: a status line is far shorter.
const ANSWER_MAX: u64 = 4096;

impl HttpUrl {
    /// # Errors
    /// What is wrong with it, in words that follow the name of a field.
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        if url.starts_with("https://") {
            return Err(format!("can not check `{url}`: https is not supported, use http, tcp or a command"));
        }
        let rest = url.strip_prefix("http://");
        let rest = rest.ok_or_else(|| format!("must have a URL that begins with http://, not `{url}`"))?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let target = target.split('#').next().unwrap_or_default();
        let bad = url.contains(|c: char| c.is_whitespace() || c.is_control());
        if authority.is_empty() || authority.contains('@') || bad {
            return Err(format!("must have a URL of the form http://host:port/path, not `{url}`"));
        }
        let after_host = authority.rfind(']').map_or(0, |at| at + 1);
        let address = match authority[after_host..].rsplit_once(':') {
            Some((_, port)) if port.parse::<u16>().is_ok() => authority.to_owned(),
            Some((_, port)) => return Err(format!("has `{port}` for a port in `{url}`")),
            None => format!("{authority}:80"),
        };
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        Ok(Self { authority: authority.to_owned(), address, target })
    }
}

/// Asks, and judges the status.
///
/// # Errors
/// Why it is no success: [`io::ErrorKind::InvalidData`] for an answer that is none, and what the system says where there was
/// none.
pub(super) async fn get(url: &HttpUrl) -> io::Result<()> {
    let mut stream = TcpStream::connect(url.address.as_str()).await?;
    let HttpUrl { authority, target, .. } = url;
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: detc\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    let mut stream = stream.take(ANSWER_MAX);
    while !answer.contains(&b'\n') {
        let read = stream.read_buf(&mut answer).await?;
        if read == 0 {
            break;
        }
    }
    let line = answer.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let line = line.trim_end();
    let status = line.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1)?.parse::<u16>().ok());
    let why = match status {
        Some(200..=399) => return Ok(()),
        Some(_) => format!("the answer is {}", line.split_once(' ').map_or(line, |(_, status)| status)),
        None if line.is_empty() => "the connection was closed without an answer".to_owned(),
        None => "the answer is not HTTP".to_owned(),
    };
    Err(io::Error::new(io::ErrorKind::InvalidData, why))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    fn parts(url: &str) -> Result<[String; 3], String> {
        HttpUrl::parse(url).map(|url| [url.authority, url.address, url.target])
    }

    #[test]
    fn a_url_is_taken_apart() {
        let of = |a: &str, b: &str, c: &str| Ok([a.to_owned(), b.to_owned(), c.to_owned()]);
        assert_eq!(parts("http://a:81/b?c#d"), of("a:81", "a:81", "/b?c"));
        assert_eq!(parts("http://[::1]?x"), of("[::1]", "[::1]:80", "/?x"));
        for bad in ["https://a/", "a:80", "http://", "http://u@a/", "http://a:x/", "http://a/b c"] {
            assert!(parts(bad).is_err(), "{bad}");
        }
    }

    async fn answered(answer: &'static str) -> Result<(), String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = HttpUrl::parse(&format!("http://{}/x", listener.local_addr().unwrap())).unwrap();
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 9];
            stream.read_exact(&mut request).await.unwrap();
            assert_eq!(request, b"GET /x HT");
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream
        };
        tokio::join!(async { get(&url).await }, serve).0.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn success_and_redirects_are_healthy_and_the_rest_says_why_not() {
        assert_eq!(answered("HTTP/1.1 204 No Content\r\n\r\n").await, Ok(()));
        assert_eq!(answered("HTTP/1.0 302 Found\r\n").await, Ok(()));
        assert_eq!(answered("HTTP/1.1 503 Busy\r\n").await, Err("the answer is 503 Busy".to_owned()));
        assert_eq!(answered("SSH-2.0-x\r\n").await, Err("the answer is not HTTP".to_owned()));
    }
}
