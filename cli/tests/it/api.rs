//! An API server as far as the command asks one: lists, page by page, gets, refusals. Plain HTTP on this machine.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use hostfit_crds::image_profile::READ_BY;
use serde_json::{Value, json};

use crate::golden::SHOP;
use crate::kit::Folder;

/// What the server holds, and whom it lets see it.
#[derive(Default, Clone)]
pub(crate) struct Api {
    /// By the plural of their kind.
    pub(crate) objects: BTreeMap<String, Vec<Value>>,
    /// Plurals of kinds that may not be read.
    pub(crate) forbidden: BTreeSet<&'static str>,
    /// Objects that may not be written, by name: with which code and words.
    pub(crate) refused: BTreeMap<&'static str, (u16, &'static str)>,
    /// The token that callers must show.
    pub(crate) token: Option<&'static str>,
}

/// Every kind that a Kubernetes has.
const BUILT_IN: [&str; 9] = [
    "nodes",
    "namespaces",
    "pods",
    "deployments",
    "statefulsets",
    "daemonsets",
    "replicasets",
    "jobs",
    "cronjobs",
];
/// Every kind that hostfit brings.
pub(crate) const OURS: [&str; 7] = [
    "hostprofiles",
    "nodeprofiles",
    "supportmatrices",
    "baseimages",
    "imageprofiles",
    "compatreports",
    "compatexceptions",
];

impl Api {
    /// The shop as the snapshot of it says, with the objects of the operator.
    pub(crate) fn shop() -> Self {
        let text = fs::read_to_string(SHOP).unwrap();
        let snapshot: Value = serde_json::from_str(&text).unwrap();
        let mut api = Self::default();
        for plural in BUILT_IN.iter().chain(&OURS) {
            api.objects.insert((*plural).to_owned(), Vec::new());
        }
        for (field, plural) in [
            ("nodes", "nodes"),
            ("hostProfiles", "hostprofiles"),
            ("nodeProfiles", "nodeprofiles"),
            ("matrices", "supportmatrices"),
            ("bases", "baseimages"),
        ] {
            let objects = snapshot["objects"][field].as_array().unwrap();
            api.objects.insert(plural.to_owned(), objects.clone());
        }
        for (name, labels) in snapshot["objects"]["namespaces"].as_object().unwrap() {
            api.add(
                "namespaces",
                json!({"metadata": {"name": name, "labels": labels}}),
            );
        }
        for (digest, status) in snapshot["profiles"].as_object().unwrap() {
            let name = &digest["sha256:".len()..][..12];
            let spec = json!({"repository": "registry.example/x", "digest": digest});
            let mut status = status.clone();
            status["readBy"] = READ_BY.into();
            api.add(
                "imageprofiles",
                json!({"metadata": {"name": name}, "spec": spec, "status": status}),
            );
        }
        for workload in snapshot["objects"]["workloads"].as_array().unwrap() {
            api.workload(workload, &snapshot["images"]);
        }
        api
    }

    pub(crate) fn add(&mut self, plural: &str, object: Value) {
        self.objects.get_mut(plural).unwrap().push(object);
    }

    /// A workload, and the report on it: of an image that was not read, the registry refused access.
    pub(crate) fn workload(&mut self, workload: &Value, images: &Value) {
        let (name, namespace) = (&workload["name"], &workload["namespace"]);
        let listed = workload["pod"]["containers"].as_array().unwrap().iter().map(|container| {
            let image = container["image"].as_str().unwrap();
            json!({"container": container["name"], "image": image, "digest": images[image]["digest"]})
        });
        let listed: Vec<_> = listed.collect();
        let refused = listed.iter().any(|image| image["digest"].is_null());
        let finding = json!({
            "code": "HF901", "severity": "Unknown", "verdict": "Unknown", "containers": ["app"],
            "message": "image not checked: registry private.example refused access", "remediation": "log in",
        });
        let findings = if refused { vec![finding] } else { Vec::new() };
        let verdict = if refused { "Unknown" } else { "Warn" };
        let template =
            json!({"metadata": {"labels": workload["podLabels"]}, "spec": workload["pod"]});
        self.add(
            "deployments",
            json!({
                "metadata": {"name": name, "namespace": namespace, "uid": workload["uid"],
                             "generation": workload["generation"], "labels": workload["labels"]},
                "spec": {"template": template},
            }),
        );
        let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": name, "uid": workload["uid"]});
        self.add("compatreports", json!({
            "metadata": {"name": format!("deploy-{}", name.as_str().unwrap()), "namespace": namespace},
            "spec": {"targetRef": target},
            "status": {"observedGeneration": workload["generation"], "verdict": verdict, "hosts": "1/1",
                       "findings": findings, "images": listed},
        }));
    }

    /// Takes away what hostfit brings.
    pub(crate) fn without_hostfit(mut self) -> Self {
        self.objects
            .retain(|plural, _| !OURS.contains(&plural.as_str()));
        self
    }

    /// Serves it until the process ends, and writes the kubeconfig that leads there. What was asked for is kept.
    pub(crate) fn serve(self, folder: &Folder) -> Arc<Mutex<Vec<String>>> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "fake",
            "clusters": [{"name": "c", "cluster": {"server": server}}],
            "contexts": [{"name": "fake", "context": {"cluster": "c", "user": "u", "namespace": "shop"}}],
            "users": [{"name": "u", "user": {}}],
        });
        fs::write(folder.0.join("kubeconfig"), kubeconfig.to_string()).unwrap();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let (api, log) = (Arc::new(self), asked.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (api, log) = (api.clone(), log.clone());
                thread::spawn(move || api.converse(stream, &log));
            }
        });
        asked
    }

    fn converse(&self, stream: TcpStream, log: &Mutex<Vec<String>>) -> Option<()> {
        let mut write = stream.try_clone().ok()?;
        let mut read = BufReader::new(stream);
        loop {
            let mut request = String::new();
            read.read_line(&mut request)
                .ok()
                .filter(|length| *length > 0)?;
            let (mut token, mut length) = (None, 0);
            loop {
                let mut header = String::new();
                read.read_line(&mut header).ok()?;
                if header.trim().is_empty() {
                    break;
                }
                let (name, value) = header.split_once(':')?;
                match name.to_lowercase().as_str() {
                    "authorization" => {
                        token = value.trim().strip_prefix("Bearer ").map(str::to_owned);
                    }
                    "content-length" => length = value.trim().parse().ok()?,
                    _ => {}
                }
            }
            let mut sent = vec![0; length];
            read.read_exact(&mut sent).ok()?;
            let path = request.split(' ').nth(1)?.to_owned();
            log.lock().unwrap().push(path.clone());
            let (code, body) = match self.token.is_some_and(|it| token.as_deref() != Some(it)) {
                true => status(401, "Unauthorized"),
                false if request.starts_with("PATCH ") => self.write(&sent),
                false => self.answer(&path),
            };
            let body = body.to_string();
            let head = format!(
                "HTTP/1.1 {code} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            write.write_all(head.as_bytes()).ok()?;
            write.write_all(body.as_bytes()).ok()?;
        }
    }

    /// What becomes of an object that is applied.
    fn write(&self, sent: &[u8]) -> (u16, Value) {
        let object: Value = serde_json::from_slice(sent).unwrap();
        let name = object["metadata"]["name"].as_str().unwrap();
        match self.refused.get(name) {
            Some((code, says)) => {
                let mut refusal = status(*code, "Refused");
                refusal.1["message"] = (*says).into();
                refusal
            }
            None => (200, object),
        }
    }

    fn answer(&self, path: &str) -> (u16, Value) {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let query = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value.parse::<usize>().unwrap())
        };
        let parts: Vec<_> = path.trim_matches('/').split('/').collect();
        let rest = if parts[0] == "api" {
            &parts[2..]
        } else {
            &parts[3..]
        };
        let (namespace, plural, name) = match *rest {
            [plural] => (None, plural, None),
            ["namespaces", name] => (None, "namespaces", Some(name)),
            ["namespaces", namespace, plural] => (Some(namespace), plural, None),
            [plural, name] => (None, plural, Some(name)),
            _ => return status(404, "NotFound"),
        };
        if self.forbidden.contains(plural) {
            return status(403, "Forbidden");
        }
        let Some(objects) = self.objects.get(plural) else {
            return status(404, "NotFound");
        };
        let here = |it: &&Value| namespace.is_none_or(|name| it["metadata"]["namespace"] == name);
        let mut objects = objects.iter().filter(here);
        if let Some(name) = name {
            let found = objects.find(|it| it["metadata"]["name"] == name);
            return found.map_or_else(|| status(404, "NotFound"), |it| (200, it.clone()));
        }
        let (from, limit) = (query("continue").unwrap_or(0), query("limit").unwrap());
        let all: Vec<_> = objects.collect();
        let page: Vec<_> = all.iter().skip(from).take(limit).collect();
        let next = (from + limit < all.len()).then(|| (from + limit).to_string());
        let metadata = json!({"resourceVersion": "1", "continue": next});
        (
            200,
            json!({"apiVersion": "v1", "kind": "List", "metadata": metadata, "items": page}),
        )
    }
}

fn status(code: u16, reason: &str) -> (u16, Value) {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason,
                        "message": reason, "code": code});
    (code, status)
}
