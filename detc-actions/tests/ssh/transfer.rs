//! Large content: over lines that break, onto disks that are full, over what an earlier try has left.

use std::fs;
use std::path::PathBuf;
use std::process::Command as Process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use detc_core::backend::host::{Ownership, Remove};
use detc_core::backend::{Host, HostError};
use detc_core::content::{Content, Sum};
use detc_core::model::Digest;

use crate::cuts::{Ledger, Random, number};
use crate::sshd::Sshd;
use crate::support::connect;
use crate::wire::Wire;

const MIB: u64 = 1 << 20;

/// Content that does not repeat where pieces end.
fn bytes(seed: u64, len: u64) -> Vec<u8> {
    let mut random = Random(seed);
    let block: Vec<u8> = (0..65_537).map(|_| random.below(256) as u8).collect();
    let mut all = block.repeat(usize::try_from(len).unwrap() / block.len() + 1);
    all.truncate(usize::try_from(len).unwrap());
    all
}

async fn put(host: &dyn Host, path: &str, content: &Content) -> Result<(), HostError> {
    host.write_from(path, content, &Ownership::new(Some(0o640), None, None)).await
}

fn sum_of(path: &str) -> Sum {
    Sum::of(&fs::read(path).unwrap())
}

/// The names in a folder, of files and of what writes have left.
fn names(sshd: &Sshd) -> Vec<String> {
    let listed = fs::read_dir(sshd.path("home")).unwrap();
    let mut names: Vec<String> =
        listed.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_transfer_that_is_cut_goes_on_where_it_was_in_either_direction() {
    let seed = number("DETC_SSH_SEED", 5);
    eprintln!("repeat with DETC_SSH_SEED={seed}");
    let (len, sshd) = (40 * MIB, Sshd::start());
    let mut random = Random(seed);
    let wire = Wire::to(&sshd, move || 5 * MIB + random.below(5 * MIB));
    let host = connect(&wire.spec(&sshd)).await.unwrap();
    let path = sshd.path("home/big").display().to_string();
    let content = Content::from(bytes(seed, len));
    put(&*host, &path, &content).await.unwrap();
    assert_eq!(sum_of(&path), content.sum());
    assert_eq!(names(&sshd), ["big"]);
    let (to, cuts) = (wire.passed().0, wire.cuts());
    // What was on its way when it was cut is sent again: at most what both ends hold back, a few MiB each time.
    assert!(cuts >= 4, "{cuts} cuts");
    assert!(to < len * 7 / 4, "{} of {} MiB went to the host in {cuts} cuts", to / MIB, len / MIB);
    let mut back = Vec::new();
    let told = host.read_to(&path, len, &mut back).await.unwrap();
    assert_eq!((told, Sum::of(&back)), (len, content.sum()));
    let (from, cuts) = (wire.passed().1, wire.cuts() - cuts);
    assert!(cuts >= 4, "{cuts} cuts");
    assert!(from < len * 7 / 4, "{} of {} MiB came from the host in {cuts} cuts", from / MIB, len / MIB);
}

#[tokio::test]
async fn a_file_that_is_changed_here_before_it_is_sent_is_told_and_leaves_nothing_there() {
    let (len, sshd) = (3 * MIB, Sshd::start());
    let (from, to) = (sshd.path("from"), sshd.path("home/big"));
    fs::write(&from, bytes(1, len)).unwrap();
    let content = Content::read(&from).unwrap();
    fs::write(&from, bytes(2, len)).unwrap();
    let host = connect(&sshd.spec()).await.unwrap();
    let refused = put(&*host, &to.display().to_string(), &content).await.unwrap_err();
    let HostError::Refused { source, .. } = refused else { panic!("{refused}") };
    assert!(source.to_string().contains("changed meanwhile"), "{source}");
    assert!(names(&sshd).is_empty(), "{:?}", names(&sshd));
}

/// What one of them carries is little more than what is on its way at once: most of it is not said to have arrived before it breaks.
#[tokio::test]
async fn a_transfer_gets_there_over_connections_that_each_carry_little() {
    let (len, sshd) = (6 * MIB, Sshd::start());
    let wire = Wire::to(&sshd, || 5 * MIB / 8);
    let host = connect(&wire.spec(&sshd)).await.unwrap();
    let path = sshd.path("home/big").display().to_string();
    let content = Content::from(bytes(3, len));
    put(&*host, &path, &content).await.unwrap();
    assert_eq!((sum_of(&path), names(&sshd)), (content.sum(), vec!["big".to_owned()]));
    assert!(wire.cuts() >= 7, "{} cuts", wire.cuts());
}

#[tokio::test]
async fn what_a_broken_transfer_has_left_is_no_part_of_other_content_and_is_taken_away() {
    let sshd = Sshd::start();
    let path = sshd.path("home/big").display().to_string();
    let (one, other) = (Content::from(bytes(1, 8 * MIB)), Content::from(bytes(2, 8 * MIB)));
    let host = connect(&sshd.spec()).await.unwrap();
    let left_by_one = async || {
        let wire = Wire::to(&sshd, || 3 * MIB);
        let host = connect(&wire.spec(&sshd)).await.unwrap();
        let dropped = tokio::time::timeout(Duration::from_millis(300), put(&*host, &path, &one));
        let _cut = dropped.await;
        sshd.write_known_hosts(&sshd.host_line("host_ed25519"));
    };
    // As if the machine had lost its power: what is there has the right length, and is not what was sent.
    left_by_one().await;
    if let [leftover] = names(&sshd).as_slice() {
        let folder = sshd.path("home").join(leftover);
        if let Some(part) = fs::read_dir(folder).unwrap().next() {
            let part = part.unwrap().path();
            fs::write(&part, vec![0; fs::metadata(&part).unwrap().len() as usize]).unwrap();
        }
    }
    put(&*host, &path, &one).await.unwrap();
    assert_eq!((sum_of(&path), names(&sshd)), (one.sum(), vec!["big".to_owned()]));
    left_by_one().await;
    put(&*host, &path, &other).await.unwrap();
    assert_eq!((sum_of(&path), names(&sshd)), (other.sum(), vec!["big".to_owned()]));
    left_by_one().await;
    host.write(&path, b"short", &Ownership::default()).await.unwrap();
    assert_eq!((fs::read(&path).unwrap(), names(&sshd)), (b"short".to_vec(), vec!["big".to_owned()]));
    left_by_one().await;
    host.remove(&path, Remove::File).await.unwrap();
    assert_eq!(names(&sshd), [""; 0]);
    left_by_one().await;
    host.remove(sshd.path("home").to_str().unwrap(), Remove::EmptyDirectory).await.unwrap();
}

/// The folder in which large content for `big` is until it is whole, and the file in it.
fn where_it_arrives(sshd: &Sshd, content: &Content) -> (PathBuf, PathBuf) {
    let name = Digest::of(b"big").to_string();
    let folder = sshd.path(&format!("home/.detc-new-{name:.32}"));
    let part = folder.join(format!("{:.32}", content.sum().to_string()));
    (folder, part)
}

/// The host does the last requests of a connection that is gone while the next one is at work: they open what this one has just made
/// room for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_connection_that_is_gone_does_late_is_no_error() {
    let sshd = Sshd::start();
    let host = connect(&sshd.spec()).await.unwrap();
    let path = sshd.path("home/big").display().to_string();
    let content = Content::from(bytes(1, 3 * MIB));
    let (folder, part) = where_it_arrives(&sshd, &content);
    // As a rule it comes between each time.
    for _ in 0..20 {
        fs::create_dir(&folder).unwrap();
        let is_over = Arc::new(AtomicBool::new(false));
        let late = std::thread::spawn({
            let (is_over, part) = (Arc::clone(&is_over), part.clone());
            move || {
                // Into what is there, and into what is made in its place.
                let mut opened = 0;
                while opened < 2 && !is_over.load(Ordering::Relaxed) {
                    opened += usize::from(fs::File::create_new(&part).is_ok());
                }
                opened
            }
        });
        put(&*host, &path, &content).await.unwrap();
        is_over.store(true, Ordering::Relaxed);
        assert_eq!(sum_of(&path), content.sum());
        if late.join().unwrap() == 2 {
            return;
        }
        let _left = fs::remove_dir_all(&folder);
    }
    panic!("it never came between");
}

/// The same of a small file: a rename that was asked for is done late, when another write has begun.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_rename_puts_nothing_half_written_in_its_place() {
    let sshd = Sshd::start();
    let host = connect(&sshd.spec()).await.unwrap();
    let (path, content) = (sshd.path("home/small"), bytes(1, MIB / 2));
    let name = Digest::of(b"small").to_string();
    let temporary = sshd.path(&format!("home/.detc-new-{name:.32}"));
    fs::write(&temporary, "of the connection that is gone").unwrap();
    let is_over = Arc::new(AtomicBool::new(false));
    let late = std::thread::spawn({
        let (is_over, path) = (Arc::clone(&is_over), path.clone());
        move || {
            let mut is_gone = false;
            while !is_over.load(Ordering::Relaxed) {
                // Not before the next write has taken it away.
                is_gone = is_gone || !temporary.exists();
                if is_gone && fs::rename(&temporary, &path).is_ok() {
                    return true;
                }
            }
            false
        }
    });
    host.write(path.to_str().unwrap(), &content, &Ownership::default()).await.unwrap();
    is_over.store(true, Ordering::Relaxed);
    assert!(!late.join().unwrap(), "it was put in its place while it was written");
    // What a write like this one has left goes with the next.
    fs::write(sshd.path(&format!("home/.detc-new-{name:.32}-2")), "left").unwrap();
    host.write(path.to_str().unwrap(), &content, &Ownership::default()).await.unwrap();
    assert_eq!((fs::read(&path).unwrap(), names(&sshd)), (content, vec!["small".to_owned()]));
}

/// As many cuts as there are told to be, at random points of large files that are written and read, and of commands between them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_cut_at_random_is_whole_or_as_it_was_and_nothing_is_done_twice() {
    const PATIENCE: Duration = Duration::from_secs(120);
    let (cuts, seed) = (number("DETC_SSH_CUTS", 200), number("DETC_SSH_SEED", 23));
    eprintln!("repeat with DETC_SSH_CUTS={cuts} DETC_SSH_SEED={seed}");
    let sshd = Sshd::start();
    let mut random = Random(seed);
    let mut lives = Random(seed + 1);
    // Every fourth connection hardly begins; the others are cut somewhere in what is sent over them.
    let life = move || if lives.below(4) == 0 { 500 + lives.below(30_000) } else { lives.below(4 * MIB) };
    let wire = Wire::to(&sshd, life);
    let host = loop {
        if let Ok(host) = connect(&wire.spec(&sshd)).await {
            break host;
        }
    };
    let path = sshd.path("home/big").display().to_string();
    let contents = [1, 2, 3].map(|seed| Content::from(bytes(seed, (4 + 8 * seed) * MIB + seed * 300_001)));
    let mut before: Option<Sum> = None;
    let (mut done, mut given_up, mut read_back) = (0, 0, 0);
    let mut ledger = Ledger::new(sshd.path("ledger"));
    let mut content = &contents[0];
    // Where the machine is busy, hardly anything gets through: then it takes some more.
    while wire.cuts() < cuts || ((done == 0 || read_back == 0) && wire.cuts() < 10 * cuts) {
        ledger.add(&*host, PATIENCE).await;
        let put = put(&*host, &path, content);
        match tokio::time::timeout(PATIENCE, put).await.expect("a write ends when its connections do") {
            Ok(()) => {
                assert_eq!(sum_of(&path), content.sum());
                done += 1;
                content = &contents[random.below(3) as usize];
            }
            Err(HostError::AnswerLost { .. } | HostError::Unreachable { .. }) => {
                let now = fs::exists(&path).unwrap().then(|| sum_of(&path));
                assert!(now == before || now == Some(content.sum()), "neither the old nor the new");
                given_up += 1;
            }
            Err(other) => panic!("{other:?}"),
        }
        before = fs::exists(&path).unwrap().then(|| sum_of(&path));
        let Some(sum) = before else { continue };
        let mut back = Vec::new();
        let read = host.read_to(&path, 64 * MIB, &mut back);
        match tokio::time::timeout(PATIENCE, read).await.expect("a read ends when its connections do") {
            Ok(len) => {
                assert_eq!((len, Sum::of(&back)), (back.len() as u64, sum));
                read_back += 1;
            }
            Err(HostError::AnswerLost { .. } | HostError::Unreachable { .. }) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    eprintln!("{done} written, {given_up} given up, {read_back} read back");
    ledger.check();
    assert!(done > 0 && read_back > 0);
}

/// A file system of its own, of so many MiB, on a folder; gone when it is dropped.
struct Disk(PathBuf);

/// As root: by itself, or by `sudo`.
fn as_root(argv: &[&str]) {
    let is_root = Process::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    let argv = if is_root { argv.to_vec() } else { [&["sudo", "-n"], argv].concat() };
    let ran = Process::new(argv[0]).args(&argv[1..]).output().unwrap();
    assert!(ran.status.success(), "{argv:?}: {}", String::from_utf8_lossy(&ran.stderr));
}

impl Disk {
    fn on(path: PathBuf, mib: u64) -> Self {
        as_root(&[
            "mount",
            "-t",
            "tmpfs",
            "-o",
            &format!("size={mib}m,mode=1777"),
            "tmpfs",
            path.to_str().unwrap(),
        ]);
        Self(path)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        as_root(&["umount", "-l", self.0.to_str().unwrap()]);
    }
}

#[tokio::test]
async fn a_full_disk_is_said_and_given_its_room_back() {
    let sshd = Sshd::start();
    let _disk = Disk::on(sshd.path("home"), 8);
    let host = connect(&sshd.spec()).await.unwrap();
    let path = sshd.path("home/big").display().to_string();
    let fits = Content::from(bytes(1, 3 * MIB));
    put(&*host, &path, &fits).await.unwrap();
    for _ in 0..2 {
        let error = put(&*host, &path, &Content::from(bytes(2, 12 * MIB))).await.unwrap_err();
        assert!(error.full_message().ends_with("(make room on it)"), "{}", error.full_message());
        assert_eq!((sum_of(&path), names(&sshd)), (fits.sum(), vec!["big".to_owned()]));
    }
    put(&*host, &path, &Content::from(bytes(3, 4 * MIB))).await.unwrap();
}

#[tokio::test]
async fn what_others_could_write_to_is_not_gone_on_with_nor_entered() {
    use std::os::unix::fs::PermissionsExt;
    let sshd = Sshd::start();
    fs::set_permissions(sshd.path("home"), fs::Permissions::from_mode(0o1777)).unwrap();
    let host = connect(&sshd.spec()).await.unwrap();
    let path = sshd.path("home/big").display().to_string();
    let content = Content::from(bytes(1, 3 * MIB));
    let (folder, part) = where_it_arrives(&sshd, &content);
    // Somebody knows what will come, and has put its beginning there, to change it later.
    fs::create_dir(&folder).unwrap();
    fs::write(&part, &bytes(1, 3 * MIB)[..MIB as usize]).unwrap();
    fs::write(folder.join("theirs"), "theirs").unwrap();
    as_root(&["chown", "-R", "nobody", folder.to_str().unwrap()]);
    let held = fs::File::open(&part).unwrap();
    put(&*host, &path, &content).await.unwrap();
    assert_eq!(sum_of(&path), content.sum());
    let ids = |meta: fs::Metadata| std::os::unix::fs::MetadataExt::ino(&meta);
    assert_ne!(ids(held.metadata().unwrap()), ids(fs::metadata(&path).unwrap()));
    // Nothing in it was removed, as the path to it could lead elsewhere by then.
    let is_theirs = |name: &String| name.starts_with(".detc-new-");
    let theirs: Vec<_> = names(&sshd).into_iter().filter(is_theirs).collect();
    let [theirs] = theirs.as_slice() else { panic!("{theirs:?}") };
    let theirs = sshd.path("home").join(theirs);
    assert_ne!(theirs, folder);
    assert_eq!(fs::read(theirs.join("theirs")).unwrap(), b"theirs");
    assert!(theirs.join(part.file_name().unwrap()).exists());
    // The same of one that is ours, and that others may write to; and of a small write.
    fs::remove_dir_all(&theirs).unwrap();
    for is_small in [false, true] {
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("theirs"), "theirs").unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
        if is_small {
            host.write(&path, b"small", &Ownership::default()).await.unwrap();
        } else {
            put(&*host, &path, &Content::from(bytes(2, 3 * MIB))).await.unwrap();
        }
        let aside: Vec<_> = names(&sshd).into_iter().filter(is_theirs).collect();
        assert_eq!(aside.len(), 1, "{aside:?}");
        let aside = sshd.path("home").join(&aside[0]);
        assert_eq!(fs::read(aside.join("theirs")).unwrap(), b"theirs");
        fs::remove_dir_all(&aside).unwrap();
    }
}

/// What came into the folder while the file was put in its place, of whoever hands on late, goes with it.
#[tokio::test]
async fn what_is_in_the_folder_at_the_end_goes_with_it_and_what_can_not_be_removed_is_named() {
    let sshd = Sshd::start();
    let host = connect(&sshd.spec()).await.unwrap();
    let path = sshd.path("home/big").display().to_string();
    let content = Content::from(bytes(1, 3 * MIB));
    let (folder, part) = where_it_arrives(&sshd, &content);
    let beginning = || {
        fs::create_dir(&folder).unwrap();
        fs::write(&part, &bytes(1, 3 * MIB)[..MIB as usize]).unwrap();
    };
    beginning();
    let late = format!("{}-0123456789abcdef", part.display());
    fs::write(late, "late").unwrap();
    put(&*host, &path, &content).await.unwrap();
    assert_eq!((sum_of(&path), names(&sshd)), (content.sum(), vec!["big".to_owned()]));
    fs::create_dir_all(folder.join("inner/most")).unwrap();
    let error = put(&*host, &path, &Content::from(bytes(2, 3 * MIB))).await.unwrap_err().full_message();
    let named = format!("{} is in the way, and can not be removed: remove it", folder.display());
    assert!(error.contains(&named), "{error}");
    assert_eq!(sum_of(&path), content.sum());
}
