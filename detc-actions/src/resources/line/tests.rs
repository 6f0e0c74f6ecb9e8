use std::sync::Arc;

use detc_core::backend::{Host, MemoryHost};
use detc_core::testing::resource::{Trial, check_resource};
use serde_json::{Value, json};

use super::*;

fn host(content: &[u8]) -> MemoryHost {
    let host = MemoryHost::new(&crate::test_util::host_name());
    host.with_files(|files| files.write("/conf", content, &Ownership::new(Some(0o640), None, None))).unwrap();
    host
}

fn spec(fields: Value) -> LineSpec {
    serde_json::from_value(fields).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_line_keeps_the_contract() {
    let specs = || {
        let like = |line: &str| json!({ "path": "/conf", "line": line, "insert": { "before": "^last" } });
        [like("one"), like("two"), like("three")]
    };
    let trial = || {
        let host = host(b"\xfffirst\nlast");
        let changed = host.clone();
        let own = Ownership::default();
        Trial::in_memory(host, specs()).tampered("somebody takes it out", move || {
            changed.with_files(|files| files.write("/conf", b"\xfffirst\nlast", &own)).unwrap();
        })
    };
    assert_eq!(check_resource::<LineSpec>(trial).await, []);
}

#[tokio::test(start_paused = true)]
async fn a_line_that_a_pattern_finds_keeps_the_contract() {
    let specs =
        || ["port = 1", "port = 2"].map(|line| json!({ "path": "/conf", "line": line, "match": "^port *=" }));
    let trial = || {
        let host = host(b"a\n");
        let changed = host.clone();
        let own = Ownership::default();
        Trial::in_memory(host, specs()).tampered("somebody turns it", move || {
            changed.with_files(|files| files.write("/conf", b"a\nport=9\n", &own)).unwrap();
        })
    };
    assert_eq!(check_resource::<LineSpec>(trial).await, []);
}

#[tokio::test(start_paused = true)]
async fn a_block_keeps_the_contract_and_so_does_one_that_makes_its_file() {
    for path in ["/conf", "/new"] {
        let specs = || {
            ["a\nb\n", "a\n", ""].map(
                |block| json!({ "path": path, "block": block, "marker": "# {mark} x", "create": path == "/new" }),
            )
        };
        let trial = || {
            let host = host(b"mine");
            let (changed, own) = (host.clone(), Ownership::default());
            Trial::in_memory(host, specs()).tampered("somebody writes within it", move || {
                let text = changed.with_files(|files| String::from_utf8(files.read(path).unwrap().to_vec()));
                let text = text.unwrap().replacen("b\n", "c\n", 1);
                changed.with_files(|files| files.write(path, text.as_bytes(), &own)).unwrap();
            })
        };
        assert_eq!(check_resource::<LineSpec>(trial).await, [], "{path}");
    }
}

#[tokio::test]
async fn mode_and_owner_of_the_file_stay() {
    let memory = host(b"a\n");
    let bench =
        crate::test_util::Bench::new("line/l").with_host(&(Arc::new(memory.clone()) as Arc<dyn Host>));
    LineSpec::new("/conf", "b").create(&bench.cx()).await.unwrap();
    let stat = memory.stat("/conf").await.unwrap().unwrap();
    assert_eq!((stat.mode, stat.size), (0o640, 4));
}

#[tokio::test]
async fn lines_of_one_file_that_are_put_in_at_once_are_all_there() {
    let memory: Arc<dyn Host> = Arc::new(crate::backends::LocalHost::new("here"));
    let bench = crate::test_util::Bench::new("line/l").with_host(&memory);
    std::fs::write(bench.path("f"), "").unwrap();
    let specs: Vec<LineSpec> =
        (0..20).map(|at| LineSpec::new(bench.path("f"), format!("line {at}"))).collect();
    let cx = bench.cx();
    let mut puts: Vec<_> = specs.iter().map(|spec| spec.create(&cx)).collect();
    // All are begun before one has ended.
    std::future::poll_fn(|waker| {
        puts.retain_mut(|put| match put.as_mut().poll(waker) {
            std::task::Poll::Ready(done) => {
                done.unwrap();
                false
            }
            std::task::Poll::Pending => true,
        });
        if puts.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    assert_eq!(std::fs::read_to_string(bench.path("f")).unwrap().lines().count(), 20);
}

#[tokio::test]
async fn what_it_can_not_be_kept_in_is_unknown_and_named() {
    let memory = host(b"port = 1\nport = 2\n");
    memory.with_files(|files| files.symlink("conf", "/link")).unwrap();
    let bench = crate::test_util::Bench::new("line/l").with_host(&(Arc::new(memory) as Arc<dyn Host>));
    let seen = async |fields: Value| match spec(fields).observe(&bench.cx()).await.unwrap() {
        Observation::Unknown(why) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        seen(json!({ "path": "/conf", "line": "port = 3", "match": "^port" })).await,
        "in /conf, what its `match` says is found in lines 1, 2: it must be in one at most"
    );
    assert_eq!(
        seen(json!({ "path": "/link", "line": "x" })).await,
        "/link is a symbolic link: give the path that it leads to"
    );
    assert_eq!(seen(json!({ "path": "/", "line": "x" })).await, "/ is a directory, not a file");
    let error = spec(json!({ "path": "/none", "line": "x" })).create(&bench.cx()).await.unwrap_err();
    assert_eq!(error.to_string(), "line/l has no file to be kept in: /none is not there");
}

#[test]
fn a_bad_field_is_named() {
    let error = |mut fields: Value| {
        fields["path"] = "/f".into();
        spec(fields).inspect().unwrap_err().to_string()
    };
    for (fields, why) in [
        (json!({}), "`line` is missing: give it, or `block`"),
        (json!({ "line": "a", "block": "b" }), "`line` can not stand beside `block`"),
        (json!({ "line": "a\nb" }), "`line` must be one line, without its ending and not empty"),
        (json!({ "line": "a", "marker": "x" }), "`marker` is for a `block`"),
        (json!({ "block": "a" }), "`marker` is missing: a block needs one, such as `# {mark} web`"),
        (
            json!({ "block": "a", "marker": "x" }),
            "`marker` must be one line in which `{mark}` stands once, not `x`",
        ),
        (
            json!({ "line": "b", "match": "^a" }),
            "`match` must find the line that it is to become, `b`, too: otherwise nobody would find that again",
        ),
    ] {
        assert_eq!(error(fields), why);
    }
    assert!(error(json!({ "line": "b", "match": "(" })).starts_with("`match` is no regular expression: "));
    assert!(
        error(json!({ "block": "# END x", "marker": "# {mark} x" })).starts_with("`block` must hold none")
    );
}

#[test]
fn lines_of_one_file_are_in_nobodys_way_and_the_same_one_twice_is() {
    let owns = |line: &str| LineSpec::new("/f", line).inspect().unwrap().owns;
    assert_ne!(owns("a"), owns("b"));
    assert_eq!(owns("a")[0].to_string(), "line /f: a");
}
