//! What an install says of itself: the names under which its parts are found.

use std::collections::BTreeSet;

use hostfit_crds::names;
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt as _;

use super::Read;

/// Start of the names of the chart's volumes for `registry.listed`.
const LISTED: &str = "pull-secret-";

/// The webhooks of the chart.
pub(in crate::doctor) fn is_ours(name: &str) -> bool {
    name.ends_with(&format!(".{}", names::GROUP))
}

impl Read {
    /// Namespace, name and path of the Service that the API server calls.
    pub(in crate::doctor) fn service(&self) -> Option<(String, String, Option<String>)> {
        let configurations = self.validating.as_ref().ok()?;
        let mut hooks = configurations
            .iter()
            .flat_map(|it| it.webhooks.iter().flatten());
        let hook = hooks.find(|it| is_ours(&it.name))?;
        let service = hook.client_config.service.clone()?;
        Some((service.namespace, service.name, service.path))
    }

    /// Namespaces of all releases.
    pub(super) fn namespaces(&self) -> BTreeSet<String> {
        let deployments = self.deployments.iter().flatten();
        deployments.filter_map(|it| it.namespace()).collect()
    }

    /// Namespace and name of the Secret of the certificate, as the webhook mounts it.
    pub(super) fn secret_name(&self) -> Option<(String, String)> {
        let deployments = self.deployments.as_ref().ok()?;
        let name = |it: &Deployment| {
            let volumes = &it.spec.as_ref()?.template.spec.as_ref()?.volumes;
            let mut volumes = volumes.iter().flatten();
            let secret = volumes.find_map(|it| {
                it.secret
                    .as_ref()?
                    .secret_name
                    .clone()
                    .filter(|_| it.name == "tls")
            })?;
            Some((it.namespace()?, secret))
        };
        deployments.iter().find_map(name)
    }

    /// Namespace and name of each Secret that `registry.listed` names, as the pods mount them.
    pub(super) fn listed_secrets(&self) -> BTreeSet<(String, String)> {
        let of = |it: &Deployment| {
            let namespace = it.namespace().unwrap_or_default();
            let pod = it.spec.as_ref().and_then(|it| it.template.spec.as_ref());
            let volumes = pod.iter().flat_map(|it| it.volumes.iter().flatten());
            let listed = volumes.filter(|it| it.name.starts_with(LISTED));
            let names = listed.filter_map(|it| it.secret.as_ref()?.secret_name.clone());
            names
                .map(|name| (namespace.clone(), name))
                .collect::<Vec<_>>()
        };
        self.deployments.iter().flatten().flat_map(of).collect()
    }

    /// Namespaces of which the API server does not ask us.
    pub(super) fn excluded(&self) -> Vec<String> {
        let configurations = self.validating.iter().flatten();
        let hooks = configurations.flat_map(|it| it.webhooks.iter().flatten());
        let selectors = hooks.filter_map(|it| it.namespace_selector.as_ref());
        let demands = selectors.flat_map(|it| it.match_expressions.iter().flatten());
        let names = demands.filter(|it| it.operator == "NotIn");
        names
            .flat_map(|it| it.values.clone().unwrap_or_default())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::LISTED;

    #[test]
    fn volumes_of_listed_secrets_are_named_as_the_chart_does() {
        let chart = include_str!("../../../../charts/hostfit/templates/_pod.tpl");
        let named = format!("- name: {LISTED}{{{{ $index }}}}\n  secret:\n    secretName:");
        assert!(chart.contains(&named), "{named}");
    }
}
