//! A connection that does not stall.
//!
//! Two habits of TCP make a handshake wait for 40 ms, twice: Nagle's algorithm holds small packets back until earlier ones
//! are acknowledged, and acknowledgements are delayed. The first is switched off for good; the second is switched off
//! anew after each read, since Linux switches it on again by itself, and only while the handshake lasts: later the
//! system knows better.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// How many reads a handshake takes, and the first commands after it.
const QUICK_READS: u32 = 64;

/// A connection to a host, for as long as the handshake lasts an impatient one.
#[derive(Debug)]
pub(super) struct Stream {
    inner: TcpStream,
    quick_reads: u32,
}

impl Stream {
    pub(super) fn new(inner: TcpStream) -> io::Result<Self> {
        inner.set_nodelay(true)?;
        let stream = Self { inner, quick_reads: QUICK_READS };
        stream.acknowledge_at_once();
        Ok(stream)
    }

    #[cfg(target_os = "linux")]
    fn acknowledge_at_once(&self) {
        // Where it can not be set, all works, a little later.
        let _slower = socket2::SockRef::from(&self.inner).set_tcp_quickack(true);
    }

    #[cfg(not(target_os = "linux"))]
    fn acknowledge_at_once(&self) {}
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_read(cx, buffer);
        if polled.is_ready() && self.quick_reads > 0 {
            self.quick_reads -= 1;
            self.acknowledge_at_once();
        }
        polled
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
