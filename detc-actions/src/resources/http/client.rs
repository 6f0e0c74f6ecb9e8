//! As much of HTTP/1.1 as one call needs: a request with a body, and the whole answer. No TLS, no redirects, no proxies, no
//! compression, and a connection for each call.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longest answer that is read: it is JSON that people look at.
const ANSWER_MAX: u64 = 8 << 20;

/// The parts of an `http://` URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    /// Host and port, as they stand in the `Host` header.
    authority: String,
    /// Path and query.
    target: String,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CallError {
    /// The other side got nothing of it.
    NotSent(String),
    /// It may have got all of it.
    Lost(String),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::NotSent(why) | Self::Lost(why)) = self;
        f.write_str(why)
    }
}

impl Url {
    /// # Errors
    /// What is wrong with it, in words that follow the name of a field. A password that stands in it is not told.
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        if url.starts_with("https://") {
            return Err(
                "can not be `https`: there is no TLS here; call it from a host, with a `script`".to_owned()
            );
        }
        let wrong = || "must have a URL of the form http://host:port/path".to_owned();
        let rest = url.strip_prefix("http://").ok_or_else(wrong)?;
        let (authority, target) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let is_bad = |c: char| c.is_whitespace() || c.is_control() || !c.is_ascii();
        if authority.is_empty() || authority.contains('@') || url.contains(is_bad) {
            return Err(wrong());
        }
        let target = target.split('#').next().unwrap_or_default();
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        Ok(Self { authority: authority.to_owned(), target })
    }

    /// What to connect to.
    fn address(&self) -> String {
        let after_host = self.authority.rfind(']').map_or(0, |at| at + 1);
        match self.authority[after_host..].contains(':') {
            true => self.authority.clone(),
            false => format!("{}:80", self.authority),
        }
    }
}

/// Without its query, which may hold a secret.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.target.split('?').next().unwrap_or_default();
        write!(f, "http://{}{path}", self.authority)
    }
}

/// Makes a call, and waits for the whole answer.
///
/// Cancellation: the call may have been made.
///
/// # Errors
/// Whether the other side may have got it.
pub(super) async fn call(
    url: &Url,
    method: &str,
    headers: &BTreeMap<String, String>,
    body: &[u8],
    timeout: Duration,
) -> Result<Answer, CallError> {
    let late = |what: &str| format!("{what} after {} ms", timeout.as_millis());
    let deadline = tokio::time::Instant::now() + timeout;
    let address = url.address();
    let connected = tokio::time::timeout_at(deadline, TcpStream::connect(&address)).await;
    let mut stream = match connected {
        Err(_) => return Err(CallError::NotSent(late(&format!("{address} took no connection")))),
        Ok(Err(error)) => return Err(CallError::NotSent(format!("{address}: {error}"))),
        Ok(Ok(stream)) => stream,
    };
    let mut request =
        format!("{method} {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: detc\r\n", url.target, url.authority);
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str(&format!("Content-Length: {}\r\nConnection: close\r\n\r\n", body.len()));
    let exchange = async {
        stream.write_all(request.as_bytes()).await?;
        stream.write_all(body).await?;
        let mut answer = Vec::new();
        (&mut stream).take(ANSWER_MAX).read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    match tokio::time::timeout_at(deadline, exchange).await {
        Err(_) => Err(CallError::Lost(late("there was no answer"))),
        Ok(Err(error)) => Err(CallError::Lost(format!("the answer was lost: {error}"))),
        Ok(Ok(answer)) => {
            read(&answer, method).ok_or_else(|| CallError::Lost("the answer is not whole".to_owned()))
        }
    }
}

/// Most answers that are only on their way to one: more than a few are no sign of one.
const INTERIM_MAX: usize = 32;

/// Reads an answer; `None` when it is not HTTP, or not all of it.
fn read(mut answer: &[u8], method: &str) -> Option<Answer> {
    for _ in 0..=INTERIM_MAX {
        match read_one(answer, method)? {
            Read::Final(answer) => return Some(answer),
            Read::Interim(rest) => answer = rest,
        }
    }
    None
}

/// What an answer begins with.
enum Read<'a> {
    /// The answer itself.
    Final(Answer),
    /// One that is only on its way to it, and this is what follows.
    Interim(&'a [u8]),
}

fn read_one<'a>(answer: &'a [u8], method: &str) -> Option<Read<'a>> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let (head, rest) = (std::str::from_utf8(&answer[..end]).ok()?, &answer[end + 4..]);
    let mut lines = head.split("\r\n");
    let status: u16 = lines.next()?.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(':')).collect();
    let header = |name: &str| {
        let found = headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim())
    };
    if (100..200).contains(&status) {
        return Some(Read::Interim(rest));
    }
    // It has no body by what it is.
    if method == "HEAD" || matches!(status, 204 | 304) {
        return Some(Read::Final(Answer { status, body: Vec::new() }));
    }
    let body = if header("transfer-encoding").is_some_and(|it| it.eq_ignore_ascii_case("chunked")) {
        chunks(rest)?
    } else if let Some(len) = header("content-length") {
        rest.get(..len.parse().ok()?)?.to_vec()
    } else {
        rest.to_vec()
    };
    Some(Read::Final(Answer { status, body }))
}

/// A body that came in chunks: each its length in hexadecimal digits, a line break, and so many bytes; an empty one ends it.
fn chunks(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n")?;
        let line = std::str::from_utf8(&rest[..end]).ok()?;
        let len = usize::from_str_radix(line.split(';').next()?.trim(), 16).ok()?;
        if len == 0 {
            return Some(body);
        }
        let from = end + 2;
        body.extend_from_slice(rest.get(from..from.checked_add(len)?)?);
        rest = rest.get(from + len + 2..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_whole_or_not_at_all() {
        let of = |text: &str| {
            read(text.as_bytes(), "GET").map(|it| (it.status, String::from_utf8(it.body).unwrap()))
        };
        let whole = |status, body: &str| Some((status, body.to_owned()));
        assert_eq!(of("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nab"), whole(200, "ab"));
        assert_eq!(of("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab"), None);
        assert_eq!(of("HTTP/1.0 404 No\r\n\r\nrest"), whole(404, "rest"));
        assert_eq!(of("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\n\r\n"), whole(204, ""));
        let again = "HTTP/1.1 100 Continue\r\n\r\n";
        assert_eq!(of(&format!("{}HTTP/1.1 204 No\r\n\r\n", again.repeat(100_000))), None);
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nab\r\n1\r\nc\r\n";
        assert_eq!(of(chunked), None);
        assert_eq!(of(&format!("{chunked}0\r\n\r\n")), whole(200, "abc"));
        assert_eq!(of("SSH-2.0-x\r\n\r\n"), None);
    }

    #[test]
    fn a_url_is_taken_apart_and_its_query_is_not_told() {
        let url = Url::parse("http://[::1]/a?key=secret#x").unwrap();
        assert_eq!((url.address().as_str(), url.target.as_str()), ("[::1]:80", "/a?key=secret"));
        assert_eq!(url.to_string(), "http://[::1]/a");
        assert!(Url::parse("https://a/").unwrap_err().contains("no TLS"));
        assert!(Url::parse("http://").is_err());
        for bad in ["a:80", "http://u:p@a/", "http://a/b c", "http://a/\r\nX: y"] {
            let error = Url::parse(bad).unwrap_err();
            assert!(!error.contains(bad), "{error}");
        }
    }
}
