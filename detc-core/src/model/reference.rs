//! Late binding: a value that is another resource's output, written `{ "from": ID, "output": PATH }`.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{FieldPath, ResourceId, nearest};

/// A place-holder for an output of another resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// The resource whose output it is.
    pub from: ResourceId,
    /// Which part of its output.
    pub output: FieldPath,
}

impl Reference {
    /// The `output` of `from`.
    pub fn new(from: ResourceId, output: FieldPath) -> Self {
        Self { from, output }
    }

    /// Whether `value` has the form of a reference: an object of just `from` and `output`.
    pub fn is_form(value: &Value) -> bool {
        value.as_object().is_some_and(|object| {
            object.len() == 2 && object.contains_key("from") && object.contains_key("output")
        })
    }

    /// The reference that `value` is; `None` when it does not have the form of one.
    ///
    /// # Errors
    /// When it has the form, but the id or the path is wrong.
    pub fn read(value: &Value) -> Result<Option<Self>, String> {
        if !Self::is_form(value) {
            return Ok(None);
        }
        serde_json::from_value(value.clone())
            .map(Some)
            .map_err(|error| format!("in the reference {value}: {error}"))
    }

    /// What is wrong with a value that is data, and was most likely meant as a reference: one of its two names is right, the
    /// other is nearly so, and a resource is named.
    fn slip(value: &Value) -> Option<String> {
        let object = value.as_object().filter(|object| object.len() == 2)?;
        let right = ["from", "output"].into_iter().find(|name| object.contains_key(*name))?;
        let meant = if right == "from" { "output" } else { "from" };
        let (wrong, other) = object.iter().find(|(name, _)| *name != right)?;
        let id = if right == "from" { &object[right] } else { other };
        let names_one = id.as_str().is_some_and(|id| id.parse::<ResourceId>().is_ok());
        let is_slip = names_one && nearest(wrong, [meant]).is_some();
        is_slip.then(|| format!("in the reference {value}: did you mean `{meant}` by `{wrong}`?"))
    }

    /// The reference as it is written.
    pub fn to_value(&self) -> Value {
        json!({"from": self.from, "output": self.output})
    }
}

/// How deep values may be nested: half of what is read as JSON, so that what they are kept in can be read again.
pub const NESTED_MAX: usize = 64;

/// That a value is not nested too deeply to be kept.
///
/// # Errors
/// When it is.
pub(crate) fn check_nesting(value: &Value) -> Result<(), String> {
    fn is_within(value: &Value, levels: usize) -> bool {
        match value {
            Value::Array(items) => levels > 0 && items.iter().all(|item| is_within(item, levels - 1)),
            Value::Object(object) => levels > 0 && object.values().all(|item| is_within(item, levels - 1)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
        }
    }
    match is_within(value, NESTED_MAX) {
        true => Ok(()),
        false => Err(format!("is nested too deeply: more than {NESTED_MAX} levels")),
    }
}

/// All references within `value`, in document order, each once.
///
/// # Errors
/// When one has a wrong id or path, a field's name is misspelt, or it is nested deeper than [`NESTED_MAX`].
pub fn collect_references(value: &Value, found: &mut Vec<Reference>) -> Result<(), String> {
    check_nesting(value)?;
    collect(value, found)
}

fn collect(value: &Value, found: &mut Vec<Reference>) -> Result<(), String> {
    if let Some(reference) = Reference::read(value)? {
        if !found.contains(&reference) {
            found.push(reference);
        }
        return Ok(());
    }
    if let Some(slip) = Reference::slip(value) {
        return Err(slip);
    }
    match value {
        Value::Array(items) => items.iter().try_for_each(|item| collect(item, found)),
        Value::Object(object) => object.values().try_for_each(|item| collect(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

/// How much the references of one resource may stand for in all, in bytes of JSON: four times as much as is kept of what a
/// command says. Without a limit forty resources, each twice the one before it, stand for more than any machine holds.
pub const SUBSTITUTED_LEN_MAX: usize = 4 << 20;

/// The references of one resource stand for more than [`SUBSTITUTED_LEN_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what its references stand for is larger than {} MiB", SUBSTITUTED_LEN_MAX >> 20)]
pub struct TooLarge;

/// Replaces each reference within `value` by what `resolve` says of it. Those it has no value for stay.
///
/// # Errors
/// When what they stand for is too large. Some have been replaced then, and the rest was not asked for.
pub fn substitute(
    value: &mut Value,
    resolve: &mut dyn FnMut(&Reference) -> Option<Value>,
) -> Result<(), TooLarge> {
    let mut left = SUBSTITUTED_LEN_MAX;
    substitute_within(value, resolve, &mut left)
}

fn substitute_within(
    value: &mut Value,
    resolve: &mut dyn FnMut(&Reference) -> Option<Value>,
    left: &mut usize,
) -> Result<(), TooLarge> {
    if let Ok(Some(reference)) = Reference::read(value) {
        if let Some(known) = resolve(&reference) {
            *left = left.checked_sub(len_of(&known)).ok_or(TooLarge)?;
            *value = known;
        }
        return Ok(());
    }
    match value {
        Value::Array(items) => items.iter_mut().try_for_each(|item| substitute_within(item, resolve, left)),
        Value::Object(object) => {
            object.values_mut().try_for_each(|item| substitute_within(item, resolve, left))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

/// About how long it is as JSON.
fn len_of(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 4,
        Value::String(text) => text.len() + 2,
        Value::Array(items) => items.iter().map(|item| len_of(item) + 1).sum::<usize>() + 2,
        Value::Object(object) => {
            object.iter().map(|(key, item)| key.len() + len_of(item) + 4).sum::<usize>() + 2
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_found_at_any_depth_and_replaced_where_known() {
        let mut value = json!({"a": [{"from": "value/x", "output": "input"}], "b": {"from": "value/y", "output": "input.z"}});
        let mut found = Vec::new();
        collect_references(&value, &mut found).unwrap();
        assert_eq!(found.iter().map(|r| r.from.as_str()).collect::<Vec<_>>(), ["value/x", "value/y"]);
        substitute(&mut value, &mut |reference| (reference.from.name() == "x").then(|| json!(7))).unwrap();
        assert_eq!(value, json!({"a": [7], "b": {"from": "value/y", "output": "input.z"}}));
    }

    #[test]
    fn what_references_stand_for_in_all_has_a_limit() {
        let twice = json!([{"from": "value/x", "output": "input"}, {"from": "value/x", "output": "input"}]);
        let half = |len: usize| Some(Value::String("x".repeat(len)));
        let mut value = twice.clone();
        assert_eq!(substitute(&mut value, &mut |_| half(SUBSTITUTED_LEN_MAX / 2 - 2)), Ok(()));
        let (mut value, mut asked) = (twice, 0);
        let replaced = substitute(&mut value, &mut |_| {
            asked += 1;
            half(SUBSTITUTED_LEN_MAX)
        });
        assert_eq!((replaced, asked), (Err(TooLarge), 1));
    }

    #[test]
    fn a_value_is_kept_to_the_last_level_that_can_be_read_again() {
        fn nested(levels: usize, around: &dyn Fn(Value) -> Value) -> Value {
            (0..levels).fold(json!(1), |value, _| around(value))
        }
        let in_lists = |value: Value| json!([0, value]);
        let in_objects = |value: Value| json!({ "a": 0, "b": value });
        let around: [&dyn Fn(Value) -> Value; 2] = [&in_lists, &in_objects];
        for around in around {
            assert_eq!(check_nesting(&nested(NESTED_MAX, around)), Ok(()));
            let said = check_nesting(&nested(NESTED_MAX + 1, around)).unwrap_err();
            assert_eq!(said, "is nested too deeply: more than 64 levels");
        }
    }

    #[test]
    fn how_long_a_value_is_is_no_less_than_its_text_and_not_much_more() {
        for value in [
            json!([]),
            json!({}),
            json!("some text"),
            json!(["a", "b", [null, true]]),
            json!({ "key": "value", "list": [{ "x": 1000, "y": "z" }, {}], "object": { "long name": null } }),
        ] {
            let (len, text) = (len_of(&value), value.to_string().len());
            assert!((text..=text + text / 2 + 2).contains(&len), "{value}: {len}, not about {text}");
        }
    }

    #[test]
    fn a_wrong_id_in_a_reference_is_an_error_and_another_object_is_data() {
        let mut found = Vec::new();
        let error = collect_references(&json!({"from": "nowhere", "output": "x"}), &mut found).unwrap_err();
        assert!(error.contains("`nowhere` is not a resource id"), "{error}");
        collect_references(&json!({"from": "a", "output": "b", "c": 1}), &mut found).unwrap();
        assert!(found.is_empty());
    }

    #[test]
    fn what_is_nearly_a_reference_is_an_error_and_what_names_no_resource_is_data() {
        let wrong = |value| collect_references(&value, &mut Vec::new());
        let error = wrong(json!([{"from": "process/web", "ouput": "pid"}])).unwrap_err();
        assert_eq!(
            error,
            r#"in the reference {"from":"process/web","ouput":"pid"}: did you mean `output` by `ouput`?"#
        );
        let error = wrong(json!({"form": "process/web", "output": "pid"})).unwrap_err();
        assert!(error.ends_with("did you mean `from` by `form`?"), "{error}");
        for data in [
            json!({"from": "a/b", "to": "c/d"}),
            json!({"from": "nobody", "outputs": "x"}),
            json!({"from": 1, "outputs": 2}),
            json!({"from": "a/b", "output": "c", "outputs": 1}),
        ] {
            assert_eq!(wrong(data), Ok(()));
        }
    }
}
