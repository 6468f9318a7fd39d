//! The chart's ConfigMap of defaults → SupportMatrix and BaseImages. Applied, not forced: people's edits win.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hostfit_crds::{BaseImage, SupportMatrix};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::discovery::ApiResource;
use kube::runtime::events::{Event, EventType};
use kube::{Resource, ResourceExt};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::apply::Writer;
use crate::reports::note;
use crate::world::World;

/// After an object that could not be applied, for example because its CRD is not there yet.
const RETRY: Duration = Duration::from_secs(5);

/// One document of the file: what the chart renders, and nothing more, so that every other field is people's.
#[derive(Debug, Clone)]
struct Document {
    resource: ApiResource,
    name: String,
    object: Value,
}

impl Document {
    /// With the UID, by which `kubectl describe` finds what is told.
    fn reference(&self, world: &World) -> ObjectReference {
        let matrices = world.matrices.state().unwrap_or_default();
        let bases = world.bases.state().unwrap_or_default();
        let uid = match self.resource.kind.as_str() {
            "SupportMatrix" => uid_of(&matrices, &self.name),
            _ => uid_of(&bases, &self.name),
        };
        ObjectReference {
            uid,
            api_version: Some(self.resource.api_version.clone()),
            kind: Some(self.resource.kind.clone()),
            name: Some(self.name.clone()),
            ..ObjectReference::default()
        }
    }
}

fn uid_of<K: ResourceExt>(objects: &[Arc<K>], name: &str) -> Option<String> {
    let found = objects.iter().find(|object| object.name_any() == name);
    found.and_then(|object| object.uid())
}

/// Objects that are not as the chart has them, by name.
pub(crate) type Unapplied = BTreeMap<String, Why>;

/// Why defaults were not applied, with the API server's own words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Why {
    #[error("people changed what the chart sets, and their edits stay: {0}")]
    Conflict(String),
    #[error(
        "the API server refuses what the chart sets, and the object stays as it was; correct the values: {0}"
    )]
    Refused(String),
}

impl Why {
    /// For conditions.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Conflict(_) => "Conflict",
            Self::Refused(_) => "Refused",
        }
    }
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("read the defaults in {path}: {source}")]
    File {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("read the defaults in {path}, document {number}: {what}")]
    Unreadable {
        path: PathBuf,
        number: usize,
        what: String,
    },
}

/// Reads the file of defaults; none at all is fine.
pub(crate) fn read(path: Option<PathBuf>) -> Result<Defaults, Error> {
    let Some(path) = path else {
        return Ok(Defaults(Vec::new()));
    };
    let text = std::fs::read_to_string(&path).map_err(|source| Error::File {
        path: path.clone(),
        source,
    })?;
    let documents = text
        .split("\n---")
        .filter(|text| text.lines().any(is_content));
    let document = |(index, text): (usize, &str)| {
        parse(text).map_err(|what| Error::Unreadable {
            path: path.clone(),
            number: index + 1,
            what,
        })
    };
    documents
        .enumerate()
        .map(document)
        .collect::<Result<_, _>>()
        .map(Defaults)
}

fn is_content(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with('#') && line != "---"
}

fn parse(text: &str) -> Result<Document, String> {
    let text = text.trim_start_matches('-');
    let value: Value = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    // Read as their kinds, so that a mistake is found here and named.
    let (resource, name) = match value.get("kind").and_then(Value::as_str) {
        Some("SupportMatrix") => check::<SupportMatrix>(&value)?,
        Some("BaseImage") => check::<BaseImage>(&value)?,
        other => {
            return Err(format!(
                "kind {other:?} is neither SupportMatrix nor BaseImage"
            ));
        }
    };
    Ok(Document {
        resource,
        name,
        object: value,
    })
}

fn check<K>(value: &Value) -> Result<(ApiResource, String), String>
where
    K: Resource<DynamicType = ()> + for<'de> Deserialize<'de>,
{
    let object = K::deserialize(value).map_err(|error| error.to_string())?;
    Ok((ApiResource::erase::<K>(&()), object.name_any()))
}

/// The defaults of the chart.
#[derive(Debug, Clone)]
pub(crate) struct Defaults(Vec<Document>);

impl Defaults {
    /// Applies every object once, and again until it succeeds. A conflict is a success of people: what they changed
    /// stays, and the log names the fields.
    pub(crate) async fn run(
        self,
        world: World,
        writer: Writer,
        unapplied: watch::Sender<Unapplied>,
    ) {
        let mut open = self.0;
        loop {
            let mut failed = Vec::new();
            for default in open {
                let name = &default.name;
                let error = match writer
                    .default_object(&default.resource, name, &default.object)
                    .await
                {
                    Ok(_) => {
                        info!(name, "default applied");
                        unapplied.send_if_modified(|all| all.remove(name).is_some());
                        continue;
                    }
                    Err(error) => error,
                };
                let kube::Error::Api(status) = &error else {
                    warn!(name, %error, "default not applied; trying again");
                    failed.push(default);
                    continue;
                };
                let said = status.message.clone();
                let (why, is_final) = match status.code {
                    409 => (Why::Conflict(said), true),
                    // It will not become valid by waiting, for example if it changes what is immutable.
                    422 => (Why::Refused(said), true),
                    // A field that the kind does not have; a newer CRD may have it.
                    500 if said.contains(NOT_DECLARED) => (Why::Refused(said), false),
                    _ => {
                        warn!(name, error = said, "default not applied; trying again");
                        failed.push(default);
                        continue;
                    }
                };
                if unapplied.borrow().get(name) != Some(&why) {
                    warn!(name, "default not applied: {why}");
                    let event = Event {
                        type_: EventType::Warning,
                        reason: "DefaultsNotApplied".to_owned(),
                        note: Some(note(&why.to_string(), "")),
                        action: "Apply".to_owned(),
                        secondary: None,
                    };
                    writer.event(&event, &default.reference(&world)).await;
                    unapplied.send_modify(|all| drop(all.insert(name.clone(), why)));
                }
                if !is_final {
                    failed.push(default);
                }
            }
            if failed.is_empty() {
                return;
            }
            open = failed;
            tokio::time::sleep(RETRY).await;
        }
    }
}

/// What the API server says of a field in an apply that the schema does not have.
const NOT_DECLARED: &str = "field not declared in schema";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_read_one_by_one() {
        let matrix = "apiVersion: hostfit.dev/v1alpha1\nkind: SupportMatrix\nmetadata: {name: default}\nspec: {mode: Enforce}\n";
        let parsed = parse(matrix).unwrap();
        assert_eq!(parsed.name, "default");
        assert_eq!(
            parsed.object["spec"],
            serde_json::json!({"mode": "Enforce"})
        );
        let error = parse("kind: Deployment").unwrap_err();
        assert!(error.contains("Deployment"), "{error}");
        let error =
            parse("kind: SupportMatrix\nmetadata: {name: x}\nspec: {mode: Loud}").unwrap_err();
        assert!(error.contains("Loud"), "{error}");
        assert!(!"# only a comment\n---\n".lines().any(is_content));
    }
}
