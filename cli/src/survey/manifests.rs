//! Files of manifests → the workloads in them. Everything that is none is passed over; what is broken is named.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use hostfit_crds::compat_report::TargetRef;
use hostfit_crds::workload::{CronJobSpec, PodSpec, Pods, TemplateSpec};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Declared;
use crate::document::NotJudged;
use crate::target::near_kind;
use documents::each_document;

mod documents;

/// Longest file that is read, in bytes: manifests are written by people.
const LONGEST: u64 = 32 << 20;
/// Folders in folders.
const DEEPEST: usize = 32;

/// What was found in the files.
#[derive(Default)]
pub(super) struct Read {
    pub(super) workloads: Vec<Declared>,
    /// What could not be read.
    pub(super) broken: Vec<NotJudged>,
    /// What may make pods and is of no kind that is read.
    pub(super) not_judged: Vec<NotJudged>,
    /// Kinds of what makes no pods.
    passed_over: BTreeSet<String>,
}

/// Reads files, folders with all that is in them, and stdin, which is `-`.
///
/// # Errors
///
/// If a path that was named cannot be read at all, or there is no manifest in any.
pub(super) fn read(paths: &[String], namespace: Option<&str>) -> anyhow::Result<Read> {
    let mut read = Read::default();
    let mut files = 0;
    for path in paths {
        if path == "-" {
            let mut text = String::new();
            let mut stdin = std::io::stdin().take(LONGEST);
            stdin.read_to_string(&mut text).context("read stdin")?;
            files += 1;
            read.take(&text, "stdin", namespace);
            continue;
        }
        let root = Path::new(path);
        let metadata = fs::metadata(root).with_context(|| format!("read {path}"))?;
        let listed = match metadata.is_dir() {
            true => folder(root)?,
            false => vec![root.to_owned()],
        };
        files += listed.len();
        for file in listed {
            let name = file.display().to_string();
            match text(&file) {
                Ok(text) => read.take(&text, &name, namespace),
                Err(error) => read.broken.push(not_judged(&name, format!("{error:#}"))),
            }
        }
    }
    if files == 0 {
        bail!("there is no .yaml, .yml or .json in {}", paths.join(", "));
    }
    // What a failed command pipes must not look like what fits.
    if read.workloads.is_empty() && read.broken.is_empty() {
        let named = |path: &String| match path.as_str() {
            "-" => "stdin".to_owned(),
            path => path.to_owned(),
        };
        let paths = paths.iter().map(named).collect::<Vec<_>>().join(", ");
        match read.not_judged.is_empty() {
            true => bail!(
                "nothing in {paths} makes pods, so nothing is judged: it holds {}",
                read.held()
            ),
            false => {
                let all: Vec<_> = read.not_judged.iter().map(|it| it.why.as_str()).collect();
                bail!(
                    "nothing in {paths} is of a kind that is judged: {}",
                    all.join("; ")
                )
            }
        }
    }
    Ok(read)
}

/// The text of a file, unless it is too long to be written by people.
pub(crate) fn text(file: &Path) -> anyhow::Result<String> {
    let length = fs::metadata(file)?.len();
    if length > LONGEST {
        bail!("it has {length} bytes; {LONGEST} are the limit");
    }
    Ok(fs::read_to_string(file)?)
}

/// The manifests in a folder and the folders in it, in the order of their names.
pub(crate) fn folder(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut open = vec![(root.to_owned(), 0)];
    while let Some((folder, depth)) = open.pop() {
        let entries =
            fs::read_dir(&folder).with_context(|| format!("list {}", folder.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("list {}", folder.display()))?;
            let path = entry.path();
            let is_hidden = entry.file_name().to_string_lossy().starts_with('.');
            let kind = entry.file_type()?;
            // A link to a folder may lead in a circle.
            if kind.is_dir() && !is_hidden && depth < DEEPEST {
                open.push((path, depth + 1));
            } else if !kind.is_dir() {
                let extension = path.extension().and_then(|it| it.to_str());
                if matches!(extension, Some("yaml" | "yml" | "json")) {
                    files.push(path);
                }
            }
        }
    }
    files.sort();
    Ok(files)
}

impl Read {
    /// What is in files that hold nothing to judge.
    fn held(&self) -> String {
        let kinds = self.passed_over.iter().take(6).map(String::as_str);
        let kinds: Vec<_> = kinds.collect();
        match kinds.is_empty() {
            true => "no manifest".to_owned(),
            false => kinds.join(", "),
        }
    }

    fn take(&mut self, text: &str, file: &str, namespace: Option<&str>) {
        for (place, document) in each_document(text) {
            let taken = document.and_then(|it| self.document(it, file, namespace));
            if let Err(error) = taken {
                let why = format!("{place}{error:#}");
                self.broken.push(not_judged(file, why));
            }
        }
    }

    fn document(
        &mut self,
        document: Value,
        file: &str,
        namespace: Option<&str>,
    ) -> anyhow::Result<()> {
        let Value::Object(mut object) = document else {
            return match document {
                Value::Null => Ok(()),
                _ => Err(anyhow!(
                    "it is no object of Kubernetes, which has apiVersion, kind and metadata"
                )),
            };
        };
        let kind = object
            .get("kind")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if kind.ends_with("List")
            && let Some(Value::Array(items)) = object.get_mut("items").map(Value::take)
        {
            // One broken item must not hide the others.
            let mut failed = None;
            for item in items {
                if let Err(error) = self.document(item, file, namespace) {
                    failed = failed.or(Some(error));
                }
            }
            return failed.map_or(Ok(()), Err);
        }
        let object = Value::Object(object);
        match declared(&object, file, namespace)? {
            Some(workload) => self.workloads.push(workload),
            None => {
                let kind = object.get("kind").and_then(Value::as_str);
                self.passed_over.extend(kind.map(str::to_owned));
                let left_out = left_out(&object).map(|why| not_judged(file, why));
                self.not_judged.extend(left_out);
            }
        }
        Ok(())
    }
}

/// The workload that an object is; nothing if it makes no pods.
///
/// # Errors
///
/// If it should make some, and cannot be read.
pub(crate) fn declared(
    object: &Value,
    file: &str,
    namespace: Option<&str>,
) -> anyhow::Result<Option<Declared>> {
    let (pod, pod_labels) = match pod(object).with_context(|| named(object))? {
        Some(pod) => pod,
        // Settings of Helm and others have no kind, and are no manifests.
        None => return Ok(None),
    };
    let metadata = |name: &str| object.pointer(&format!("/metadata/{name}"));
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let name = text(metadata("name")).or_else(|| text(metadata("generateName")));
    let name = name.ok_or_else(|| anyhow!("{} has no metadata.name", named(object)))?;
    if name.contains("{{") || images(object).any(|it| it.contains("{{")) {
        bail!("{}: {}", named(object), template());
    }
    let labels = metadata("labels").cloned().unwrap_or_default();
    let target = TargetRef {
        api_version: text(object.get("apiVersion")).unwrap_or_default(),
        kind: text(object.get("kind")).unwrap_or_default(),
        name,
        uid: String::new(),
    };
    let place = text(metadata("namespace"));
    Ok(Some(Declared {
        namespace: place
            .or_else(|| namespace.map(str::to_owned))
            .unwrap_or_else(|| "default".to_owned()),
        target,
        generation: None,
        labels: serde_json::from_value(labels).unwrap_or_default(),
        pod_labels,
        file: Some(file.to_owned()),
        pod,
    }))
}

/// What an error calls an object.
fn named(object: &Value) -> String {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str);
    let kind = text("/kind").unwrap_or("an object without kind");
    match text("/metadata/name") {
        Some(name) => format!("{kind} {name}"),
        None => kind.to_owned(),
    }
}

/// A pod, and its labels where they are not those of the object.
type Made = (PodSpec, Option<BTreeMap<String, String>>);

/// The pods that an object makes; nothing if it makes none.
fn pod(object: &Value) -> anyhow::Result<Option<Made>> {
    let text = |field: &str| object.get(field).and_then(Value::as_str);
    let Some(kind) = text("kind") else {
        return Ok(None);
    };
    let group = text("apiVersion").unwrap_or_default();
    let group = group.rsplit_once('/').map_or("", |(group, _)| group);
    fn pods<S: Pods + DeserializeOwned>(object: &Value) -> anyhow::Result<Made> {
        let spec = object
            .get("spec")
            .ok_or_else(|| anyhow!("it has no spec"))?;
        let spec: S = serde_json::from_value(spec.clone())?;
        // Nobody takes it; and who has misspelt them must not be told that all is well.
        if !spec.pod().has_containers() {
            bail!("its pods have no containers");
        }
        let annotations = object.pointer("/metadata/annotations").cloned();
        let annotations = annotations.and_then(|it| serde_json::from_value(it).ok());
        let pod = spec.annotated_pod(&annotations.unwrap_or_default());
        Ok((pod, spec.labels().cloned()))
    }
    let pod = match (group, kind) {
        ("", "Pod") => pods::<PodSpec>(object)?,
        ("apps", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet")
        | ("batch", "Job")
        | ("", "ReplicationController") => pods::<TemplateSpec>(object)?,
        ("batch", "CronJob") => pods::<CronJobSpec>(object)?,
        _ => return Ok(None),
    };
    Ok(Some(pod))
}

fn not_judged(file: &str, why: String) -> NotJudged {
    let file = file.to_owned();
    NotJudged { file, why }
}

/// What to say of an object that is not judged and may make pods: its kind is nearly one that does, or it has containers.
fn left_out(object: &Value) -> Option<String> {
    let kind = object.get("kind")?.as_str()?;
    let version = object.get("apiVersion").and_then(Value::as_str);
    let version = version.unwrap_or("no apiVersion");
    let has_pods = containers(object);
    match near_kind(kind) {
        Some(near) if near == kind && has_pods => Some(format!(
            "{} ({version} has no {kind}: see kubectl api-resources)",
            named(object)
        )),
        Some(near) if has_pods => Some(format!(
            "{} ({version}): did you mean {near}?",
            named(object)
        )),
        _ if has_pods => Some(format!("{} ({version})", named(object))),
        _ => None,
    }
}

/// Whether containers with images stand anywhere in an object.
fn containers(object: &Value) -> bool {
    match object {
        Value::Object(fields) => {
            let own = fields.get("containers").and_then(Value::as_array);
            let has_image = |it: &Value| it.get("image").is_some_and(Value::is_string);
            own.is_some_and(|own| own.iter().any(has_image)) || fields.values().any(containers)
        }
        Value::Array(list) => list.iter().any(containers),
        _ => false,
    }
}

/// The images that an object names, wherever they stand.
fn images(object: &Value) -> Box<dyn Iterator<Item = &str> + '_> {
    match object {
        Value::Object(fields) => {
            let own = fields.get("image").and_then(Value::as_str);
            Box::new(own.into_iter().chain(fields.values().flat_map(images)))
        }
        Value::Array(list) => Box::new(list.iter().flat_map(images)),
        _ => Box::new(std::iter::empty()),
    }
}

fn template() -> String {
    format!(
        "Helm's templating is left in it: render it first (helm template CHART | {} check -f - --host …)",
        crate::program()
    )
}
