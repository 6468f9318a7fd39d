//! Which registries tell nothing: of images in use, and of the BaseImages that are followed.

use std::collections::{BTreeMap, BTreeSet};

use hostfit_crds::{BaseImage, Condition, names};
use hostfit_engine::finding::Code;
use kube::ResourceExt as _;

use super::super::read::Read;
use super::{Group, few};

pub(super) fn registries(read: &Read) -> Group {
    let mut group = Group::new("registries");
    listed(read, &mut group);
    reports(read, &mut group);
    bases(read, &mut group);
    group
}

/// Secrets that are named for it and are not there; kubelets start the pods without.
fn listed(read: &Read, group: &mut Group) {
    let listed = match &read.listed {
        Ok(listed) => listed,
        Err(why) => return group.unseen("registries", "Secrets of registry.listed", why),
    };
    let missing: Vec<_> = missing(listed).collect();
    let Some((namespace, name)) = missing.first() else {
        return;
    };
    let names = missing
        .iter()
        .map(|(namespace, name)| format!("{namespace}/{name}"));
    let names: Vec<_> = names.collect();
    group.problem(
        "registries",
        format!("registry.listed names Secrets that are not there: {}", few(&names)),
        format!("kubectl -n {namespace} create secret docker-registry {name} --docker-server=… --docker-username=… --docker-password=…"),
    );
}

/// Namespace and name of each Secret that is not there.
fn missing(listed: &[(String, String, bool)]) -> impl Iterator<Item = (&str, &str)> {
    let missing = listed.iter().filter(|(_, _, is_there)| !is_there);
    missing.map(|(namespace, name, _)| (namespace.as_str(), name.as_str()))
}

/// Codes of registries that tell nothing.
const OF_REGISTRIES: [Code; 3] = [Code::HF901, Code::HF902, Code::HF907];

/// What the reports said when they were written: no registry is asked here.
fn reports(read: &Read, group: &mut Group) {
    let reports = match &read.reports {
        Ok(reports) => reports,
        Err(why) => return group.unseen("registries", "registries", why),
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
            format!(
                "all registries answered, as of the {} reports",
                reports.len()
            ),
        ),
        false => {}
    }
    let lacks_secrets = read
        .listed
        .as_ref()
        .is_ok_and(|it| missing(it).next().is_some());
    for ((code, what, fix), who) in troubles {
        let who: Vec<_> = who.into_iter().collect();
        // To name one more helps nobody, as long as those that are named are not there.
        let fix = match lacks_secrets && fix.contains("registry.listed") {
            true => "first make the Secrets that registry.listed names (above)",
            false => fix,
        };
        group.problem(
            "registries",
            format!("{what} ({code}, used by {})", few(&who)),
            fix,
        );
    }
}

/// Whether the BaseImages can be followed.
fn bases(read: &Read, group: &mut Group) {
    let bases = match &read.bases {
        Ok(bases) => bases,
        Err(why) => return group.unseen("registries", "BaseImages", why),
    };
    let unread = bases.iter().filter_map(|it| Some((it, unread(it)?)));
    let (partly, wholly): (Vec<_>, Vec<_>) = unread.partition(|(it, _)| has_chains(it));
    let all = bases.len();
    if let Some((first, why)) = wholly.first() {
        group.warning(
            "registries",
            format!("{} of {all} BaseImages could not be read ({}: {why})", wholly.len(), first.name_any()),
            "let hostfit reach their registries (registry.mirrors, registry.allow, registry.listed), or take them out of baseImages and delete them: nothing is proven to stand on them",
        );
    }
    if let Some((first, why)) = partly.first() {
        let name = first.name_any();
        group.warning(
            "registries",
            format!("not every tag of {} of {all} BaseImages could be read ({name}: {why})", partly.len()),
            format!("kubectl describe baseimage {name}; take out of spec.tags what is gone, or let hostfit reach the registry"),
        );
    }
    if all > 0 && bases.iter().all(is_followed) {
        group.fine("registries", format!("all BaseImages are followed: {all}"));
    }
}

fn ready(base: &BaseImage) -> Option<&Condition> {
    let mut conditions = base.status.iter().flat_map(|it| &it.conditions);
    conditions.find(|it| it.type_ == names::READY)
}

/// Why not every tag could be read. Nothing of one that was not looked at yet.
fn unread(base: &BaseImage) -> Option<&str> {
    let ready = ready(base).filter(|it| it.status == "False")?;
    Some(&ready.message)
}

fn is_followed(base: &BaseImage) -> bool {
    ready(base).is_some_and(|it| it.status == "True")
}

fn has_chains(base: &BaseImage) -> bool {
    base.status.as_ref().is_some_and(|it| !it.chains.is_empty())
}
