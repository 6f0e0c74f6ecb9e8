//! Networks on an engine in memory.

use detc_core::testing::resource::check_resource;
use serde_json::json;

use super::*;
use crate::test_engine::{engine, trial};

#[tokio::test(start_paused = true)]
async fn a_network_keeps_the_contract() {
    let specs = || {
        [
            json!({ "network": "own" }),
            json!({ "network": "own", "internal": true, "subnets": [{ "subnet": "10.9.0.0/16" }] }),
            json!({ "network": "own", "driver": "macvlan", "engine_labels": { "a": "b" } }),
        ]
    };
    assert_eq!(check_resource::<NetworkSpec>(|| trial(&engine(), specs())).await, []);
}
