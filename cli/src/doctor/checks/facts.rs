//! What is known of nodes.

use std::collections::BTreeMap;

use hostfit_crds::names;
use kube::ResourceExt as _;

use super::super::read::Read;
use super::rights::component;
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
    let agents = agents(read);
    let mut strange = Vec::new();
    let (mut without_level, mut in_spite_of_agent) = (Vec::new(), Vec::new());
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
            let status = known.get(&name).copied().flatten();
            let has_agent = agents.is_some() && status.is_some_and(|it| it.agent.is_some());
            match has_agent {
                true => in_spite_of_agent.push(name),
                false => without_level.push(name),
            }
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
    let mut unknown = |names: &[String], fix: String| {
        if !names.is_empty() {
            let says = format!(
                "{} of {all} nodes: CPU level unknown ({})",
                names.len(),
                few(names)
            );
            group.warning("facts", says, fix);
        }
    };
    let pods = agents.as_deref().unwrap_or_default();
    unknown(
        &in_spite_of_agent,
        format!(
            "the node agent there does not tell it either (its log: kubectl logs {pods}): state it in spec.overrides of the NodeProfiles"
        ),
    );
    let fix = match &agents {
        None => "install node-feature-discovery, or set agent.enabled=true, or state it in spec.overrides of the NodeProfiles".to_owned(),
        Some(_) => format!("the node agent has told nothing of them: does it run there (kubectl get pods -o wide {pods})? Or state it in spec.overrides of the NodeProfiles"),
    };
    unknown(&without_level, fix);
    if strange.is_empty() && without_level.is_empty() && in_spite_of_agent.is_empty() {
        group.fine("facts", format!("CPU levels of all {all} nodes are known"));
    }
    group
}

/// How kubectl finds the node agents, if there are to be some. The operator is told whether.
fn agents(read: &Read) -> Option<String> {
    let mut deployments = read.deployments.iter().flatten();
    let operator = deployments.find(|it| component(it) == Some("operator"))?;
    let pod = operator.spec.as_ref()?.template.spec.as_ref()?;
    let mut variables = pod.containers.iter().flat_map(|it| it.env.iter().flatten());
    let said = variables.find(|it| it.name == "HOSTFIT_AGENTS")?;
    let are_enabled = said.value.as_deref().is_some_and(|it| it != "off");
    let namespace = operator.namespace().unwrap_or_default();
    are_enabled.then(|| format!("-n {namespace} -l app.kubernetes.io/component=agent"))
}
