//! Lines to hosts that count what goes over them.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What has gone to hosts, in bytes of TCP.
#[derive(Debug, Default)]
pub struct Sent {
    left_here: AtomicU64,
    handed_on: AtomicU64,
}

impl Sent {
    pub fn left_here(&self) -> u64 {
        self.left_here.load(Ordering::Relaxed)
    }

    /// By OpenSSH's own client, which is what hosts hand on to each other by.
    pub fn handed_on(&self) -> u64 {
        self.handed_on.load(Ordering::Relaxed)
    }
}

/// Opens a line to the port `to` of an address, and returns the port of its near end, which is there for as long as the process.
pub fn open(address: &str, to: u16, sent: &Arc<Sent>) -> std::io::Result<u16> {
    let listener = TcpListener::bind((address, 0))?;
    let port = listener.local_addr()?.port();
    let (address, sent) = (address.to_owned(), Arc::clone(sent));
    std::thread::spawn(move || {
        while let Ok((near, _)) = listener.accept() {
            let Ok(far) = TcpStream::connect((address.as_str(), to)) else { continue };
            let (Ok(answers), Ok(back)) = (far.try_clone(), near.try_clone()) else { continue };
            let sent = Arc::clone(&sent);
            std::thread::spawn(move || carry(near, far, Some(&sent)));
            std::thread::spawn(move || carry(answers, back, None));
        }
    });
    Ok(port)
}

fn carry(mut from: TcpStream, mut into: TcpStream, sent: Option<&Sent>) {
    let mut bytes = vec![0; 256 << 10];
    let mut is_host = None;
    while let Ok(read @ 1..) = from.read(&mut bytes) {
        if let Some(sent) = sent {
            let is_host = *is_host.get_or_insert_with(|| bytes.starts_with(b"SSH-2.0-OpenSSH"));
            let counter = if is_host { &sent.handed_on } else { &sent.left_here };
            counter.fetch_add(read as u64, Ordering::Relaxed);
        }
        if into.write_all(&bytes[..read]).is_err() {
            break;
        }
    }
    for end in [&from, &into] {
        let _gone = end.shutdown(Shutdown::Both);
    }
}
