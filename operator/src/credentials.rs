//! What may be shown to registries for the images of a workload.

use hostfit_crds::workload::PullSecretNames;
use hostfit_engine::fact::Withheld;
use hostfit_engine::image::ImageRef;
use hostfit_process::{Looked, PodSecrets};
use hostfit_registry::{Named, PodCredentials, PullSecret, PullSecrets};

/// The mounted pull secrets, and those of pods.
#[derive(Clone)]
pub(crate) struct Secrets {
    pub(crate) mounted: PullSecrets,
    pub(crate) of_pods: PodSecrets,
}

/// An image as workloads name it, and with whose pull secrets they do.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Ask {
    pub(crate) image: ImageRef,
    /// Nothing where only the mounted ones serve.
    pub(crate) puller: Option<Puller>,
}

/// Pull secrets of one namespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Puller {
    namespace: String,
    secrets: Vec<String>,
}

impl Secrets {
    /// The pull secrets of pods of a workload, if they have any and these are used.
    pub(crate) fn puller(&self, namespace: &str, names: &PullSecretNames) -> Option<Puller> {
        if !self.of_pods.are_used() {
            return None;
        }
        let secrets = self.of_pods.named(namespace, &names.account, &names.own);
        let namespace = namespace.to_owned();
        (!secrets.is_empty()).then_some(Puller { namespace, secrets })
    }

    /// By what is known now.
    pub(crate) fn of(&self, puller: Option<&Puller>) -> PodCredentials {
        let all = self.mounted.current();
        let Some(Puller { namespace, secrets }) = puller else {
            return PodCredentials::from((*all).clone());
        };
        let looked = secrets
            .iter()
            .map(|name| self.of_pods.look(namespace, name));
        let looked: Vec<_> = looked.collect();
        let named = secrets.iter().map(String::as_str);
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use hostfit_engine::fact::{Fact, Gap};
    use hostfit_process::Tasks;
    use http::{Request, Response};
    use kube::Client;
    use kube::client::Body;
    use serde_json::{Value, json};

    use super::*;

    /// What the namespace `shop` holds: a pull secret, and a service account that names it. Watches hang.
    fn answer(path: &str, query: &str) -> Option<Value> {
        let login = "eyJhdXRocyI6IHt9fQ==";
        let items = match path.strip_prefix("/api/v1/namespaces/shop/")? {
            _ if query.contains("watch=") => return None,
            "secrets" if query.contains("dockerconfigjson") => {
                json!([{"metadata": {"name": "good", "namespace": "shop"}, "data": {".dockerconfigjson": login}}])
            }
            "secrets" if query.contains("dockercfg") => json!([]),
            "serviceaccounts" => {
                json!([{"metadata": {"name": "default", "namespace": "shop"}, "imagePullSecrets": [{"name": "good"}]}])
            }
            _ => return None,
        };
        let metadata = json!({"resourceVersion": "1"});
        Some(json!({"apiVersion": "v1", "kind": "List", "metadata": metadata, "items": items}))
    }

    fn client() -> Client {
        let service = tower::service_fn(|request: Request<Body>| async move {
            let uri = request.uri();
            let Some(body) = answer(uri.path(), uri.query().unwrap_or_default()) else {
                return std::future::pending().await;
            };
            let body = Body::from(body.to_string().into_bytes());
            Ok::<_, Infallible>(Response::new(body))
        });
        Client::new(service, "default")
    }

    fn refused_with(secrets: &Secrets, puller: Option<&Puller>) -> Gap {
        let registry = "a.example".to_owned();
        let refused = Fact::Unknown(Gap::Unauthorized { registry });
        match &*secrets.of(puller).explain(refused.into()) {
            Fact::Unknown(gap) => gap.clone(),
            Fact::Known(..) => unreachable!("nothing is known"),
        }
    }

    #[tokio::test]
    async fn a_workload_has_the_secrets_of_its_template_or_of_its_account() {
        let mut tasks = Tasks::new().unwrap();
        let namespaces = ["shop".to_owned()];
        let secrets = Secrets {
            mounted: PullSecrets::load(None).unwrap(),
            of_pods: PodSecrets::watch(&client(), &namespaces, &mut tasks),
        };
        let named = |account: &str, own: &[&str]| PullSecretNames {
            account: account.to_owned(),
            own: own.iter().map(|it| (*it).to_owned()).collect(),
        };
        let by_account = named("default", &[]);
        let mut changes = secrets.of_pods.changed().subscribe();
        while secrets.puller("shop", &by_account).is_none() {
            changes.next().await;
        }
        let puller = |names: &[&str]| {
            let names = names.iter().map(|it| (*it).to_owned());
            let (namespace, secrets) = ("shop".to_owned(), names.collect());
            Some(Puller { namespace, secrets })
        };
        assert_eq!(secrets.puller("shop", &by_account), puller(&["good"]));
        let own = named("default", &["own", "good"]);
        assert_eq!(secrets.puller("shop", &own), puller(&["own", "good"]));
        assert_eq!(secrets.puller("shop", &named("other", &[])), None);
        // Of another namespace nobody knows what its accounts name.
        assert_eq!(secrets.puller("pay", &by_account), None);

        let mut plain = refused_with(&secrets, puller(&["own"]).as_ref());
        while matches!(
            &plain,
            Gap::SecretNotRead {
                why: Withheld::NotYet,
                ..
            }
        ) {
            changes.next().await;
            plain = refused_with(&secrets, puller(&["own"]).as_ref());
        }
        let of = |gap: Gap| match gap {
            Gap::SecretNotRead { secret, why, .. } => format!("{secret} {why:?}"),
            other => format!("{other:?}"),
        };
        assert_eq!(of(plain), "shop/own NotThere");
        let shown = refused_with(&secrets, puller(&["good"]).as_ref());
        assert_eq!(of(shown), r#"Unauthorized { registry: "a.example" }"#);
        let outside = secrets.puller("pay", &named("default", &["regcred"]));
        let outside = refused_with(&secrets, outside.as_ref());
        assert_eq!(of(outside), "pay/regcred NotPermitted");
    }
}
