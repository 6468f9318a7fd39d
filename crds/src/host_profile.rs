//! HostProfile: a class of hosts, observed by the operator or declared by people.

use std::collections::BTreeMap;

use kube::{CustomResource, ResourceExt as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::compat_report::VerdictCounts;
use crate::{Condition, HostFacts, bounds, names};

/// A class of hosts: all nodes that offer the same. The operator observes the classes of the cluster; people declare
/// the ones that they plan, or that the autoscaler holds at zero.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "hostfit.dev",
    version = "v1alpha1",
    kind = "HostProfile",
    shortname = "hprof",
    category = "hostfit",
    label("app.kubernetes.io/part-of", "hostfit"),
    status = "HostProfileStatus",
    derive = "PartialEq",
    doc = "A class of hosts: all nodes that offer the same. Observed by the operator, or declared by people.",
    printcolumn = r#"{"name":"Origin","type":"string","jsonPath":".status.origin","description":"Observed or Declared"}"#,
    printcolumn = r#"{"name":"Nodes","type":"integer","jsonPath":".status.nodes","description":"Nodes of this class"}"#,
    printcolumn = r#"{"name":"OS","type":"string","jsonPath":".status.os","description":"Distribution and release"}"#,
    printcolumn = r#"{"name":"Kernel","type":"string","jsonPath":".status.kernel","description":"Kernel series"}"#,
    printcolumn = r#"{"name":"Fail","type":"integer","jsonPath":".status.workloads.fail","description":"Workloads that fail here"}"#,
    printcolumn = r#"{"name":"Cgroup","type":"integer","jsonPath":".status.facts.cgroup","priority":1}"#,
    printcolumn = r#"{"name":"CPU","type":"integer","jsonPath":".status.facts.cpuLevel","priority":1}"#,
    printcolumn = r#"{"name":"Runtime","type":"string","jsonPath":".status.facts.runtime","priority":1}"#,
    printcolumn = r#"{"name":"GPU-Driver","type":"string","jsonPath":".status.facts.nvidiaDriver","priority":1}"#,
    printcolumn = r#"{"name":"Baseline","type":"string","jsonPath":".spec.baselineName","priority":1}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status","description":"Whether the facts are read and used","priority":1}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct HostProfileSpec {
    /// Declared profiles: the observed profile that this one would replace. A profile with a baseline is a plan: pods
    /// are not admitted by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub baseline_name: Option<String>,
    /// Declared profiles: labels that the nodes will have. Pods whose selectors admit these labels may land here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "bounds::labels")]
    pub node_labels: BTreeMap<String, String>,
    /// Declared profiles: taints that the nodes will have. Pods that do not tolerate them cannot land here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub node_taints: Vec<NodeTaint>,
    /// Declared profiles: what the nodes will offer. Its presence makes a profile Declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<HostFacts>,
}

/// A taint that nodes will have, as in a Node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeTaint {
    /// Key of the taint.
    #[schemars(length(min = 1, max = 316))]
    pub key: String,
    /// Value of the taint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub value: Option<String>,
    /// What becomes of pods that do not tolerate it. PreferNoSchedule keeps none away.
    pub effect: TaintEffect,
}

/// What becomes of pods that do not tolerate a taint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TaintEffect {
    /// They are not scheduled here.
    NoSchedule,
    /// They are scheduled elsewhere, if that can be.
    PreferNoSchedule,
    /// They are not scheduled here, and end if they run here.
    NoExecute,
}

impl From<TaintEffect> for &'static str {
    fn from(effect: TaintEffect) -> Self {
        match effect {
            TaintEffect::NoSchedule => "NoSchedule",
            TaintEffect::PreferNoSchedule => "PreferNoSchedule",
            TaintEffect::NoExecute => "NoExecute",
        }
    }
}

/// What the operator knows of the class.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostProfileStatus {
    /// Generation of the spec that this speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Observed: from nodes of this cluster. Declared: from spec.facts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// Nodes of this class now.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub nodes: i32,
    /// Distribution and release in one word, for tables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 129))]
    pub os: Option<String>,
    /// Major and minor number of the kernel, for tables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub kernel: Option<String>,
    /// What the nodes offer. Where the nodes of a class differ in the patch of a version, the oldest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<HostFacts>,
    /// Who told each fact, strongest first: Override, Agent, NodeFeature, NodeStatus, NodeLabels, GPULabels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "bounds::labels")]
    pub sources: BTreeMap<String, String>,
    /// Facts that only the agents claim, with facts.trustAgent=false: they never refuse a pod alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 32)))]
    pub claimed: Vec<String>,
    /// Verdicts of the workloads that may land here, on hosts of this class alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workloads: Option<VerdictCounts>,
    /// Ready: the facts are read and used. NameUnique: only if nodes would have the name of a declared profile, and have another.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub conditions: Vec<Condition>,
}

/// Where a profile comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Origin {
    /// From nodes of this cluster.
    Observed,
    /// From people.
    Declared,
}

impl HostProfile {
    /// What the hosts offer: what people declared, else what the operator observed. Where nothing is stated there are no facts.
    pub fn facts(&self) -> Option<&HostFacts> {
        let observed = || {
            self.status
                .as_ref()
                .and_then(|status| status.facts.as_ref())
        };
        let declared = self.spec.facts.as_ref();
        declared.map_or_else(observed, |facts| {
            Some(facts).filter(|facts| **facts != HostFacts::default())
        })
    }

    /// Made by the operator from nodes, not by people.
    pub fn is_ours(&self) -> bool {
        self.origin() == Origin::Observed
            && self.labels().get(names::MANAGED_BY).map(String::as_str) == Some(names::HOSTFIT)
    }

    /// Where the profile comes from: its facts decide.
    pub fn origin(&self) -> Origin {
        match self.spec.facts {
            Some(_) => Origin::Declared,
            None => Origin::Observed,
        }
    }
}
