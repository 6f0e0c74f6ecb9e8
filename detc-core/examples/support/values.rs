//! The load that examples and benches measure: values in layers, and what is recorded once they are there.

use std::fmt::Write as _;
use std::path::Path;

use detc_core::model::{Desired, Digest, Record, RecordBody, Recorded, load};
use detc_core::plan::Plan;
use detc_core::resource::Registry;

/// `len` values in ten layers, each after two of the layer before. One in a hundred has `generation` in its input.
pub(crate) fn layers(len: usize, generation: &str) -> String {
    let width = (len / 10).max(1);
    let mut text = String::from("{\"version\":1,\"resources\":[\n");
    for index in 0..len {
        let generation = if index % 100 == 0 { generation } else { "g0" };
        let separator = if index > 0 { ",\n" } else { "" };
        let (layer, at) = (index / width, index % width);
        let _ = write!(
            text,
            r#"{separator}{{"kind":"value","name":"r{index}","input":"value-{index:06}-{generation}""#
        );
        if layer > 0 {
            let below = (layer - 1) * width;
            let first = below + at;
            let second = match below + (at * 7 + 3) % width {
                second if second == first => below + (at + 1) % width,
                second => second,
            };
            let _ = write!(text, r#","after":["value/r{first}","value/r{second}"]"#);
        }
        text.push('}');
    }
    text.push_str("]}\n");
    text
}

/// The same, read.
#[allow(dead_code, reason = "not every user of this module reads it")]
pub(crate) fn desired(len: usize, registry: &Registry) -> Desired {
    let mut desired = Desired::new();
    load::merge(
        &mut desired,
        "values.json",
        &layers(len, "g0"),
        load::Format::Json,
        Path::new("."),
        registry,
    )
    .expect("the generated state is valid");
    desired
}

/// What would be recorded if the plan were carried out.
pub(crate) fn records(plan: &Plan) -> Recorded {
    let record = |action: &detc_core::plan::PlannedAction| {
        let recording = action.recording.as_ref()?;
        let body = RecordBody {
            adopted: false,
            cut_off: false,
            made_as: None,
            spec: action.spec.clone(),
            output: serde_json::Value::Null,
            host: None,
            after: recording.after.clone(),
            extra: None,
            triggers: None,
            traces: Default::default(),
            changed: "run-1/create".to_owned(),
            schema: Digest::of(b"schema").short(),
        };
        let record = Record::new(recording.intent, recording.relations, Digest::of(b"unobservable"), &body);
        Some((plan.change_of(action).resource.clone(), record))
    };
    plan.actions.iter().filter_map(record).collect()
}
