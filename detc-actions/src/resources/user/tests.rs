use std::sync::Arc;

use detc_core::backend::memory::Files;
use detc_core::backend::{Host, MemoryHost};
use detc_core::testing::resource::{Trial, check_resource};
use serde_json::{Value, json};

use super::*;
use crate::resources::accounts::play::{host, lines, put};
use crate::test_util::Bench;

#[tokio::test(start_paused = true)]
async fn a_user_keeps_the_contract() {
    let specs = || {
        [
            json!({ "user": "web", "uid": 700, "groups": ["adm"], "home": "/srv/web", "shell": "/bin/false" }),
            json!({ "user": "web", "uid": 701, "groups": ["adm", "www"], "home": "/srv/w", "comment": "a b" }),
            json!({ "user": "web", "group": "www", "groups": [] }),
        ]
    };
    let trial = || {
        let host = host();
        let (added, removed) = (host.clone(), host.clone());
        Trial::in_memory(host, specs())
            .tampered("somebody puts it into another group", move || {
                added.with_files(|files| {
                    let groups: Vec<String> =
                        lines(files, "/etc/group").iter().map(|it| it.replace(":33:", ":33:web")).collect();
                    put(files, "/etc/group", &groups);
                });
            })
            .tampered("somebody removes it", move || removed.with_files(remove_web))
    };
    assert_eq!(check_resource::<UserSpec>(trial).await, []);
}

fn remove_web(files: &mut Files) {
    for path in ["/etc/passwd", "/etc/group"] {
        let mut lines = lines(files, path);
        lines.retain(|line| !line.starts_with("web:"));
        let lines: Vec<String> = lines.iter().map(|it| it.replace(":web", ":")).collect();
        put(files, path, &lines);
    }
}

#[tokio::test(start_paused = true)]
async fn one_whose_home_goes_with_it_keeps_the_contract() {
    let specs = || [json!({ "user": "web", "home": "/home/web", "make_home": true, "purge": true })];
    let trial = || {
        let host = host();
        host.with_files(|files| files.make_dir("/home", &Default::default())).unwrap();
        let removed = host.clone();
        Trial::in_memory(host, specs()).tampered("somebody removes it with its home", move || {
            removed.with_files(|files| {
                remove_web(files);
                files.remove("/home/web", Remove::Tree).unwrap();
            });
        })
    };
    assert_eq!(check_resource::<UserSpec>(trial).await, []);
}

fn bench(host: &MemoryHost) -> Bench {
    Bench::new("user/web").with_host(&(Arc::new(host.clone()) as Arc<dyn Host>))
}

#[tokio::test]
async fn what_was_made_of_a_user_that_was_cut_off_is_not_in_its_way() {
    let host = host();
    host.with_files(|files| {
        let mut groups = lines(files, "/etc/group");
        groups.push("web:x:1000:".to_owned());
        put(files, "/etc/group", &groups);
    });
    let output = UserSpec::new("web").create(&bench(&host).cx()).await.unwrap();
    assert_eq!(output, UserOutput { uid: 1000, gid: 1000 });
}

#[tokio::test]
async fn a_home_stays_unless_it_is_purged() {
    let host = host();
    let spec = UserSpec { home: Some("/home/web".into()), make_home: true, ..UserSpec::new("web") };
    spec.create(&bench(&host).cx()).await.unwrap();
    let removed = spec.delete(&bench(&host).cx()).await.unwrap();
    assert_eq!(removed, Removed::Left("its home /home/web stays, since it has no `purge`".to_owned()));
}

#[tokio::test]
async fn a_home_whose_making_was_cut_off_stays_with_what_is_in_it() {
    let host = host();
    host.with_files(|files| files.make_dir("/home", &Default::default())).unwrap();
    let home = Some("/home/web".into());
    let spec = UserSpec { home, make_home: true, purge: true, ..UserSpec::new("web") };
    spec.create(&bench(&host).cx()).await.unwrap();
    let mut bench = bench(&host);
    bench.cut_off = true;
    let Removed::Left(why) = spec.delete(&bench.cx()).await.unwrap() else { panic!("it stays") };
    assert!(why.starts_with("its home /home/web stays, since its making was cut off"), "{why}");
    assert_eq!(spec.observe(&bench.cx()).await.unwrap(), Observation::Absent);
}

#[tokio::test]
async fn a_host_without_the_programs_says_what_to_install() {
    let bare = MemoryHost::new("bare");
    bare.with_files(|files| {
        files.make_dir("/etc", &Default::default()).unwrap();
        put(files, "/etc/passwd", &[]);
        put(files, "/etc/group", &[]);
    });
    let error = UserSpec::new("web").create(&bench(&bare).cx()).await.unwrap_err();
    assert_eq!(error.to_string(), "user/web can not be changed: there is no useradd on bare");
    assert!(error.hint().unwrap().contains("`shadow` on Alpine"));
}

#[test]
fn a_bad_field_is_named_and_groups_come_first() {
    let of = |fields: Value| serde_json::from_value::<UserSpec>(fields).unwrap().inspect();
    let error = |fields: Value| of(fields).unwrap_err().to_string();
    assert!(error(json!({ "user": "-r" })).starts_with("`user` must be at most 32 lower-case letters"));
    assert!(error(json!({ "user": "a", "groups": ["a,b"] })).starts_with("`groups` must be"));
    assert_eq!(error(json!({ "user": "a", "shell": "sh" })), "`shell` must be an absolute path, not `sh`");
    let said = "`comment` must hold no `:`, line break or NUL byte";
    assert_eq!(error(json!({ "user": "a", "comment": "a:b" })), said);
    let said = "`home` must be given where it is made or removed";
    assert_eq!(error(json!({ "user": "a", "purge": true })), said);
    let footprint = of(json!({ "user": "a", "group": "b", "groups": ["c"] })).unwrap();
    let reads: Vec<String> = footprint.reads.iter().map(ToString::to_string).collect();
    assert_eq!(reads, ["/etc/passwd", "/etc/group", "group b", "group c"]);
}
