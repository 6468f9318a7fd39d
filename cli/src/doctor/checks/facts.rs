//! What is known of nodes, and which registries tell nothing.

use std::collections::{BTreeMap, BTreeSet};

use hostfit_crds::names;
use hostfit_engine::finding::Code;
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

/// Codes of registries that tell nothing.
const OF_REGISTRIES: [Code; 3] = [Code::HF901, Code::HF902, Code::HF907];

pub(super) fn registries(read: &Read) -> Group {
    let mut group = Group::new("registries");
    let reports = match &read.reports {
        Ok(reports) => reports,
        Err(why) => {
            group.unseen("registries", "registries", why);
            return group;
        }
    };
    // What is found, how to mend it, and who is concerned.
    let mut troubles: BTreeMap<(&str, &str, &str), BTreeSet<String>> = BTreeMap::new();
    for report in reports {
        let findings = report.status.iter().flat_map(|it| &it.findings);
        for finding in
            findings.filter(|it| OF_REGISTRIES.iter().any(|code| code.as_str() == it.code))
        {
            let what = finding.message.trim_start_matches("image not checked: ");
            let who = format!(
                "{}/{}",
                report.namespace().unwrap_or_default(),
                report.spec.target_ref.name
            );
            let key = (finding.code.as_str(), what, finding.remediation.as_str());
            troubles.entry(key).or_default().insert(who);
        }
    }
    match troubles.is_empty() {
        true if reports.is_empty() => {
            group.unseen("registries", "registries", "there is no report yet")
        }
        true => group.fine(
            "registries",
            format!("all registries of {} reports answer", reports.len()),
        ),
        false => {}
    }
    for ((code, what, fix), who) in troubles {
        let who: Vec<_> = who.into_iter().collect();
        group.problem(
            "registries",
            format!("{what} ({code}, used by {})", few(&who)),
            fix,
        );
    }
    group
}
