use std::fs;
use std::path::Path;

use super::*;
use crate::test_util::{Bench, fields};

async fn seen(spec: &FileSpec, bench: &Bench) -> String {
    fields(spec.observe(&bench.cx()).await.unwrap())
}

fn template(bench: &mut Bench, text: &str, vars: &Value) -> FileSpec {
    let source = Source { path: "f.j2".into(), digest: bench.blob(text.as_bytes()) };
    let vars = vars.as_object().unwrap().clone();
    let spec = FileSpec::new(bench.path("f"), "");
    FileSpec { content: None, template: Some(TemplateSpec { source, vars }), ..spec }
}

#[tokio::test]
async fn a_file_is_written_and_twice_is_once() {
    let bench = Bench::new("file/f");
    let spec = FileSpec { mode: Some("0600".into()), ..FileSpec::new(bench.path("f"), "a\n") };
    assert_eq!(spec.observe(&bench.cx()).await.unwrap(), Observation::Absent);
    for _ in 0..2 {
        spec.create(&bench.cx()).await.unwrap();
        assert_eq!(seen(&spec, &bench).await, r#"{"content":"a\n","mode":"0600"}"#);
    }
    for _ in 0..2 {
        spec.delete(&bench.cx()).await.unwrap();
    }
    assert_eq!(spec.observe(&bench.cx()).await.unwrap(), Observation::Absent);
}

#[tokio::test]
async fn small_text_that_drifted_is_shown_and_the_rest_by_length_and_digest() {
    let bench = Bench::new("file/f");
    let spec = FileSpec::new(bench.path("f"), "a\n");
    fs::write(&spec.path, "b\n").unwrap();
    assert_eq!(seen(&spec, &bench).await, r#"{"content":"b\n"}"#);
    fs::write(&spec.path, [0xff, 0xfe]).unwrap();
    assert!(seen(&spec, &bench).await.starts_with(r#"{"content":"(2 bytes, "#));
    fs::write(&spec.path, vec![b'x'; SHOWN_MAX + 1]).unwrap();
    assert!(seen(&spec, &bench).await.starts_with(r#"{"content":"(65537 bytes, "#));
    let long = FileSpec { content: Some("x".repeat(SHOWN_MAX + 1)), ..spec };
    assert_eq!(seen(&long, &bench).await, json!({"content": long.content}).to_string());
}

#[tokio::test]
async fn a_link_in_its_place_is_drift_and_is_replaced() {
    let bench = Bench::new("file/f");
    let spec = FileSpec::new(bench.path("f"), "a");
    fs::write(bench.path("target"), "a").unwrap();
    std::os::unix::fs::symlink("target", &spec.path).unwrap();
    assert_eq!(seen(&spec, &bench).await, r#"{"content":"(a symbolic link)"}"#);
    spec.update(&bench.cx()).await.unwrap();
    assert!(fs::symlink_metadata(&spec.path).unwrap().is_file());
}

#[tokio::test]
async fn a_copy_is_compared_by_the_digest_of_its_source() {
    let mut bench = Bench::new("file/f");
    let source = Source { path: "app.bin".into(), digest: bench.blob(&[0, 159, 146]) };
    let spec = FileSpec { content: None, source: Some(source.clone()), ..FileSpec::new(bench.path("f"), "") };
    spec.create(&bench.cx()).await.unwrap();
    assert_eq!(fs::read(&spec.path).unwrap(), [0, 159, 146]);
    let same = json!({"source": {"digest": source.digest, "path": "app.bin"}}).to_string();
    assert_eq!(seen(&spec, &bench).await, same);
    fs::write(&spec.path, "x").unwrap();
    assert_ne!(seen(&spec, &bench).await, same);
}

#[tokio::test]
async fn a_template_is_rendered_and_its_drift_is_seen() {
    let mut bench = Bench::new("file/f");
    let spec = template(&mut bench, "port={{ port }}\n", &json!({"port": 8081}));
    spec.create(&bench.cx()).await.unwrap();
    assert_eq!(fs::read_to_string(&spec.path).unwrap(), "port=8081\n");
    let same = seen(&spec, &bench).await;
    assert!(same.contains(r#""vars":{"port":8081}"#), "{same}");
    fs::write(&spec.path, "port=1\n").unwrap();
    let drifted = seen(&spec, &bench).await;
    assert!(drifted.starts_with(r#"{"template":"(7 bytes, "#), "a text may hold secrets: {drifted}");
}

#[tokio::test]
async fn a_rendering_that_is_as_it_was_left_is_said_in_the_variables_of_the_record() {
    let mut bench = Bench::new("file/f");
    let before = template(&mut bench, "port={{ port }}\n", &json!({"port": 1}));
    before.create(&bench.cx()).await.unwrap();
    bench.record(&before);
    let after = template(&mut bench, "port={{ port }}\n", &json!({"port": 2}));
    assert!(seen(&after, &bench).await.contains(r#""vars":{"port":1}"#));
}

#[tokio::test]
async fn a_template_error_names_the_variable_and_leaves_the_file_alone() {
    let mut bench = Bench::new("file/f");
    let spec = template(&mut bench, "a\n{{ prot }}\n", &json!({"port": 1}));
    let error = spec.create(&bench.cx()).await.unwrap_err();
    assert_eq!(error.to_string(), "line 2 of the template f.j2: `prot` is not defined");
    assert!(!Path::new(&spec.path).exists());
}

#[tokio::test]
async fn a_missing_directory_is_named_with_what_to_do() {
    let bench = Bench::new("file/f");
    let spec = FileSpec::new(bench.path("no/f"), "a");
    let error = spec.create(&bench.cx()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("file/f can not be written: its directory {} does not exist on here", bench.path("no"))
    );
    assert!(error.hint().unwrap().contains("`directory`"));
}

#[test]
fn exactly_one_content_is_given() {
    let of = |text: &str| serde_json::from_str::<FileSpec>(text).unwrap().inspect().map(drop);
    assert_eq!(of(r#"{"path": "/f", "content": ""}"#), Ok(()));
    assert_eq!(
        of(r#"{"path": "/f"}"#).unwrap_err().to_string(),
        "`content` is missing: give it, or `source`, or `template`"
    );
    let digest = Digest::of(b"");
    let both = format!(r#"{{"path": "/f", "content": "", "source": {{"path": "x", "digest": "{digest}"}}}}"#);
    assert!(of(&both).unwrap_err().to_string().starts_with("`content` can not stand beside another"));
}
