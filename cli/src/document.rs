//! What commands print, as one versioned object: `cli.hostfit.dev/v1`. Every format is a rendering of it.
//!
//! Fields are added, never renamed. What is not known is absent, never an empty string.

mod build;
mod plan;

use std::fmt;
use std::sync::Arc;

use hostfit_engine::finding::CellVerdict;
use hostfit_engine::verdict::Verdict;
use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

pub(crate) use build::{Builder, Subject};
pub(crate) use plan::{Change, Move, Plan, Work};

/// The version of the object.
pub(crate) const API_VERSION: &str = "cli.hostfit.dev/v1";

/// Images on hosts, judged: of a few images, of manifests, or of a whole cluster.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Document {
    #[serde(rename = "apiVersion")]
    pub(crate) api_version: &'static str,
    pub(crate) kind: Kind,
    /// The version of the rules.
    pub(crate) rules: &'static str,
    /// The day on which the rules were published.
    pub(crate) rules_published: &'static str,
    /// When it was judged, to the second.
    #[serde(serialize_with = "shown")]
    pub(crate) judged: Timestamp,
    /// Where hosts and workloads come from. Absent where no workloads were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) source: Option<Source>,
    /// Workloads by verdict; cells by verdict where there are no workloads.
    pub(crate) summary: Summary,
    pub(crate) hosts: Vec<HostEntry>,
    /// Worst first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) workloads: Vec<WorkloadEntry>,
    /// Each image on each host that it may land on, in the order in which they were judged.
    pub(crate) items: Vec<Item>,
    /// Findings that somebody took the responsibility for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) excepted: Vec<Excepted>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) plan: Option<Plan>,
    /// What of manifests could not be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) not_read: Vec<NotJudged>,
    /// Whether the command fails because of that.
    #[serde(skip)]
    pub(crate) is_broken: bool,
    /// What may make pods in manifests and is of no kind that is read, a sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "sentences")]
    pub(crate) not_judged: Vec<NotJudged>,
    /// Absent where no cluster was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) permissions: Option<Permissions>,
}

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum Kind {
    /// Verdicts.
    Check,
    /// Everything.
    Report,
    /// What changes when hosts are replaced.
    Plan,
}

/// Where hosts and workloads come from, and how old that is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Source {
    /// For people: `cluster demo-eu1`, `snapshot demo.yaml`, `manifests in deploy/`.
    pub(crate) from: String,
    /// When it was read; of a snapshot, when that was taken.
    #[serde(serialize_with = "shown")]
    pub(crate) read: Timestamp,
}

/// How many have each verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Summary {
    pub(crate) pass: usize,
    pub(crate) warn: usize,
    pub(crate) partial: usize,
    pub(crate) fail: usize,
    pub(crate) unknown: usize,
}

/// A host that something was judged on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct HostEntry {
    pub(crate) name: Arc<str>,
    pub(crate) origin: Origin,
    /// Nodes of this class now.
    pub(crate) nodes: u32,
    pub(crate) facts: Facts,
}

/// Who says what a host offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum Origin {
    /// Nodes of a cluster.
    Observed,
    /// People, in a HostProfile of the cluster.
    Declared,
    /// Our list.
    BuiltIn,
    /// A file.
    File,
    /// The machine that the command runs on.
    Local,
}

/// Facts by their names, shared: the same stand on many cells.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub(crate) struct Facts(pub(crate) Arc<Map<String, Value>>);

impl Facts {
    /// A fact as text, if it is known.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        Some(match self.0.get(name)? {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
    }
}

/// A workload, or a file's part of one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub(crate) struct Target {
    /// Absent where it is not named (manifests).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) namespace: Option<String>,
    /// `Deployment`
    pub(crate) kind: String,
    pub(crate) name: String,
    /// The manifest that it stands in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<String>,
}

impl fmt::Display for Target {
    /// `shop/Deployment/search`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        write!(f, "{}/{}", self.kind, self.name)
    }
}

/// A workload on all hosts that it may land on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct WorkloadEntry {
    #[serde(flatten)]
    pub(crate) target: Arc<Target>,
    #[serde(serialize_with = "verdict")]
    pub(crate) verdict: Verdict,
    /// `1/2`: hosts that fit, of those that it may land on; `?/2` if that could not be told.
    pub(crate) hosts: String,
    /// The worst on each host that it may land on.
    pub(crate) by_host: Vec<OnHost>,
    pub(crate) containers: Vec<Container>,
    /// Worst first. Empty only for Pass.
    pub(crate) findings: Vec<Arc<Finding>>,
}

/// A workload on one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct OnHost {
    pub(crate) host: Arc<str>,
    #[serde(serialize_with = "cell")]
    pub(crate) verdict: CellVerdict,
}

/// A container or volume, and its image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Container {
    pub(crate) name: String,
    /// `containers`, `initContainers`, `ephemeralContainers` or `volumes`.
    pub(crate) role: &'static str,
    pub(crate) image: Arc<str>,
    /// Absent where the registry did not tell it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) digest: Option<Arc<str>>,
}

/// An image on a host: the worst of all workloads that use it and may land there.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Item {
    pub(crate) image: Arc<str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) digest: Option<Arc<str>>,
    /// The platform of the image that the host would choose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) platform: Option<Arc<str>>,
    pub(crate) host: Arc<str>,
    #[serde(serialize_with = "cell")]
    pub(crate) verdict: CellVerdict,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) image_facts: Option<Facts>,
    pub(crate) host_facts: Facts,
    pub(crate) findings: Vec<Arc<Finding>>,
    /// Who uses the image and may land there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) workloads: Vec<Arc<str>>,
}

/// One reason why an image does not fit, may not fit, or cannot be judged.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub(crate) struct Finding {
    pub(crate) code: &'static str,
    #[serde(serialize_with = "cell")]
    pub(crate) verdict: CellVerdict,
    pub(crate) severity: &'static str,
    /// One sentence: fact of the image, fact of the host.
    pub(crate) message: String,
    pub(crate) fix: String,
    pub(crate) evidence: Vec<Evidence>,
    pub(crate) docs: String,
    /// Containers and volumes that it is about.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) containers: Vec<String>,
    /// Hosts that it is about; empty if it is not about the host.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) hosts: Vec<Arc<str>>,
}

/// What the image's side of a finding rests on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub(crate) struct Evidence {
    pub(crate) from: String,
    /// `file`, `layers`, `stated` or `hint`.
    pub(crate) strength: String,
}

/// A finding that a CompatException accepts until a date.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Excepted {
    #[serde(flatten)]
    pub(crate) target: Arc<Target>,
    pub(crate) finding: Arc<Finding>,
    /// Name of the exception.
    pub(crate) exception: String,
    /// Until when, to the second.
    #[serde(serialize_with = "shown")]
    pub(crate) until: Timestamp,
    pub(crate) reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ticket: Option<String>,
}

/// A part of manifests that was not judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct NotJudged {
    pub(crate) file: String,
    /// What it is, and why it was not.
    pub(crate) why: String,
}

impl fmt::Display for NotJudged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.why)
    }
}

/// What a cluster let us read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Permissions {
    /// `list nodes`
    pub(crate) used: Vec<String>,
    pub(crate) lacked: Vec<Lacked>,
}

/// A permission that we do not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Lacked {
    /// `list statefulsets.apps`
    pub(crate) permission: String,
    /// What is missing here because of it.
    pub(crate) therefore: String,
    /// Whether there may be workloads that were not judged.
    pub(crate) hides_workloads: bool,
}

impl Document {
    /// Whether workloads were asked for, be there any or not; else it is about images on hosts.
    pub(crate) fn is_of_workloads(&self) -> bool {
        self.source.is_some()
    }
}

impl Summary {
    /// Counts verdicts.
    pub(crate) fn of(verdicts: impl IntoIterator<Item = Verdict>) -> Self {
        let mut counts = Self::default();
        for verdict in verdicts {
            match verdict {
                Verdict::Pass => counts.pass += 1,
                Verdict::Warn => counts.warn += 1,
                Verdict::Partial => counts.partial += 1,
                Verdict::Fail => counts.fail += 1,
                Verdict::Unknown => counts.unknown += 1,
            }
        }
        counts
    }
}

/// The verdict on a workload that is a single cell.
pub(crate) fn of_cell(verdict: CellVerdict) -> Verdict {
    match verdict {
        CellVerdict::Pass => Verdict::Pass,
        CellVerdict::Warn => Verdict::Warn,
        CellVerdict::Unknown => Verdict::Unknown,
        CellVerdict::Fail => Verdict::Fail,
    }
}

fn sentences<S: Serializer>(all: &[NotJudged], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(all.iter().map(|it| &it.why))
}

fn shown<S: Serializer>(value: &impl fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn verdict<S: Serializer>(verdict: &Verdict, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(verdict.as_str())
}

fn cell<S: Serializer>(verdict: &CellVerdict, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(verdict.as_str())
}
