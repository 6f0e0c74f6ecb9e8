//! Texts of which a spec only names the file.

use async_trait::async_trait;
use expect_test::{Expect, expect};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::support::{World, changes, from, unit};
use crate::action::{ActionCx, ActionError, CrashClass, Footprint};
use crate::content::Content;
use crate::model::{DesiredResource, Digest, Observation, Present, Record};
use crate::resource::{Contents, InvalidField, KindTraits, Removed, Resource, TextOf};

/// Is made of a file and whom it is to.
#[derive(Debug, Serialize, Deserialize)]
struct Letter {
    source: String,
    to: Value,
}

fn text_of(spec: &Value, contents: &Contents) -> Result<Option<String>, ActionError> {
    let digest: Digest = spec["source"].as_str().unwrap().parse().unwrap();
    let Some(content) = contents.get(&digest) else { return Ok(None) };
    if spec["to"] == 2 {
        return Err(ActionError::permanent("two read nothing").with_hint("name one"));
    }
    if spec["to"].is_object() {
        return Err(ActionError::permanent("whom it is to is not known"));
    }
    let to = spec["to"].as_str().unwrap_or("all");
    Ok(Some(std::str::from_utf8(content.held().unwrap()).unwrap().replace("{to}", to)))
}

#[async_trait]
impl Resource for Letter {
    const KIND: &'static str = "letter";
    type Output = ();

    fn traits() -> KindTraits {
        let text = Some(TextOf { field: "content", read: text_of, parse: |_, _| Ok(()) });
        KindTraits { sources: &["source"], text, ..KindTraits::default() }
    }

    fn inspect(&self) -> Result<Footprint, InvalidField> {
        Ok(Footprint::new(CrashClass::DeterministicName))
    }

    async fn observe(&self, _: &ActionCx<'_>) -> Result<Observation, ActionError> {
        unreachable!("plans are pure")
    }
    async fn create(&self, _: &ActionCx<'_>) -> Result<(), ActionError> {
        unreachable!("plans are pure")
    }
    async fn update(&self, _: &ActionCx<'_>) -> Result<(), ActionError> {
        unreachable!("plans are pure")
    }
    async fn delete(&self, _: &ActionCx<'_>) -> Result<Removed, ActionError> {
        unreachable!("plans are pure")
    }
}

fn letter(content: &str, to: Value) -> DesiredResource {
    let source = Digest::of(content.as_bytes()).to_string();
    DesiredResource::from_value("letter", "l", &json!({ "source": source, "to": to })).unwrap()
}

/// Wants these, of these files.
fn wanting(world: World, resources: impl IntoIterator<Item = DesiredResource>, files: &[&str]) -> World {
    let mut world = world.want(resources);
    for file in files {
        world.desired.blobs.insert(Digest::of(file.as_bytes()), Content::from(file.as_bytes().to_vec()));
    }
    world
}

/// Has a letter of the first file and wants one of the second; `seen` is the text that is there, where it is seen.
fn changed(files: [&str; 2], seen: Option<&str>) -> World {
    let mut world = World::new();
    world.registry = world.registry.with_resource::<Letter>();
    let mut world = wanting(world, [letter(files[0], json!("you"))], &[files[0]]);
    let plan = world.plan();
    world.apply(&plan);
    let mut present = Present::new().with_text(seen.map(str::to_owned));
    present.fields = plan.actions[0].spec.value().as_object().unwrap().clone();
    world = world.see("letter/l", Observation::Present(present));
    wanting(world, [letter(files[1], json!("you"))], &files)
}

#[track_caller]
fn check(world: &World, expected: Expect) {
    let text = changes(&world.plan());
    let shown = text.split(" [").filter(|part| !part.starts_with("source")).collect::<Vec<_>>();
    expected.assert_eq(&shown.join(" ["));
}

#[test]
fn what_changes_of_a_text_is_shown_beside_the_digests() {
    check(
        &changed(["dear {to}", "hello {to}"], None),
        expect![[r#"update letter/l: the desired state changed [content: "dear you" -> "hello you"]"#]],
    );
    check(
        &changed(["dear {to}", "hello {to}"], Some("dear you, too")),
        expect![[r#"update letter/l: the desired state changed [content: "dear you, too" -> "hello you"]"#]],
    );
    // The text is the same, whatever file it is of.
    check(&changed(["dear {to}", "dear you"], None), expect!["update letter/l: the desired state changed"]);
}

#[test]
fn a_text_of_sixteen_kibibytes_is_shown_and_a_longer_one_is_not() {
    let is_shown = |from: usize, to: usize| {
        let (from, to) = ("a".repeat(from), "b".repeat(to));
        let plan = changed([&from, &to], None).plan();
        plan.changes[0].fields.iter().any(|field| field.path.to_string() == "content")
    };
    let max = 16 << 10;
    assert_eq!([is_shown(max, max), is_shown(max + 1, 1), is_shown(1, max + 1)], [true, false, false]);
}

#[test]
fn what_may_hold_something_sensitive_is_not_shown() {
    let sensitive = |mut letter: DesiredResource| {
        letter.extra_mut().sensitive.push("to".parse().unwrap());
        letter
    };
    let world = || changed(["dear {to}", "hello {to}"], None);
    let is_shown = |world: &World| changes(&world.plan()).contains("content: ");
    assert!(is_shown(&world()));
    let now = wanting(world(), [sensitive(letter("hello {to}", json!("you")))], &["dear {to}", "hello {to}"]);
    assert!(!is_shown(&now));
    // What is said to be sensitive may come to stand there.
    let none = wanting(world(), [sensitive(letter("hello {to}", json!(null)))], &["dear {to}", "hello {to}"]);
    assert!(!is_shown(&none));
    // Or was when it was recorded.
    let mut was = world();
    let record = &was.recorded["letter/l"];
    let mut body = record.body().unwrap();
    body.extra.get_or_insert_default().sensitive.push("to".parse().unwrap());
    let record = Record::new(record.intent(), record.relations(), record.seen(), &body);
    was.recorded.insert("letter/l".parse().unwrap(), record);
    assert!(!is_shown(&was));
}

#[test]
fn a_text_that_can_not_be_made_of_what_is_known_refuses_the_plan() {
    // The unit was made in the first run, or in the second one.
    let mut made = World::new();
    made.registry = made.registry.with_resource::<Letter>();
    let made = made.having([unit("u", json!({}))]);
    let made_again = made.clone().having([unit("u", json!({ "mode": "0600" }))]);
    let to = |world: &World| {
        let unit = world.desired.resources["unit/u"].clone();
        let letter = letter("dear {to}", from("unit/u", "pid"));
        wanting(world.clone(), [unit, letter], &["dear {to}"]).try_plan()
    };
    assert!(to(&made).is_ok());
    // Nothing is made of what is known only later.
    let absent = unit("u", json!({}));
    let later = made.see("unit/u", Observation::Absent);
    let late = letter("dear {to}", from("unit/u", "pid"));
    assert!(wanting(later, [absent, late], &["dear {to}"]).try_plan().is_ok());
    assert_eq!(to(&made_again).unwrap_err().to_string(), "letter/l: two read nothing");
}
