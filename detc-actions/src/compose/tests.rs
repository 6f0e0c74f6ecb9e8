//! Whole files, and each thing that can be wrong with one.

use std::fmt::Write as _;
use std::fs;

use detc_core::testing::reader::{Files, check_reader};
use expect_test::{Expect, expect};

use super::*;

/// Reads a file in a folder with these others: its resources as they are, or what is wrong.
fn read_in(files: &[(&str, &str)], options: &ComposeOptions, text: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let read = read_text("compose.yaml", text, dir.path(), options);
    let said = match read {
        Ok(desired) => said(&desired),
        Err(error) => format!("{error}\n"),
    };
    said.replace(&dir.path().display().to_string(), "DIR")
}

fn said(desired: &Desired) -> String {
    let registry = crate::resources::register(detc_core::Registry::new())
        .with_connector(crate::backends::LocalConnector);
    desired.check(&registry).unwrap();
    let mut said = String::new();
    for (id, resource) in &desired.resources {
        let after: Vec<&str> = resource.dependencies().iter().map(|id| id.as_str()).collect();
        let after = if after.is_empty() { String::new() } else { format!(" after {}", after.join(", ")) };
        let restart: Vec<&str> = resource.extra().restart_on.iter().map(|id| id.as_str()).collect();
        let restart =
            if restart.is_empty() { String::new() } else { format!(" restarts on {}", restart.join(", ")) };
        writeln!(said, "{}: {id}{after}{restart} {}", resource.origin.line, resource.spec.value()).unwrap();
    }
    for invariant in &desired.invariants {
        writeln!(said, "{} {}", invariant.name, serde_json::to_value(invariant).unwrap()).unwrap();
    }
    said
}

#[track_caller]
fn check(text: &str, expected: &Expect) {
    let mut options = ComposeOptions::new();
    options.project = Some("shop".to_owned());
    options.vars = [("TAG", "1.4"), ("EMPTY", ""), ("TOKEN", "t0ken"), ("HOME", "/home/me")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    options.profiles = ["debug".to_owned()].into();
    let files = [
        (
            "web.env",
            "# what it is called\nexport NAME='$plain'\nWHERE=\"at $TAG\" # not this\nTOKEN\nNOT_SET\n",
        ),
        ("key.txt", "s3cret"),
        ("app/Dockerfile", "FROM scratch"),
        (".env", "FROM_FILE=there\nTAG=older\n"),
    ];
    expected.assert_eq(&read_in(&files, &options, text));
}

#[test]
fn a_service_with_everything_becomes_a_container_with_everything() {
    check(
        r#"
version: "3.8"
x-common: &common
  restart: unless-stopped
  logging: { driver: json-file, options: { max-size: 10m } }
services:
  web:
    <<: *common
    image: "registry/web:${TAG}"
    command: serve --name "a b" $$HOME
    entrypoint: ["/entry", "-x"]
    environment:
      MODE: ${MODE:-live}
      COUNT: 3
      ON: true
      TOKEN:
      MISSING:
    env_file: [web.env, { path: nowhere.env, required: false }]
    working_dir: /srv
    user: "1000:1000"
    hostname: web
    labels: [team=shop, plain]
    ports: ["127.0.0.1:8080:80", { target: 443, published: "8443", protocol: tcp }]
    expose: ["9000", 80]
    volumes:
      - data:/data
      - ./conf:/etc/web:ro
      - ~/cache:/cache
      - /anonymous
      - { type: tmpfs, target: /scratch, tmpfs: { size: 64m } }
    tmpfs: /run:mode=1777
    networks: { back: { aliases: [api], ipv4_address: 10.1.0.9 }, front: }
    mem_limit: 512m
    memswap_limit: 1g
    cpus: 0.5
    cpu_shares: 512
    cpuset: 0-1
    pids_limit: 100
    read_only: true
    cap_add: [NET_ADMIN]
    cap_drop: [ALL]
    healthcheck: { test: [CMD, /bin/check, -q], interval: 1m30s, timeout: 500ms, retries: 5, start_period: 0 }
    stop_signal: SIGINT
    stop_grace_period: 20s
    init: true
    secrets: [key, { source: token, target: api.token }]
    privileged: false
networks:
  back: { driver: bridge, internal: true, ipam: { config: [{ subnet: 10.1.0.0/16, gateway: 10.1.0.1 }] } }
  front: { external: true, name: edge }
  unused: {}
volumes:
  data: { labels: { keep: "yes" } }
secrets:
  key: { file: key.txt }
  token: { environment: TOKEN }
"#,
        &expect![[r#"
            49: network/shop_back {"driver":"bridge","internal":true,"network":"shop_back","subnets":[{"gateway":"10.1.0.1","subnet":"10.1.0.0/16"}]}
            53: volume/shop_data {"engine_labels":{"keep":"yes"},"volume":"shop_data"}
            7: image/registry/web:1.4 {"image":"registry/web:1.4"}
            7: container/shop-web-1 {"capabilities":{"add":["NET_ADMIN"],"drop":["ALL"]},"command":["serve","--name","a b","$HOME"],"container":"shop-web-1","dir":"/srv","engine_labels":{"plain":"","team":"shop"},"entrypoint":["/entry","-x"],"env":{"COUNT":"3","MODE":"live","NAME":"$plain","ON":"true","TOKEN":"t0ken","WHERE":"at 1.4"},"health":{"command":["/bin/check","-q"],"interval_ms":90000,"retries":5,"start_period_ms":0,"timeout_ms":500},"hostname":"web","image":{"from":"image/registry/web:1.4","output":"id"},"init":true,"limits":{"cpu_millis":500,"cpu_set":"0-1","cpu_weight":512,"memory_mib":512,"pids_max":100,"swap_mib":512},"logging":{"driver":"json-file","options":{"max-size":"10m"}},"mounts":{"/anonymous":{},"/cache":{"bind":"/home/me/cache"},"/data":{"volume":"shop_data"},"/etc/web":{"bind":"DIR/conf","read_only":true},"/run":{"memory":{"mode":"1777"}},"/scratch":{"memory":{"size_mib":64}}},"networks":{"edge":{"aliases":["web"]},"shop_back":{"addresses":["10.1.0.9"],"aliases":["web","api"]}},"ports":[{"port":80,"publish":{"address":"127.0.0.1","port":8080}},{"port":443,"protocol":"tcp","publish":{"port":8443}},{"port":9000}],"read_only_root":true,"restart":"unless_stopped","secrets":{"api.token":"t0ken","key":"s3cret"},"stop":{"grace_s":20,"signal":"SIGINT"},"user":"1000:1000"}
        "#]],
    );
}

#[test]
fn replicas_dependencies_and_profiles_become_containers_in_order() {
    check(
        r"
services:
  web:
    build: { context: app, args: { TAG: } }
    depends_on: { db: { condition: service_healthy, restart: true }, tools: { required: false } }
    deploy:
      replicas: 3
      update_config: { parallelism: 1, order: start-first }
      restart_policy: { condition: on-failure, max_attempts: 4 }
      resources: { limits: { cpus: '1.5', memory: 1g, pids: 50 }, reservations: { memory: 256m } }
  db: { image: db, container_name: the-db }
  migrate: { image: shop-web, depends_on: [db], command: [migrate] }
  worker: { image: shop-web, depends_on: { migrate: { condition: service_completed_successfully } } }
  trace: { image: db, profiles: [debug], network_mode: 'service:db' }
  tools: { image: tools, profiles: [never], build: not-even-there }
",
        &expect![[r#"
            2: network/shop_default {"network":"shop_default"}
            3: image/shop-web {"build":{"args":{"TAG":"1.4"}},"context":{"digest":"5d35676a643ea95e1f7f179eae8e1549e275d65b9eb02e8c0996aa8ff3a17d0d","path":"app"},"image":"shop-web"}
            11: image/db {"image":"db"}
            3: container/shop-web-1 after container/the-db restarts on container/the-db {"container":"shop-web-1","image":{"from":"image/shop-web","output":"id"},"limits":{"cpu_millis":1500,"memory_mib":1024,"memory_reserved_mib":256,"pids_max":50},"networks":{"shop_default":{"aliases":["web"]}},"order":"start_first","restart":{"on_failure":{"retries_max":4}}}
            3: container/shop-web-2 after container/the-db restarts on container/the-db {"container":"shop-web-2","image":{"from":"image/shop-web","output":"id"},"limits":{"cpu_millis":1500,"memory_mib":1024,"memory_reserved_mib":256,"pids_max":50},"networks":{"shop_default":{"aliases":["web"]}},"order":"start_first","restart":{"on_failure":{"retries_max":4}}}
            3: container/shop-web-3 after container/the-db restarts on container/the-db {"container":"shop-web-3","image":{"from":"image/shop-web","output":"id"},"limits":{"cpu_millis":1500,"memory_mib":1024,"memory_reserved_mib":256,"pids_max":50},"networks":{"shop_default":{"aliases":["web"]}},"order":"start_first","restart":{"on_failure":{"retries_max":4}}}
            11: container/the-db {"container":"the-db","image":{"from":"image/db","output":"id"},"networks":{"shop_default":{"aliases":["db"]}}}
            12: container/shop-migrate-1 after container/the-db {"command":["migrate"],"completes":true,"container":"shop-migrate-1","image":{"from":"image/shop-web","output":"id"},"networks":{"shop_default":{"aliases":["migrate"]}}}
            13: container/shop-worker-1 after container/shop-migrate-1 {"container":"shop-worker-1","image":{"from":"image/shop-web","output":"id"},"networks":{"shop_default":{"aliases":["worker"]}}}
            14: container/shop-trace-1 {"container":"shop-trace-1","image":{"from":"image/db","output":"id"},"network_mode":{"container":"the-db"}}
            2 of web serve at every moment {"at_least":2,"available":{"kind":"container","labels":{"compose.project":"shop","compose.service":"web"}},"name":"2 of web serve at every moment"}
        "#]],
    );
}

#[test]
fn each_thing_that_is_wrong_is_told_with_its_line() {
    check(
        r"
services:
  web:
    image: web:${NOT_SET}
    imagee: web
    ports: ['80/icmp', { published: 80 }]
    privileged: true
    devices: [/dev/sda]
    depends_on:
      gone: { condition: service_is_fine }
    healthcheck: { interval: 1s }
    restart: sometimes
    volumes: ['named:/data', 'a:b:c:d', './x:/x:z', { type: bind, target: /y }]
    networks: [nowhere]
    mem_limit: 1000
    cpus: lots
    stop_grace_period: 1500ms
    secrets: [none]
    command: a 'b
    env_file: not-there.env
    deploy: { mode: global, placement: {} }
    pull_policy: always
  none: {}
  lost: { image: y, network_mode: 'service:gone' }
  scaled: { image: x, container_name: one, scale: 2, ports: ['80:80'] }
  other: { image: y, build: app }
  another: { image: y, build: { context: app, target: t } }
  many: { image: x, scale: 4000000000 }
  '': { image: x }
  twice: { image: x, scale: 2, deploy: { replicas: 3 }, networks: { default: { ipv4_address: 10.0.0.2 } } }
  ports: { image: x, ports: ['80:80', '127.0.0.1:80:81', '80:82/udp'] }
  listed: { image: [1, 2] }
  empty: { image: '' }
netwroks: {}
",
        &expect![[r#"
            compose.yaml:4: the variable `NOT_SET` is not set: set it, or write what it is then, as in `${NOT_SET:-}`
            compose.yaml:5: `services.web.imagee` is not supported: did you mean `image`?
            compose.yaml:6: `services.web.ports`: `80/icmp` has the protocol `icmp`: expected `tcp`, `udp` or `sctp`
            compose.yaml:6: `services.web.ports`: it has no `target`: expected the port inside
            compose.yaml:7: `services.web.privileged` is not supported
            compose.yaml:8: `services.web.devices` is not supported
            compose.yaml:10: `services.web.depends_on.gone.condition` is `service_is_fine`: expected `service_started`, `service_healthy` or `service_completed_successfully`
            compose.yaml:10: `web` depends on `gone`, which is no service
            compose.yaml:11: `services.web.healthcheck` has no `test`: what the image says can not be changed in part
            compose.yaml:12: `services.web.restart` is `sometimes`: expected `no`, `always`, `unless-stopped`, `on-failure` or `on-failure:COUNT`
            compose.yaml:13: `services.web.volumes` has `named`, which `volumes` at the top has not (a folder is written with `./`)
            compose.yaml:13: `services.web.volumes`: `a:b:c:d` can not be read: expected `SOURCE:PATH` or `SOURCE:PATH:ro`
            compose.yaml:13: `services.web.volumes`: `./x:/x:z` has the option `z`: only `ro` and `rw` are supported
            compose.yaml:13: `services.web.volumes` has the type `bind` and no source: expected `volume`, `bind` with a source, or `tmpfs` without
            compose.yaml:14: `services.web.networks` has `nowhere`, which `networks` at the top has not
            compose.yaml:15: `services.web.mem_limit` is 1000 bytes: expected whole MiB
            compose.yaml:16: `services.web.cpus` is `lots`: expected processors, as in `0.5`, in whole thousandths
            compose.yaml:17: `services.web.stop_grace_period` is 1500 ms: expected whole seconds
            compose.yaml:18: `services.web.secrets` has `none`, which `secrets` at the top has not
            compose.yaml:19: `services.web.command` has a quote that is not closed
            compose.yaml:20: `services.web.env_file`: not-there.env can not be read: No such file or directory (os error 2)
            compose.yaml:21: `services.web.deploy.mode` is `global`: only `replicated` is supported
            compose.yaml:21: `services.web.deploy.placement` is not supported
            compose.yaml:22: `services.web.pull_policy` is `always`: an image is pulled when it is not there, and no other way is supported (name an image by its digest to have another one)
            compose.yaml:23: `services.none` has neither `image` nor `build`
            compose.yaml:24: `lost` is in the networks of `gone`, which is no service that is there
            compose.yaml:25: `services.scaled` has a `container_name`, which only one of 2 can have
            compose.yaml:25: `services.scaled` publishes port 80, which only one of 2 can have (leave out the port of the machine)
            compose.yaml:27: `image/y` is made in another way by a service before it: give it another `image`
            compose.yaml:28: `services.many.scale` is 4000000000: at most 10000 can be
            compose.yaml:29: a service can not be called ``: expected letters, digits, `.`, `_` and `-`
            compose.yaml:30: `services.twice.deploy.replicas` is 3, and `scale` is not: give one of them
            compose.yaml:30: `services.twice` has an address of its own, which only one of 3 can have
            compose.yaml:30: `services.twice.networks` asks `shop_default` for the address 10.0.0.2, which only a network with a `subnet` gives
            compose.yaml:31: `services.ports` publishes port 80 of the machine twice
            compose.yaml:32: `services.listed.image` is a list: expected a text
            compose.yaml:33: `services.empty.image` is empty: expected the name of an image
            compose.yaml:34: `netwroks` is not supported: did you mean `networks`?
        "#]],
    );
}

#[test]
fn addresses_are_given_by_the_networks_that_have_them_and_once() {
    check(
        r"
services:
  a: { image: x, networks: { own: { ipv4_address: 10.1.0.7 } } }
  b: { image: x, networks: { own: { ipv4_address: 10.1.0.7 } } }
  c: { image: x, networks: { own: { ipv4_address: 10.2.0.7 } } }
  d: { image: x, networks: { own: { ipv4_address: 10.1.0.1 } } }
  e: { image: x, networks: { plain: { ipv4_address: 10.1.0.8 } } }
  f: { image: x, networks: { theirs: { ipv4_address: 10.9.0.7 } } }
  g: { image: x, networks: { own: { ipv4_address: 10.1.0.7 } }, profiles: [never] }
  h: { image: x, network_mode: 'service:h' }
networks:
  own: { ipam: { config: [{ subnet: 10.1.0.0/16, gateway: 10.1.0.1 }] } }
  plain: {}
  theirs: { external: true }
",
        &expect![[r#"
            compose.yaml:4: `services.b.networks` asks `shop_own` for the address 10.1.0.7, which `a` on line 3 has
            compose.yaml:5: `services.c.networks` asks `shop_own` for the address 10.2.0.7, which is in none of its subnets
            compose.yaml:6: `services.d.networks` asks `shop_own` for the address 10.1.0.1, which is that of its gateway
            compose.yaml:7: `services.e.networks` asks `shop_plain` for the address 10.1.0.8, which only a network with a `subnet` gives
            compose.yaml:10: `services.h.network_mode` is `service:h`: a service can not be in its own networks
        "#]],
    );
}

#[test]
fn files_without_an_end_and_large_ones_are_not_read() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("large"), vec![b'#'; (1 << 20) + 1]).unwrap();
    let text = r"
name: n
services:
  a: { image: x, env_file: [/dev/zero, { path: large, required: false }], secrets: [s] }
secrets: { s: { file: /dev/zero } }
";
    let told = read_text("compose.yaml", text, folder.path(), &ComposeOptions::new()).unwrap_err();
    expect![[r#"
        compose.yaml:4: `services.a.env_file`: /dev/zero can not be read: it is no regular file
        compose.yaml:4: `services.a.env_file`: large can not be read: it has more than 1024 KiB
        compose.yaml:5: `secrets.s`: /dev/zero can not be read as text: it is no regular file"#]]
    .assert_eq(&format!("{told:#}"));
}

#[test]
fn what_can_not_be_held_is_told_before_it_is_made() {
    let one = |name: &str, more: &str| format!("  {name}: {{ image: x, scale: 10000{more} }}\n");
    let text = format!("services:\n{}{}", one("a", ""), one("b", ", depends_on: [a]"));
    assert_eq!(
        read_in(&[], &ComposeOptions::new(), &format!("name: n\n{text}")),
        "compose.yaml:4: up to `b` there are 100000000 pairs of a container and one that comes before it: at most 1000000 can be\n"
    );
    let many: String = (0..11).map(|at| one(&format!("s{at}"), "")).collect();
    assert_eq!(
        read_in(&[], &ComposeOptions::new(), &format!("name: n\nservices:\n{many}")),
        "compose.yaml:13: up to `s10` there are 110000 containers: at most 100000 can be\n"
    );
}

#[test]
fn what_stands_too_deep_and_ports_without_end_are_told() {
    let deep =
        format!("name: n\nservices:\n  a: {{ image: '{}x{}' }}\n", "${A:-".repeat(6000), "}".repeat(6000));
    let told = read_in(&[], &ComposeOptions::new(), &deep);
    assert!(told.starts_with("compose.yaml:3: more than 100 braces stand in each other\n"), "{told}");
    for field in ["ports", "expose"] {
        let text = format!("name: n\nservices:\n  a: {{ image: x, {field}: ['1-65535'] }}\n");
        let told = read_in(&[], &ComposeOptions::new(), &text);
        assert_eq!(told, format!("compose.yaml:3: `services.a.{field}` has more than 1000 ports\n"));
    }
}

#[test]
fn variables_of_compose_say_the_project_and_the_profiles() {
    let text = "name: file\nservices:\n  a: { image: x }\n  b: { image: x, profiles: [debug] }\n  c: { image: x, profiles: [other] }\n";
    let mut options = ComposeOptions::new();
    options.vars = [("COMPOSE_PROJECT_NAME", "shop"), ("COMPOSE_PROFILES", "more, debug")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let desired = read_text("compose.yaml", text, Path::new("."), &options).unwrap();
    let ids: Vec<_> =
        desired.resources.keys().map(|id| id.as_str()).filter(|id| id.starts_with("container/")).collect();
    assert_eq!(ids, ["container/shop-a-1", "container/shop-b-1"]);
}

#[test]
fn a_file_that_compose_would_merge_in_is_not_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("compose.yaml");
    fs::write(&path, "services:\n  a: { image: x }\n").unwrap();
    fs::write(dir.path().join("compose.override.yml"), "services: {}\n").unwrap();
    let told = super::read(&path, &ComposeOptions::new()).unwrap_err().to_string();
    assert!(told.contains("compose.override.yml beside it is not read"), "{told}");
}

#[test]
fn what_is_no_text_is_told_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("compose.yaml");
    fs::write(&path, b"services:\n  a: { image: x }\n  # caf\xe9\n").unwrap();
    let told = super::read(&path, &ComposeOptions::new()).unwrap_err().to_string();
    assert_eq!(told, format!("{}:3: has bytes that are no text in UTF-8", path.display()));
}

#[test]
fn what_is_no_compose_file_is_told() {
    check(
        "version: '3'\n",
        &expect![[r#"
        compose.yaml:1: has no `services`: it is no Compose file
    "#]],
    );
    for (text, is) in [("just words\n", "a text"), ("[a]\n", "a list"), ("", "nothing")] {
        let said = read_in(&[], &ComposeOptions::new(), text);
        assert!(said.contains(&format!("is {is}: expected a map with `services`")), "{said}");
    }
    check(
        "services: [a]\n",
        &expect![[r#"
        compose.yaml:1: `services` is a list: expected a map
    "#]],
    );
    check(
        "services:\n  a: {image: x}\n  a: {image: y}\n",
        &expect![[r#"
            compose.yaml:3: `a` is given twice
        "#]],
    );
    check(
        "services:\n  a: {image: x\n",
        &expect![[r#"
        compose.yaml:2: can not be read as YAML: unclosed bracket '{'
    "#]],
    );
    check(
        "name: No!\nservices: { a: { image: x, network_mode: weird, restart: no } }\n",
        &expect![[r#"
        compose.yaml:2: `services.a.network_mode` is `weird`: expected `none`, `host`, `service:NAME` or `container:NAME`
    "#]],
    );
}

#[test]
fn variables_are_put_in_as_compose_does_it() {
    let vars: BTreeMap<String, String> =
        [("SET", "s"), ("EMPTY", "")].map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    for (text, expected) in [
        ("$SET-${SET}", "s-s"),
        ("$$SET $${SET}", "$SET ${SET}"),
        ("${NONE-a}${NONE:-b}${EMPTY-c}${EMPTY:-d}", "abd"),
        ("${SET+a}${EMPTY+b}${EMPTY:+c}${NONE+d}", "ab"),
        ("${NONE:-${SET}-${NONE-x}}", "s-x"),
        ("${SET:?why}${SET?}", "ss"),
        ("$SETx", "the variable `SETx` is not set: set it, or write what it is then, as in `${SETx:-}`"),
        ("${EMPTY:?say $SET}", "the variable `EMPTY` is required: say s"),
        ("${NONE?}", "the variable `NONE` is required"),
        ("a $ b", "`$` in `a $ b` stands before no name: write `$$` for the character"),
        ("${SET", "`${SET` has no `}`"),
        ("${SET:}", "`${SET:}` can not be read: expected a name, and then `:-`, `-`, `:+`, `+`, `:?` or `?`"),
        (
            "${SET:=x}",
            "`${SET:=x}` can not be read: expected a name, and then `:-`, `-`, `:+`, `+`, `:?` or `?`",
        ),
    ] {
        assert_eq!(vars::interpolate(text, &vars).unwrap_or_else(|why| why), expected, "{text}");
    }
}

#[test]
fn files_of_variables_are_read_line_by_line() {
    let mut errors = Errors::of("compose.yaml");
    let vars: BTreeMap<String, String> = [("HAVE".to_owned(), "h".to_owned())].into();
    let text = "A=1 # one\nB='$A # as it is'\nC=\"$A\\n\\$A\" # two\nHAVE\nNONE\nexport D = x\nE='open\nF G=1\nH=$NO\n";
    let read = vars::read_file("f.env", text, &vars, &mut errors, 7);
    let read: Vec<String> = read.into_iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    assert_eq!(read, ["A=\"1\"", "B=\"$A # as it is\"", "C=\"1\\n$A\"", "D=\"x\"", "HAVE=\"h\""]);
    let error = errors.finish().unwrap();
    let told: Vec<&str> =
        std::iter::once(&error).chain(&error.others).map(|it| it.message.as_str()).collect();
    assert_eq!(
        told,
        [
            "f.env:7: a quote is not closed",
            "f.env:8: expected `NAME=VALUE`",
            "f.env:9: the variable `NO` is not set: set it, or write what it is then, as in `${NO:-}`",
        ]
    );
}

#[test]
fn where_nothing_says_how_it_is_called_it_is_called_after_its_folder() {
    let dir = tempfile::Builder::new().prefix("My.Shop_").rand_bytes(0).tempdir().unwrap();
    let project = |base: &Path| {
        let desired =
            read_text("c", "services: { db: { image: db } }", base, &ComposeOptions::new()).unwrap();
        desired.resources.keys().last().unwrap().name().to_owned()
    };
    assert_eq!(project(dir.path()), "myshop_-db-1");
    assert_eq!(project(&dir.path().join("sub/..")), "myshop_-db-1");
    // The folder that this runs in.
    let here = std::env::current_dir().unwrap();
    let here = here.file_name().unwrap().to_string_lossy().into_owned();
    assert_eq!(project(Path::new("")), format!("{here}-db-1"));
}

#[test]
fn a_program_takes_compose_files_beside_its_own() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("compose.yaml"), "name: shop\nservices: { db: { image: db } }\n").unwrap();
    fs::write(
        dir.path().join("more.json"),
        r#"{ "version": 1, "hosts": { "local": { "connect": "ssh://far" } } }"#,
    )
    .unwrap();
    let registry = detc_core::Registry::new().with_reader(ComposeReader::new(ComposeOptions::new()));
    let paths = ["compose.yaml", "more.json"].map(|name| dir.path().join(name));
    let error = detc_core::model::load::load(&paths, &registry).unwrap_err().to_string();
    // It is read as one of its own: the host of the other file is there, and its scheme is checked.
    assert!(error.contains("no connector for `ssh://far`"), "{error}");
    let desired = detc_core::model::load::load(&paths[..1], &registry).unwrap();
    assert_eq!(desired.hosts[&HostName::new("local")], HostSpec::local());
    assert!(desired.resources.contains_key("container/shop-db-1"));
}

#[test]
fn the_reader_of_compose_files_keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    let path = |folder: &str, text: &str| {
        let path = dir.path().join(folder).join("compose.yaml");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    };
    let right =
        "services: { web: { image: web, deploy: { replicas: 3, update_config: { parallelism: 1 } } } }\n";
    let files = Files::new(path("right", right))
        .refusing(path("field", "services:\n  web: { imagee: x }\n"))
        .refusing(path("variable", "services: { web: { image: $NONE } }\n"))
        .refusing(path("empty", ""))
        .refusing(path("list", "- a\n"))
        .refusing(path("syntax", "services: {\n"));
    let registry = crate::resources::register(detc_core::Registry::new());
    let registry = registry.with_connector(crate::backends::LocalConnector);
    assert_eq!(check_reader(&ComposeReader::new(ComposeOptions::new()), &files, &registry), []);
}
