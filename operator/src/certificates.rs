//! Keeps the webhook's certificate in a Secret and its authority in the webhook configurations: issued, renewed,
//! and put back within seconds if somebody wipes it.
//!
//! This runs before all else and needs no CRD. The chart never sets caBundle: the field is owned here.

use std::time::Duration;

use hostfit_crds::names;
use hostfit_process::client::{CALL, within};
use hostfit_process::{Condition, Shutdown};
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Api, Client, Resource};
use serde_json::json;
use time::OffsetDateTime;
use tracing::{info, warn};

use crate::apply::Writer;

mod issue;

use issue::{Live, Wishes};

/// How often everything is looked at. A caBundle that was wiped is back after this.
const PERIOD: Duration = Duration::from_secs(5);

/// What the certificates are for.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) namespace: String,
    pub(crate) secret: String,
    pub(crate) service: String,
    pub(crate) configuration: String,
    pub(crate) owner: Option<OwnerReference>,
    pub(crate) leaf_lifetime: Duration,
    pub(crate) ca_lifetime: Duration,
}

impl Target {
    fn wishes(&self) -> Wishes {
        let (service, namespace) = (&self.service, &self.namespace);
        Wishes {
            names: vec![
                format!("{service}.{namespace}.svc"),
                format!("{service}.{namespace}.svc.cluster.local"),
            ],
            leaf_lifetime: self.leaf_lifetime,
            ca_lifetime: self.ca_lifetime,
        }
    }
}

/// Runs until shutdown. Only the leader writes; everybody tells by `ready` whether what is there is good.
pub(crate) async fn run(
    client: Client,
    target: Target,
    writer: Writer,
    ready: Condition,
    shutdown: Shutdown,
) {
    let mut last = String::new();
    while !shutdown.is_cancelled() {
        let outcome = once(&client, &target, &writer).await;
        let problem = match &outcome {
            Ok(true) => {
                ready.set_ready();
                String::new()
            }
            Ok(false) => "waiting for the leader to issue the certificate".to_owned(),
            Err(error) => error.to_string(),
        };
        if !problem.is_empty() {
            ready.set_unready(problem.as_str());
        }
        if problem != last {
            match problem.as_str() {
                "" => info!("the webhook's certificate and caBundle are in place"),
                problem => warn!(problem, "certificates"),
            }
            last = problem;
        }
        let pause = if outcome.is_ok_and(|good| good) {
            PERIOD
        } else {
            Duration::from_secs(1)
        };
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{doing}: {source}")]
    Api {
        doing: &'static str,
        source: kube::Error,
    },
    #[error("issue a certificate: {0}")]
    Issue(#[from] rcgen::Error),
}

/// Looks once, and writes what is missing. Whether everything is in place.
async fn once(client: &Client, target: &Target, writer: &Writer) -> Result<bool, Error> {
    let failed = |doing| move |source| Error::Api { doing, source };
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &target.namespace);
    let secret = within(CALL, secrets.get_opt(&target.secret))
        .await
        .map_err(failed("read the Secret"))?;
    let current = secret
        .as_ref()
        .and_then(|secret| secret.data.clone())
        .unwrap_or_default();
    let mutating: Option<MutatingWebhookConfiguration> = within(
        CALL,
        Api::all(client.clone()).get_opt(&target.configuration),
    )
    .await
    .map_err(failed("read the MutatingWebhookConfiguration"))?;
    let validating: Option<ValidatingWebhookConfiguration> = within(
        CALL,
        Api::all(client.clone()).get_opt(&target.configuration),
    )
    .await
    .map_err(failed("read the ValidatingWebhookConfiguration"))?;
    let bundle = current.get(issue::BUNDLE).cloned().unwrap_or_default();
    let trusted = mutating.as_ref().is_none_or(|it| it.all_trust(&bundle))
        && validating.as_ref().is_none_or(|it| it.all_trust(&bundle));
    let live = validating
        .as_ref()
        .and_then(|it| it.bundles().into_iter().flatten().next());
    if !writer.leads() {
        return Ok(trusted && current.contains_key(issue::LEAF));
    }
    let live = Live {
        bundle: live.map(|bundle| bundle.0.as_slice()).unwrap_or_default(),
        is_current: trusted,
    };
    let material = issue::renew(&current, &target.wishes(), live, OffsetDateTime::now_utc())?;
    if material.changed {
        let mut secret = Secret {
            data: Some(material.data.clone()),
            type_: Some("Opaque".to_owned()),
            ..Secret::default()
        };
        secret.metadata.name = Some(target.secret.clone());
        secret.metadata.namespace = Some(target.namespace.clone());
        secret.metadata.owner_references = target.owner.clone().map(|owner| vec![owner]);
        writer
            .secret(&secret)
            .await
            .map_err(failed("write the Secret"))?;
        info!(secret = target.secret, "certificate issued");
    }
    let bundle = ByteString(material.bundle().to_vec());
    put(writer, mutating.as_ref(), &bundle)
        .await
        .map_err(failed("write the caBundle"))?;
    put(writer, validating.as_ref(), &bundle)
        .await
        .map_err(failed("write the caBundle"))?;
    Ok(true)
}

async fn put<K>(writer: &Writer, configuration: Option<&K>, bundle: &ByteString) -> kube::Result<()>
where
    K: Webhooks
        + Resource<Scope = k8s_openapi::ClusterResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    let Some(configuration) = configuration.filter(|it| !it.all_trust(bundle)) else {
        return Ok(());
    };
    let webhook = |name| json!({"name": name, "clientConfig": {"caBundle": bundle}});
    let patch = json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": {"name": configuration.meta().name, "uid": configuration.meta().uid},
        "webhooks": configuration.names().into_iter().map(webhook).collect::<Vec<_>>(),
    });
    writer
        .webhooks(configuration, names::CA_MANAGER, &patch)
        .await
        .map(drop)
}

/// What the two kinds of webhook configurations have in common.
trait Webhooks {
    fn names(&self) -> Vec<&str>;
    fn bundles(&self) -> Vec<Option<&ByteString>>;

    fn all_trust(&self, bundle: &ByteString) -> bool {
        !bundle.0.is_empty() && self.bundles().into_iter().all(|it| it == Some(bundle))
    }
}

macro_rules! webhooks {
    ($kind:ty) => {
        impl Webhooks for $kind {
            fn names(&self) -> Vec<&str> {
                self.webhooks
                    .iter()
                    .flatten()
                    .map(|webhook| webhook.name.as_str())
                    .collect()
            }

            fn bundles(&self) -> Vec<Option<&ByteString>> {
                let webhooks = self.webhooks.iter().flatten();
                webhooks
                    .map(|webhook| webhook.client_config.ca_bundle.as_ref())
                    .collect()
            }
        }
    };
}

webhooks!(MutatingWebhookConfiguration);
webhooks!(ValidatingWebhookConfiguration);
