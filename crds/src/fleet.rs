//! HostProfiles and Nodes → the engine's fleet.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use hostfit_engine::host::{Host, HostFacts, HostName};
use hostfit_engine::landing::{Fleet, HOSTNAME_LABEL, NodeClass};
use hostfit_engine::workload::Taint;
use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt;

use crate::host_profile::{HostProfile, Origin};
use crate::names;

/// A class of hosts, before its nodes are counted.
#[derive(Debug, Clone, PartialEq)]
pub struct Class {
    /// Name of its profile.
    pub name: String,
    /// What its nodes offer.
    pub facts: HostFacts,
    /// Labels that its nodes will have, of a class that people declared and that has no node yet.
    pub declared: Option<BTreeMap<String, String>>,
}

impl Class {
    /// The class that a profile describes; nothing if its facts are absent or cannot be read.
    pub fn of(profile: &HostProfile) -> Option<Self> {
        let facts = profile
            .facts()
            .and_then(|facts| HostFacts::try_from(facts).ok())?;
        let spec = &profile.spec;
        // A plan (a profile with a baseline) is judged in reports; pods are not admitted by it.
        let counts = profile.origin() == Origin::Declared
            && spec.baseline_name.is_none()
            && !spec.node_labels.is_empty();
        Some(Self {
            name: profile.name_any(),
            facts,
            declared: counts.then(|| spec.node_labels.clone()),
        })
    }
}

/// The fleet: classes of hosts, and the nodes that belong to them, each with the name of its profile. A node whose
/// profile is not known counts as not profiled: what would land there is unknown.
pub fn fleet<'a>(
    described: impl IntoIterator<Item = Class>,
    nodes: impl IntoIterator<Item = (&'a Node, Option<&'a str>)>,
) -> Fleet {
    let mut hosts = Vec::new();
    let mut index = HashMap::new();
    let mut classes: BTreeMap<ClassKey, Members> = BTreeMap::new();
    for class in described {
        if let Some(labels) = class.declared {
            let host = Some(hosts.len());
            let key = ClassKey {
                host,
                labels,
                taints: BTreeSet::new(),
            };
            classes.entry(key).or_default();
        }
        index.insert(class.name.clone(), hosts.len());
        hosts.push(Host {
            name: HostName(class.name),
            nodes: 0,
            facts: class.facts,
        });
    }
    for (node, profile) in nodes {
        let host = profile.and_then(|name| index.get(name)).copied();
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

/// The profile that a node's own label names: the join for whoever does not observe nodes.
pub fn labelled_profile(node: &Node) -> Option<&str> {
    node.labels().get(names::HOST_PROFILE).map(String::as_str)
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
fn taints(node: &Node) -> BTreeSet<Taint> {
    let taints = node
        .spec
        .iter()
        .flat_map(|spec| spec.taints.iter().flatten());
    taints
        .filter(|taint| taint.effect != "PreferNoSchedule")
        .filter(|taint| !taint.key.starts_with("node.kubernetes.io/"))
        .map(|taint| Taint {
            key: taint.key.clone(),
            value: taint.value.clone().unwrap_or_default(),
            effect: taint.effect.clone(),
        })
        .collect()
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
