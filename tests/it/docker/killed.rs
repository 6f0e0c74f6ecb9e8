//! SIGKILL of the manager around each entry of its journal while it makes, replaces and removes containers: what goes on finishes
//! it, and nothing is orphaned, as the engine itself lists it.

use serde_json::{Value, json};

use super::dockerd::Dockerd;
use super::raw;
use super::support::context;
use crate::crash::die_at_sync;
use crate::support::Place;

/// How many syncs a command makes at most, so that a mistake here ends.
const SYNCS_MAX: usize = 200;

/// A service of an image, a network, a volume and two containers.
fn desire(place: &Place, dockerd: &Dockerd, version: Option<&str>) {
    let engine = format!("unix://{}", dockerd.path("sock").display());
    let mut resources = Vec::new();
    if let Some(version) = version {
        let build = json!({ "args": { "VERSION": version } });
        let image = json!({ "kind": "image", "name": "web", "image": "web:1", "context": "context.tar", "build": build });
        resources.extend([
            image,
            json!({ "kind": "network", "name": "net", "network": "net" }),
            json!({ "kind": "volume", "name": "data", "volume": "data", "removable": "data" }),
        ]);
        for at in 0..2 {
            resources.push(json!({
                "kind": "container", "name": format!("web-{at}"), "container": format!("web-{at}"),
                "image": { "from": "image/web", "output": "id" }, "secrets": { "KEY": "s3cret" },
                "networks": { "net": { "aliases": ["web"] } },
                "mounts": { "/data": { "volume": "data", "read_only": true }, "/scratch": {} },
                "after": ["network/net", "volume/data"],
            }));
        }
    }
    for resource in &mut resources {
        resource["host"] = json!("engine");
    }
    let hosts = json!({ "engine": { "connect": engine } });
    let all = json!({ "version": 1, "hosts": hosts, "resources": resources });
    place.write("detc.json", serde_json::to_vec_pretty(&all).unwrap());
}

/// Applies, and dies just before the `nth` sync. True: it did.
fn apply_and_die(place: &Place, nth: usize) -> bool {
    let args = ["apply", "--yes", "--parallel", "1"];
    let mut command = place.command(&args);
    die_at_sync(&mut command, nth);
    let ran = place.start_as(command, &args).wait();
    assert!(matches!(ran.code, None | Some(0)), "{ran:?}");
    ran.code.is_none()
}

/// All that the engine has of this kind, whosesoever it is.
fn all(dockerd: &Dockerd, path: &str) -> Vec<Value> {
    let told = raw::look(&dockerd.path("sock"), path);
    let told = if told["Volumes"].is_null() { told } else { told["Volumes"].clone() };
    told.as_array().cloned().unwrap_or_default()
}

#[test]
fn a_kill_around_each_entry_of_the_journal_orphans_nothing_on_the_engine() {
    let (dockerd, place) = (Dockerd::start(), Place::new());
    let recipe = "ARG VERSION\nENV VERSION=$VERSION\nCMD [\"sleep\", \"600\"]\nSTOPSIGNAL SIGKILL\n";
    place.write("context.tar", context(recipe).bytes(1 << 30).unwrap());
    let socket = dockerd.path("sock");
    let (mut kills, began) = (0, std::time::Instant::now());
    for nth in 1..=SYNCS_MAX {
        let mut died = 0;
        for version in [Some("1"), Some("2"), None] {
            desire(&place, &dockerd, version);
            died += usize::from(apply_and_die(&place, nth));
            place.apply();
            place.fleet(&["plan", "--detailed-exitcode"]).exits(0);
            let expected: &[&str] = match version {
                Some(_) => &["container web-0", "container web-1", "network net", "volume data"],
                None => &[],
            };
            let there = raw::labelled(&socket, "detc.cluster");
            assert_eq!(there, expected, "version {version:?}, killed before sync {nth}");
            // A volume of each container alone has no label, and goes with it.
            let counts = ["/containers/json?all=1", "/volumes"].map(|path| all(&dockerd, path).len());
            let expected = if version.is_some() { [2, 3] } else { [0, 0] };
            assert_eq!(counts, expected, "version {version:?}, killed before sync {nth}");
            for container in all(&dockerd, "/containers/json?all=1") {
                assert_eq!(container["State"], "running", "killed before sync {nth}: {container}");
            }
        }
        assert_eq!(all(&dockerd, "/images/json?all=1").len(), 0, "killed before sync {nth}");
        kills += died;
        if died == 0 {
            println!("{kills} kills, {:.1} s", began.elapsed().as_secs_f32());
            assert!(kills > 30, "only {kills} kills found it alive");
            return;
        }
    }
    panic!("it makes more than {SYNCS_MAX} syncs");
}
