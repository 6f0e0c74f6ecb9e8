//! Volumes on an engine in memory.

use detc_core::backend::containers::ObjectRef;
use detc_core::testing::resource::check_resource;
use serde_json::json;

use super::*;
use crate::test_engine::{Bench, engine, remove_object, trial};

#[tokio::test(start_paused = true)]
async fn a_volume_keeps_the_contract() {
    for specs in [
        json!({ "volume": "own" }),
        json!({ "volume": "own", "removable": "own", "options": { "type": "tmpfs" } }),
    ] {
        let trial = || {
            let engine = engine();
            let removed = engine.clone();
            trial(&engine, [specs.clone()])
                .tampered("it is removed", move || remove_object(&removed, ObjectRef::volume("own")))
        };
        assert_eq!(check_resource::<VolumeSpec>(trial).await, []);
    }
}

#[tokio::test(start_paused = true)]
async fn one_is_kept_with_all_that_is_in_it_unless_it_is_named_once_more() {
    let mut bench = Bench::new("volume/own", engine());
    let kept = VolumeSpec::new("own");
    bench.apply(&kept).await;
    let why = "volume `own` and what is in it are kept: it is removed only with `removable: own`";
    assert_eq!(kept.delete(&bench.cx()).await.unwrap(), Removed::Left(why.to_owned()));
    assert!(bench.engine.dump().contains("volume own"));
    // Another driver would be another volume.
    let other = VolumeSpec { driver: Some("nfs".to_owned()), ..VolumeSpec::new("own") };
    assert_eq!(bench.seen(&other).await.fields["driver"], json!("local"));
    let error = bench.tried(&other).await.unwrap_err().full_message();
    let why =
        "volume/own is there with another driver, other options or labels, and can not be changed to these";
    assert_eq!(error, why);
    let wrong = VolumeSpec { removable: Some("other".to_owned()), ..VolumeSpec::new("own") };
    let error = wrong.inspect().unwrap_err().to_string();
    assert_eq!(error, "`removable` must be the name of the volume, `own`, not `other`");
    let removable = VolumeSpec { removable: Some("own".to_owned()), ..VolumeSpec::new("own") };
    assert_eq!(removable.delete(&bench.cx()).await.unwrap(), Removed::Gone);
    assert!(!bench.engine.dump().contains("volume own"));
}
