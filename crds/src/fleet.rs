//! HostProfiles and Nodes → the engine's fleet.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use hostfit_engine::host::{Host, HostFact, HostFacts, HostName};
use hostfit_engine::landing::{Fleet, HOSTNAME_LABEL, NodeClass};
use hostfit_engine::workload::Taint;
use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt;

use crate::host_profile::{HostProfile, NodeTaint, Origin};
use crate::node::class;

/// A class of hosts, before its nodes are counted.
#[derive(Debug, Clone, PartialEq)]
pub struct Class {
    /// Name of its profile.
    pub name: String,
    /// What its nodes offer.
    pub facts: HostFacts,
    /// Facts that only the nodes claim, where that is not believed.
    pub claimed: BTreeSet<HostFact>,
    /// Whether nodes of the cluster are of it, or people declared it.
    pub origin: Origin,
    /// Labels of the nodes that people declared, where pods may land on them.
    pub labels: Option<BTreeMap<String, String>>,
    /// Taints of the nodes that people declared.
    pub taints: BTreeSet<Taint>,
}

impl Class {
    /// The class that a profile describes; nothing if its facts are absent or cannot be read.
    pub fn of(profile: &HostProfile) -> Option<Self> {
        let facts = profile
            .facts()
            .and_then(|facts| HostFacts::try_from(facts).ok())?;
        let spec = &profile.spec;
        let claimed = profile.status.iter().flat_map(|it| &it.claimed);
        let fact = |name: &String| HostFact::ALL.into_iter().find(|it| it.name() == name);
        // A profile with a baseline is a plan: pods are not admitted by it.
        let lands = spec.baseline_name.is_none() && !spec.node_labels.is_empty();
        Some(Self {
            name: profile.name_any(),
            facts,
            // What people declare they know.
            claimed: match profile.origin() {
                Origin::Observed => claimed.filter_map(fact).collect(),
                Origin::Declared => BTreeSet::new(),
            },
            origin: profile.origin(),
            labels: lands.then(|| spec.node_labels.clone()),
            taints: spec.node_taints.iter().filter_map(declared).collect(),
        })
    }
}

/// The fleet: classes of hosts, and the nodes that belong to them by what they offer. Labels are not asked: a kubelet may
/// write them. A node whose class has no profile yet counts as not profiled: what would land there is unknown.
pub fn fleet<'a>(
    described: impl IntoIterator<Item = Class>,
    nodes: impl IntoIterator<Item = (&'a Node, HostFacts)>,
) -> Fleet {
    let mut hosts = Vec::new();
    let mut observed = HashMap::new();
    let mut classes: BTreeMap<ClassKey, Members> = BTreeMap::new();
    for described in described {
        let host = hosts.len();
        match described.origin {
            Origin::Observed => {
                observed.insert(class(&described.facts), host);
            }
            Origin::Declared => {
                // Nobody can land on what is only planned, or nowhere in particular.
                if let Some(labels) = described.labels {
                    let key = ClassKey {
                        host: Some(host),
                        labels,
                        taints: described.taints,
                    };
                    classes.entry(key).or_default();
                }
            }
        }
        hosts.push(Host {
            name: HostName(described.name),
            nodes: 0,
            facts: described.facts,
            claimed: described.claimed,
        });
    }
    for (node, offered) in nodes {
        let host = observed.get(&class(&offered)).copied();
        if let Some(host) = host.and_then(|host| hosts.get_mut(host)) {
            host.nodes += 1;
        }
        let mut labels = node.labels().clone();
        let hostname = labels.remove(HOSTNAME_LABEL);
        let key = ClassKey {
            host,
            labels,
            taints: taints(node),
        };
        classes
            .entry(key)
            .or_default()
            .push((node.name_any(), hostname));
    }
    let class = |(key, nodes): (ClassKey, Members)| NodeClass {
        host: key.host,
        labels: key.labels,
        taints: key.taints,
        nodes,
    };
    Fleet::new(hosts, classes.into_iter().map(class).collect())
}

type Members = Vec<(String, Option<String>)>;

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct ClassKey {
    host: Option<usize>,
    labels: BTreeMap<String, String>,
    taints: BTreeSet<Taint>,
}

/// The taints that keep pods away for longer than the node is in trouble: what the node controller sets and takes
/// back (not ready, under pressure, cordoned) says nothing of what the node is.
pub fn taints(node: &Node) -> BTreeSet<Taint> {
    let taints = node
        .spec
        .iter()
        .flat_map(|spec| spec.taints.iter().flatten());
    taints
        .filter_map(|taint| lasting(&taint.key, taint.value.as_deref(), &taint.effect))
        .collect()
}

fn declared(taint: &NodeTaint) -> Option<Taint> {
    lasting(&taint.key, taint.value.as_deref(), taint.effect.into())
}

fn lasting(key: &str, value: Option<&str>, effect: &str) -> Option<Taint> {
    let is_trouble = key.starts_with("node.kubernetes.io/")
        || key.starts_with("node.cloudprovider.kubernetes.io/");
    (effect != "PreferNoSchedule" && !is_trouble).then(|| Taint {
        key: key.to_owned(),
        value: value.unwrap_or_default().to_owned(),
        effect: effect.to_owned(),
    })
}

/// Drops what nobody reads of a node, before it is kept.
pub fn prune(node: &mut Node) {
    node.metadata.annotations = None;
    node.metadata.managed_fields = None;
    if let Some(status) = &mut node.status {
        *status = k8s_openapi::api::core::v1::NodeStatus {
            node_info: status.node_info.take(),
            ..Default::default()
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HostProfileSpec;
    use crate::workload::PodSpec;
    use hostfit_engine::workload::Workload;
    use serde_json::json;

    /// `lands`: whether a pod of this spec may land on a pool that people declared, whose nodes are tainted.
    #[track_caller]
    fn check(pod: serde_json::Value, lands: bool) {
        let taint = |key: &str, effect: &str| json!({"key": key, "effect": effect});
        let spec: HostProfileSpec = serde_json::from_value(json!({
            "nodeLabels": {"pool": "gpu"}, "facts": {"os": "ubuntu"},
            "nodeTaints": [taint("nvidia.com/gpu", "NoSchedule"), taint("soft", "PreferNoSchedule")],
        }))
        .unwrap();
        let profile = HostProfile::new("gpu-pool", spec);
        let fleet = fleet(Class::of(&profile), []);
        let pod: PodSpec = serde_json::from_value(pod).unwrap();
        let placement = Workload::from(pod).placement;
        assert_eq!(fleet.landing(&placement).hosts.len(), usize::from(lands));
    }

    #[test]
    fn who_does_not_tolerate_the_taints_of_a_declared_pool_cannot_land_there() {
        check(json!({"nodeSelector": {"pool": "gpu"}}), false);
        let tolerates = json!([{"key": "nvidia.com/gpu", "operator": "Exists"}]);
        check(
            json!({"nodeSelector": {"pool": "gpu"}, "tolerations": tolerates}),
            true,
        );
    }
}
