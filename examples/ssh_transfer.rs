//! How fast a file goes to a host by SSH, and back: what `docs/performance.md` says of transfers is measured with this.
//!
//!     cargo run --release --example ssh_transfer -- ssh://root@h1:22 IDENTITY KNOWN_HOSTS FILE DESTINATION [RUNS]

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use detc_actions::backends::SshConnector;
use detc_core::backend::host::{Ownership, Remove};
use detc_core::content::Content;
use detc_core::model::{HostName, HostSpec};
use detc_core::resource::Connector;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [connect, identity, known_hosts, file, to, runs @ ..] = args.as_slice() else {
        return Err("see the first lines of this example for its arguments".into());
    };
    let runs: u32 = runs.first().map_or(Ok(5), |runs| runs.parse())?;
    let options = [("config", "none"), ("identity", identity), ("known_hosts", known_hosts)];
    let options = options.map(|(name, value)| (name.to_owned(), value.into())).into();
    let spec = HostSpec { connect: connect.clone(), options, ..HostSpec::local() };
    for _ in 0..runs {
        // As `ssh host 'cat >FILE'` does: the connection is made, too.
        let began = Instant::now();
        let host = SshConnector::default().connect(&HostName::new("host"), &spec).await?;
        let connected = began.elapsed();
        let content = Content::read(Path::new(file))?;
        host.remove(to, Remove::File).await?;
        host.write_from(to, &content, &Ownership::default()).await?;
        let written = began.elapsed();
        let began = Instant::now();
        let len = host.read_to(to, u64::MAX, &mut tokio::io::sink()).await?;
        let read = began.elapsed();
        let mib_s = |seconds: f64| (len >> 20) as f64 / seconds;
        println!(
            "connected in {:.3} s; written in {:.3} s with that, {:.0} MiB/s; read in {:.3} s, {:.0} MiB/s",
            connected.as_secs_f64(),
            written.as_secs_f64(),
            mib_s(written.as_secs_f64()),
            read.as_secs_f64(),
            mib_s(read.as_secs_f64()),
        );
    }
    Ok(())
}
