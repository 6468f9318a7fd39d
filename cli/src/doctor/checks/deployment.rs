//! The Deployments of an install: which releases there are, and whether their pods are ready.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt as _;

use super::super::read::Read;
use super::Group;
use super::rights::component;

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

/// Whether all pods of a Deployment are ready.
pub(super) fn available(deployment: &Deployment, section: &'static str, group: &mut Group) {
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
    let look = format!(
        "kubectl -n {namespace} describe deploy/{name}; kubectl -n {namespace} logs deploy/{name} tells what it waits for"
    );
    match (ready, wanted) {
        (_, 0) => group.problem(
            section,
            format!("{name} is scaled to 0"),
            format!("kubectl -n {namespace} scale deploy/{name} --replicas 1"),
        ),
        (0, _) => group.problem(section, format!("{name}: none of {wanted} is ready"), look),
        (ready, wanted) if ready < wanted => {
            group.warning(section, format!("{name} {ready}/{wanted}"), look);
        }
        _ => group.fine(section, format!("{name} {ready}/{wanted}")),
    }
}
