//! An install as it is read.

use std::time::Duration;

use k8s_openapi::ByteString;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::json;

use super::super::super::read::{Call, Read};
use super::super::rights;

/// An authority, and a leaf of it for the webhook's Service that is valid so many days from now, from so many days on.
pub(super) fn certificate(from: i64, until: i64) -> (Vec<u8>, Vec<u8>) {
    let day = |days: i64| time::OffsetDateTime::now_utc() + time::Duration::hours(24 * days + 1);
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let ca = authority.clone().self_signed(&key).unwrap();
    let issuer = Issuer::new(authority, key);
    let mut leaf = CertificateParams::new(vec!["hostfit-webhook.hostfit.svc".to_owned()]).unwrap();
    (leaf.not_before, leaf.not_after) = (day(from), day(until));
    let leaf = leaf
        .signed_by(&KeyPair::generate().unwrap(), &issuer)
        .unwrap();
    (ca.pem().into_bytes(), leaf.pem().into_bytes())
}

pub(in crate::doctor::checks) fn of<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> T {
    serde_json::from_value(value).unwrap()
}

pub(in crate::doctor::checks) fn deployment(component: &str, instance: &str) -> serde_json::Value {
    json!({
        "metadata": {
            "name": format!("{instance}-{component}"), "namespace": instance,
            "labels": {
                "app.kubernetes.io/component": component, "app.kubernetes.io/instance": instance,
                "app.kubernetes.io/version": env!("CARGO_PKG_VERSION"),
            },
        },
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {
                "app.kubernetes.io/component": component, "app.kubernetes.io/instance": instance, "app.kubernetes.io/name": "hostfit",
            }},
            "template": {"spec": {
                "serviceAccountName": format!("{instance}-{component}"),
                "containers": [{"name": component, "env": [{"name": "HOSTFIT_ANNOTATE_PODS", "value": "true"}]}],
                "volumes": [{"name": "tls", "secret": {"secretName": "hostfit-webhook-tls"}}],
            }},
        },
        "status": {"readyReplicas": 2},
    })
}

/// With failurePolicy `policy` for pods; for templates it is never Fail.
pub(super) fn configuration(name: &str, bundle: &[u8], policy: &str) -> serde_json::Value {
    let webhook = |webhook: &str, policy: &str| {
        json!({
            "name": webhook, "failurePolicy": policy, "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "clientConfig": {
                "caBundle": ByteString(bundle.to_vec()),
                "service": {"namespace": "hostfit", "name": "hostfit-webhook", "path": "/validate"},
            },
        })
    };
    json!({
        "metadata": {"name": name},
        "webhooks": [webhook("pods.hostfit.dev", policy), webhook("templates.hostfit.dev", "Ignore")],
    })
}

pub(super) fn lease(node: &str, at: jiff::Timestamp) -> serde_json::Value {
    json!({"metadata": {"name": node}, "spec": {"renewTime": format!("{}", at.strftime("%Y-%m-%dT%H:%M:%S%.6fZ"))}})
}

/// A BaseImage whose condition Ready is `ready`, with a chain of each tag.
pub(super) fn base(name: &str, ready: &str, chains: &[&str]) -> serde_json::Value {
    let chains = chains.iter().map(|tag| {
        json!({
            "tag": tag, "digest": "sha256:0", "platform": "linux/amd64", "topChainID": "sha256:0", "layers": 1,
            "firstSeen": "2026-01-01T00:00:00Z",
        })
    });
    json!({
        "metadata": {"name": name}, "spec": {"repository": format!("registry.example/{name}"), "tags": ["latest"]},
        "status": {"chains": chains.collect::<Vec<_>>(), "conditions": [{
            "type": "Ready", "status": ready, "reason": "NotRead", "lastTransitionTime": "2026-01-01T00:00:00Z",
            "message": format!("tag latest: registry of {name} does not answer"),
        }]},
    })
}

/// An install in which everything is fine, with failurePolicy Fail.
pub(super) fn healthy() -> Read {
    let (bundle, leaf) = certificate(-1, 89);
    let now = jiff::Timestamp::now();
    let deployments = ["operator", "webhook"].map(|it| of(deployment(it, "hostfit")));
    let rights = rights::of(&deployments).into_iter().map(|it| (it, true));
    let matrix = json!({"metadata": {"name": "default"}, "spec": {"mode": "Warn"}});
    Read {
        now,
        version: "v1.35.2".to_owned(),
        crds: Ok(hostfit_crds::all()),
        rights: Ok(rights.collect()),
        deployments: Ok(deployments.into()),
        pods: Ok(Vec::new()),
        validating: Ok(vec![of(configuration("hostfit", &bundle, "Fail"))]),
        mutating: Ok(vec![of(configuration("hostfit", &bundle, "Fail"))]),
        secret: Ok(of(
            json!({"metadata": {"name": "hostfit-webhook-tls"}, "data": {"tls.crt": ByteString(leaf)}}),
        )),
        listed: Ok(vec![("hostfit".to_owned(), "regcred".to_owned(), true)]),
        endpoints: Ok(vec![of(json!({
            "addressType": "IPv4", "metadata": {}, "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": true}}],
        }))]),
        matrices: Ok(vec![of(matrix)]),
        bases: Ok(vec![of(base("ubi9", "True", &["latest"]))]),
        reports: Ok(vec![of(json!({
            "metadata": {"name": "deploy-carts", "namespace": "shop"},
            "spec": {"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "carts", "uid": ""}},
            "status": {"verdict": "Pass"},
        }))]),
        node_profiles: Ok(vec![of(json!({
            "metadata": {"name": "one"}, "spec": {}, "status": {"facts": {"os": "rhel", "cpuLevel": 3}},
        }))]),
        nodes: Ok(vec![of(json!({
            "metadata": {"name": "one", "labels": {"kubernetes.io/arch": "amd64"}},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        }))]),
        leases: Ok(vec![of(lease("one", now))]),
        call: Ok(Call {
            namespace: "default".to_owned(),
            labels: Default::default(),
            took: Duration::from_millis(6),
            annotated: true,
            refused: None,
            server: Some(now),
        }),
    }
}

/// Another certificate, of an authority that is trusted.
pub(super) fn certified(read: &mut Read, from: i64, until: i64) {
    let (bundle, leaf) = certificate(from, until);
    read.validating = Ok(vec![of(configuration("hostfit", &bundle, "Fail"))]);
    read.mutating = Ok(vec![of(configuration("hostfit", &bundle, "Fail"))]);
    let data = read.secret.as_mut().unwrap().data.as_mut().unwrap();
    data.insert("tls.crt".to_owned(), ByteString(leaf));
}
