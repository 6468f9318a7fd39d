//! How a case is written. Strict: a field that nobody reads would prove nothing.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

/// A file of cases.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    /// What the code means, in one sentence.
    #[serde(rename = "about")]
    _about: String,
    /// Today's date in all cases that name no other.
    today: String,
    /// The SupportMatrix of all cases that name no other.
    #[serde(default)]
    matrix: Option<Value>,
    cases: Vec<Case>,
}

/// One case.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    #[serde(rename = "case")]
    pub(super) name: String,
    #[serde(default)]
    pub(super) today: String,
    #[serde(deserialize_with = "one_or_many")]
    pub(super) image: Vec<Image>,
    #[serde(deserialize_with = "one_or_many")]
    pub(super) host: Vec<Host>,
    /// Spec of the SupportMatrix, as people write it.
    #[serde(default)]
    pub(super) matrix: Option<Value>,
    /// More of the pod's spec: nodeSelector, tolerations, runtimeClassName, …
    #[serde(default)]
    pub(super) pod: Option<Map<String, Value>>,
    /// The cluster's RuntimeClasses.
    #[serde(default, rename = "runtimeClass", deserialize_with = "one_or_many")]
    pub(super) runtime_classes: Vec<RuntimeClass>,
    pub(super) expect: Expect,
    /// Parts of the messages and fixes.
    #[serde(default, deserialize_with = "one_or_many")]
    pub(super) says: Vec<String>,
    /// Parts that no message and no fix may have.
    #[serde(default, deserialize_with = "one_or_many")]
    pub(super) silent: Vec<String>,
    /// Hosts that fit, of those that the pod may land on: `1/2`.
    #[serde(default)]
    pub(super) hosts: Option<String>,
    /// What admission does: `ignored`, `admitted`, `warned HF501`, `refused HF101`.
    #[serde(default)]
    pub(super) admission: Option<String>,
}

/// A RuntimeClass.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuntimeClass {
    pub(super) name: String,
    pub(super) handler: String,
    /// `nodeSelector` and `tolerations`.
    #[serde(default)]
    pub(super) scheduling: Option<Value>,
}

impl File {
    /// The cases, each with everything that the file says for all.
    pub(super) fn cases(self) -> Vec<Case> {
        let Self { today, matrix, .. } = self;
        let complete = |mut case: Case| {
            if case.today.is_empty() {
                case.today.clone_from(&today);
            }
            case.matrix = case.matrix.or_else(|| matrix.clone());
            case
        };
        self.cases.into_iter().map(complete).collect()
    }
}

/// An image: `rhel 10 (layers)`, or its facts one by one.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(try_from = "Value")]
pub(super) struct Image {
    /// Distribution and release, and how that is proven.
    pub(super) distro: Option<(String, Proof)>,
    pub(super) detail: Detail,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Proof {
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
pub(super) struct Detail {
    /// `rhel 10`
    distro: Option<String>,
    proven: Option<Proof>,
    /// A published base image, whose real layers the image has: `centos:7`.
    pub(super) base: Option<String>,
    /// As the pod writes it.
    pub(super) reference: Option<String>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) history: Vec<String>,
    /// Layers compressed with zstd, under which media type.
    pub(super) zstd: Option<Zstd>,
    /// Its manifest has the retired schema 1.
    pub(super) schema1: bool,
    /// Environment of the config.
    pub(super) env: BTreeMap<String, String>,
    /// What the container sets besides.
    pub(super) pod_env: BTreeMap<String, String>,
    /// The container asks for `nvidia.com/gpu`.
    pub(super) gpu: bool,
    /// What the files of its layers say, if they were read.
    pub(super) files: Option<super::files::Written>,
    /// User and exposed ports of the config.
    pub(super) user: String,
    pub(super) ports: Vec<u16>,
    /// More of the container: command, securityContext, …
    pub(super) container: Map<String, Value>,
    /// `linux/amd64`, unless it says otherwise.
    pub(super) platforms: Option<Vec<String>>,
    pub(super) role: Role,
    pub(super) registry: Answer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Zstd {
    Oci,
    Docker,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Role {
    #[default]
    Container,
    Init,
    Ephemeral,
    Volume,
}

/// What the registry does when it is asked for the image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Answer {
    #[default]
    Answers,
    RefusesAccess,
    /// It refuses, and a pull secret of the pod lies where Hostfit may not read it.
    RefusesAccessWithoutSecret,
    LimitsOurRate,
    IsTooSlow,
    HasNoSuchImage,
    CannotBeReached,
    MayNotBeAsked,
    AnswersGarbage,
    /// It answers for one platform, and garbage for the config of the other ones.
    AnswersGarbageForConfigs,
    /// Manifest and config are good, a layer is garbage.
    AnswersGarbageForLayers,
}

impl TryFrom<Value> for Image {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        if let Value::String(text) = &value {
            let (distro, proof) = text
                .strip_suffix(')')
                .and_then(|text| text.split_once(" ("))
                .ok_or_else(|| format!("{text:?} is not like \"rhel 10 (layers)\""))?;
            let proof = serde_json::from_value(proof.into()).map_err(|it| it.to_string())?;
            return Ok(Self {
                distro: Some((distro.to_owned(), proof)),
                detail: Detail::default(),
            });
        }
        let detail: Detail = serde_json::from_value(value).map_err(|it| it.to_string())?;
        let distro = match (&detail.distro, detail.proven) {
            (Some(distro), Some(proof)) => Some((distro.clone(), proof)),
            (None, None) => None,
            _ => return Err("distro and proven go together".to_owned()),
        };
        Ok(Self { distro, detail })
    }
}

/// A host: its name in hosts.yaml, or facts, perhaps on top of one of those.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Host {
    Name(String),
    Facts(Map<String, Value>),
}

/// `Fail (HF101 Fail, HF501 Warn)`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Expect {
    pub(super) verdict: String,
    /// Sorted, each once.
    pub(super) findings: Vec<String>,
}

impl Expect {
    pub(super) fn codes(&self) -> impl Iterator<Item = &str> {
        self.findings
            .iter()
            .filter_map(|finding| finding.split(' ').next())
    }
}

impl TryFrom<String> for Expect {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (verdict, list) = match text.split_once(" (") {
            Some((verdict, rest)) => {
                let list = rest.strip_suffix(')').ok_or("a bracket is missing")?;
                (verdict, list.split(", ").map(str::to_owned).collect())
            }
            None => (text.as_str(), Vec::new()),
        };
        let mut findings: Vec<String> = list;
        findings.sort();
        findings.dedup();
        Ok(Self {
            verdict: verdict.to_owned(),
            findings,
        })
    }
}

impl std::fmt::Display for Expect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.verdict)?;
        if !self.findings.is_empty() {
            write!(f, " ({})", self.findings.join(", "))?;
        }
        Ok(())
    }
}

fn one_or_many<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: serde::de::DeserializeOwned,
{
    let value = Value::deserialize(deserializer)?;
    let all = match value {
        Value::Array(all) => all,
        one => vec![one],
    };
    all.into_iter()
        .map(|one| serde_json::from_value(one).map_err(serde::de::Error::custom))
        .collect()
}
