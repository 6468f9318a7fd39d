//! `hostfit doctor` beside an API server that answers as one does.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;

use serde_json::{Value, json};

use crate::kit::{Folder, check};

/// An API server that has `answer(method, path)` for each call; `None` is 404.
fn api_server(folder: &Folder, answer: fn(&str, &str) -> Option<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "fake",
        "clusters": [{"name": "fake", "cluster": {"server": server}}],
        "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
        "users": [{"name": "fake", "user": {"token": "secret"}}],
    });
    fs::write(folder.0.join("kubeconfig"), kubeconfig.to_string()).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || serve(stream, answer));
        }
    });
}

fn serve(stream: TcpStream, answer: fn(&str, &str) -> Option<Value>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first).ok()?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let mut words = first.split(' ');
    let (method, path) = (words.next()?, words.next()?);
    let (code, body) = match answer(method, path.split('?').next()?) {
        Some(body) => (200, body),
        None => (
            404,
            json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "message": "no", "code": 404}),
        ),
    };
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {code} X\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = stream;
    stream.write_all(format!("{head}{body}").as_bytes()).ok()
}

fn list(items: Value) -> Option<Value> {
    Some(json!({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": items}))
}

fn empty(_: &str, path: &str) -> Option<Value> {
    match path {
        "/version" => Some(json!({
            "major": "1", "minor": "35", "gitVersion": "v1.35.2", "gitCommit": "", "gitTreeState": "", "buildDate": "",
            "goVersion": "", "compiler": "", "platform": "",
        })),
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews" => {
            Some(json!({"metadata": {}, "spec": {}, "status": {"allowed": true}}))
        }
        path if path.contains("hostfit.dev") => None,
        _ => list(json!([])),
    }
}

/// Somebody has installed it, and taken rights and bundle away.
fn broken(method: &str, path: &str) -> Option<Value> {
    let deployment = |component: &str| {
        json!({
            "metadata": {"name": format!("hostfit-{component}"), "namespace": "hostfit", "labels": {
                "app.kubernetes.io/component": component, "app.kubernetes.io/instance": "hostfit", "app.kubernetes.io/version": "0.0.9",
            }},
            "spec": {"replicas": 1, "selector": {}, "template": {"spec": {
                "serviceAccountName": "hostfit", "containers": [],
                "volumes": [{"name": "pull-secret-0", "secret": {"secretName": "regcred", "optional": true}}],
            }}},
            "status": {"readyReplicas": 1},
        })
    };
    let hook = json!([{"metadata": {"name": "hostfit"}, "webhooks": [{
        "name": "pods.hostfit.dev", "failurePolicy": "Ignore", "sideEffects": "None", "admissionReviewVersions": ["v1"],
        "clientConfig": {"service": {"namespace": "hostfit", "name": "hostfit-webhook"}},
        "namespaceSelector": {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["default"]}]},
    }]}]);
    let base = json!({
        "metadata": {"name": "ubi9"}, "spec": {"repository": "registry.example/ubi9", "tags": ["latest"]},
        "status": {"conditions": [{
            "type": "Ready", "status": "False", "reason": "NotRead", "message": "tag latest: no answer",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]},
    });
    match (method, path) {
        ("GET", "/apis/hostfit.dev/v1alpha1/baseimages") => list(json!([base])),
        ("GET", "/apis/hostfit.dev/v1alpha1/supportmatrices") => list(json!([])),
        ("GET", "/api/v1/namespaces/hostfit/secrets/regcred") => None,
        ("GET", "/apis/apps/v1/deployments") => {
            list(json!([deployment("operator"), deployment("webhook")]))
        }
        ("GET", "/api/v1/namespaces") => {
            list(json!([{"metadata": {"name": "default"}}, {"metadata": {"name": "shop"}}]))
        }
        ("GET", path) if path.ends_with("webhookconfigurations") => list(hook),
        ("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews") => {
            Some(json!({"metadata": {}, "spec": {}, "status": {"allowed": false}}))
        }
        ("POST", "/api/v1/namespaces/shop/pods") => Some(json!({
            "metadata": {"name": "x", "creationTimestamp": "2020-01-01T00:00:00Z"}, "spec": {"containers": []},
        })),
        _ => empty(method, path),
    }
}

const DOCTOR: [&str; 3] = ["doctor", "--kubeconfig", "kubeconfig"];

#[test]
fn where_nothing_is_installed_doctor_says_how_to() {
    let folder = Folder::new("doctor-empty");
    api_server(&folder, empty);
    let out = check(&folder, &DOCTOR, 1, &[]);
    for part in [
        "cluster\nok Kubernetes v1.35.2\n",
        "x  hostfit is not installed\n    helm install",
        "see https://hostfit.dev/checks#operator",
    ] {
        assert!(out.contains(part), "{part:?} is missing:\n{out}");
    }
    assert!(!out.contains("helm upgrade"), "{out}");
    let pre = [&DOCTOR[..], &["--pre"]].concat();
    check(
        &folder,
        &pre,
        0,
        &["ok you may install the chart", "0 problems, 0 warnings"],
    );
}

#[test]
fn what_is_broken_is_told_with_what_to_do() {
    let folder = Folder::new("doctor-broken");
    api_server(&folder, broken);
    let says = [
        "CRDs are missing: supportmatrices.hostfit.dev",
        "this machine is",
        "the install is version 0.0.9",
        "rights are missing: hostfit: list nodes",
        "Service hostfit/hostfit-webhook has no address",
        "no CA bundle in webhook configuration hostfit",
        "failurePolicy Ignore",
        "there is no SupportMatrix: nothing is refused or warned of, hostfit only reports",
        "kubectl -n hostfit rollout restart deploy/hostfit-operator",
        "in namespace shop nothing was said: there is no SupportMatrix",
        "1 of 1 BaseImages could not be read (ubi9: tag latest: no answer)",
        "registry.listed names Secrets that are not there: hostfit/regcred",
    ];
    check(&folder, &DOCTOR, 1, &says);
    let json = [&DOCTOR[..], &["-o", "json"]].concat();
    let out = check(&folder, &json, 1, &[]);
    let document: Value = serde_json::from_str(&out).unwrap();
    let checks = document["checks"].as_array().unwrap();
    let problems = checks.iter().filter(|it| it["state"] == "Problem").count();
    assert!(problems >= 5, "{out}");
}
