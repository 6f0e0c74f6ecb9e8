//! What the exchange of keys costs, by way: russh's client and server in one process, so that each figure is of both.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::{PrivateKey, PublicKeyOrCertificate};
use russh::{Preferred, client, kex, server};
use tokio::io::duplex;
use tokio::task::JoinSet;

struct Trusting;

impl client::Handler for Trusting {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        Ok(true)
    }
}

struct Open;

impl server::Handler for Open {
    type Error = russh::Error;

    async fn auth_none(&mut self, _: &str) -> Result<server::Auth, russh::Error> {
        Ok(server::Auth::Accept)
    }
}

/// Makes so many connections each way, in turns, and prints what one costs.
pub fn compare(times: usize) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ways = [("ML-KEM-768 with X25519", kex::MLKEM768X25519_SHA256), ("X25519", kex::CURVE25519)];
    let mut spent = [[Duration::ZERO; 2]; 2];
    runtime.block_on(async {
        let key = PrivateKey::from(Ed25519Keypair::from_seed(&[7; 32]));
        for round in 0..=times {
            for ((_, way), spent) in ways.iter().zip(&mut spent) {
                let (began, processor) = (Instant::now(), processor()?);
                connect(*way, key.clone()).await?;
                // The first of all warms up.
                if round > 0 {
                    spent[0] += began.elapsed();
                    spent[1] += self::processor()? - processor;
                }
            }
        }
        anyhow::Ok(())
    })?;
    println!("\n{times} connections each, in turns; both ends of a connection in one thread\n");
    println!("| exchange | wall time | processor |\n|---|---|---|");
    for ((what, _), [wall, processor]) in ways.iter().zip(&spent) {
        let each = |all: &Duration| all.as_secs_f64() * 1e3 / times as f64;
        println!("| {what} | {:.3} ms | {:.3} ms |", each(wall), each(processor));
    }
    Ok(())
}

async fn connect(way: kex::Name, key: PrivateKey) -> anyhow::Result<()> {
    let ways = || Preferred { kex: Cow::Owned(vec![way]), ..Preferred::DEFAULT };
    let (here, there) = duplex(1 << 16);
    let of_server = server::Config {
        preferred: ways(),
        keys: vec![key],
        auth_rejection_time: Duration::ZERO,
        ..server::Config::default()
    };
    let mut serving = JoinSet::new();
    serving.spawn(async move { server::run_stream(Arc::new(of_server), there, Open).await?.await });
    let of_client = client::Config { preferred: ways(), ..client::Config::default() };
    let mut handle = client::connect_stream(Arc::new(of_client), here, Trusting).await?;
    anyhow::ensure!(handle.authenticate_none("user").await?.success());
    handle.disconnect(russh::Disconnect::ByApplication, "", "").await?;
    drop(handle);
    let _ended_by_the_client = serving.join_all().await;
    Ok(())
}

fn processor() -> anyhow::Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let us = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(Duration::from_micros(us as u64))
}
