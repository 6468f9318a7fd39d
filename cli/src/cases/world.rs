//! What cases are judged with besides themselves: the objects that stand beside them, as they are applied to a cluster.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use hostfit_crds::policies::{Judge, Policies};
use hostfit_crds::{CompatException, SupportMatrix, names};
use hostfit_engine::exception::{Exception, Exceptions};
use hostfit_engine::finding::nearest;
use hostfit_registry::SharedFacts;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace as NamespaceObject;
use kube::{Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::case::{Case, Matrix, Namespace};
use super::{folder, host, strict};
use crate::except::REASON;
use crate::survey::{Declared, manifests};

/// Whether an exception says when it ends. What the API server says of it otherwise is for nobody.
fn ends(exception: &Value) -> Result<(), String> {
    let text = |path: &str| exception.pointer(path).and_then(Value::as_str);
    let name = text("/metadata/name").unwrap_or_default();
    let wrong = match text("/spec/expirationTime") {
        Some(end) if end.parse::<Timestamp>().is_ok() => return Ok(()),
        Some(end) => format!("its expirationTime {end:?} is no second"),
        None => "it has no expirationTime, and an exception ends".to_owned(),
    };
    Err(format!(
        "CompatException {name}: {wrong}: write for example \"2026-12-31T00:00:00Z\""
    ))
}

/// The label that every namespace has, by Kubernetes.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// What was read of the real images of cases, by how they are written; or why it could not be.
pub type Images = HashMap<String, Result<SharedFacts, String>>;

/// The objects beside the cases.
#[derive(Debug, Default)]
pub struct World {
    /// The moment as of which cases are judged that name no day.
    pub(super) now: Timestamp,
    matrices: Vec<Arc<SupportMatrix>>,
    /// Names of matrices that cannot be read: what they would say is not known.
    unreadable: Vec<String>,
    exceptions: Vec<(String, Exception)>,
    /// What whoever wrote an object may not have meant.
    pub notes: Vec<String>,
    /// Facts of HostProfiles by their names, with labels and taints of their nodes.
    hosts: BTreeMap<String, Map<String, Value>>,
    namespaces: BTreeMap<String, BTreeMap<String, String>>,
    /// What makes pods.
    pub(super) workloads: Vec<Declared>,
}

impl World {
    /// Takes an object in. What says nothing of what may run where is passed over.
    pub(super) fn take(&mut self, object: Value) -> Result<(), String> {
        let text = |field: &str| object.get(field).and_then(Value::as_str);
        let kind = text("kind").unwrap_or_default().to_owned();
        let api = text("apiVersion").unwrap_or_default().to_owned();
        if api == "v1" && kind == "Namespace" {
            return self.namespace(object);
        }
        if api.split('/').next() != Some(names::GROUP) {
            let declared = manifests::declared(&object, "", None);
            let declared = declared.map_err(|error| format!("{error:#}"))?;
            self.workloads.extend(declared);
            return Ok(());
        }
        let ours = strict::kinds();
        if !ours.contains(&kind.as_str()) {
            let near = nearest(&kind, &ours).map(|near| format!("; did you mean {near}?"));
            let near = near.unwrap_or_default();
            return Err(format!("{} has no kind {kind:?}{near}", names::GROUP));
        }
        let wanted = format!("{}/{}", names::GROUP, names::VERSION);
        if api != wanted {
            return Err(format!("{kind}: apiVersion is {api}, not {wanted}"));
        }
        match kind.as_str() {
            "SupportMatrix" => {
                let name = object.pointer("/metadata/name").and_then(Value::as_str);
                let name = name.unwrap_or_default().to_owned();
                let taken = self.matrix(object);
                if taken.is_err() {
                    self.unreadable.push(name);
                }
                taken
            }
            "CompatException" => self.exception(object),
            "HostProfile" => self.host(object),
            _ => Ok(()),
        }
    }

    fn namespace(&mut self, object: Value) -> Result<(), String> {
        let object: NamespaceObject =
            serde_json::from_value(object).map_err(|it| format!("Namespace: {it}"))?;
        let name = object.name_any();
        let labels = object.metadata.labels.unwrap_or_default();
        match self.namespaces.insert(name.clone(), labels) {
            None => Ok(()),
            Some(_) => Err(twice("Namespace", &name)),
        }
    }

    fn matrix(&mut self, object: Value) -> Result<(), String> {
        let matrix: SupportMatrix = read(object)?;
        let name = matrix.name_any();
        if self.matrices.iter().any(|it| it.name_any() == name) {
            return Err(twice("SupportMatrix", &name));
        }
        matrix
            .policy()
            .map_err(|error| format!("SupportMatrix {name}: {error}"))?;
        self.matrices.push(Arc::new(matrix));
        Ok(())
    }

    fn exception(&mut self, object: Value) -> Result<(), String> {
        // A field that is misspelt says more than that it is missing.
        if strict::object("CompatException", &object).is_ok() {
            ends(&object)?;
        }
        let object: CompatException = read(object)?;
        let name = object.name_any();
        let reason = object.spec.reason.chars().count();
        if !REASON.contains(&reason) {
            return Err(format!(
                "CompatException {name}: its reason has {reason} characters, and the API server takes 10 to 500"
            ));
        }
        let namespace = object.namespace().ok_or_else(|| {
            format!("CompatException {name}: it has no metadata.namespace, so it counts nowhere")
        })?;
        let exception = Exception::try_from(&object)
            .map_err(|error| format!("CompatException {name}: {error}"))?;
        let place = format!("CompatException {namespace}/{name}");
        if exception.expires <= self.now {
            let ended = exception.expires;
            self.notes.push(format!(
                "{place} ended at {ended}: it accepts nothing any more"
            ));
        } else if object.is_broad() {
            self.notes.push(format!(
                "{place} speaks of all findings, or of all workloads of its namespace: name codes, labels or images if you can"
            ));
        }
        self.exceptions.push((namespace, exception));
        Ok(())
    }

    fn host(&mut self, object: Value) -> Result<(), String> {
        let (name, facts) = host::profile(object)?;
        match self.hosts.contains_key(&name) {
            true => Err(twice("HostProfile", &name)),
            false => {
                self.hosts.insert(name, facts);
                Ok(())
            }
        }
    }

    /// Notes what rows and exceptions name and nothing bears. Of HostProfiles not all have to lie here: only what one that
    /// does is nearly called.
    pub(super) fn doubt(&mut self) {
        let hosts: Vec<_> = self.hosts.keys().map(String::as_str).collect();
        for matrix in &self.matrices {
            let rows = matrix.policy().map(|it| it.rules.rows).unwrap_or_default();
            let names = rows.iter().flat_map(|it| it.unknown_names(&hosts));
            let names = names.filter(|it| it.nearest().is_some());
            let name = matrix.name_any();
            let notes = names.map(|it| format!("SupportMatrix {name}: {it}"));
            self.notes.extend(notes);
        }
        for (namespace, exception) in &self.exceptions {
            let names = exception.unknown_names(&hosts).into_iter();
            let names = names.filter(|it| it.nearest().is_some());
            let name = &exception.name;
            let notes = names.map(|it| format!("CompatException {namespace}/{name}: {it}"));
            self.notes.extend(notes);
        }
    }

    /// The facts of a HostProfile, with labels and taints of its nodes.
    ///
    /// # Errors
    ///
    /// If there is none of that name.
    pub fn host_facts(&self, name: &str) -> Result<&Map<String, Value>, String> {
        self.hosts.get(name).ok_or_else(|| {
            let names: Vec<_> = self.hosts.keys().map(String::as_str).collect();
            let near = nearest(name, &names).map(|near| format!("; did you mean {near}?"));
            let near =
                near.unwrap_or_else(|| ": write builtin/NAME, file:PATH or facts".to_owned());
            format!("host: there is no HostProfile {name} here{near}")
        })
    }

    /// The hosts, each with its name.
    pub(super) fn into_hosts(self) -> impl Iterator<Item = host::Named> {
        self.hosts.into_iter()
    }

    /// The exceptions of all namespaces.
    pub(super) fn exceptions(&self) -> Exceptions {
        Exceptions::new(self.exceptions.iter().cloned())
    }

    /// The policy of the case's namespace, and its mode there.
    pub(super) fn judge(&self, case: &Case) -> Result<Judge, String> {
        let matrices = match case.matrix.is_empty() {
            // As it stands on a fresh install.
            true if self.matrices.is_empty() && self.unreadable.is_empty() => {
                vec![Arc::new(SupportMatrix::new("default", Default::default()))]
            }
            true => match self.unreadable.first() {
                None => self.matrices.clone(),
                Some(name) => return Err(format!("SupportMatrix {name} cannot be read")),
            },
            false => {
                let mut named = Vec::new();
                for (index, matrix) in case.matrix.iter().enumerate() {
                    named.extend(self.named(matrix, index, &case.base)?);
                }
                named
            }
        };
        let (policies, errors) = Policies::read(matrices, &Policies::default());
        if let Some((_, error)) = errors.into_iter().next() {
            return Err(format!("matrix: {error}"));
        }
        Ok(policies.judge(&self.labels(&case.place())))
    }

    /// Matrices that a case names: they hold, whatever namespaces they select.
    fn named(
        &self,
        matrix: &Matrix,
        index: usize,
        base: &Path,
    ) -> Result<Vec<Arc<SupportMatrix>>, String> {
        let everywhere = |matrix: &SupportMatrix| {
            let mut matrix = matrix.clone();
            matrix.spec.namespace_selector = None;
            Arc::new(matrix)
        };
        match matrix {
            Matrix::Spec(spec) => {
                strict::spec("SupportMatrix", spec).map_err(|error| format!("matrix: {error}"))?;
                let spec = serde_json::from_value(Value::Object(spec.clone()));
                let spec = spec.map_err(|error| format!("matrix: {error}"))?;
                let name = format!("matrix-{index}");
                Ok(vec![everywhere(&SupportMatrix::new(&name, spec))])
            }
            Matrix::Named(path) if folder::is_file_name(path) => {
                let mut world = Self::default();
                folder::objects(&base.join(path), &mut world)
                    .map_err(|error| format!("matrix: {error}"))?;
                if world.matrices.is_empty() {
                    return Err(format!("matrix: there is no SupportMatrix in {path}"));
                }
                Ok(world.matrices.iter().map(|it| everywhere(it)).collect())
            }
            Matrix::Named(name) => {
                let mut matrices = self.matrices.iter();
                if let Some(found) = matrices.find(|it| it.name_any() == *name) {
                    return Ok(vec![everywhere(found)]);
                }
                if self.unreadable.contains(name) {
                    return Err(format!("SupportMatrix {name} cannot be read"));
                }
                let names: Vec<_> = self.matrices.iter().map(|it| it.name_any()).collect();
                let names: Vec<_> = names.iter().map(String::as_str).collect();
                let near = nearest(name, &names).map(|near| format!("; did you mean {near}?"));
                let near = near.unwrap_or_default();
                Err(format!(
                    "matrix: there is no SupportMatrix {name} here{near}"
                ))
            }
        }
    }

    /// The labels of a namespace.
    fn labels(&self, namespace: &Namespace) -> BTreeMap<String, String> {
        let own = namespace.labels.as_ref();
        let own = own.or_else(|| self.namespaces.get(&namespace.name));
        let mut labels = own.cloned().unwrap_or_default();
        labels.insert(NAME_LABEL.to_owned(), namespace.name.clone());
        labels
    }
}

/// An object of ours, read strictly.
fn read<K: Resource<DynamicType = ()> + DeserializeOwned>(object: Value) -> Result<K, String> {
    let kind = K::kind(&());
    let name = object.pointer("/metadata/name").and_then(Value::as_str);
    let Some(name) = name.map(str::to_owned) else {
        return Err(format!("{kind}: it has no metadata.name"));
    };
    strict::object(&kind, &object).map_err(|error| format!("{kind} {name}: {error}"))?;
    serde_json::from_value(object).map_err(|error| format!("{kind} {name}: {error}"))
}

fn twice(kind: &str, name: &str) -> String {
    format!("{kind} {name} stands in another file, too: which of them counts?")
}
