//! The laws of [`Containers`] on a real dockerd.

use detc_core::backend::Containers;
use detc_core::testing::containers::check_containers;

use crate::dockerd::Dockerd;
use crate::support::{IMAGE, name};

#[tokio::test]
async fn an_engine_by_the_docker_api_conforms() {
    let dockerd = Dockerd::shared();
    let engine: &dyn Containers = &dockerd.engine();
    dockerd.image().await;
    let found = check_containers(engine, IMAGE, &name("suite")).await;
    assert!(found.is_empty(), "{found:#?}");
}
