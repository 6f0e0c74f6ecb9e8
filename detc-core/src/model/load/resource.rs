//! Reads one resource from its JSON text: the common properties apart, the rest as its spec, canonical.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::{self, Display};
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::numbers;
use crate::model::doc::write_string;
use crate::model::hide::Hidden;
use crate::model::secret::has_mark;
use crate::model::words::in_words;
use crate::model::{
    DesiredResource, Doc, Extra, FieldOwner, FieldPath, HostName, InvalidState, Origin, Reference,
    ResourceId, StrictValue, collect_references, write_canonical,
};
use crate::resource::nearest;

/// Memory that is used for one resource after the other: of a million, each would ask for these four anew.
#[derive(Default)]
pub(super) struct Scratch<'a> {
    id: String,
    spec: String,
    after: Vec<ResourceId>,
    fields: Vec<(Cow<'a, str>, &'a RawValue)>,
}

/// Reads the resource that begins at `origin`.
pub(super) fn read<'a>(
    text: &'a str,
    origin: Origin,
    scratch: &mut Scratch<'a>,
) -> Result<DesiredResource, InvalidState> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let mut resource = deserializer.deserialize_map(ResourceVisitor(scratch)).map_err(|error| {
        let line = origin.line + (error.line() as u32).saturating_sub(1);
        let message = in_words(&of_property(text, &error));
        let named = serde_json::from_str::<Named<'_>>(text).ok();
        let id = named.and_then(|named| ResourceId::new(&named.kind, &named.name).ok());
        let error = hidden(&serde_json::from_str(text).unwrap_or_default())
            .hide(InvalidState::new(message))
            .at("", line);
        match id {
            Some(id) => error.of(&id),
            None => error,
        }
    })?;
    resource.origin = origin;
    Ok(resource)
}

/// What must not be told of a resource that can not be read, as far as it says so itself.
pub(super) fn hidden(value: &Value) -> Hidden {
    let named = value.get("sensitive").and_then(Value::as_array).into_iter().flatten();
    let paths: Vec<FieldPath> = named.filter_map(|path| path.as_str()?.parse().ok()).collect();
    Hidden::new(value, &paths)
}

/// The message, with the common property that it is about, which is found by reading these once more.
fn of_property(text: &str, error: &serde_json::Error) -> String {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    match serde_path_to_error::deserialize::<_, Properties>(&mut deserializer) {
        Err(again) if again.path().iter().len() > 0 && again.inner().is_data() => {
            format!("`{}`: {}", again.path(), again.inner())
        }
        _ => error.to_string(),
    }
}

/// What all resources may have.
#[derive(Default, Deserialize)]
#[serde(default)]
#[allow(dead_code, reason = "it is read for what is wrong with it")]
struct Properties {
    kind: Option<String>,
    name: Option<String>,
    host: Option<String>,
    after: Option<Vec<ResourceId>>,
    labels: Option<Distinct<String, String>>,
    restart_on: Option<Vec<ResourceId>>,
    protect: Option<bool>,
    sensitive: Option<Vec<FieldPath>>,
    ownership: Option<Distinct<FieldPath, FieldOwner>>,
    renamed_from: Option<ResourceId>,
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// A map of which no key is given twice: what is read into a map of the standard library has the last one, in silence.
struct Distinct<K, V>(BTreeMap<K, V>);

impl<K: Ord, V> Default for Distinct<K, V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<'de, K, V> Deserialize<'de> for Distinct<K, V>
where
    K: Deserialize<'de> + Display + Ord,
    V: Deserialize<'de>,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(DistinctVisitor(PhantomData))
    }
}

struct DistinctVisitor<K, V>(PhantomData<(K, V)>);

impl<'de, K, V> Visitor<'de> for DistinctVisitor<K, V>
where
    K: Deserialize<'de> + Display + Ord,
    V: Deserialize<'de>,
{
    type Value = Distinct<K, V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut read = BTreeMap::new();
        while let Some((key, value)) = map.next_entry()? {
            match read.entry(key) {
                Entry::Vacant(free) => _ = free.insert(value),
                Entry::Occupied(taken) => {
                    return Err(A::Error::custom(format_args!("`{}` is given twice", taken.key())));
                }
            }
        }
        Ok(Distinct(read))
    }
}

struct ResourceVisitor<'s, 'a>(&'s mut Scratch<'a>);

impl<'de> Visitor<'de> for ResourceVisitor<'_, 'de> {
    type Value = DesiredResource;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a resource: an object with `kind`, `name` and the fields of its kind")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<DesiredResource, A::Error> {
        let Scratch { id, spec: text, after, fields } = self.0;
        after.clear();
        fields.clear();
        let (mut kind, mut name, mut host, mut ordered) = (None, None, None, None);
        let mut extra = ExtraReader::default();
        while let Some(Text(key)) = map.next_key()? {
            match &*key {
                "kind" => once(&mut kind, &key, map.next_value::<Text<'de>>()?.0)?,
                "name" => once(&mut name, &key, map.next_value::<Text<'de>>()?.0)?,
                "host" => once(&mut host, &key, map.next_value::<Text<'de>>()?.0)?,
                "after" => once(&mut ordered, &key, map.next_value_seed(Ids(after))?)?,
                "labels" => once(&mut extra.labels, &key, map.next_value()?)?,
                "restart_on" => once(&mut extra.restart_on, &key, map.next_value()?)?,
                "protect" => once(&mut extra.protect, &key, map.next_value()?)?,
                "sensitive" => once(&mut extra.sensitive, &key, map.next_value()?)?,
                "ownership" => once(&mut extra.ownership, &key, map.next_value()?)?,
                "renamed_from" => once(&mut extra.renamed_from, &key, map.next_value()?)?,
                _ => fields.push((key, map.next_value()?)),
            }
        }
        let kind = kind.ok_or_else(|| missing("kind", fields))?;
        let name = name.ok_or_else(|| missing("name", fields))?;
        let id = ResourceId::new_in(id, &kind, &name).map_err(A::Error::custom)?;
        let mut references = Vec::new();
        write_spec(fields, text, &mut references).map_err(A::Error::custom)?;
        let spec = Doc::from_canonical(text.as_str());
        let mut resource = DesiredResource::with_relations(id, spec, references, after, extra.finish());
        resource.host = host.map(|host| HostName::new(&host));
        Ok(resource)
    }
}

/// Reads ids behind those that are there.
struct Ids<'s>(&'s mut Vec<ResourceId>);

impl<'de> DeserializeSeed<'de> for Ids<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Ids<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut ids: A) -> Result<(), A::Error> {
        while let Some(id) = ids.next_element()? {
            self.0.push(id);
        }
        Ok(())
    }
}

fn missing<E: serde::de::Error>(property: &str, fields: &[(Cow<'_, str>, &RawValue)]) -> E {
    match fields.iter().find(|(key, _)| nearest(key, [property]).is_some()) {
        Some((near, _)) => E::custom(format_args!("`{property}` is missing: did you mean it by `{near}`?")),
        None => E::custom(format_args!("`{property}` is missing")),
    }
}

fn once<T, E: serde::de::Error>(slot: &mut Option<T>, key: &str, value: T) -> Result<(), E> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(E::custom(format_args!("`{key}` is given twice"))),
    }
}

#[derive(Default)]
struct ExtraReader {
    labels: Option<Distinct<String, String>>,
    restart_on: Option<Vec<ResourceId>>,
    protect: Option<bool>,
    sensitive: Option<Vec<FieldPath>>,
    ownership: Option<Distinct<FieldPath, FieldOwner>>,
    renamed_from: Option<ResourceId>,
}

impl ExtraReader {
    fn finish(self) -> Option<Box<Extra>> {
        let extra = Extra {
            labels: self.labels.unwrap_or_default().0,
            restart_on: self.restart_on.unwrap_or_default(),
            protect: self.protect.unwrap_or_default(),
            sensitive: self.sensitive.unwrap_or_default(),
            ownership: self.ownership.unwrap_or_default().0,
            renamed_from: self.renamed_from,
        };
        (extra != Extra::default()).then(|| Box::new(extra))
    }
}

/// Writes the fields as a canonical document; the references within are collected.
fn write_spec(
    fields: &mut [(Cow<'_, str>, &RawValue)],
    text: &mut String,
    references: &mut Vec<Reference>,
) -> Result<(), String> {
    fields.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    if let Some(pair) = fields.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(format!("`{}` is given twice", pair[0].0));
    }
    text.clear();
    text.push('{');
    for (index, (key, raw)) in fields.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        write_string(key, text);
        text.push(':');
        write_raw(raw.get(), text, references).map_err(|error| format!("`{key}`: {error}"))?;
    }
    text.push('}');
    Ok(())
}

/// Writes a raw value canonically. Plain scalars are canonical as they stand; the rest is taken apart.
fn write_raw(raw: &str, out: &mut String, references: &mut Vec<Reference>) -> Result<(), String> {
    const DIGITS_MAX: usize = 18;
    let plain = match raw.as_bytes()[0] {
        b'"' => !raw.contains('\\'),
        b't' | b'f' | b'n' => true,
        b'1'..=b'9' => raw.len() <= DIGITS_MAX && raw.bytes().all(|byte| byte.is_ascii_digit()),
        _ => false,
    };
    if plain {
        out.push_str(raw);
        return Ok(());
    }
    if numbers::is_beyond_64_bits(raw) {
        return Err(format!("the number {raw} takes more than 64 bits: write it as text"));
    }
    let value = serde_json::from_str::<StrictValue>(raw).map_err(|error| in_words(&error.to_string()))?.0;
    if let Some(number) = numbers::rounded(&value, raw) {
        return Err(format!("the number {number} takes more than 64 bits: write it as text"));
    }
    collect_references(&value, references)?;
    let from = out.len();
    write_canonical(&value, out);
    if has_mark(&out[from..]) {
        return Err("an object with `$sensitive` alone is detc's own mark, and can not be desired".to_owned());
    }
    Ok(())
}
