//! Everything that is told of nodes → their classes, and the fleet, for whoever observes a cluster itself.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use hostfit_engine::landing::Fleet;
use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt;

use crate::classes::{self, Plan};
use crate::fleet::{Class, fleet};
use crate::host_profile::Origin;
use crate::node::{self, Agents, NodeFeature, Observed, class};
use crate::{HostProfile, NodeProfile};

/// The nodes and profiles that there are, and what is to become of them.
pub struct Seen {
    /// The classes of nodes, and the labels of each node.
    pub plan: Plan,
    /// The nodes.
    pub nodes: Vec<Arc<Node>>,
    /// All HostProfiles.
    pub profiles: Vec<Arc<HostProfile>>,
    /// NodeProfiles by the name of their node.
    pub node_profiles: BTreeMap<String, Arc<NodeProfile>>,
    /// What is known of each node.
    pub observed: BTreeMap<String, Observed>,
}

impl Seen {
    /// Observes the nodes. Classes that a profile of ours describes keep its name; `features` are by the node that they
    /// speak of.
    pub fn new(
        nodes: Vec<Arc<Node>>,
        profiles: Vec<Arc<HostProfile>>,
        node_profiles: Vec<Arc<NodeProfile>>,
        features: &HashMap<String, Vec<Arc<NodeFeature>>>,
        agents: Agents,
    ) -> Self {
        let node_profiles = node_profiles.into_iter();
        let node_profiles: BTreeMap<_, _> = node_profiles.map(|it| (it.name_any(), it)).collect();
        let observe = |node: &Arc<Node>| {
            let name = node.name_any();
            let profile = node_profiles.get(&name).map(AsRef::as_ref);
            let features = features.get(&name).into_iter().flatten();
            let features: Vec<_> = features.map(AsRef::as_ref).collect();
            let observed = node::observe(node, profile, &features, agents);
            (name, observed)
        };
        let observed: BTreeMap<_, _> = nodes.iter().map(observe).collect();
        let declared: Vec<_> = profiles
            .iter()
            .filter(|profile| !profile.is_ours())
            .map(|profile| profile.name_any())
            .collect();
        let named = profiles.iter().filter(|profile| profile.is_ours());
        let known = named
            .filter_map(|profile| Some((class(&Class::of(profile)?.facts), profile.name_any())));
        let plan = classes::plan(&observed, &known.collect(), &declared);
        Self {
            plan,
            nodes,
            profiles,
            node_profiles,
            observed,
        }
    }

    /// The fleet of these nodes and of what people declared: no profile needs to be written for it.
    pub fn fleet(self) -> Fleet {
        let observed = self.plan.profiles.into_iter().map(|(name, profile)| Class {
            name,
            facts: profile.facts,
            claimed: profile.claimed,
            origin: Origin::Observed,
            labels: None,
            taints: BTreeSet::new(),
        });
        let of_people = self.profiles.iter().filter(|profile| !profile.is_ours());
        let declared = of_people.filter_map(|profile| Class::of(profile));
        let known = &self.observed;
        let offered = self.nodes.iter().filter_map(|node| {
            let known = known.get(&node.name_any())?;
            Some((node.as_ref(), known.facts.clone()))
        });
        fleet(observed.chain(declared), offered)
    }
}
