//! NodeProfile: one node, what is known of it, who told it, and what people know better.

use std::collections::{BTreeMap, BTreeSet};

use hostfit_engine::distribution::Distribution;
use hostfit_engine::host::{self, HostFact};
use hostfit_engine::version::KernelVersion;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::host_facts::FactError;
use crate::node::{Source, canonical};
use crate::{Condition, HostFacts, bounds};

/// What is known of one node. It has the node's name and goes with the node.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "hostfit.dev",
    version = "v1alpha1",
    kind = "NodeProfile",
    shortname = "nprof",
    category = "hostfit",
    label("app.kubernetes.io/part-of", "hostfit"),
    status = "NodeProfileStatus",
    derive = "PartialEq",
    doc = "What is known of one node, and who told it. It has the node's name and goes with the node.",
    printcolumn = r#"{"name":"Host-Profile","type":"string","jsonPath":".status.hostProfileName","description":"The class of nodes that it is of"}"#,
    printcolumn = r#"{"name":"OS","type":"string","jsonPath":".status.os","description":"Distribution and release"}"#,
    printcolumn = r#"{"name":"Kernel","type":"string","jsonPath":".status.kernel","description":"Numbers of the kernel"}"#,
    printcolumn = r#"{"name":"Facts","type":"string","jsonPath":".status.known","description":"Facts that are known, of those that rules may ask for"}"#,
    printcolumn = r#"{"name":"Agree","type":"string","jsonPath":".status.conditions[?(@.type==\"FactsAgree\")].status","priority":1}"#,
    printcolumn = r#"{"name":"Agent","type":"string","jsonPath":".status.agent.version","priority":1}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct NodeProfileSpec {
    /// What people know better: wins over everything that is read from the node. For a fact that is wrong, or that nobody tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overrides: Option<HostFacts>,
}

/// What is known of the node. The operator writes it, but for `agent`, which the node agent writes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeProfileStatus {
    /// Generation of the spec that this speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The HostProfile of all nodes that offer the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub host_profile_name: Option<String>,
    /// Facts that are known, of those that rules may ask for: "17/19".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub known: Option<String>,
    /// Distribution and release in one word, for tables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 129))]
    pub os: Option<String>,
    /// Numbers of the kernel, for tables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub kernel: Option<String>,
    /// What counts: of each fact the word of the strongest source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<HostFacts>,
    /// Who told each fact, strongest first: Override, Agent, NodeFeature, NodeStatus, NodeLabels, GPULabels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "bounds::labels")]
    pub sources: BTreeMap<String, String>,
    /// When the facts, or the class, last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_change_time: Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>,
    /// Ready: the overrides are read, and there is such a node. FactsComplete: nothing is missing. FactsAgree: no two sources differ.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub conditions: Vec<Condition>,
    /// What the node agent read on the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentReport>,
}

/// What the node agent read. Only the agent of this node may write it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
// As a whole: what an agent applies leaves nothing of what somebody else wrote there.
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct AgentReport {
    /// Version of the agent.
    #[schemars(length(max = 64))]
    #[serde(default)]
    pub version: String,
    /// What it read.
    #[serde(default)]
    pub facts: HostFacts,
}

impl NodeProfile {
    /// What people override; `below` is what the others tell, of which the distribution is taken where only a release is
    /// overridden.
    ///
    /// # Errors
    ///
    /// If a fact cannot be read: then none of them counts.
    pub fn overrides(&self, below: &host::HostFacts) -> Result<host::HostFacts, FactError> {
        let Some(mut overrides) = self.spec.overrides.clone() else {
            return Ok(host::HostFacts::default());
        };
        if overrides.os.is_none() && overrides.os_version.is_some() {
            overrides.os = below.os.as_ref().map(|os| os.id().to_owned());
        }
        host::HostFacts::try_from(&overrides)
    }

    /// What the agent read. Nothing if it cannot be read: our agent does not write that.
    pub(crate) fn agent_facts(&self, kernel: Option<&KernelVersion>) -> Option<host::HostFacts> {
        let agent = self.status.as_ref()?.agent.as_ref()?;
        let mut facts = host::HostFacts::try_from(&agent.facts).ok()?;
        let kernel = facts.kernel.clone().or_else(|| kernel.cloned());
        let canonical = |os: Distribution| canonical(os, kernel.as_ref());
        facts.os = facts.os.take().map(canonical);
        Some(facts)
    }

    /// Of what the operator found that which the Node itself does not tell.
    pub(crate) fn found_elsewhere(&self) -> Option<host::HostFacts> {
        let status = self.status.as_ref()?;
        let facts = host::HostFacts::try_from(status.facts.as_ref()?).ok()?;
        let is_on_node = |fact: &HostFact| {
            let source = status.sources.get(fact.name());
            let mut known = Source::ALL.iter().filter(|it| it.is_on_node());
            source.is_none_or(|source| known.any(|it| it.as_str() == source))
        };
        let mut on_node: BTreeSet<_> = HostFact::ALL.into_iter().filter(is_on_node).collect();
        // A release is nothing without its distribution.
        if !on_node.contains(&HostFact::OsVersion) {
            on_node.remove(&HostFact::Os);
        }
        Some(facts.without(&on_node))
    }

    /// Drops what only the operator reads, for whoever only wants to know what the node offers.
    pub fn prune(&mut self) {
        self.metadata.annotations = None;
        self.metadata.managed_fields = None;
        self.metadata.owner_references = None;
        self.metadata.labels = None;
        self.metadata.generation = None;
        self.spec = NodeProfileSpec::default();
        if let Some(status) = &mut self.status {
            *status = NodeProfileStatus {
                facts: status.facts.take(),
                sources: std::mem::take(&mut status.sources),
                ..NodeProfileStatus::default()
            };
        }
    }
}
