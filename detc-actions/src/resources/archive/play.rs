//! Archives that tests make, and a memory host that has `sha256sum`.

use std::io::Write as _;

use detc_core::backend::MemoryHost;
use detc_core::backend::host::{Command, ExitStatus, Output, Ownership};
use detc_core::backend::memory::Files;
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

/// An archive of these entries: kind, name, mode, and content or what it leads to. Names stand in it as they are given.
pub(super) fn archive(entries: &[(EntryType, &str, u32, &str)]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (kind, name, mode, content) in entries {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(*mode);
        let is_link = matches!(kind, EntryType::Symlink | EntryType::Link);
        if is_link {
            header.set_link_name(content).unwrap();
        }
        let content = if is_link { "" } else { content };
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, content.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

/// An archive of plain files.
pub(super) fn files(files: &[(&str, &str)]) -> Vec<u8> {
    let entries: Vec<_> =
        files.iter().map(|(name, text)| (EntryType::Regular, *name, 0o640, *text)).collect();
    archive(&entries)
}

pub(super) fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// A host with a directory `/opt`.
pub(super) fn host() -> MemoryHost {
    let host = MemoryHost::new(&crate::test_util::host_name()).with_program("sha256sum", check);
    host.with_files(|files| files.make_dir("/opt", &Ownership::default())).unwrap();
    host
}

fn check(command: &Command, files: &mut Files) -> Output {
    let (mut output, dir) = (Output::default(), command.dir.clone().unwrap());
    for line in String::from_utf8(command.stdin.clone()).unwrap().lines() {
        let (sum, name) = line.split_once("  ").unwrap();
        let said = match files.read(&format!("{dir}/{name}")) {
            Ok(content) => {
                let found: String =
                    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
                if found == sum { "OK" } else { "FAILED" }
            }
            Err(_) => "FAILED open or read",
        };
        if said != "OK" {
            output.status = ExitStatus::Code(1);
        }
        output.stdout.extend_from_slice(format!("{name}: {said}\n").as_bytes());
    }
    output
}
