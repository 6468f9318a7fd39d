//! The rights that Hostfit needs, as the chart gives them, and those that an install takes.

use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt as _;

/// A right of an account, or of the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::doctor) struct Right {
    /// Namespace and name of the service account; the user's own right, if there is none.
    account: Option<(String, String)>,
    pub(in crate::doctor) verb: &'static str,
    pub(in crate::doctor) group: &'static str,
    pub(in crate::doctor) resource: &'static str,
    pub(in crate::doctor) subresource: &'static str,
    pub(in crate::doctor) namespace: Option<String>,
    pub(in crate::doctor) name: Option<String>,
}

impl Right {
    /// The user that the API server knows the account as.
    pub(in crate::doctor) fn user(&self) -> String {
        match &self.account {
            Some((namespace, name)) => format!("system:serviceaccount:{namespace}:{name}"),
            None => String::new(),
        }
    }

    /// `hostfit-operator: list nodes`
    pub(super) fn says(&self) -> String {
        let mut what = self.resource.to_owned();
        if !self.subresource.is_empty() {
            what = format!("{what}/{}", self.subresource);
        }
        if !self.group.is_empty() {
            what = format!("{what}.{}", self.group);
        }
        match &self.account {
            Some((_, name)) => format!("{name}: {} {what}", self.verb),
            None => format!("{} {what}", self.verb),
        }
    }
}

const HOSTFIT: &str = hostfit_crds::names::GROUP;
/// Group, resource and verbs of what both read.
const READ_BY_BOTH: [(&str, &str); 10] = [
    ("", "nodes"),
    ("", "namespaces"),
    ("node.k8s.io", "runtimeclasses"),
    (HOSTFIT, "hostprofiles"),
    (HOSTFIT, "nodeprofiles"),
    (HOSTFIT, "baseimages"),
    (HOSTFIT, "imageprofiles"),
    (HOSTFIT, "supportmatrices"),
    (HOSTFIT, "compatreports"),
    (HOSTFIT, "compatexceptions"),
];
/// What only the operator reads.
const READ_BY_OPERATOR: [(&str, &str); 8] = [
    ("", "pods"),
    ("apps", "deployments"),
    ("apps", "statefulsets"),
    ("apps", "daemonsets"),
    ("apps", "replicasets"),
    ("batch", "jobs"),
    ("batch", "cronjobs"),
    (HOSTFIT, "clustercompatreports"),
];
/// What it writes.
const WRITTEN: [(&str, &str, &str); 8] = [
    ("create", "hostprofiles", ""),
    ("create", "nodeprofiles", ""),
    ("create", "compatreports", ""),
    ("create", "clustercompatreports", ""),
    ("patch", "hostprofiles", "status"),
    ("patch", "nodeprofiles", "status"),
    ("patch", "compatreports", "status"),
    ("patch", "clustercompatreports", "status"),
];

/// What the accounts of these Deployments need.
pub(in crate::doctor) fn of(deployments: &[Deployment]) -> Vec<Right> {
    let mut all = Vec::new();
    for deployment in deployments {
        let pod = deployment
            .spec
            .as_ref()
            .and_then(|it| it.template.spec.as_ref());
        let account = pod.and_then(|it| it.service_account_name.clone());
        let (Some(account), Some(namespace)) = (account, deployment.namespace()) else {
            continue;
        };
        let account = Some((namespace, account));
        let right = |verb, group, resource, subresource| Right {
            account: account.clone(),
            verb,
            group,
            resource,
            subresource,
            namespace: None,
            name: None,
        };
        let is_operator = component(deployment) == Some("operator");
        if !is_operator && component(deployment) != Some("webhook") {
            continue;
        }
        for verb in ["list", "watch"] {
            let both = READ_BY_BOTH.iter();
            let own = READ_BY_OPERATOR.iter().filter(|_| is_operator);
            all.extend(
                both.chain(own)
                    .map(|(group, resource)| right(verb, group, resource, "")),
            );
        }
        if is_operator {
            let written = WRITTEN.iter();
            all.extend(written.map(|(verb, resource, part)| right(verb, HOSTFIT, resource, part)));
            for resource in [
                "mutatingwebhookconfigurations",
                "validatingwebhookconfigurations",
            ] {
                for verb in ["get", "patch"] {
                    all.push(Right {
                        name: full_name(deployment),
                        ..right(verb, "admissionregistration.k8s.io", resource, "")
                    });
                }
            }
        }
    }
    all
}

/// What a user needs to install the chart.
pub(in crate::doctor) fn of_install() -> Vec<Right> {
    let needed = [
        ("apiextensions.k8s.io", "customresourcedefinitions"),
        (
            "admissionregistration.k8s.io",
            "mutatingwebhookconfigurations",
        ),
        (
            "admissionregistration.k8s.io",
            "validatingwebhookconfigurations",
        ),
        ("rbac.authorization.k8s.io", "clusterroles"),
        ("rbac.authorization.k8s.io", "clusterrolebindings"),
        ("", "namespaces"),
        ("apps", "deployments"),
    ];
    let right = |(group, resource)| Right {
        account: None,
        verb: "create",
        group,
        resource,
        subresource: "",
        namespace: None,
        name: None,
    };
    needed.into_iter().map(right).collect()
}

/// `operator`, `webhook` or `agent`.
pub(super) fn component(deployment: &Deployment) -> Option<&str> {
    let label = deployment.labels().get("app.kubernetes.io/component")?;
    Some(label)
}

/// The first part of the names of a release.
fn full_name(deployment: &Deployment) -> Option<String> {
    let name = deployment.name_any();
    name.strip_suffix("-operator").map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Verbs on resources that a role of the chart gives.
    fn given(role: &str) -> BTreeSet<(String, String)> {
        let list = |line: &str, name: &str| -> Option<Vec<String>> {
            let inner = line
                .trim()
                .strip_prefix(&format!("{name}: ["))?
                .strip_suffix(']')?;
            Some(inner.split(", ").map(str::to_owned).collect())
        };
        let mut resources = Vec::new();
        let mut all = BTreeSet::new();
        for line in role.lines() {
            if let Some(listed) = list(line, "resources") {
                resources = listed;
            }
            for verb in list(line, "verbs").unwrap_or_default() {
                all.extend(resources.iter().map(|it| (verb.clone(), it.clone())));
            }
        }
        all
    }

    fn needed(component: &str) -> BTreeSet<(String, String)> {
        let deployment = serde_json::json!({
            "metadata": {"name": format!("hostfit-{component}"), "namespace": "hostfit", "labels": {"app.kubernetes.io/component": component}},
            "spec": {"selector": {}, "template": {"spec": {"serviceAccountName": "hostfit", "containers": []}}},
        });
        let rights = of(&[serde_json::from_value(deployment).unwrap()]);
        let rights = rights.into_iter().map(|it| {
            let part = match it.subresource {
                "" => String::new(),
                part => format!("/{part}"),
            };
            (it.verb.to_owned(), format!("{}{part}", it.resource))
        });
        rights.collect()
    }

    #[test]
    fn what_is_asked_for_is_what_the_chart_gives() {
        let operator = include_str!("../../../../charts/hostfit/templates/operator/rbac.yaml");
        let webhook = include_str!("../../../../charts/hostfit/templates/webhook/rbac.yaml");
        // Only with node-feature-discovery, or with pull secrets of pods.
        let optional = ["nodefeatures", "secrets", "serviceaccounts"];
        for (component, role) in [("operator", operator), ("webhook", webhook)] {
            let (given, needed) = (given(role), needed(component));
            let more: Vec<_> = needed.difference(&given).collect();
            assert!(more.is_empty(), "{component} is not given {more:?}");
            let read = |(verb, resource): &&(String, String)| {
                ["list", "watch"].contains(&&**verb) && !optional.contains(&&**resource)
            };
            let forgotten: Vec<_> = given.difference(&needed).filter(read).collect();
            assert!(
                forgotten.is_empty(),
                "{component}: {forgotten:?} is not asked for"
            );
        }
    }
}
