//! Stores that another version, or another program, has written in.

use bytes::Bytes;
use detc_core::store::file::FileStore;
use detc_core::store::{KeyRange, RangeOptions, Store as _, Transaction};
use serde_json::json;

use crate::support::Place;

fn one_file() -> Place {
    let place = Place::new();
    place.desire(&[json!({ "kind": "file", "name": "f", "path": place.text("f"), "content": "x" })]);
    place.apply();
    place
}

/// Copies an entry of the store to another key, changed.
async fn copy(place: &Place, from: &str, to: &str, change: impl Fn(String) -> String) {
    let store = FileStore::open(place.path(".detc")).await.unwrap();
    let reply = store.range(KeyRange::key(from.to_owned()), RangeOptions::default()).await.unwrap();
    let entry = reply.entries.first().unwrap_or_else(|| panic!("{from} is not in the store"));
    let value = change(String::from_utf8_lossy(&entry.value).into_owned());
    let put = Transaction::new().put(to.to_owned(), Bytes::from(value));
    store.transact(put).await.unwrap();
}

#[tokio::test]
async fn a_journal_of_a_newer_format_is_refused_and_named() {
    let place = one_file();
    copy(&place, "run/0000000001", "run/0000000002", |head| head.replace("detc.journal/1", "detc.journal/9"))
        .await;
    for args in [&["apply", "--yes"][..], &["history"], &["destroy", "--yes"]] {
        place.fleet(args).exits(1).complains("detc.journal/9").complains("run-2");
    }
    assert!(place.path("f").exists());
}

#[tokio::test]
async fn a_store_of_a_newer_format_is_refused_and_named() {
    let place = one_file();
    copy(&place, "meta/identity", "meta/identity", |identity| {
        identity.replace("detc.store/1", "detc.store/9")
    })
    .await;
    place.fleet(&["plan"]).exits(1).complains("detc.store/9").complains(".detc");
}

#[tokio::test]
async fn a_record_of_a_kind_that_this_program_does_not_have_is_unknown_and_kept() {
    let place = one_file();
    let store = FileStore::open(place.path(".detc")).await.unwrap();
    let reply = store.range(KeyRange::key("state/file/f"), RangeOptions::default()).await.unwrap();
    let value = reply.entries[0].value.clone();
    store.transact(Transaction::new().put("state/gadget/g", value)).await.unwrap();
    drop(store);
    let status = place.fleet(&["--json", "status"]).exits(1).complains("gadget/g").json();
    let gadget =
        status["resources"].as_array().unwrap().iter().find(|it| it["resource"] == "gadget/g").unwrap();
    assert_eq!(gadget["state"], "unknown", "{status}");
    let plan = place.fleet(&["plan"]).exits(1).complains("1 resource is unknown: gadget/g");
    assert!(!plan.err.contains("panicked"), "{plan:?}");
    let ran = place.fleet(&["apply", "--yes"]);
    assert!(ran.code == Some(1) && format!("{}{}", ran.out, ran.err).contains("gadget"), "{ran:?}");
    assert!(place.path("f").exists());
}

#[tokio::test]
async fn a_damaged_record_is_named() {
    let place = one_file();
    copy(&place, "state/file/f", "state/file/f", |_| "{\"half\": ".to_owned()).await;
    let ran = place.fleet(&["plan"]).exits(1).complains("file/f");
    assert!(!ran.err.contains("panicked"), "{ran:?}");
}
