//! Durations, sizes, shares and small files, as Compose files write them.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

/// Largest file of variables, or of a secret: it is held in memory, once for each container.
const TEXT_LEN_MAX: u64 = 1 << 20;

/// The text of a file that is named in another one. One that has no end, such as a device or a pipe, is not read.
pub(super) fn text_of(path: &Path) -> io::Result<String> {
    let refuse = |what: String| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    if !fs::metadata(path)?.is_file() {
        return refuse("it is no regular file".to_owned());
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(TEXT_LEN_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > TEXT_LEN_MAX {
        return refuse(format!("it has more than {} KiB", TEXT_LEN_MAX / 1024));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is no text in UTF-8"))
}

/// `1h30m`, `10s`, `500ms`, `100us`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut whole = Duration::ZERO;
    if rest == "0" {
        return Some(whole);
    }
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let count: u64 = rest[..digits].parse().ok()?;
        let unit_len = rest[digits..].find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len() - digits);
        let (unit, after) = rest[digits..].split_at(unit_len);
        let one = match unit {
            "h" => Duration::from_secs(3600),
            "m" => Duration::from_secs(60),
            "s" => Duration::from_secs(1),
            "ms" => Duration::from_millis(1),
            "us" => Duration::from_micros(1),
            _ => return None,
        };
        whole = whole.checked_add(one.checked_mul(count.try_into().ok()?)?)?;
        rest = after;
    }
    Some(whole)
}

/// Bytes: `512`, `64k`, `50M`, `1.5gb`; a thousand is 1024.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit: u64 = match unit.trim() {
        "" | "b" => 1,
        "k" | "kb" => 1 << 10,
        "m" | "mb" => 1 << 20,
        "g" | "gb" => 1 << 30,
        _ => return None,
    };
    scaled(number, unit)
}

/// Processors, in thousandths: `0.5` is 500.
pub(super) fn millis(text: &str) -> Option<u64> {
    scaled(text.trim(), 1000)
}

/// A decimal number, so many times, where that is whole.
fn scaled(number: &str, times: u64) -> Option<u64> {
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let is_digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    if !is_digits(whole) || !is_digits(part) || (whole.is_empty() && part.is_empty()) || part.len() > 9 {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let scale = 10_u64.pow(part.len() as u32);
    let part: u64 = if part.is_empty() { 0 } else { part.parse().ok()? };
    let part = part.checked_mul(times)?;
    let rest = part % scale;
    (rest == 0).then_some(())?;
    whole.checked_mul(times)?.checked_add(part / scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_or_are_none() {
        for (text, millis) in [
            ("10s", 10_000),
            ("1m30s", 90_000),
            ("500ms", 500),
            ("1h", 3_600_000),
            ("0", 0),
            ("1h1ms", 3_600_001),
        ] {
            assert_eq!(duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(duration("7us"), Some(Duration::from_micros(7)));
        for text in ["", "10", "s", "1d", "-1s", "1.5s", "1 s", "99999999999999999999s", "5000000000h"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_are_read_or_are_none() {
        let mib = 1 << 20;
        for (text, size) in [
            ("512", 512),
            ("2k", 2048),
            ("50M", 50 * mib),
            ("1.5gb", 1536 * mib),
            ("1 g", 1 << 30),
            ("3b", 3),
        ] {
            assert_eq!(bytes(text), Some(size), "{text}");
        }
        for text in ["", "m", "1t", "-1", "1.0000000001g", "0.3", "1.5.2m", "99999999999999999999"] {
            assert_eq!(bytes(text), None, "{text}");
        }
        assert_eq!(
            (millis("0.5"), millis("2"), millis(".25"), millis("1.0005")),
            (Some(500), Some(2000), Some(250), None)
        );
    }
}
