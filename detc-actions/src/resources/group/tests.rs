use detc_core::testing::resource::{Trial, check_resource};
use serde_json::json;

use super::*;
use crate::resources::accounts::play::{host, lines, put};

#[tokio::test(start_paused = true)]
async fn a_group_keeps_the_contract() {
    let specs = || [json!({ "group": "web", "gid": 500 }), json!({ "group": "web", "gid": 600 })];
    let trial = || {
        let host = host();
        let (changed, removed) = (host.clone(), host.clone());
        Trial::in_memory(host, specs())
            .tampered("somebody gives it another number", move || {
                changed.with_files(|files| {
                    let groups: Vec<String> =
                        lines(files, "/etc/group").iter().map(|it| it.replace(":500:", ":501:")).collect();
                    put(files, "/etc/group", &groups);
                });
            })
            .tampered("somebody removes it", move || {
                removed.with_files(|files| {
                    let mut groups = lines(files, "/etc/group");
                    groups.pop();
                    put(files, "/etc/group", &groups);
                });
            })
    };
    assert_eq!(check_resource::<GroupSpec>(trial).await, []);
}
