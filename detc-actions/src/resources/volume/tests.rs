//! Volumes on an engine in memory.

use detc_core::testing::resource::check_resource;
use serde_json::json;

use super::*;
use crate::test_engine::{engine, trial};

#[tokio::test(start_paused = true)]
async fn a_volume_keeps_the_contract() {
    for specs in [
        json!({ "volume": "own" }),
        json!({ "volume": "own", "removable": "own", "options": { "type": "tmpfs" } }),
    ] {
        assert_eq!(check_resource::<VolumeSpec>(|| trial(&engine(), [specs.clone()])).await, []);
    }
}
