//! How often a look at a host waits for it: as often for a thousand resources as for ten, and in as many sessions as a connection
//! has, however many commands are asked.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use detc_actions::backends::SshConnector;
use detc_actions::resources::{self, CommandSpec, DirectorySpec, FileSpec, LineSpec};
use detc_core::manage::{Manager, ManagerOptions};
use detc_core::model::{Desired, DesiredResource, HostSpec};
use detc_core::resource::Registry;
use detc_core::store::memory::MemoryStore;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::sshd::Sshd;

/// A way to a host on which nothing arrives before both ends have said all that they say without an answer: each exchange is
/// a round trip, however near the host is.
struct Slowly {
    address: SocketAddr,
    trips: Arc<AtomicUsize>,
    _relay: JoinSet<()>,
}

/// After so long an end has said all. One that is slower only seems to need more round trips.
const SAID_ALL: Duration = Duration::from_millis(40);

impl Slowly {
    async fn to(sshd: &Sshd) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, trips) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let (there, counted) = (format!("{}:{}", sshd.address(), sshd.port()), Arc::clone(&trips));
        let mut relays = JoinSet::new();
        relays.spawn(async move {
            let (here, _) = listener.accept().await.unwrap();
            let there = TcpStream::connect(there).await.unwrap();
            let _closed = relay(here, there, &counted).await;
        });
        Self { address, trips, _relay: relays }
    }
}

async fn relay(here: TcpStream, there: TcpStream, trips: &AtomicUsize) -> io::Result<()> {
    let (mut from_here, mut to_here): (OwnedReadHalf, OwnedWriteHalf) = here.into_split();
    let (mut from_there, mut to_there) = there.into_split();
    let (mut asked, mut answered) = (Vec::new(), Vec::new());
    loop {
        let has_something = !asked.is_empty() || !answered.is_empty();
        tokio::select! {
            read = from_here.read_buf(&mut asked) => if read? == 0 { return Ok(()) },
            read = from_there.read_buf(&mut answered) => if read? == 0 { return Ok(()) },
            () = tokio::time::sleep(SAID_ALL), if has_something => {
                if !asked.is_empty() {
                    trips.fetch_add(1, Ordering::Relaxed);
                }
                to_there.write_all(&asked).await?;
                to_here.write_all(&answered).await?;
                asked.clear();
                answered.clear();
            }
        }
    }
}

/// So many resources, of which half are there.
fn desired(count: usize, sshd: &Sshd, way: SocketAddr, becoming: Option<&str>) -> Desired {
    let mut spec: HostSpec = serde_json::from_value(sshd.spec()).unwrap();
    if let Some(user) = becoming {
        spec.options.insert("become".to_owned(), user.into());
    }
    spec.connect = spec.connect.replace(&format!("{}:{}", sshd.address(), sshd.port()), &way.to_string());
    let mut desired = Desired::new().host("h1", spec);
    for at in 0..count {
        let path = |name: &str| sshd.path(&format!("{name}{at}")).display().to_string();
        let name = format!("r{at}");
        let resource = match at % 5 {
            0 => DesiredResource::new(&name, &DirectorySpec::new(path("dir"))),
            1 => DesiredResource::new(&name, &FileSpec::new(path("file"), "some\n")),
            2 => DesiredResource::new(&name, &LineSpec::new(path("lines"), "one")),
            3 => {
                let mut command = CommandSpec::new(["true"]);
                command.creates = Some(path("stamp"));
                DesiredResource::new(&name, &command)
            }
            _ => {
                let mut command = CommandSpec::new(["true"]);
                command.unless = Some(vec!["test".to_owned(), "-e".to_owned(), path("asked")]);
                DesiredResource::new(&name, &command)
            }
        };
        if at % 10 < 5 {
            match at % 5 {
                0 => std::fs::create_dir_all(path("dir")).unwrap(),
                1 => std::fs::write(path("file"), "some\n").unwrap(),
                2 => std::fs::write(path("lines"), "one\ntwo\n").unwrap(),
                3 => std::fs::write(path("stamp"), "").unwrap(),
                _ => std::fs::write(path("asked"), "").unwrap(),
            }
        }
        desired = desired.with(resource.on("h1"));
    }
    desired
}

/// Plans them, and says how many round trips and sessions that took.
async fn cost(count: usize, becoming: Option<&str>) -> (usize, usize) {
    let sshd = Sshd::start();
    let way = Slowly::to(&sshd).await;
    let key = sshd.host_line("host_ed25519");
    sshd.write_known_hosts(&key.replace(&sshd.known_as(), &format!("[127.0.0.1]:{}", way.address.port())));
    let registry = resources::register(Registry::new()).with_connector(SshConnector::default());
    let store = Arc::new(MemoryStore::new());
    let manager = Manager::open(store, registry, ManagerOptions::default()).await.unwrap();
    let planned = manager.plan(&desired(count, &sshd, way.address, becoming)).await.unwrap();
    assert_eq!(planned.plan.unknown().count(), 0, "{}", planned.plan);
    (way.trips.load(Ordering::Relaxed), sshd.log().matches("Starting session").count())
}

async fn a_thousand_cost_what_ten_do(becoming: Option<&str>) {
    /// Bytes that do not fit into one window of a channel come with another round trip, and a machine that is busy with other
    /// tests seems to need more than there are.
    const SPARE: usize = 4;
    const TRIES: usize = 5;
    /// One of files, and those of commands: eight at once, and as many again for those who asked a moment later.
    const SESSIONS_MAX: usize = 17;
    let (few, sessions) = cost(10, becoming).await;
    assert!(sessions <= 3, "that of files, and one for each of the two commands at most: {sessions}");
    for count in [100, 1000] {
        let mut least = usize::MAX;
        for _ in 0..TRIES {
            let (trips, sessions) = cost(count, becoming).await;
            assert!(sessions <= SESSIONS_MAX, "{sessions} sessions");
            least = least.min(trips);
            if least <= few + SPARE {
                break;
            }
        }
        eprintln!("{count} resources: {least} round trips, and {few} for ten");
        assert!(least <= few + SPARE, "{count} resources: {least} round trips, {few} for ten");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_resources_are_looked_at_in_as_many_round_trips_as_ten() {
    a_thousand_cost_what_ten_do(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_are_those_that_another_user_looks_at() {
    a_thousand_cost_what_ten_do(Some("root")).await;
}
