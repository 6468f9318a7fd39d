//! The objects of a cluster as far as they are read, and what was hidden.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use hostfit_crds::compat_report::TargetRef;
use hostfit_crds::fleet::{Class, fleet};
use hostfit_crds::item::Item;
use hostfit_crds::node::{self, Agents, NodeFeature};
use hostfit_crds::seen::Seen;
use hostfit_crds::workload::PodSpec;
use hostfit_crds::{BaseImage, CompatException, HostProfile, NodeProfile, SupportMatrix};
use hostfit_engine::landing::Fleet;
use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt as _;
use serde::{Deserialize, Serialize};

/// Everything that decides, pruned to what is read of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Objects {
    pub(crate) nodes: Vec<Node>,
    pub(crate) host_profiles: Vec<HostProfile>,
    pub(crate) node_profiles: Vec<NodeProfile>,
    /// Only where no operator has merged them into NodeProfiles.
    pub(crate) node_features: Vec<NodeFeature>,
    pub(crate) matrices: Vec<SupportMatrix>,
    pub(crate) bases: Vec<BaseImage>,
    /// Labels of the namespaces.
    pub(crate) namespaces: BTreeMap<String, BTreeMap<String, String>>,
    pub(crate) exceptions: Vec<CompatException>,
    pub(crate) workloads: Vec<Declared>,
}

impl Objects {
    /// Whether an operator describes the nodes.
    pub(crate) fn has_operator(&self) -> bool {
        self.host_profiles.iter().any(|profile| profile.is_ours())
    }

    /// The nodes as an operator would see them.
    pub(crate) fn seen(&self) -> Seen {
        fn shared<T: Clone>(all: &[T]) -> Vec<Arc<T>> {
            all.iter().cloned().map(Arc::new).collect()
        }
        let mut features: HashMap<String, Vec<_>> = HashMap::new();
        for feature in shared(&self.node_features) {
            if let Some(node) = feature.node() {
                features.entry(node.to_owned()).or_default().push(feature);
            }
        }
        Seen::new(
            shared(&self.nodes),
            shared(&self.host_profiles),
            shared(&self.node_profiles),
            &features,
            // Nobody said otherwise: that is a setting of the operator.
            Agents::Believed,
        )
    }

    /// The fleet of the cluster: as the operator describes it, if there is one, else by what the nodes tell.
    pub(super) fn fleet(&self) -> Fleet {
        if self.has_operator() {
            let classes = self.host_profiles.iter().filter_map(Class::of);
            let profiles: HashMap<_, _> = self
                .node_profiles
                .iter()
                .map(|profile| (profile.name_any(), profile))
                .collect();
            let nodes = self.nodes.iter().map(|node| {
                let profile = profiles.get(&node.name_any()).copied();
                (node, node::offered(node, profile))
            });
            return fleet(classes, nodes);
        }
        self.seen().fleet()
    }
}

/// A workload as it is declared.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Declared {
    pub(crate) namespace: String,
    #[serde(flatten)]
    pub(crate) target: TargetRef,
    #[serde(default)]
    pub(crate) generation: Option<i64>,
    #[serde(default)]
    pub(crate) labels: BTreeMap<String, String>,
    /// Labels of its pods, where they are not its own.
    #[serde(default)]
    pub(crate) pod_labels: Option<BTreeMap<String, String>>,
    /// The file that it stands in.
    #[serde(default)]
    pub(crate) file: Option<String>,
    pub(crate) pod: PodSpec,
}

impl Declared {
    /// The workload as the judge takes it.
    pub(crate) fn item(&self) -> Item {
        Item {
            namespace: self.namespace.clone(),
            target: self.target.clone(),
            generation: self.generation,
            labels: self.pod_labels.as_ref().unwrap_or(&self.labels).clone(),
            pull_secrets: self.pod.pull_secrets(),
            workload: self.pod.clone().into(),
        }
    }
}

/// What a cluster let us read.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Permissions {
    /// `list nodes`
    pub(crate) used: Vec<String>,
    pub(crate) lacked: Vec<Hidden>,
}

/// What was not shown to us.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Hidden {
    /// `list statefulsets.apps in shop`
    pub(crate) permission: String,
    /// What is missing here because of it.
    pub(crate) therefore: String,
    /// Whether there may be workloads that are not judged.
    pub(crate) hides_workloads: bool,
}
