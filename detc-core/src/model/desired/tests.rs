use expect_test::expect;
use serde_json::json;

use super::*;

fn value(input: &Value) -> DesiredResource {
    crate::resource::value::ValueSpec::resource("v", input).unwrap()
}

fn reference() -> Reference {
    Reference { from: "value/other".parse().unwrap(), output: "input".parse().unwrap() }
}

#[test]
fn a_reference_is_bound_where_there_is_room_for_it_and_nowhere_else() {
    let bind =
        |path: &str| value(&json!({ "list": [1, 2], "text": "x" })).bind(&path.parse().unwrap(), reference());
    let spec = |path: &str| bind(path).unwrap().spec.text().to_owned();
    let one = r#"{"from":"value/other","output":"input"}"#;
    assert_eq!(spec("input.new"), format!(r#"{{"input":{{"list":[1,2],"new":{one},"text":"x"}}}}"#));
    assert_eq!(spec("input.list.1"), format!(r#"{{"input":{{"list":[1,{one}],"text":"x"}}}}"#));
    assert_eq!(spec("input"), format!(r#"{{"input":{one}}}"#));
    for nowhere in ["input.list.2", "input.list.x", "input.text.part", "none.part"] {
        assert_eq!(bind(nowhere).unwrap_err(), format!("value/v has no field that holds `{nowhere}`"));
    }
    let twice = bind("input.a").unwrap().bind(&"input.b".parse().unwrap(), reference()).unwrap();
    assert_eq!(*twice.references, [reference()]);
}

#[test]
fn two_resources_are_equal_when_nothing_of_them_differs() {
    let one = || value(&json!(1));
    let mut read = one();
    read.relations = Some(read.relations_digest());
    assert_eq!(read, one(), "a digest that was taken makes no difference");
    let others: [fn(DesiredResource) -> DesiredResource; 7] = [
        |it| DesiredResource { id: "value/w".parse().unwrap(), ..it },
        |it| DesiredResource { host: Some(HostName::new("h1")), ..it },
        |it| DesiredResource { spec: Doc::new(&json!({ "input": 2 })), ..it },
        |it| DesiredResource { references: [reference()].into(), ..it },
        |it| DesiredResource { origin: Origin { file: 0, line: 7 }, ..it },
        |it| it.after(&"value/other".parse().unwrap()),
        |mut it| {
            it.extra_mut().protect = true;
            it
        },
    ];
    for (at, other) in others.into_iter().enumerate() {
        assert_ne!(other(one()), one(), "{at}");
    }
}

#[test]
fn a_bound_is_kept_by_itself_and_not_by_the_next_number() {
    let (least, most) = (InvariantBound::AtLeast(2), InvariantBound::AtMost(2));
    assert_eq!([1, 2, 3].map(|value| least.allows(value)), [false, true, true]);
    assert_eq!([1, 2, 3].map(|value| most.allows(value)), [true, true, false]);
}

#[test]
fn a_selector_selects_by_all_its_conditions_and_says_them() {
    let id = "value/v".parse().unwrap();
    let labels = BTreeMap::from([("app".to_owned(), "web".to_owned()), ("tier".to_owned(), "1".to_owned())]);
    let all = Selector {
        kind: Some("value".to_owned()),
        host: Some(HostName::new("h1")),
        labels: BTreeMap::from([("app".to_owned(), "web".to_owned())]),
    };
    let host = HostName::new("h1");
    assert!(all.matches(&id, Some(&host), &labels) && Selector::default().matches(&id, None, &labels));
    assert!(!all.matches(&"other/v".parse().unwrap(), Some(&host), &labels));
    assert!(!all.matches(&id, Some(&HostName::new("h2")), &labels) && !all.matches(&id, None, &labels));
    assert!(!all.matches(&id, Some(&host), &BTreeMap::new()));
    expect!["kind value, host h1, label app=web"].assert_eq(&all.to_string());
    expect!["everything"].assert_eq(&Selector::default().to_string());
}
