//! A web server that answers with its version.

use std::error::Error;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

/// The application itself: answers every request with its version. A client that goes away is no error.
pub(crate) fn serve(port: u16, version: &str) -> Result<(), Box<dyn Error>> {
    for mut stream in TcpListener::bind((Ipv4Addr::LOCALHOST, port))?.incoming().flatten() {
        let length = version.len();
        let _gone = stream.read(&mut [0; 1024]);
        let _gone = write!(
            stream,
            "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{version}"
        );
    }
    Ok(())
}

/// What each server answers, which has to be `version`.
pub(crate) fn answers(ports: &[u16], version: &str) -> Result<String, Box<dyn Error>> {
    let mut all = Vec::new();
    for port in ports {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, *port))?;
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let answer = answer.lines().last().unwrap_or_default();
        if answer != version {
            return Err(format!(":{port} answers {answer:?}, and not {version:?}").into());
        }
        all.push(format!(":{port} → {answer}"));
    }
    Ok(all.join("  "))
}

/// Waits until nobody answers there any more: a process that is killed takes a moment to die, and none takes ten seconds.
pub(crate) async fn until_gone(port: u16) -> Result<(), Box<dyn Error>> {
    let gone = async {
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone)
        .await
        .map_err(|_| format!(":{port} still answers, though its server was killed").into())
}

/// Waits until somebody presses Ctrl-C, ends the program, or closes its terminal.
pub(crate) async fn asked_to_end() -> std::io::Result<()> {
    let (mut ended, mut closed) = (signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed,
        _ = ended.recv() => Ok(()),
        _ = closed.recv() => Ok(()),
    }
}

/// Ports that nobody listens on.
pub(crate) fn free_ports(count: usize) -> std::io::Result<Vec<u16>> {
    let listeners: Vec<_> =
        (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<Result<_, _>>()?;
    listeners.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}
