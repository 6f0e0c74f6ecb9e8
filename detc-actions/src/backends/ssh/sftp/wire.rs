//! The bytes of SFTP, version 3: requests are written, replies are read. No I/O.
//!
//! Source: draft-ietf-secsh-filexfer-02, and OpenSSH's PROTOCOL, section 4, for the extensions.

use std::fmt;

/// The longest reply that is taken: OpenSSH's own limit of a packet.
pub(in super::super) const PACKET_LEN_MAX: usize = 256 << 10;

/// What is told of a file, or asked for one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Attrs {
    pub(in super::super) size: Option<u64>,
    pub(in super::super) owners: Option<(u32, u32)>,
    /// With the bits of the file's type, as `st_mode` has them.
    pub(in super::super) mode: Option<u32>,
}

impl Attrs {
    const SIZE: u32 = 1;
    const OWNERS: u32 = 2;
    const MODE: u32 = 4;
    const TIMES: u32 = 8;
    const EXTENDED: u32 = 0x8000_0000;

    pub(in super::super) fn mode(mode: u32) -> Self {
        Self { mode: Some(mode), ..Self::default() }
    }

    pub(in super::super) fn owners(user: u32, group: u32) -> Self {
        Self { owners: Some((user, group)), ..Self::default() }
    }

    /// The type bits of the mode (`S_IFMT`).
    pub(in super::super) fn kind(&self) -> u32 {
        self.mode.unwrap_or_default() & 0o170_000
    }

    pub(in super::super) fn is_dir(&self) -> bool {
        self.kind() == 0o040_000
    }

    pub(in super::super) fn is_file(&self) -> bool {
        self.kind() == 0o100_000
    }

    pub(in super::super) fn is_link(&self) -> bool {
        self.kind() == 0o120_000
    }

    fn write(&self, out: &mut Vec<u8>) {
        let flag = |is_set: bool, flag: u32| if is_set { flag } else { 0 };
        let flags = flag(self.size.is_some(), Self::SIZE)
            | flag(self.owners.is_some(), Self::OWNERS)
            | flag(self.mode.is_some(), Self::MODE);
        out.extend(flags.to_be_bytes());
        if let Some(size) = self.size {
            out.extend(size.to_be_bytes());
        }
        if let Some((user, group)) = self.owners {
            out.extend(user.to_be_bytes());
            out.extend(group.to_be_bytes());
        }
        if let Some(mode) = self.mode {
            out.extend(mode.to_be_bytes());
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let flags = from.u32()?;
        let mut attrs = Self::default();
        if flags & Self::SIZE != 0 {
            attrs.size = Some(from.u64()?);
        }
        if flags & Self::OWNERS != 0 {
            attrs.owners = Some((from.u32()?, from.u32()?));
        }
        if flags & Self::MODE != 0 {
            attrs.mode = Some(from.u32()?);
        }
        if flags & Self::TIMES != 0 {
            from.u64()?;
        }
        if flags & Self::EXTENDED != 0 {
            for _ in 0..from.u32()? {
                from.text()?;
                from.text()?;
            }
        }
        Ok(attrs)
    }
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Open {
    /// To be read.
    Read,
    /// To be written, and new: it is an error that something is there.
    New,
    /// To be written on.
    More,
}

impl Open {
    fn flags(self) -> u32 {
        const READ: u32 = 1;
        const WRITE: u32 = 2;
        const CREATE: u32 = 8;
        const EXCLUSIVE: u32 = 0x20;
        match self {
            Self::Read => READ,
            Self::New => WRITE | CREATE | EXCLUSIVE,
            Self::More => WRITE,
        }
    }
}

/// A request.
#[derive(Clone, Copy, Debug)]
pub(in super::super) enum Request<'a> {
    Open {
        path: &'a str,
        how: Open,
        mode: u32,
    },
    Close {
        handle: &'a [u8],
    },
    Read {
        handle: &'a [u8],
        offset: u64,
        len: u32,
    },
    Write {
        handle: &'a [u8],
        offset: u64,
        data: &'a [u8],
    },
    Stat {
        path: &'a str,
    },
    StatLink {
        path: &'a str,
    },
    SetStat {
        path: &'a str,
        attrs: Attrs,
    },
    /// `lsetstat@openssh.com`: does not follow a link.
    SetStatLink {
        path: &'a str,
        attrs: Attrs,
    },
    SetStatOpen {
        handle: &'a [u8],
        attrs: Attrs,
    },
    OpenDir {
        path: &'a str,
    },
    ReadDir {
        handle: &'a [u8],
    },
    Remove {
        path: &'a str,
    },
    MakeDir {
        path: &'a str,
        mode: u32,
    },
    RemoveDir {
        path: &'a str,
    },
    RealPath {
        path: &'a str,
    },
    ReadLink {
        path: &'a str,
    },
    /// `posix-rename@openssh.com`: takes the place of what is there.
    Rename {
        from: &'a str,
        to: &'a str,
    },
    /// `fsync@openssh.com`.
    Sync {
        handle: &'a [u8],
    },
    /// `statvfs@openssh.com`.
    Volume {
        path: &'a str,
    },
    /// `users-groups-by-id@openssh.com`.
    Names {
        user: u32,
        group: u32,
    },
    /// `limits@openssh.com`.
    Limits,
}

impl Request<'_> {
    /// The packet, with its length before it.
    pub(super) fn packet(&self, id: u32) -> Vec<u8> {
        let mut out = vec![0; 4];
        let begin = |out: &mut Vec<u8>, kind: u8| {
            out.push(kind);
            out.extend(id.to_be_bytes());
        };
        let plain = |out: &mut Vec<u8>, kind: u8, text: &[u8]| {
            begin(out, kind);
            push(out, text);
        };
        let extended = |out: &mut Vec<u8>, name: &str| plain(out, 200, name.as_bytes());
        match *self {
            Self::Open { path, how, mode } => {
                plain(&mut out, 3, path.as_bytes());
                out.extend(how.flags().to_be_bytes());
                Attrs::mode(mode).write(&mut out);
            }
            Self::Close { handle } => plain(&mut out, 4, handle),
            Self::Read { handle, offset, len } => {
                plain(&mut out, 5, handle);
                out.extend(offset.to_be_bytes());
                out.extend(len.to_be_bytes());
            }
            Self::Write { handle, offset, data } => {
                out.reserve(data.len() + 64);
                plain(&mut out, 6, handle);
                out.extend(offset.to_be_bytes());
                push(&mut out, data);
            }
            Self::StatLink { path } => plain(&mut out, 7, path.as_bytes()),
            Self::SetStat { path, attrs } => {
                plain(&mut out, 9, path.as_bytes());
                attrs.write(&mut out);
            }
            Self::SetStatOpen { handle, attrs } => {
                plain(&mut out, 10, handle);
                attrs.write(&mut out);
            }
            Self::OpenDir { path } => plain(&mut out, 11, path.as_bytes()),
            Self::ReadDir { handle } => plain(&mut out, 12, handle),
            Self::Remove { path } => plain(&mut out, 13, path.as_bytes()),
            Self::MakeDir { path, mode } => {
                plain(&mut out, 14, path.as_bytes());
                Attrs::mode(mode).write(&mut out);
            }
            Self::RemoveDir { path } => plain(&mut out, 15, path.as_bytes()),
            Self::RealPath { path } => plain(&mut out, 16, path.as_bytes()),
            Self::Stat { path } => plain(&mut out, 17, path.as_bytes()),
            Self::ReadLink { path } => plain(&mut out, 19, path.as_bytes()),
            Self::SetStatLink { path, attrs } => {
                extended(&mut out, "lsetstat@openssh.com");
                push(&mut out, path.as_bytes());
                attrs.write(&mut out);
            }
            Self::Rename { from, to } => {
                extended(&mut out, "posix-rename@openssh.com");
                push(&mut out, from.as_bytes());
                push(&mut out, to.as_bytes());
            }
            Self::Sync { handle } => {
                extended(&mut out, "fsync@openssh.com");
                push(&mut out, handle);
            }
            Self::Volume { path } => {
                extended(&mut out, "statvfs@openssh.com");
                push(&mut out, path.as_bytes());
            }
            Self::Names { user, group } => {
                extended(&mut out, "users-groups-by-id@openssh.com");
                push(&mut out, &user.to_be_bytes());
                push(&mut out, &group.to_be_bytes());
            }
            Self::Limits => extended(&mut out, "limits@openssh.com"),
        }
        close(out)
    }
}

/// The first packet: that we speak version 3.
pub(super) fn hello() -> Vec<u8> {
    let mut out = vec![0; 4];
    out.push(1);
    out.extend(3_u32.to_be_bytes());
    close(out)
}

fn push(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(len_of(bytes).to_be_bytes());
    out.extend(bytes);
}

fn close(mut out: Vec<u8>) -> Vec<u8> {
    let len = len_of(&out[4..]);
    out[..4].copy_from_slice(&len.to_be_bytes());
    out
}

fn len_of(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("invariant: a request is shorter than 4 GiB")
}

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Reply {
    Status(Status),
    Handle(Vec<u8>),
    Data(Vec<u8>),
    /// Names of a directory's entries, or the one path that was asked for.
    Names(Vec<Vec<u8>>),
    Attrs(Attrs),
    Extended(Vec<u8>),
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Status {
    pub(in super::super) code: u32,
    pub(in super::super) message: String,
}

impl Status {
    pub(in super::super) const OK: u32 = 0;
    pub(in super::super) const END: u32 = 1;
    pub(in super::super) const NO_SUCH_FILE: u32 = 2;
    pub(in super::super) const PERMISSION_DENIED: u32 = 3;
    pub(in super::super) const BAD_MESSAGE: u32 = 5;
    pub(in super::super) const UNSUPPORTED: u32 = 8;
}

/// A reply that is not as the protocol says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the SFTP server's answer is not as the protocol says")
    }
}

/// Reads the body of a reply (without its length): its id and what it says.
pub(super) fn reply(body: &[u8]) -> Result<(u32, Reply), Malformed> {
    let mut from = Reader(body);
    let kind = from.u8()?;
    let id = from.u32()?;
    let reply = match kind {
        101 => {
            let code = from.u32()?;
            // Older servers end here.
            let message = from.text().map(|text| String::from_utf8_lossy(text).into_owned());
            Reply::Status(Status { code, message: message.unwrap_or_default() })
        }
        102 => Reply::Handle(from.text()?.to_vec()),
        103 => Reply::Data(from.text()?.to_vec()),
        104 => {
            let mut names = Vec::new();
            for _ in 0..from.u32()? {
                names.push(from.text()?.to_vec());
                from.text()?;
                Attrs::read(&mut from)?;
            }
            Reply::Names(names)
        }
        105 => Reply::Attrs(Attrs::read(&mut from)?),
        201 => Reply::Extended(from.0.to_vec()),
        _ => return Err(Malformed),
    };
    Ok((id, reply))
}

/// Reads the server's first packet: the names of its extensions.
pub(super) fn version(body: &[u8]) -> Result<Vec<String>, Malformed> {
    let mut from = Reader(body);
    if (from.u8()?, from.u32()?) != (2, 3) {
        return Err(Malformed);
    }
    let mut names = Vec::new();
    while !from.0.is_empty() {
        names.push(String::from_utf8_lossy(from.text()?).into_owned());
        from.text()?;
    }
    Ok(names)
}

/// Reads what [`Request::Names`] is answered with: user and group, each where it has a name.
pub(in super::super) fn names(body: &[u8]) -> Result<[Option<String>; 2], Malformed> {
    let mut from = Reader(body);
    let mut name = || -> Result<Option<String>, Malformed> {
        let name = Reader(from.text()?).text()?;
        Ok(Some(String::from_utf8_lossy(name).into_owned()).filter(|name| !name.is_empty()))
    };
    Ok([name()?, name()?])
}

/// What [`Request::Volume`] is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Volume {
    /// Blocks, and file entries, that this user may still take.
    pub(in super::super) blocks_free: u64,
    pub(in super::super) files_free: u64,
    pub(in super::super) files: u64,
    pub(in super::super) is_read_only: bool,
}

pub(in super::super) fn volume(body: &[u8]) -> Result<Volume, Malformed> {
    let mut from = Reader(body);
    let mut fields = [0; 11];
    for field in &mut fields {
        *field = from.u64()?;
    }
    let [_, _, _, _, blocks_free, files, _, files_free, _, flags, _] = fields;
    Ok(Volume { blocks_free, files_free, files, is_read_only: flags & 1 != 0 })
}

/// What [`Request::Limits`] is answered with. What a server does not limit is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Limits {
    /// How many bytes a packet has, without its length.
    pub(in super::super) packet_len: Option<u64>,
    /// How many bytes are written by one request.
    pub(in super::super) write_len: Option<u64>,
    /// How many files are open at once.
    pub(in super::super) open: Option<u64>,
}

pub(in super::super) fn limits(body: &[u8]) -> Result<Limits, Malformed> {
    let mut from = Reader(body);
    let [packet_len, _read, write_len, open] = [from.u64()?, from.u64()?, from.u64()?, from.u64()?];
    let said = |limit: u64| Some(limit).filter(|limit| *limit > 0);
    Ok(Limits { packet_len: said(packet_len), write_len: said(write_len), open: said(open) })
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.take(1)?[0])
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        let bytes = self.take(4)?;
        Ok(u32::from_be_bytes(bytes.try_into().map_err(|_| Malformed)?))
    }

    fn u64(&mut self) -> Result<u64, Malformed> {
        let bytes = self.take(8)?;
        Ok(u64::from_be_bytes(bytes.try_into().map_err(|_| Malformed)?))
    }

    fn text(&mut self) -> Result<&'a [u8], Malformed> {
        let len = self.u32()?;
        self.take(len as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_begins_with_its_length_kind_and_number() {
        let packet = Request::Stat { path: "/a" }.packet(7);
        assert_eq!(packet, [0, 0, 0, 11, 17, 0, 0, 0, 7, 0, 0, 0, 2, b'/', b'a']);
    }

    #[test]
    fn what_is_cut_short_anywhere_is_malformed_and_never_a_panic() {
        let mut whole = vec![104, 0, 0, 0, 1, 0, 0, 0, 1];
        push(&mut whole, b"name");
        push(&mut whole, b"-rw long");
        let attrs = Attrs { size: Some(3), owners: Some((1, 2)), mode: Some(0o100_644) };
        attrs.write(&mut whole);
        assert_eq!(reply(&whole), Ok((1, Reply::Names(vec![b"name".to_vec()]))));
        for len in 0..whole.len() {
            assert_eq!(reply(&whole[..len]), Err(Malformed), "{len} bytes");
        }
    }

    #[test]
    fn attributes_are_read_as_they_are_written() {
        let all = Attrs { size: Some(1 << 40), owners: Some((0, 33)), mode: Some(0o040_755) };
        for attrs in [all, Attrs::default(), Attrs::mode(0o644), Attrs::owners(1, 2)] {
            let mut bytes = vec![105, 0, 0, 0, 9];
            attrs.write(&mut bytes);
            assert_eq!(reply(&bytes), Ok((9, Reply::Attrs(attrs))));
        }
        assert!(all.is_dir() && !all.is_file() && !all.is_link());
    }
}
