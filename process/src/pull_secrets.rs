//! The pull secrets that pods name, of a few namespaces. Each of these is watched on its own, so that no right on any
//! other is needed; what is in a Secret besides a login for registries is not kept.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::core::ObjectMeta;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use kube::{Api, Client, Resource};
use serde::Deserialize;
use tracing::Instrument as _;

use crate::watch::{Watched, watch};
use crate::{Changed, Health, Shutdown, Tasks};

/// Pull secrets of one pod that are looked up.
const MOST: usize = 16;

/// The pull secrets of the namespaces that somebody named, and what their service accounts name. Cheap to clone.
#[derive(Clone)]
pub struct PodSecrets {
    namespaces: Arc<BTreeMap<String, Namespace>>,
    changed: Changed,
}

struct Namespace {
    secrets: Vec<Watched<PullSecret>>,
    accounts: Watched<Account>,
}

/// What came of looking for a pull secret.
#[derive(Debug, Clone, PartialEq)]
pub enum Looked {
    /// Here it is.
    There(Arc<PullSecret>),
    /// Its namespace is not one of those whose secrets may be read.
    NotPermitted,
    /// The namespace has none of this name that holds a login for registries.
    NotThere,
    /// The secrets of the namespace have not been listed yet, or may not be.
    NotYet,
}

impl PodSecrets {
    /// Watches these namespaces, by background tasks. They are of no weight for the readiness of the process: a namespace
    /// may be deleted, and the right on it with it.
    pub fn watch(client: &Client, namespaces: &[String], tasks: &mut Tasks) -> Self {
        let changed = Changed::default();
        let watched = |namespace: &String| {
            let mut secrets = |type_: &str| {
                let config = watcher::Config::default().fields(&format!("type={type_}"));
                followed(client, namespace, config, &changed, tasks)
            };
            let secrets =
                ["kubernetes.io/dockerconfigjson", "kubernetes.io/dockercfg"].map(&mut secrets);
            let accounts = followed(
                client,
                namespace,
                watcher::Config::default(),
                &changed,
                tasks,
            );
            let watched = Namespace {
                secrets: secrets.into(),
                accounts,
            };
            (namespace.clone(), watched)
        };
        Self {
            namespaces: Arc::new(namespaces.iter().map(watched).collect()),
            changed: changed.clone(),
        }
    }

    /// Whether pull secrets of pods are used at all.
    pub fn are_used(&self) -> bool {
        !self.namespaces.is_empty()
    }

    /// Fired when one of them has changed.
    pub fn changed(&self) -> &Changed {
        &self.changed
    }

    /// The names of the secrets of a pod: its own, else those of its service account, which the API server copies into
    /// a pod that has none.
    pub fn named(&self, namespace: &str, account: &str, own: &[String]) -> Vec<String> {
        let mut names = own.to_vec();
        if names.is_empty()
            && let Some(watched) = self.namespaces.get(namespace)
            && let Some(store) = watched.accounts.store()
            && let Some(account) = store.get(&ObjectRef::new(account).within(namespace))
        {
            names.clone_from(&account.secrets);
        }
        names.truncate(MOST);
        names
    }

    /// The secret of this name. No API call.
    pub fn look(&self, namespace: &str, name: &str) -> Looked {
        let Some(watched) = self.namespaces.get(namespace) else {
            return Looked::NotPermitted;
        };
        let stores = watched.secrets.iter().map(Watched::store);
        let reference = ObjectRef::new(name).within(namespace);
        let mut is_whole = true;
        for store in stores {
            match store.map(|store| store.get(&reference)) {
                Some(Some(secret)) => return Looked::There(secret),
                Some(None) => {}
                None => is_whole = false,
            }
        }
        match is_whole {
            true => Looked::NotThere,
            false => Looked::NotYet,
        }
    }
}

fn followed<K>(
    client: &Client,
    namespace: &str,
    config: watcher::Config,
    changed: &Changed,
    tasks: &mut Tasks,
) -> Watched<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + fmt::Debug
        + PartialEq
        + serde::de::DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    let nobodys = Health::new(Shutdown::never()).condition("pull secrets");
    let api = Api::namespaced(client.clone(), namespace);
    let (watched, follow) = watch::<K>(api, config, |_| {}, nobodys, changed.clone());
    // What it logs says of which namespace.
    let span = tracing::error_span!("pull secrets", namespace);
    tasks.background("watch pull secrets", follow.instrument(span));
    watched
}

/// A Secret, as far as it is a login for registries. `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(from = "Secret")]
pub struct PullSecret {
    metadata: ObjectMeta,
    is_legacy: bool,
    data: Box<[u8]>,
}

impl PullSecret {
    /// Whether it has the older form, `dockercfg`.
    pub fn is_legacy(&self) -> bool {
        self.is_legacy
    }

    /// The login as it is written; empty if there is none.
    pub fn data(&self) -> &[u8] {
        &self.data
    }
}

impl fmt::Debug for PullSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PullSecret(redacted)")
    }
}

impl From<Secret> for PullSecret {
    fn from(secret: Secret) -> Self {
        let mut data = secret.data.unwrap_or_default();
        let (current, legacy) = (data.remove(".dockerconfigjson"), data.remove(".dockercfg"));
        let is_legacy = current.is_none() && legacy.is_some();
        let data = current.or(legacy).map(|bytes| bytes.0);
        Self {
            metadata: kept(secret.metadata),
            is_legacy,
            data: data.unwrap_or_default().into(),
        }
    }
}

/// A service account, as far as it names pull secrets.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(from = "ServiceAccount")]
struct Account {
    metadata: ObjectMeta,
    secrets: Vec<String>,
}

impl From<ServiceAccount> for Account {
    fn from(account: ServiceAccount) -> Self {
        let secrets = account.image_pull_secrets.unwrap_or_default();
        Self {
            metadata: kept(account.metadata),
            secrets: secrets.into_iter().map(|it| it.name).collect(),
        }
    }
}

/// What a watch needs of it.
fn kept(metadata: ObjectMeta) -> ObjectMeta {
    ObjectMeta {
        name: metadata.name,
        namespace: metadata.namespace,
        uid: metadata.uid,
        resource_version: metadata.resource_version,
        ..ObjectMeta::default()
    }
}

macro_rules! resource_as {
    ($kept:ty, $kind:ty) => {
        impl Resource for $kept {
            type DynamicType = ();
            type Scope = NamespaceResourceScope;

            fn kind((): &()) -> Cow<'_, str> {
                <$kind>::kind(&())
            }
            fn group((): &()) -> Cow<'_, str> {
                <$kind>::group(&())
            }
            fn version((): &()) -> Cow<'_, str> {
                <$kind>::version(&())
            }
            fn plural((): &()) -> Cow<'_, str> {
                <$kind>::plural(&())
            }
            fn meta(&self) -> &ObjectMeta {
                &self.metadata
            }
            fn meta_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }
        }
    };
}

resource_as!(PullSecret, Secret);
resource_as!(Account, ServiceAccount);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_secret_only_the_login_is_kept_and_never_shown() {
        let json = r#"{"metadata": {"name": "a", "namespace": "shop", "labels": {"x": "y"}},
            "type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": "aHVudGVyMg==", "other": "aHVudGVyMw=="}}"#;
        let secret: PullSecret = serde_json::from_str(json).unwrap();
        assert_eq!(
            (secret.data(), secret.is_legacy()),
            (&b"hunter2"[..], false)
        );
        assert_eq!(secret.metadata.labels, None);
        assert!(
            !format!("{secret:?} {:?}", Looked::There(Arc::new(secret.clone()))).contains("hunter")
        );
        let older: PullSecret =
            serde_json::from_str(r#"{"metadata": {}, "data": {".dockercfg": "e30="}}"#).unwrap();
        assert_eq!((older.data(), older.is_legacy()), (&b"{}"[..], true));
    }
}
