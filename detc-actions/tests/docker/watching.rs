//! What an engine's restart leaves of a watch, and of what is asked afterwards.

use std::time::Duration;

use detc_core::backend::Containers;
use detc_core::backend::containers::{Again, New, ObjectRef, Watch};

use crate::dockerd::Dockerd;
use crate::support::{idle, name};

async fn told(watch: &mut Watch, wanted: &Again) {
    let until = async { while watch.next().await.expect("it goes on") != *wanted {} };
    tokio::time::timeout(Duration::from_secs(60), until)
        .await
        .unwrap_or_else(|_| panic!("{wanted:?} was not told"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_is_started_anew_is_looked_at_as_a_whole() {
    let mut dockerd = Dockerd::start();
    let engine = dockerd.engine();
    let containers: &dyn Containers = &engine;
    dockerd.image().await;
    let mut watch = containers.watch().await.unwrap();
    for end in [Dockerd::stop, Dockerd::kill] {
        let before = containers.create(&New::container(name("before"), idle())).await.unwrap();
        told(&mut watch, &Again::One(ObjectRef::container(&before))).await;
        end(&mut dockerd);
        dockerd.run();
        told(&mut watch, &Again::Everything).await;
        // It is what it was, and the connections that were lost are made anew.
        assert!(containers.container(&before).await.unwrap().is_some());
    }
    let after = containers.create(&New::container(name("after"), idle())).await.unwrap();
    told(&mut watch, &Again::One(ObjectRef::container(&after))).await;
}
