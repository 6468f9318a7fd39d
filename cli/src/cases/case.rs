//! How a case is written. Strict: a field that nobody reads would prove nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use hostfit_crds::workload::PodSpec;
use hostfit_engine::finding::{CellVerdict, Code, nearest};
use hostfit_engine::landing::Fleet;
use hostfit_engine::verdict::Verdict;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::host;
use super::image::Image;
use super::world::World;

/// What a file of cases says besides each case.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Head {
    /// What the cases are about, for people.
    #[serde(default, rename = "about")]
    _about: Option<String>,
    /// Today's date in all cases that name no other.
    #[serde(default)]
    today: Option<String>,
    /// The SupportMatrices of all cases that name no other.
    #[serde(default, deserialize_with = "one_or_many")]
    matrix: Vec<Matrix>,
    pub(super) cases: Vec<Value>,
}

impl Head {
    /// A case with everything that the file says for all, and the folder in which its paths begin.
    pub(super) fn complete(&self, mut case: Case, base: PathBuf) -> Case {
        case.today = case.today.or_else(|| self.today.clone());
        if case.matrix.is_empty() {
            case.matrix.clone_from(&self.matrix);
        }
        for image in &mut case.image {
            image.begin_in(&base);
        }
        case.base = base;
        case
    }
}

/// One case.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it shows.
    #[serde(rename = "case")]
    pub name: String,
    /// Today's date: ends of support and of exceptions count from then.
    #[serde(default)]
    pub today: Option<String>,
    /// A workload whose manifest is in the folder: `deploy/search`.
    #[serde(default)]
    pub workload: Option<String>,
    /// The images of the pod, containers first; of a workload, what they are.
    #[serde(default, deserialize_with = "one_or_many")]
    pub image: Vec<Image>,
    /// The hosts on which the pod may land.
    #[serde(deserialize_with = "one_or_many")]
    pub host: Vec<Host>,
    /// The SupportMatrices that hold, instead of those that select the namespace.
    #[serde(default, deserialize_with = "one_or_many")]
    pub matrix: Vec<Matrix>,
    /// The pod's namespace; if absent, that of its workload.
    #[serde(default)]
    pub namespace: Option<Namespace>,
    /// The pod's labels; if there are none, those of its workload.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// More of the pod's spec: nodeSelector, tolerations, runtimeClassName, …
    #[serde(default)]
    pub pod: Option<Map<String, Value>>,
    /// The cluster's RuntimeClasses.
    #[serde(default, rename = "runtimeClass", deserialize_with = "one_or_many")]
    pub runtime_classes: Vec<RuntimeClass>,
    /// The verdict and the findings.
    pub expect: Expect,
    /// Codes of the findings that exceptions accept: all of them, if any is named.
    #[serde(default, deserialize_with = "one_or_many")]
    pub excepted: Vec<String>,
    /// Parts of the messages and fixes.
    #[serde(default, deserialize_with = "one_or_many")]
    pub says: Vec<String>,
    /// Parts that no message and no fix may have.
    #[serde(default, deserialize_with = "one_or_many")]
    pub silent: Vec<String>,
    /// Hosts that fit, of those that the pod may land on: `1/2`.
    #[serde(default)]
    pub hosts: Option<String>,
    /// What becomes of the pod.
    #[serde(default)]
    pub admission: Option<Admission>,
    /// The folder in which its paths begin.
    #[serde(skip)]
    pub(super) base: PathBuf,
    /// The pod that its workload makes.
    #[serde(skip)]
    pub(super) made: Option<PodSpec>,
}

impl Case {
    /// The images that have to be read.
    pub(crate) fn real_images(&self) -> impl Iterator<Item = &str> {
        let images = self.image.iter();
        images.filter_map(|image| image.detail.read.as_deref())
    }

    /// The namespace of the pod.
    pub(super) fn place(&self) -> Namespace {
        self.namespace.clone().unwrap_or_default()
    }

    /// The hosts on which the pod may land.
    pub(crate) fn fleet(&self, world: &World) -> Result<Fleet, String> {
        host::fleet(&self.host, world, &self.base)
    }
}

/// A SupportMatrix.
#[derive(Debug, Clone, Deserialize)]
#[serde(
    untagged,
    expecting = "matrix is the name of a SupportMatrix, a file with some, or the spec of one"
)]
pub enum Matrix {
    /// Its name, or the file in which it stands.
    Named(String),
    /// Its spec, as people write it.
    Spec(Map<String, Value>),
}

/// A namespace. Without labels it has those of its object, if that is in the folder.
#[derive(Debug, Clone, Deserialize)]
#[serde(from = "NamespaceWritten")]
pub struct Namespace {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: Option<BTreeMap<String, String>>,
}

impl Default for Namespace {
    fn default() -> Self {
        Self {
            name: "default".to_owned(),
            labels: None,
        }
    }
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "namespace is a name, or {name: shop, labels: {stage: production}}"
)]
enum NamespaceWritten {
    Name(String),
    Whole(NamespaceWhole),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NamespaceWhole {
    name: String,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

impl From<NamespaceWritten> for Namespace {
    fn from(written: NamespaceWritten) -> Self {
        match written {
            NamespaceWritten::Name(name) => Self { name, labels: None },
            NamespaceWritten::Whole(NamespaceWhole { name, labels }) => Self { name, labels },
        }
    }
}

/// A RuntimeClass.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuntimeClass {
    /// Its name.
    pub name: String,
    /// Its handler.
    pub handler: String,
    /// `nodeSelector` and `tolerations`.
    #[serde(default)]
    pub scheduling: Option<Value>,
}

/// A host: its name, or facts, perhaps on top of those of a named one.
#[derive(Debug, Clone, Deserialize)]
#[serde(
    untagged,
    expecting = "host is a name, or facts: {like: builtin/rhel-9, cpuLevel: 2}"
)]
pub enum Host {
    /// `rhel-9.4`, `builtin/rhel-9`, `file:hosts.yaml`
    Name(String),
    /// `{like: rhel-9.4, cpuLevel: 2}`
    Facts(Map<String, Value>),
}

/// `Fail (HF101 Fail, HF501 Warn)`, or `Fail` alone, whatever was found.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Expect {
    /// The verdict.
    pub verdict: String,
    /// Sorted, each once. None: whatever they are.
    pub findings: Vec<String>,
}

impl Expect {
    /// The codes of the findings.
    pub fn codes(&self) -> impl Iterator<Item = &str> {
        let findings = self.findings.iter();
        findings.filter_map(|finding| finding.split(' ').next())
    }

    /// Whether it says which findings there are, not only the verdict.
    pub fn is_exact(&self) -> bool {
        // Nothing is found of what passes.
        !self.findings.is_empty() || self.verdict == Verdict::Pass.as_str()
    }

    /// Whether this is what came.
    pub(super) fn is_met_by(&self, got: &Self) -> bool {
        let are_equal = self.findings.is_empty() || self.findings == got.findings;
        self.verdict == got.verdict && are_equal
    }
}

impl TryFrom<String> for Expect {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (verdict, list) = match text.split_once(" (") {
            Some((verdict, rest)) => {
                let list = rest
                    .strip_suffix(')')
                    .ok_or_else(|| format!("expect: a bracket is missing in {text:?}"))?;
                (verdict, list.split(", ").map(str::to_owned).collect())
            }
            None => (text.as_str(), Vec::new()),
        };
        one_of(
            "expect",
            "verdict",
            verdict,
            Verdict::ALL.map(Verdict::as_str),
        )?;
        let mut findings: Vec<String> = list;
        for finding in &findings {
            let (code, verdict) = finding.split_once(' ').ok_or_else(|| {
                format!("expect: {finding:?} is not like \"HF101 Fail\": a code and its verdict")
            })?;
            code_of("expect", code)?;
            let all = [CellVerdict::Warn, CellVerdict::Fail, CellVerdict::Unknown];
            one_of(
                "expect",
                "verdict of a finding",
                verdict,
                all.map(CellVerdict::as_str),
            )?;
        }
        findings.sort();
        findings.dedup();
        Ok(Self {
            verdict: verdict.to_owned(),
            findings,
        })
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.verdict)?;
        if !self.findings.is_empty() {
            write!(f, " ({})", self.findings.join(", "))?;
        }
        Ok(())
    }
}

/// `refused HF101 HF501`, or `refused` alone, whatever for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Admission {
    word: String,
    /// Worst first. None: whatever they are.
    codes: Vec<String>,
}

impl Admission {
    pub(super) fn new(word: &str, codes: Vec<String>) -> Self {
        let word = word.to_owned();
        Self { word, codes }
    }

    /// Whether this is what came.
    pub(super) fn is_met_by(&self, got: &Self) -> bool {
        self.word == got.word && (self.codes.is_empty() || self.codes == got.codes)
    }
}

impl TryFrom<String> for Admission {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut words = text.split(' ');
        let word = words.next().unwrap_or_default();
        let all = ["ignored", "admitted", "warned", "refused"];
        one_of("admission", "answer", word, all)?;
        let codes: Vec<_> = words.map(str::to_owned).collect();
        for code in &codes {
            code_of("admission", code)?;
        }
        if matches!(word, "ignored" | "admitted") && !codes.is_empty() {
            return Err(format!("admission: nothing is told of what is {word}"));
        }
        Ok(Self::new(word, codes))
    }
}

impl fmt::Display for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.word)?;
        self.codes.iter().try_for_each(|code| write!(f, " {code}"))
    }
}

/// That a word is one of a few.
fn one_of<const N: usize>(
    field: &str,
    what: &str,
    word: &str,
    all: [&str; N],
) -> Result<(), String> {
    if all.contains(&word) {
        return Ok(());
    }
    let all = all.join(", ");
    Err(format!(
        "{field}: {word:?} is no {what}: write one of {all}"
    ))
}

/// That there is such a code.
pub(super) fn code_of(field: &str, code: &str) -> Result<(), String> {
    let all: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
    if all.contains(&code) {
        return Ok(());
    }
    let near = nearest(code, &all).map(|near| format!("; did you mean {near}?"));
    let near = near.unwrap_or_default();
    Err(format!("{field}: there is no finding {code:?}{near}"))
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
