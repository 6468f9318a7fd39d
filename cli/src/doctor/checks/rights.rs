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
const READ_BY_BOTH: [(&str, &str); 7] = [
    ("", "nodes"),
    ("", "namespaces"),
    (HOSTFIT, "hostprofiles"),
    (HOSTFIT, "nodeprofiles"),
    (HOSTFIT, "baseimages"),
    (HOSTFIT, "imageprofiles"),
    (HOSTFIT, "supportmatrices"),
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
    (HOSTFIT, "compatreports"),
];
/// What it writes.
const WRITTEN: [(&str, &str, &str); 6] = [
    ("create", "hostprofiles", ""),
    ("create", "nodeprofiles", ""),
    ("create", "compatreports", ""),
    ("patch", "hostprofiles", "status"),
    ("patch", "nodeprofiles", "status"),
    ("patch", "compatreports", "status"),
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
