//! Selectors of labels, as Kubernetes has them.

use std::collections::BTreeMap;

use hostfit_engine::workload as engine;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bounds;

/// A selector of labels, as Kubernetes has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Selector {
    /// Labels that must have these values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "bounds::labels")]
    pub match_labels: BTreeMap<String, String>,
    /// Requirements that must hold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub match_expressions: Vec<SelectorRequirement>,
}

/// A requirement on one label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SelectorRequirement {
    /// Key of the label.
    #[schemars(length(max = 317))]
    pub key: String,
    /// In, NotIn, Exists or DoesNotExist.
    pub operator: SelectorOperator,
    /// Values for In and NotIn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 63)))]
    pub values: Vec<String>,
}

/// How a label is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SelectorOperator {
    /// One of the values.
    In,
    /// None of the values, or absent.
    NotIn,
    /// Present.
    Exists,
    /// Absent.
    DoesNotExist,
}

impl Selector {
    /// The requirements, as the engine has them.
    pub fn requirements(&self) -> impl Iterator<Item = engine::Requirement> {
        let equal = |(key, value): (&String, &String)| engine::Requirement {
            key: key.clone(),
            operator: engine::Operator::In,
            values: vec![value.clone()],
        };
        let requirement = |requirement: &SelectorRequirement| engine::Requirement {
            key: requirement.key.clone(),
            operator: match requirement.operator {
                SelectorOperator::In => engine::Operator::In,
                SelectorOperator::NotIn => engine::Operator::NotIn,
                SelectorOperator::Exists => engine::Operator::Exists,
                SelectorOperator::DoesNotExist => engine::Operator::DoesNotExist,
            },
            values: requirement.values.clone(),
        };
        let labels = self.match_labels.iter().map(equal);
        labels.chain(self.match_expressions.iter().map(requirement))
    }

    /// Whether labels are selected. An empty selector selects everything.
    pub fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        let admits = |it: engine::Requirement| it.admits(labels.get(&it.key).map(String::as_str));
        self.requirements().all(admits)
    }
}
