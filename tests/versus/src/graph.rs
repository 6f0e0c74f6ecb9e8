//! The same graph of values for both.

use serde_json::{Map, Value, json};

/// How values depend on each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Shape {
    /// Ten layers, each value after two of the layer before.
    Layered,
    /// Not at all.
    Independent,
}

impl Shape {
    /// What the value comes after.
    fn after(self, value: usize, count: usize) -> Vec<usize> {
        let width = count.div_ceil(10).max(1);
        match self {
            Self::Layered if value >= width => {
                let (layer, place) = (value / width - 1, value % width);
                let first = layer * width + place;
                let second = layer * width + (place + 1) % width;
                if first == second { vec![first] } else { vec![first, second] }
            }
            Self::Layered | Self::Independent => Vec::new(),
        }
    }

    /// The desired state of detc.
    pub fn detc(self, count: usize) -> Value {
        let resource = |value| {
            let after: Vec<String> =
                self.after(value, count).iter().map(|before| format!("value/v{before}")).collect();
            json!({ "kind": "value", "name": format!("v{value}"), "input": value, "after": after })
        };
        json!({ "version": 1, "resources": (0..count).map(resource).collect::<Vec<_>>() })
    }

    /// The configuration of Terraform.
    pub fn terraform(self, count: usize, backend: Option<&str>) -> Value {
        let resource = |value| {
            let after: Vec<String> = self.names(value, count);
            (format!("v{value}"), json!({ "input": value, "depends_on": after }))
        };
        let resources: Map<String, Value> = (0..count).map(resource).collect();
        let mut all = json!({ "resource": { "terraform_data": resources } });
        if let Some(address) = backend {
            all["terraform"] = json!({ "backend": { "http": { "address": address } } });
        }
        all
    }

    /// The state that Terraform has after an apply.
    pub fn terraform_state(self, count: usize) -> Value {
        let resource = |value: usize| {
            let held = json!({ "value": value, "type": "number" });
            json!({
                "mode": "managed", "type": "terraform_data", "name": format!("v{value}"),
                "provider": "provider[\"terraform.io/builtin/terraform\"]",
                "instances": [{
                    "schema_version": 0,
                    "attributes": {
                        "id": format!("00000000-0000-4000-8000-{value:012}"),
                        "input": held, "output": held, "triggers_replace": null,
                    },
                    "sensitive_attributes": [],
                    "dependencies": self.names(value, count),
                }],
            })
        };
        json!({
            "version": 4, "terraform_version": "1.11.4", "serial": 1,
            "lineage": "00000000-0000-4000-8000-000000000000", "outputs": {},
            "resources": (0..count).map(resource).collect::<Vec<_>>(), "check_results": null,
        })
    }

    fn names(self, value: usize, count: usize) -> Vec<String> {
        self.after(value, count).iter().map(|before| format!("terraform_data.v{before}")).collect()
    }
}
