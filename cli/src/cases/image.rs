//! How an image of a case is written: in words, fact by fact, or as a real one.

use std::collections::BTreeMap;
use std::path::Path;

use hostfit_engine::image::ImageRef;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::files::Written;

/// An image: `rhel 10 (layers)`, its facts one by one, or one that is read: `oci:DIR`, `docker-archive:FILE`, a reference.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(try_from = "Value")]
pub struct Image {
    /// Distribution and release, and how that is proven.
    pub distro: Option<(String, Proof)>,
    /// Everything else.
    pub detail: Detail,
}

/// How the distribution of an image is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Proof {
    /// Its first layers are those of a base image that the cluster follows.
    Layers,
    /// An annotation names its base image.
    Stated,
    /// Its own name and tag.
    Hint,
}

/// What an image's config and its registry say.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Detail {
    /// `rhel 10`
    distro: Option<String>,
    proven: Option<Proof>,
    /// A real image, whose facts are read: `oci:DIR[:NAME]`, `docker-archive:FILE`, or a reference.
    pub read: Option<String>,
    /// A published base image, whose real layers the image has: `centos:7`.
    pub base: Option<String>,
    /// As the pod writes it.
    pub reference: Option<String>,
    /// Labels of the config.
    pub labels: BTreeMap<String, String>,
    /// Annotations of the manifest.
    pub annotations: BTreeMap<String, String>,
    /// History of the config.
    pub history: Vec<String>,
    /// Layers compressed with zstd, under which media type.
    pub zstd: Option<Zstd>,
    /// Its manifest has the retired schema 1.
    pub schema1: bool,
    /// Environment of the config.
    pub env: BTreeMap<String, String>,
    /// What the container sets besides.
    pub pod_env: BTreeMap<String, String>,
    /// The container asks for `nvidia.com/gpu`.
    pub gpu: bool,
    /// What the files of its layers say, if they were read.
    pub files: Option<Written>,
    /// User of the config.
    pub user: String,
    /// Exposed ports of the config.
    pub ports: Vec<u16>,
    /// More of the container: command, securityContext, …
    pub container: Map<String, Value>,
    /// `linux/amd64`, unless it says otherwise.
    pub platforms: Option<Vec<String>>,
    /// What the pod does with it.
    pub role: Role,
    /// What its registry answers.
    pub registry: RegistrySays,
}

/// Under which media type layers are compressed with zstd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Zstd {
    /// That of the OCI.
    Oci,
    /// That of Docker.
    Docker,
}

/// What the pod does with an image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A container.
    #[default]
    Container,
    /// An init container.
    Init,
    /// An ephemeral container.
    Ephemeral,
    /// A volume.
    Volume,
}

/// What the registry does when it is asked for the image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RegistrySays {
    /// It answers.
    #[default]
    Answers,
    /// 401, 403.
    RefusesAccess,
    /// It refuses, and a pull secret of the pod lies where Hostfit may not read it.
    RefusesAccessWithoutSecret,
    /// 429.
    LimitsOurRate,
    /// The deadline passes.
    IsTooSlow,
    /// 404.
    HasNoSuchImage,
    /// No connection.
    CannotBeReached,
    /// The settings forbid it.
    MayNotBeAsked,
    /// A manifest that is none.
    AnswersGarbage,
    /// It answers for one platform, and garbage for the config of the other ones.
    AnswersGarbageForConfigs,
    /// Manifest and config are good, a layer is garbage.
    AnswersGarbageForLayers,
}

impl TryFrom<Value> for Image {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        if let Value::String(text) = value {
            return Self::of_text(text);
        }
        let detail: Detail = serde_json::from_value(value).map_err(|it| it.to_string())?;
        let distro = match (&detail.distro, detail.proven) {
            (Some(distro), Some(proof)) => Some((distro.clone(), proof)),
            (None, None) => None,
            _ => return Err("image: distro and proven go together".to_owned()),
        };
        if let Some(read) = &detail.read {
            is_readable(read)?;
            let words = Detail {
                read: None,
                reference: None,
                pod_env: BTreeMap::new(),
                gpu: false,
                container: Map::new(),
                role: Role::default(),
                ..detail.clone()
            };
            if !words.says_nothing() {
                return Err(format!(
                    "image: what {read} is, is read: beside it only reference, role, container, podEnv and gpu can be written"
                ));
            }
        }
        Ok(Self { distro, detail })
    }
}

impl Image {
    pub(super) fn of_text(text: String) -> Result<Self, String> {
        if let Some((distro, proof)) = text.strip_suffix(')').and_then(|it| it.split_once(" (")) {
            let proof =
                serde_json::from_value(proof.into()).map_err(|it| format!("image: {it}"))?;
            return Ok(Self {
                distro: Some((distro.to_owned(), proof)),
                detail: Detail::default(),
            });
        }
        is_readable(&text)?;
        let read = Some(text);
        Ok(Self {
            distro: None,
            detail: Detail {
                read,
                ..Detail::default()
            },
        })
    }

    /// Paths begin in this folder.
    pub(super) fn begin_in(&mut self, base: &Path) {
        let Some(read) = &mut self.detail.read else {
            return;
        };
        if let Some((kind, place)) = on_disk(read) {
            *read = format!("{kind}{}", base.join(place).display());
        }
    }
}

impl Detail {
    /// Whether something is written of what the pod does with it.
    pub(super) fn says_of_pod(&self) -> bool {
        self.reference.is_some()
            || self.role != Role::default()
            || !self.container.is_empty()
            || !self.pod_env.is_empty()
            || self.gpu
    }

    /// Whether nothing is written of what an image is.
    fn says_nothing(&self) -> bool {
        // What every field is unless it is written.
        let Self {
            distro: None,
            proven: None,
            read: None,
            base: None,
            reference: None,
            zstd: None,
            schema1: false,
            files: None,
            platforms: None,
            registry: RegistrySays::Answers,
            ..
        } = self
        else {
            return false;
        };
        let maps = [&self.labels, &self.annotations, &self.env];
        maps.iter().all(|it| it.is_empty())
            && self.history.is_empty()
            && self.user.is_empty()
            && self.ports.is_empty()
    }
}

/// `oci:DIR` in its parts, and `docker-archive:FILE`.
fn on_disk(written: &str) -> Option<(&'static str, &str)> {
    let kinds = ["oci:", "docker-archive:"];
    kinds
        .into_iter()
        .find_map(|kind| Some((kind, written.strip_prefix(kind)?)))
}

fn is_readable(written: &str) -> Result<(), String> {
    if on_disk(written).is_some() || written.parse::<ImageRef>().is_ok() {
        return Ok(());
    }
    Err(format!(
        "image: {written:?} is neither like \"rhel 10 (layers)\" nor a reference, oci:DIR or docker-archive:FILE"
    ))
}
