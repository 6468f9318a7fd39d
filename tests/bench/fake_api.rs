//! As much of an API server as the webhook needs: lists that never change, watches that stay silent.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use hostfit_crds::names;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The namespace of the pods.
pub(crate) const NAMESPACE: &str = "shop";
/// Profile, release and kernel of the three classes of hosts.
const HOSTS: [(&str, &str, &str); 3] = [
    ("rhel810-k418", "8.10", "4.18.0-553.el8_10.x86_64"),
    ("rhel94-k514", "9.4", "5.14.0-427.13.1.el9_4.x86_64"),
    ("rhel96-k514", "9.6", "5.14.0-570.12.1.el9_6.x86_64"),
];
const NODES_OF_A_HOST: usize = 3;

/// Serves until the process ends.
pub(crate) fn serve(listener: TcpListener) {
    let router = Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, router).await });
}

async fn answer(request: Request) -> Response {
    if request
        .uri()
        .query()
        .is_some_and(|query| query.contains("watch="))
    {
        let silent =
            Body::from_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>());
        return ([(header::CONTENT_TYPE, "application/json")], silent).into_response();
    }
    let kind = request.uri().path().rsplit('/').next().unwrap_or_default();
    match list(kind) {
        Some(list) => (
            [(header::CONTENT_TYPE, "application/json")],
            list.to_string(),
        )
            .into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn list(kind: &str) -> Option<Value> {
    let ours = format!("{}/{}", names::GROUP, names::VERSION);
    let (version, kind, items) = match kind {
        "nodes" => ("v1", "Node", HOSTS.iter().flat_map(nodes).collect()),
        "namespaces" => (
            "v1",
            "Namespace",
            vec![json!({"metadata": {"name": NAMESPACE}})],
        ),
        "hostprofiles" => (&*ours, "HostProfile", HOSTS.iter().map(profile).collect()),
        "supportmatrices" => (&*ours, "SupportMatrix", vec![matrix()]),
        "baseimages" => (&*ours, "BaseImage", Vec::new()),
        _ => return None,
    };
    let whole = |mut item: Value| {
        if let Some(item) = item.as_object_mut() {
            item.insert("apiVersion".to_owned(), version.into());
            item.insert("kind".to_owned(), kind.into());
        }
        item
    };
    let items: Vec<Value> = items.into_iter().map(whole).collect();
    let metadata = json!({"resourceVersion": "1"});
    Some(
        json!({"apiVersion": version, "kind": format!("{kind}List"), "metadata": metadata, "items": items}),
    )
}

fn nodes((profile, ..): &(&str, &str, &str)) -> Vec<Value> {
    let node = |number| {
        let name = format!("{profile}-{number}");
        let labels = json!({
            "kubernetes.io/hostname": name, "kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux",
            names::HOST_PROFILE: profile,
        });
        json!({"metadata": {"name": name, "labels": labels}})
    };
    (1..=NODES_OF_A_HOST).map(node).collect()
}

fn profile((name, version, kernel): &(&str, &str, &str)) -> Value {
    let facts = json!({
        "os": "rhel", "osVersion": version, "kernel": kernel, "architecture": "amd64", "cpuLevel": 3, "cgroup": 2,
        "selinux": "Enforcing", "runtime": "cri-o-1.29.5", "kubelet": "1.29.5",
    });
    json!({"metadata": {"name": name}, "spec": {}, "status": {"nodes": NODES_OF_A_HOST, "facts": facts}})
}

fn matrix() -> Value {
    json!({"metadata": {"name": "default"}, "spec": {
        "mode": "Warn", "rulePacks": ["recommended", "vendor-support", "eol"],
    }})
}
