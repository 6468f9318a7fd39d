//! `[NAMESPACE/]TYPE/NAME`: a workload, as kubectl's users write it.

use std::fmt;
use std::str::FromStr;

use hostfit_crds::names::kind_abbreviation;

/// Which workload is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// Else that of `-n`.
    pub(crate) namespace: Option<String>,
    kind: String,
    name: String,
}

impl Target {
    /// Whether a workload is meant.
    pub(crate) fn is(&self, namespace: &str, kind: &str, name: &str) -> bool {
        let in_place = self.namespace.as_deref().is_none_or(|it| it == namespace);
        in_place && self.name == name && self.is_kind(kind)
    }

    /// `deploy`, `deployment`, `deployments` and `deployments.apps` are one.
    fn is_kind(&self, kind: &str) -> bool {
        let written = self.kind.to_lowercase();
        let written = written.split('.').next().unwrap_or_default();
        let (whole, short) = (kind.to_lowercase(), kind_abbreviation(kind));
        let shorter = match kind {
            "Pod" => "po",
            "CronJob" => "cj",
            _ => "",
        };
        [whole.as_str(), &short, shorter].contains(&written)
            || written.strip_suffix('s') == Some(&whole)
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<_> = text.split('/').collect();
        let (namespace, kind, name) = match parts[..] {
            [kind, name] => (None, kind, name),
            [namespace, kind, name] => (Some(namespace), kind, name),
            _ => return Err("write TYPE/NAME, for example deploy/search".to_owned()),
        };
        if [Some(kind), Some(name), namespace].contains(&Some("")) {
            return Err("write TYPE/NAME, for example deploy/search".to_owned());
        }
        Ok(Self {
            namespace: namespace.map(str::to_owned),
            kind: kind.to_owned(),
            name: name.to_owned(),
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

/// `deploy/search`: what messages call a workload, and what can be written as a target.
pub(crate) fn short(kind: &str, name: &str) -> String {
    format!("{}/{name}", kind_abbreviation(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(written: &str, kind: &str, expected: bool) {
        let target: Target = written.parse().unwrap();
        assert_eq!(target.is("shop", kind, "x"), expected, "{written} {kind}");
    }

    #[test]
    fn types_are_written_as_for_kubectl() {
        for written in [
            "deploy/x",
            "deployment/x",
            "Deployment/x",
            "deployments.apps/x",
            "shop/deploy/x",
        ] {
            check(written, "Deployment", true);
        }
        check("sts/x", "StatefulSet", true);
        check("cj/x", "CronJob", true);
        check("po/x", "Pod", true);
        check("rollout/x", "Rollout", true);
        check("deploy/x", "DaemonSet", false);
        check("other/deploy/x", "Deployment", false);
        check("deploy/y", "Deployment", false);
        for wrong in ["search", "deploy/", "/x", "a/b/c/d"] {
            assert!(wrong.parse::<Target>().is_err(), "{wrong}");
        }
    }
}
