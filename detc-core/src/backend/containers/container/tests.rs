use super::*;
use crate::backend::containers::{Probe, Test};

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn image() -> ImageDefaults {
    ImageDefaults {
        entrypoint: words("/init"),
        command: words("serve --all"),
        env: BTreeMap::from([("PATH".into(), "/bin".into())]),
        dir: Some("/srv".into()),
        user: Some("web".into()),
        labels: BTreeMap::from([("vendor".into(), "we".into())]),
        ports: BTreeSet::from([Port::inner(80)]),
        volumes: BTreeSet::from(["/data".into()]),
        health: Some(HealthCheck::Probe(Probe::new(Test::Command(words("/up"))))),
        stop_signal: Some("SIGQUIT".into()),
    }
}

/// What an engine does with what was asked.
fn merged(asked: &ContainerSpec, image: &ImageDefaults) -> ContainerSpec {
    let mut spec = asked.clone();
    let command = spec.command.take().filter(|it| !it.is_empty());
    spec.command = match (&spec.entrypoint, command) {
        (_, Some(command)) => Some(command),
        (Some(_), None) => Some(Vec::new()),
        (None, None) => Some(image.command.clone()),
    };
    spec.entrypoint.get_or_insert_with(|| image.entrypoint.clone());
    for (name, value) in &image.env {
        spec.env.entry(name.clone()).or_insert_with(|| value.clone());
    }
    for (name, value) in &image.labels {
        spec.labels.entry(name.clone()).or_insert_with(|| value.clone());
    }
    spec.dir = spec.dir.or_else(|| image.dir.clone());
    spec.user = spec.user.or_else(|| image.user.clone());
    let exposed: Vec<_> = spec.ports.iter().map(|port| Port { at: None, ..*port }).collect();
    spec.ports.extend(exposed);
    spec.ports.extend(&image.ports);
    for path in &image.volumes {
        spec.mounts.entry(path.clone()).or_insert_with(|| Mount::new(Source::Anonymous));
    }
    spec.health = spec.health.or_else(|| image.health.clone());
    spec.stop_signal = spec.stop_signal.or_else(|| image.stop_signal.clone());
    spec
}

#[test]
fn what_was_asked_and_what_an_engine_makes_of_it_are_the_same_beside_the_image() {
    let with = |change: fn(&mut ContainerSpec)| {
        let mut spec = ContainerSpec::new("web");
        change(&mut spec);
        spec
    };
    let at = HostPort { address: None, port: Some(8080) };
    let mut published = with(|_| {});
    published.ports.insert(Port::published(80, at));
    published.ports.insert(Port::published(81, at));
    let asked = [
        with(|_| {}),
        published,
        with(|spec| spec.command = Some(words("serve"))),
        with(|spec| spec.command = Some(words("serve --all"))),
        with(|spec| spec.command = Some(Vec::new())),
        with(|spec| spec.entrypoint = Some(words("/init"))),
        with(|spec| spec.entrypoint = Some(Vec::new())),
        with(|spec| {
            spec.entrypoint = Some(words("/init"));
            spec.command = Some(words("serve --all"));
        }),
        with(|spec| {
            spec.entrypoint = Some(words("/other"));
            spec.command = Some(words("serve --all"));
        }),
        with(|spec| {
            spec.env = BTreeMap::from([("PATH".into(), "/bin".into()), ("A".into(), "1".into())]);
            spec.labels = BTreeMap::from([("vendor".into(), "they".into())]);
            spec.dir = Some("/".into());
            spec.user = Some("web".into());
        }),
        with(|spec| {
            spec.mounts.insert("/data".into(), Mount::new(Source::Volume("data".into())));
            spec.mounts.insert("/more".into(), Mount::new(Source::Anonymous));
            spec.health = Some(HealthCheck::Off);
            spec.stop_signal = Some("SIGTERM".into());
            spec.ports = BTreeSet::from([Port::inner(80), Port::inner(81)]);
        }),
    ];
    for image in [image(), ImageDefaults::default()] {
        let beside: Vec<_> = asked.iter().map(|asked| asked.clone().beside(&image)).collect();
        for (asked, beside) in asked.iter().zip(&beside) {
            assert_eq!(merged(asked, &image).beside(&image), *beside, "{asked:?}");
            assert_eq!(beside.clone().beside(&image), *beside, "{asked:?}");
        }
    }
}

#[test]
fn what_is_not_as_the_image_has_it_is_kept() {
    let image = image();
    let mut spec = merged(&ContainerSpec::new("web"), &image);
    assert_eq!(spec.clone().beside(&image), ContainerSpec::new("web"));
    spec.env.insert("PATH".into(), "/usr/bin".into());
    spec.dir = Some("/".into());
    spec.health = Some(HealthCheck::Off);
    spec.command = Some(Vec::new());
    let told = spec.beside(&image);
    assert_eq!(told.env, BTreeMap::from([("PATH".into(), "/usr/bin".into())]));
    assert_eq!((told.dir.as_deref(), told.health), (Some("/"), Some(HealthCheck::Off)));
    assert_eq!((told.entrypoint, told.command), (Some(words("/init")), None));
}
