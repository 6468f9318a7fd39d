//! What could not be told, in words: why, and what would settle it.

use super::{CellVerdict, Code, Finding, Severity};
use crate::fact::{Gap, Unreachable, Withheld};

impl Gap {
    /// The code under which people read of this gap.
    pub fn code(&self) -> Code {
        match self {
            Self::Unauthorized { .. } | Self::SecretNotRead { .. } => Code::HF901,
            Self::RateLimited { .. } => Code::HF902,
            Self::NothingTells | Self::ImageFactMissing { .. } => Code::HF903,
            Self::HostFactMissing { .. } => Code::HF904,
            Self::NotFetchedInTime => Code::HF905,
            Self::NotFound { .. } => Code::HF906,
            Self::Unreachable { .. } => Code::HF907,
            Self::Malformed { .. } | Self::FilesUnreadable { .. } => Code::HF908,
            Self::NoHost | Self::NotProfiled => Code::HF909,
        }
    }

    /// The finding that says we could not tell, and why, and what would settle it.
    pub fn finding(&self) -> Finding {
        let (image, host, fix) = match self {
            Self::Unauthorized { registry } => (
                format!("not checked: registry {registry} refused access"),
                None,
                "name a pull secret for it in registry.listed, or make the repository readable",
            ),
            Self::SecretNotRead {
                registry,
                secret,
                why,
            } => {
                let (is, fix) = match why {
                    Withheld::NotPermitted => (
                        "is outside registry.pullSecretNamespaces",
                        "add the pod's namespace to registry.pullSecretNamespaces",
                    ),
                    Withheld::NotThere => (
                        "is not there",
                        "make it with kubectl create secret docker-registry, in the pod's namespace",
                    ),
                    Withheld::NotYet => (
                        "has not been read yet",
                        "look again in a minute; if it stays so, read the log of hostfit about this namespace",
                    ),
                    Withheld::Unusable => (
                        "holds no login",
                        "make it again with kubectl create secret docker-registry",
                    ),
                };
                let image = format!(
                    "not checked: pull secret {secret} {is}, and registry {registry} refused access"
                );
                (image, None, fix)
            }
            Self::RateLimited { registry } => (
                format!("not checked: registry {registry} limits our rate"),
                None,
                "wait, or name a pull secret of an account with a higher limit in registry.listed",
            ),
            Self::NothingTells => (
                "not judged: nothing in it tells what it stands on".to_owned(),
                None,
                "build it on a base image, or add the annotation org.opencontainers.image.base.name",
            ),
            Self::ImageFactMissing { fact } => (
                format!(
                    "not judged: whether a row speaks of it depends on its {fact}, which nothing tells"
                ),
                None,
                "write the row with distro, distroVersion or repository, which need no files of the image",
            ),
            Self::HostFactMissing { fact } => (
                format!("not judged: whether it fits depends on the host's {fact}"),
                Some(format!("does not tell its {fact}")),
                fact.remedy(),
            ),
            Self::NotFetchedInTime => (
                "not inspected yet: its registry did not answer in time, the fetch goes on"
                    .to_owned(),
                None,
                "look at the CompatReport of the workload in a minute",
            ),
            Self::NotFound { registry } => (
                format!("not checked: registry {registry} has no such image"),
                None,
                "correct the name, tag or digest",
            ),
            Self::Unreachable { registry, why } => match why {
                Unreachable::NoAnswer => (
                    format!("not checked: registry {registry} cannot be reached"),
                    None,
                    "check the registry's name, its certificate and the network from the hostfit pods; one without TLS stands in registry.plainHTTP",
                ),
                Unreachable::NotAllowed => (
                    format!("not checked: registry {registry} may not be asked"),
                    None,
                    "add it to registry.allow if it is one of yours",
                ),
            },
            Self::Malformed { what } => (
                format!("not checked: {what}"),
                None,
                "correct the reference, or push the image again",
            ),
            Self::FilesUnreadable { what } => (
                format!("not judged by its files: {what}"),
                None,
                "build the image again, and push it",
            ),
            Self::NoHost => (
                "not judged: no host profile can take the pod as it is constrained".to_owned(),
                None,
                "compare node selector, affinity and tolerations with the nodes' labels and taints",
            ),
            Self::NotProfiled => (
                "not judged: nodes that have no host profile yet would take the pod".to_owned(),
                None,
                "wait until the operator has described new nodes; if it does not, read its log",
            ),
        };
        Finding {
            code: self.code(),
            severity: Severity::Unknown,
            verdict: CellVerdict::Unknown,
            image,
            host,
            fix: fix.to_owned(),
            evidence: None,
        }
    }
}
