//! Large files by their sums: what a host has already is not sent to it, and what one has it hands on to others.

#[cfg(feature = "ssh")]
pub(crate) mod exchange;

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use detc_core::backend::host::{Command, Output};
use detc_core::backend::{Host, HostError};
use detc_core::content::{LEN_MAX, Sum, Summer};
use tokio::io::{self, AsyncWrite};

use crate::resources::common::of_system;

/// Sums up its input. `openssl` takes the processor's own instructions, and is four times as fast as `sha256sum`, where it is.
macro_rules! summing {
    ($input:literal, $output:literal) => {
        concat!(
            "if command -v openssl >/dev/null 2>&1; then ",
            $input,
            " openssl dgst -sha256 -r",
            $output,
            "; else ",
            $input,
            " sha256sum",
            $output,
            "; fi"
        )
    };
}

/// How long a command may take that reads so many bytes on its host: ten minutes, and what it needs at 4 MiB a second.
pub(crate) fn timeout_of(len: u64) -> Duration {
    const SLOWEST: u64 = 4 << 20;
    Duration::from_secs(600 + len / SLOWEST)
}

/// The command by which a host tells the sum of its file `path`, of `len` bytes.
pub(crate) fn sum_command(path: &str, len: u64) -> Command {
    const SCRIPT: &str = summing!("", " <\"$1\"");
    of_system(Command::new(["/bin/sh", "-c", SCRIPT, "sh", path])).with_timeout(timeout_of(len))
}

/// The command by which a host tells the sum of the first `len` bytes of its file `path`.
#[cfg(feature = "ssh")]
pub(crate) fn beginning_command(path: &str, len: u64) -> Command {
    const SCRIPT: &str = summing!("head -c \"$2\" <\"$1\" |", "");
    let command = Command::new(["/bin/sh", "-c", SCRIPT, "sh", path, &len.to_string()]);
    of_system(command).with_timeout(timeout_of(len))
}

/// What such a command has told. `None`: the host can not, or there is no such file.
pub(crate) fn sum_told(output: &Output) -> Option<Sum> {
    let text = std::str::from_utf8(output.stdout.get(..64)?).ok()?;
    text.parse().ok().filter(|_| output.success())
}

/// The sum of the file `path` of a host, of `len` bytes, as the host tells it; of one that can not, the file is read. `None`: it is not there.
pub(crate) async fn sum_on(host: &dyn Host, path: &str, len: u64) -> Result<Option<Sum>, HostError> {
    match host.run(&sum_command(path, len)).await {
        Ok(output) => {
            if let Some(sum) = sum_told(&output) {
                return Ok(Some(sum));
            }
        }
        Err(HostError::NotFound { .. }) => {}
        Err(other) => return Err(other),
    }
    let mut summer = Summing::default();
    match host.read_to(path, LEN_MAX, &mut summer).await {
        Ok(_) => Ok(Some(summer.0.finish())),
        Err(HostError::NotFound { .. }) => Ok(None),
        Err(other) => Err(other),
    }
}

/// Sums up what is read.
#[derive(Debug, Default)]
struct Summing(Summer);

impl AsyncWrite for Summing {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.add(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
