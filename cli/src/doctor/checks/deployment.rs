//! The Deployments of an install: which releases there are, and whether their pods are ready.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt as _;

use super::super::read::Read;
use super::Group;
use super::pods::trouble;
use super::rights::component;

/// What to do where nothing of Hostfit is here.
pub(super) const INSTALL: &str = "helm install hostfit charts/hostfit -n hostfit --create-namespace; or do without it: hostfit check -A";

/// Pods that the chart makes of a component, if the values do not say otherwise.
fn replicas(component: Option<&str>) -> u8 {
    match component {
        Some("webhook") => 2,
        _ => 1,
    }
}

/// Namespace and name of each release.
pub(super) fn releases(read: &Read) -> Vec<String> {
    let deployments = read.deployments.iter().flatten();
    let name = |it: &Deployment| {
        let instance = it.labels().get("app.kubernetes.io/instance")?;
        Some(format!("{}/{instance}", it.namespace()?))
    };
    let all: BTreeSet<_> = deployments.filter_map(name).collect();
    all.into_iter().collect()
}

/// Whether nothing of Hostfit is here; not where that could not be looked at.
pub(super) fn is_absent(read: &Read) -> bool {
    read.deployments.as_ref().is_ok_and(Vec::is_empty)
}

/// How the operator starts anew.
pub(super) fn restart(read: &Read) -> String {
    let mut deployments = read.deployments.iter().flatten();
    let operator = deployments.find(|it| component(it) == Some("operator"));
    let restart = |it: &Deployment| {
        let namespace = it.namespace().unwrap_or_default();
        let name = it.name_any();
        format!("kubectl -n {namespace} rollout restart deploy/{name}")
    };
    operator.map_or_else(|| "start the operator".to_owned(), restart)
}

/// Whether all pods of a Deployment are ready; else why not, as far as the pods tell.
pub(super) fn available(
    deployment: &Deployment,
    read: &Read,
    section: &'static str,
    group: &mut Group,
) {
    let wanted = deployment
        .spec
        .as_ref()
        .and_then(|it| it.replicas)
        .unwrap_or(1);
    let ready = deployment
        .status
        .as_ref()
        .and_then(|it| it.ready_replicas)
        .unwrap_or(0);
    let name = deployment.name_any();
    let namespace = deployment.namespace().unwrap_or_default();
    let labels = deployment
        .spec
        .iter()
        .flat_map(|it| it.selector.match_labels.iter().flatten());
    // The name of the chart says nothing beside the release's, and lines are short.
    let labels = labels.filter(|(label, _)| *label != "app.kubernetes.io/name");
    let labels: Vec<_> = labels
        .map(|(label, value)| format!("{label}={value}"))
        .collect();
    let look = format!(
        "kubectl -n {namespace} describe pods -l {} tells why they do not start; kubectl -n {namespace} logs deploy/{name} what a started one waits for",
        labels.join(",")
    );
    let component = component(deployment);
    let scale = format!(
        "kubectl -n {namespace} scale deploy/{name} --replicas {}, or what your values say ({}.replicas)",
        replicas(component),
        component.unwrap_or_default()
    );
    // Who may not read them is told where to look all the same.
    let pods = read.pods.as_deref().unwrap_or_default();
    let why = trouble(deployment, pods);
    let because = |says: String| match &why {
        Some(why) => format!("{says}; {why}"),
        None => says,
    };
    match (ready, wanted) {
        (_, 0) => group.problem(section, format!("{name} is scaled to 0"), scale),
        (0, _) => {
            let says = format!("{name}: none of {wanted} is ready");
            group.problem(section, because(says), look);
        }
        (ready, wanted) if ready < wanted => {
            group.warning(section, because(format!("{name} {ready}/{wanted}")), look);
        }
        // Pods of before an upgrade go on while the new ones fail.
        _ if why.is_some() => {
            let says = format!("{name} {ready}/{wanted}, and a new pod does not become ready");
            group.warning(section, because(says), look);
        }
        _ => group.fine(section, format!("{name} {ready}/{wanted}")),
    }
}

#[cfg(test)]
mod tests {
    use super::replicas;

    #[test]
    fn replicas_are_those_of_the_chart() {
        let values = include_str!("../../../../charts/hostfit/values.yaml");
        for component in ["webhook", "operator"] {
            let (_, values) = values.split_once(&format!("\n{component}:\n")).unwrap();
            let (_, value) = values.split_once("\n  replicas: ").unwrap();
            let value = value.lines().next().unwrap();
            assert_eq!(value, replicas(Some(component)).to_string(), "{component}");
        }
    }
}
