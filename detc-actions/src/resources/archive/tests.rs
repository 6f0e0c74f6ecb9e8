use std::sync::Arc;

use detc_core::backend::{Host, MemoryHost};
use detc_core::model::Digest;
use detc_core::testing::resource::{Trial, check_resource};
use serde_json::Value;
use tar::EntryType;

use super::play::{archive, files, gzip, host};
use super::*;
use crate::test_util::{Bench, fields};

fn spec(archive: &[u8]) -> Value {
    json!({ "path": "/opt/app", "source": { "path": "app.tar", "digest": Digest::of(archive) } })
}

fn bench(host: &MemoryHost) -> Bench {
    Bench::new("archive/a").with_host(&(Arc::new(host.clone()) as Arc<dyn Host>))
}

fn made(bench: &mut Bench, archive: &[u8]) -> ArchiveSpec {
    bench.blob(archive);
    serde_json::from_value(spec(archive)).unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_archive_keeps_the_contract() {
    let first = files(&[("bin/app", "one"), ("etc/conf", "same"), ("old", "x")]);
    // What was a file is a directory, and the other way round.
    let second = gzip(&files(&[("bin/app", "two"), ("etc/conf", "same"), ("old/new", "x"), ("share", "")]));
    let third = files(&[("bin", "file"), ("etc/conf", "same")]);
    let trial = || {
        let host = host();
        let (torn, removed) = (host.clone(), host.clone());
        let specs = [&first, &second, &third].map(|archive| spec(archive));
        [&first, &second, &third]
            .into_iter()
            .fold(Trial::in_memory(host, specs), |trial, archive| trial.with_blob(archive.clone()))
            .tampered("somebody changes a file", move || {
                let own = Ownership::default();
                torn.with_files(|files| files.write("/opt/app/etc/conf", b"other", &own)).unwrap();
            })
            .tampered("somebody removes a file", move || {
                removed.with_files(|files| files.remove("/opt/app/bin/app", Remove::File)).unwrap();
            })
    };
    assert_eq!(check_resource::<ArchiveSpec>(trial).await, []);
}

#[tokio::test]
async fn what_is_not_a_plain_file_or_leads_out_is_refused_and_nothing_is_written() {
    const FILE: EntryType = EntryType::Regular;
    for (entry, why) in [
        ((FILE, "../x", 0o644, ""), "`../x`, a name that goes up"),
        ((FILE, "a/../../x", 0o644, ""), "`a/../../x`, a name that goes up"),
        ((FILE, "/etc/x", 0o644, ""), "`/etc/x`, a name that is absolute"),
        ((FILE, "a\nb", 0o644, ""), "a name that holds what is no plain letter"),
        ((EntryType::Symlink, "l", 0o777, "/etc"), "`l`, which is a symbolic link"),
        ((EntryType::Link, "l", 0o644, "first"), "`l`, which is a hard link"),
        ((EntryType::Char, "null", 0o644, ""), "`null`, which is a device"),
        ((EntryType::Fifo, "p", 0o644, ""), "`p`, which is a pipe"),
        ((FILE, "su", 0o4755, ""), "`su`, which is setuid, setgid or sticky"),
        ((EntryType::Directory, "d", 0o2755, ""), "`d`, which is setuid, setgid or sticky"),
        ((FILE, "first", 0o644, ""), "`first` more than once"),
        ((FILE, "first/x", 0o644, ""), "`first` more than once"),
        ((FILE, "./", 0o644, ""), "a name that is none"),
    ] {
        let host = host();
        let mut bench = bench(&host);
        let bad = archive(&[(FILE, "first", 0o644, "x"), entry]);
        let spec = made(&mut bench, &bad);
        let before = host.with_files(|files| files.dump("/none"));
        let error = spec.create(&bench.cx()).await.unwrap_err().to_string();
        assert!(
            error.starts_with("archive/a is not unpacked: app.tar holds ") && error.contains(why),
            "{error}"
        );
        assert_eq!(host.with_files(|files| files.dump("/none")), before, "{why}");
    }
}

#[tokio::test]
async fn what_is_no_archive_or_far_too_large_is_refused() {
    let host = host();
    let mut bench = bench(&host);
    let whole = files(&[("a", &"x".repeat(2000))]);
    let bomb = gzip(&vec![0; (4 << 20) + 1]);
    assert!(bomb.len() < 1 << 16);
    for (bad, why) in [
        (b"not an archive, though it is long enough to be one".repeat(20), "can not be read as tar"),
        (gzip(&whole)[..60].to_vec(), "can not be read as tar"),
        (whole[..1000].to_vec(), "can not be read as tar"),
        (bomb, "is more than 4 MiB when it is unpacked"),
    ] {
        let error = made(&mut bench, &bad).create(&bench.cx()).await.unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[tokio::test]
async fn what_is_there_and_was_not_unpacked_is_not_overwritten_and_stays_when_it_is_removed() {
    let host = host();
    let mut bench = bench(&host);
    let spec = made(&mut bench, &files(&[("bin/app", "x"), ("doc/a", "x")]));
    let own = Ownership::default();
    host.with_files(|files| files.make_dir("/opt/app/bin", &own)).unwrap();
    let error = spec.create(&bench.cx()).await.unwrap_err().to_string();
    assert_eq!(error, "archive/a is not unpacked: there is /opt/app/bin already, which it has not made");
    host.with_files(|files| files.remove("/opt/app/bin", Remove::EmptyDirectory)).unwrap();
    spec.create(&bench.cx()).await.unwrap();
    host.with_files(|files| files.write("/opt/app/doc/mine", b"", &own)).unwrap();
    let removed = spec.delete(&bench.cx()).await.unwrap();
    assert_eq!(
        removed,
        Removed::Left("/opt/app/doc holds what was not unpacked, and stays with that".to_owned())
    );
    let left = host.with_files(|files| files.list("/opt"));
    assert_eq!(left, ["/opt/app", "/opt/app/doc", "/opt/app/doc/mine"]);
}

#[tokio::test]
async fn what_is_as_it_should_be_is_not_written_again() {
    let host = host().remembering();
    let mut bench = bench(&host);
    made(&mut bench, &files(&[("a", "same"), ("b", "one")])).create(&bench.cx()).await.unwrap();
    let next = made(&mut bench, &files(&[("a", "same"), ("b", "two")]));
    next.update(&bench.cx()).await.unwrap();
    let changes = host.changes("/none");
    assert_eq!((changes["/opt/app/a"], changes["/opt/app/b"]), (1, 2));
}

#[tokio::test]
async fn on_this_machine_it_is_unpacked_with_modes_and_its_drift_is_told() {
    let mut bench = Bench::new("archive/a");
    let entries = [
        (EntryType::Directory, "./", 0o755, ""),
        (EntryType::Directory, "./empty", 0o711, ""),
        (EntryType::Regular, "./bin/run it", 0o755, "#!/bin/sh\n"),
        (EntryType::Regular, "./conf", 0o600, "x"),
    ];
    let tar = gzip(&archive(&entries));
    let spec = ArchiveSpec { path: bench.path("app"), ..made(&mut bench, &tar) };
    assert_eq!(spec.observe(&bench.cx()).await.unwrap(), Observation::Absent);
    spec.create(&bench.cx()).await.unwrap();
    let mode = |name: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::metadata(bench.path(&format!("app/{name}"))).unwrap().permissions().mode() & 0o7777
    };
    assert_eq!([mode("empty"), mode("bin"), mode("bin/run it"), mode("conf")], [0o711, 0o755, 0o755, 0o600]);
    let seen = fields(spec.observe(&bench.cx()).await.unwrap());
    assert_eq!(seen, json!({ "source": spec.source }).to_string());
    std::fs::remove_file(bench.path("app/conf")).unwrap();
    let seen = fields(spec.observe(&bench.cx()).await.unwrap());
    assert!(seen.contains("(1 of 2 files changed: conf)"), "{seen}");
    spec.update(&bench.cx()).await.unwrap();
    assert_eq!(std::fs::read(bench.path("app/conf")).unwrap(), b"x");
    for _ in 0..2 {
        assert_eq!(spec.delete(&bench.cx()).await.unwrap(), Removed::Gone);
    }
    assert!(!std::path::Path::new(&bench.path("app")).exists());
}

#[test]
fn a_bad_field_is_named() {
    let of = |path: &str| {
        let spec = ArchiveSpec { path: path.into(), ..serde_json::from_value(spec(b"")).unwrap() };
        spec.inspect().unwrap_err().to_string()
    };
    assert_eq!(of("app"), "`path` must be an absolute path, not `app`");
    assert_eq!(of("//"), "`path` must be a directory of its own, not `/`");
}

#[test]
fn an_archive_that_was_cut_off_is_refused() {
    let whole = files(&[("a", "one"), ("b", "two")]);
    // Each of the two takes a block, and its content another; then comes the end.
    for len in [0, 512, 1024, 2048] {
        let refused = Content::read(&whole[..len]).unwrap_err().to_string();
        assert!(refused.contains("cut off") || refused.contains("can not be read"), "{len}: {refused}");
    }
    assert!(Content::read(&whole[..2048 + 512]).is_ok());
    assert!(Content::read(&whole).is_ok());
}
