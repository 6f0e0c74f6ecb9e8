use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use detc_core::testing::resource::{Calls, Trial, check_resource};
use serde_json::json;

use super::*;
use crate::test_util::Bench;

/// An API with one thing, `/thing`: what was put there is there, and is got from there. It notes the calls that change it.
struct Api {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    server: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct State {
    thing: Option<String>,
    calls: Vec<String>,
    /// What is answered instead, or nothing at all.
    instead: Option<&'static str>,
    is_over: bool,
}

impl Api {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, state) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(State::default())));
        let shared = Arc::clone(&state);
        let server = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.lock().unwrap().is_over {
                    return;
                }
                answer(stream.unwrap(), &shared);
            }
        });
        Self { address, state, server: Some(server) }
    }

    fn spec(&self, version: u32) -> Value {
        let url = format!("http://{}/thing", self.address);
        json!({
            "probe": { "url": url, "json": { "version": version } },
            "act": { "url": url, "method": "PUT", "json": { "version": version }, "headers": { "X-Key": "k" } },
        })
    }

    fn typed(&self, version: u32) -> HttpSpec {
        serde_json::from_value(self.spec(version)).unwrap()
    }

    fn state<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap())
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.state(|state| state.is_over = true);
        drop(TcpStream::connect(self.address));
        self.server.take().unwrap().join().unwrap();
    }
}

fn answer(mut stream: TcpStream, state: &Mutex<State>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut head, mut len) = (Vec::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap() == 0 || line == "\r\n" {
            break;
        }
        if let Some(text) = line.strip_prefix("Content-Length: ") {
            len = text.trim().parse().unwrap();
        }
        head.push(line.trim_end().to_owned());
    }
    let mut body = vec![0; len];
    reader.read_exact(&mut body).unwrap();
    let (mut state, body) = (state.lock().unwrap(), String::from_utf8(body).unwrap());
    let method = head.first().and_then(|line| line.split(' ').next()).unwrap_or_default().to_owned();
    if method != "GET" && state.instead.is_none_or(|instead| instead.is_empty()) {
        assert!(head.contains(&"X-Key: k".to_owned()), "{head:?}");
        state.calls.push(format!("{method} {body}"));
        state.thing = Some(body);
    }
    let said = match (state.instead.filter(|_| method != "GET"), &state.thing) {
        (Some(instead), _) => instead.to_owned(),
        (None, Some(thing)) => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{thing}", thing.len()),
        (None, None) => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(),
    };
    stream.write_all(said.as_bytes()).unwrap();
}

#[tokio::test]
async fn a_call_keeps_the_contract() {
    let trial = || {
        let api = Arc::new(Api::start());
        let specs = [api.spec(1), api.spec(2)];
        let (seen, turned) = (Arc::clone(&api), api);
        Trial::of_backend(Calls::new(), specs, move || {
            format!("{:?}", seen.state(|state| state.thing.clone()))
        })
        .tampered("somebody turns it back", move || {
            turned.state(|state| state.thing = Some(r#"{"version":0}"#.to_owned()));
        })
    };
    assert_eq!(check_resource::<HttpSpec>(trial).await, []);
}

#[tokio::test]
async fn it_is_called_once_and_the_answer_of_the_look_is_its_output() {
    let (api, mut bench) = (Api::start(), Bench::new("http/h"));
    let spec = api.typed(3);
    let seen = spec.observe(&bench.cx()).await.unwrap();
    assert_eq!(seen, Observation::Needed("its `probe` is answered with 404, not 200".to_owned()));
    let output = spec.create(&bench.cx()).await.unwrap();
    assert_eq!(output.answer, json!({ "version": 3 }));
    // Of a try whose answer was lost, it is looked first whether it was done.
    bench.begun_before = true;
    spec.create(&bench.cx()).await.unwrap();
    assert_eq!(api.state(|state| state.calls.clone()), [r#"PUT {"version":3}"#]);
    let seen = api.typed(4).observe(&bench.cx()).await.unwrap();
    assert_eq!(seen, Observation::Needed("`version` of the answer to its `probe` is 3, not 4".to_owned()));
}

#[tokio::test]
async fn what_may_have_been_done_is_told_as_such_and_what_was_not_is_not() {
    for (instead, class) in [
        // It took the call, and closed the connection.
        ("", ErrorClass::OutcomeUnknown),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut", ErrorClass::OutcomeUnknown),
        ("HTTP/1.1 502 Bad\r\n\r\nwhy", ErrorClass::OutcomeUnknown),
        ("HTTP/1.1 429 Slow\r\n\r\n", ErrorClass::Transient),
        ("HTTP/1.1 400 Bad\r\n\r\nno such field", ErrorClass::Permanent),
        ("HTTP/1.1 301 Moved\r\n\r\n", ErrorClass::Permanent),
        // It says that it did, and the look says that it did not.
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ErrorClass::Permanent),
    ] {
        let (api, bench) = (Api::start(), Bench::new("http/h"));
        api.state(|state| state.instead = Some(instead));
        let error = api.typed(1).create(&bench.cx()).await.unwrap_err();
        assert_eq!(error.class(), class, "{instead}: {error}");
        assert!(!error.full_message().contains("X-Key"));
    }
    let bench = Bench::new("http/h");
    // Nobody listens on the first port, and no other test is given it.
    let gone = Api::start().spec(1).to_string();
    let port = gone.split("127.0.0.1:").nth(1).and_then(|rest| rest.split('/').next()).unwrap().to_owned();
    let gone: HttpSpec = serde_json::from_str(&gone.replace(&port, "1")).unwrap();
    assert_eq!(gone.create(&bench.cx()).await.unwrap_err().class(), ErrorClass::Transient);
}

#[tokio::test]
async fn a_look_that_says_nothing_is_an_error_and_never_absence() {
    for (instead, class) in [(401, ErrorClass::Permanent), (500, ErrorClass::Transient)] {
        let probe = ProbeSpec {
            url: String::new(),
            method: None,
            headers: BTreeMap::new(),
            status: None,
            json: BTreeMap::new(),
        };
        let judged = probe.judge(&Answer { status: instead, body: Vec::new() }, &Bench::new("http/h").cx());
        assert_eq!(judged.err().map(|why| why.class()), Some(class));
    }
}

#[test]
fn a_bad_field_is_named_and_no_secret_with_it() {
    let of = |path: &str, value: Value| {
        let url = "http://a/";
        let mut all = json!({ "probe": { "url": url }, "act": { "url": url, "method": "POST" } });
        *all.pointer_mut(path).unwrap() = value;
        serde_json::from_value::<HttpSpec>(all)
            .unwrap()
            .inspect()
            .map(drop)
            .map_err(|error| error.to_string())
    };
    assert_eq!(of("/act/method", json!("PUT")), Ok(()));
    let error = of("/act/method", json!("GET")).unwrap_err();
    assert_eq!(error, "`act` must have a `method` of POST, PUT, PATCH, DELETE, not `GET`");
    assert!(of("/probe/url", json!("https://a/")).unwrap_err().contains("there is no TLS here"));
    let error = of("/act", json!({ "url": "http://a/", "method": "PUT", "headers": { "K": "se\ncret" } }))
        .unwrap_err();
    assert_eq!(error, "`act` must have no line break in the header `K`");
    let error =
        of("/act", json!({ "url": "http://a/", "method": "PUT", "headers": { "Host": "b" } })).unwrap_err();
    assert_eq!(error, "`act` can not have the header `Host`");
}

#[tokio::test]
async fn a_sensitive_answer_is_not_told_when_the_call_fails() {
    let (api, mut bench) = (Api::start(), Bench::new("http/h"));
    bench.sensitive = vec!["answer.token".parse().unwrap()];
    api.state(|state| state.instead = Some("HTTP/1.1 400 Bad Request\r\nContent-Length: 4\r\n\r\nhush"));
    let error = api.typed(3).create(&bench.cx()).await.unwrap_err().to_string();
    assert!(error.ends_with("was answered with 400; its text is not told: it is sensitive"), "{error}");
}

#[tokio::test]
async fn a_sensitive_answer_that_is_another_is_not_told() {
    let (api, mut bench) = (Api::start(), Bench::new("http/h"));
    bench.sensitive = vec!["answer".parse().unwrap()];
    let found = |thing: &str| api.state(|state| state.thing = Some(thing.to_owned()));
    found(r#"{"version":"hush"}"#);
    let why = "`version` of the answer to its `probe` is another, which is sensitive";
    let seen = api.typed(3).observe(&bench.cx()).await.unwrap();
    assert_eq!(seen, Observation::Needed(why.to_owned()));
    // It takes the call, and the look says something else all the same.
    api.state(|state| state.instead = Some("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    let error = api.typed(3).create(&bench.cx()).await.unwrap_err().full_message();
    assert!(error.contains("was answered with 200, and then") && error.ends_with(why), "{error}");
    // That there is none tells nothing of it.
    found("{}");
    let seen = api.typed(3).observe(&bench.cx()).await.unwrap();
    let why = "`version` of the answer to its `probe` is not there, not 3";
    assert_eq!(seen, Observation::Needed(why.to_owned()));
}
