//! Containers on an engine in memory.

use detc_core::testing::resource::check_resource;
use serde_json::json;

use super::*;
use crate::test_engine::{engine, trial};

#[tokio::test(start_paused = true)]
async fn a_container_keeps_the_contract() {
    let specs = || {
        [
            json!({ "container": "web", "image": "web:1" }),
            json!({ "container": "web", "image": "web:1", "limits": { "memory_mib": 64 } }),
            json!({ "container": "web", "image": "web:2", "env": { "A": "1" } }),
        ]
    };
    assert_eq!(check_resource::<ContainerSpec>(|| trial(&engine(), specs())).await, []);
}
