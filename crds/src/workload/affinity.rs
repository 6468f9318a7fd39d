//! What a pod requires of nodes, and how to add to it.

use hostfit_engine::workload as engine;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::null_is_default;

/// Affinity of a pod, as far as it requires something of nodes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Affinity {
    node_affinity: Option<NodeAffinity>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NodeAffinity {
    required_during_scheduling_ignored_during_execution: Option<NodeSelector>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NodeSelector {
    #[serde(deserialize_with = "null_is_default")]
    node_selector_terms: Vec<Term>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Term {
    #[serde(deserialize_with = "null_is_default")]
    match_expressions: Vec<Requirement>,
    #[serde(deserialize_with = "null_is_default")]
    match_fields: Vec<Requirement>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Requirement {
    key: String,
    operator: String,
    #[serde(deserialize_with = "null_is_default")]
    values: Vec<String>,
}

impl Affinity {
    /// The required node selector terms, if any are required at all.
    pub(super) fn required(self) -> Option<Vec<engine::Term>> {
        let node = self.node_affinity?;
        let required = node.required_during_scheduling_ignored_during_execution?;
        let terms = required.node_selector_terms.into_iter();
        Some(terms.map(Into::into).collect())
    }

    /// What a JSON patch has to add to a pod of this affinity so that its nodes must not have one of `values` as their
    /// label `key`: JSON pointers and values. As [`engine::Placement::demanding`] does it: to every term that demands
    /// anything, or as the only term. Absent and null are the same.
    pub fn keeping_away(this: Option<&Self>, key: &str, values: &[&str]) -> Vec<(String, Value)> {
        const AFFINITY: &str = "/spec/affinity";
        const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
        let requirement = json!({"key": key, "operator": "NotIn", "values": values});
        let terms = json!({"nodeSelectorTerms": [{"matchExpressions": [requirement]}]});
        let Some(affinity) = this else {
            let whole = json!({"nodeAffinity": {REQUIRED: terms}});
            return vec![(AFFINITY.to_owned(), whole)];
        };
        let Some(node) = &affinity.node_affinity else {
            let whole = json!({REQUIRED: terms});
            return vec![(format!("{AFFINITY}/nodeAffinity"), whole)];
        };
        let required = format!("{AFFINITY}/nodeAffinity/{REQUIRED}");
        let Some(selector) = &node.required_during_scheduling_ignored_during_execution else {
            return vec![(required, terms)];
        };
        let terms = selector.node_selector_terms.iter().enumerate();
        let demanding = terms.filter(|(_, term)| !term.is_empty());
        let addition = |(index, term): (usize, &Term)| {
            let list = format!("{required}/nodeSelectorTerms/{index}/matchExpressions");
            match term.match_expressions.is_empty() {
                true => (list, json!([requirement])),
                false => (format!("{list}/-"), requirement.clone()),
            }
        };
        demanding.map(addition).collect()
    }
}

impl Term {
    /// Nothing is demanded: such a term matches no node.
    fn is_empty(&self) -> bool {
        self.match_expressions.is_empty() && self.match_fields.is_empty()
    }
}

impl From<Term> for engine::Term {
    fn from(term: Term) -> Self {
        Self {
            labels: term.match_expressions.into_iter().map(Into::into).collect(),
            names: term.match_fields.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<Requirement> for engine::Requirement {
    fn from(requirement: Requirement) -> Self {
        Self {
            key: requirement.key,
            operator: match requirement.operator.as_str() {
                "In" => engine::Operator::In,
                "NotIn" => engine::Operator::NotIn,
                "Exists" => engine::Operator::Exists,
                "DoesNotExist" => engine::Operator::DoesNotExist,
                "Gt" => engine::Operator::Gt,
                "Lt" => engine::Operator::Lt,
                _ => engine::Operator::Unheard,
            },
            values: requirement.values,
        }
    }
}
