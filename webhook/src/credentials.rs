//! What may be shown to registries for the images of one pod.

use hostfit_crds::workload::PullSecretNames;
use hostfit_engine::fact::Withheld;
use hostfit_process::{Looked, PodSecrets};
use hostfit_registry::{Named, PodCredentials, PullSecret, PullSecrets};

/// The mounted pull secrets, and those of pods.
pub(crate) struct Secrets {
    pub(crate) mounted: PullSecrets,
    pub(crate) of_pods: PodSecrets,
}

impl Secrets {
    /// By what is known now: no API call.
    pub(crate) fn of(&self, namespace: &str, names: &PullSecretNames) -> PodCredentials {
        let all = self.mounted.current();
        if !self.of_pods.are_used() {
            return PodCredentials::from((*all).clone());
        }
        let names = self.of_pods.named(namespace, &names.account, &names.own);
        let looked = names.iter().map(|name| self.of_pods.look(namespace, name));
        let looked: Vec<_> = looked.collect();
        let named = names.iter().map(String::as_str);
        PodCredentials::new(&all, namespace, named.zip(looked.iter().map(named_by)))
    }
}

fn named_by(looked: &Looked) -> Named<'_> {
    match looked {
        Looked::There(secret) => Named::There(PullSecret::new(secret.is_legacy(), secret.data())),
        Looked::NotPermitted => Named::Withheld(Withheld::NotPermitted),
        Looked::NotThere => Named::Withheld(Withheld::NotThere),
        Looked::NotYet => Named::Withheld(Withheld::NotYet),
    }
}
