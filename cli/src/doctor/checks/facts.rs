//! What is known of nodes.

use std::collections::BTreeMap;

use hostfit_crds::names;
use kube::ResourceExt as _;

use super::super::read::Read;
use super::{Group, few};

pub(super) fn facts(read: &Read) -> Group {
    let mut group = Group::new("facts");
    let (nodes, profiles) = match (&read.nodes, &read.node_profiles) {
        (Ok(nodes), Ok(profiles)) => (nodes, profiles),
        (Err(why), _) | (_, Err(why)) => {
            group.unseen("facts", "facts of nodes", why);
            return group;
        }
    };
    let known: BTreeMap<_, _> = profiles
        .iter()
        .map(|it| (it.name_any(), it.status.as_ref()))
        .collect();
    let mut strange = Vec::new();
    let mut without_level = Vec::new();
    for node in nodes {
        let name = node.name_any();
        let Some(facts) = known
            .get(&name)
            .copied()
            .flatten()
            .and_then(|it| it.facts.as_ref())
        else {
            strange.push(name);
            continue;
        };
        // Only x86-64 has levels, and nobody tells them of Windows.
        let is_amd64 = node
            .labels()
            .get(names::ARCHITECTURE)
            .is_none_or(|it| it == "amd64");
        let is_windows = facts.os.as_deref() == Some("windows");
        if is_amd64 && !is_windows && facts.cpu_level.is_none() {
            without_level.push(name);
        }
    }
    let all = nodes.len();
    if !strange.is_empty() {
        group.problem(
            "facts",
            format!(
                "{} of {all} nodes are not described yet: {}",
                strange.len(),
                few(&strange)
            ),
            "the operator does so within seconds, if it runs: see above",
        );
    }
    match without_level.is_empty() {
        false => group.warning(
            "facts",
            format!("{} of {all} nodes: CPU level unknown ({})", without_level.len(), few(&without_level)),
            "install node-feature-discovery, or set agent.enabled=true, or state it in spec.overrides of the NodeProfiles",
        ),
        true if strange.is_empty() => group.fine("facts", format!("CPU levels of all {all} nodes are known")),
        true => {}
    }
    group
}
