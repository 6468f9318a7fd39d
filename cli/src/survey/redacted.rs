//! A snapshot without names: of namespaces, workloads, nodes and private images. The same name becomes the same other one
//! everywhere, so that what fits where stays the same.

use std::collections::BTreeMap;

use hostfit_engine::image::ImageRef;
use serde_json::Value;

/// Registries whose images anybody knows.
const PUBLIC: [&str; 10] = [
    "docker.io",
    "gcr.io",
    "ghcr.io",
    "mcr.microsoft.com",
    "nvcr.io",
    "public.ecr.aws",
    "quay.io",
    "registry.access.redhat.com",
    "registry.k8s.io",
    "registry.suse.com",
];
/// What stands in these parts tells of systems, not of people, and may be called like anything.
const KEPT: [&str; 4] = ["facts", "nodeInfo", "features", "profiles"];
/// Texts that people wrote, and what nobody reads here.
const DROPPED: [&str; 5] = [
    "annotations",
    "ticketURL",
    "docsURL",
    "message",
    "remediation",
];

/// New names for old ones.
#[derive(Default)]
struct Names(BTreeMap<String, String>);

impl Names {
    fn add(&mut self, kind: &str, name: Option<&Value>) {
        let Some(name) = name.and_then(Value::as_str).filter(|it| !it.is_empty()) else {
            return;
        };
        let number = self.0.len() + 1;
        let new = || format!("{kind}-{number}");
        self.0.entry(name.to_owned()).or_insert_with(new);
    }
}

/// Takes the names out of a snapshot.
pub(super) fn redact(snapshot: &mut Value) {
    let mut names = Names::default();
    let objects = &snapshot["objects"];
    let list = |field: &str| objects[field].as_array().into_iter().flatten();
    for namespace in objects["namespaces"].as_object().into_iter().flatten() {
        names.add("ns", Some(&Value::from(namespace.0.as_str())));
    }
    for node in list("nodes") {
        names.add("node", node.pointer("/metadata/name"));
        names.add(
            "node",
            node.pointer("/metadata/labels/kubernetes.io~1hostname"),
        );
    }
    for workload in list("workloads") {
        names.add("ns", workload.get("namespace"));
        names.add("workload", workload.get("name"));
        names.add("uid", workload.get("uid"));
        names.add("file", workload.get("file"));
    }
    for exception in list("exceptions") {
        names.add("exception", exception.pointer("/metadata/name"));
    }
    let images = snapshot["images"].as_object().into_iter().flatten();
    let bases = list("bases").filter_map(|base| base.pointer("/spec/repository")?.as_str());
    let images = images.map(|(written, _)| written.as_str()).chain(bases);
    let private: Vec<ImageRef> = images
        .filter_map(|written| written.parse().ok())
        .filter(|image: &ImageRef| !PUBLIC.contains(&image.registry()))
        .collect();
    for image in private {
        names.add("registry", Some(&image.registry().into()));
        names.add("image", Some(&image.name().into()));
    }
    walk(snapshot, &names);
    snapshot["redacted"] = true.into();
}

fn walk(value: &mut Value, names: &Names) {
    match value {
        Value::String(text) => {
            if let Some(new) = renamed(text, names) {
                *text = new;
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|it| walk(it, names)),
        Value::Object(fields) => {
            fields.retain(|name, _| !DROPPED.contains(&name.as_str()));
            let old = std::mem::take(fields);
            for (key, mut value) in old {
                if key == "reason" && value.is_string() {
                    value = "redacted: the reason".into();
                } else if KEPT.contains(&key.as_str()) {
                    labels(&mut value, names);
                } else {
                    walk(&mut value, names);
                }
                // Labels and namespaces are keys as well.
                fields.insert(renamed(&key, names).unwrap_or(key), value);
            }
        }
        _ => {}
    }
}

/// Renames what labels of images say, and nothing else.
fn labels(value: &mut Value, names: &Names) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(|it| labels(it, names)),
        Value::Object(fields) => {
            for (key, value) in fields {
                match key.as_str() {
                    "labels" => walk(value, names),
                    _ => labels(value, names),
                }
            }
        }
        _ => {}
    }
}

/// The new name of a name, or of an image.
fn renamed(text: &str, names: &Names) -> Option<String> {
    if let Some(new) = names.0.get(text) {
        return Some(new.clone());
    }
    let image: ImageRef = text.contains('/').then(|| text.parse().ok())??;
    let new = names.0.get(&image.name())?;
    let registry = names.0.get(image.registry())?;
    let tag = image.tag().map(|tag| format!(":{tag}"));
    let digest = image.digest().map(|digest| format!("@{digest}"));
    let (tag, digest) = (tag.unwrap_or_default(), digest.unwrap_or_default());
    Some(format!("{registry}.invalid/{new}{tag}{digest}"))
}
