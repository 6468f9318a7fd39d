//! CompatReport: what was found on one workload.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Condition;

/// Whether one workload fits the hosts that it may land on, why, and what to do. Written by the operator, owned by the
/// workload.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "hostfit.dev",
    version = "v1alpha1",
    kind = "CompatReport",
    shortname = "compat",
    category = "hostfit",
    label("app.kubernetes.io/part-of", "hostfit"),
    namespaced,
    status = "CompatReportStatus",
    derive = "PartialEq",
    selectable = ".status.verdict",
    doc = "Whether one workload fits the hosts that it may land on, why not, and what to do.",
    printcolumn = r#"{"name":"Verdict","type":"string","jsonPath":".status.verdict","description":"Pass, Warn, Partial, Fail or Unknown"}"#,
    printcolumn = r#"{"name":"Hosts","type":"string","jsonPath":".status.hosts","description":"Host profiles that fit, of those that it may land on"}"#,
    printcolumn = r#"{"name":"Fail","type":"integer","jsonPath":".status.findingCounts.fail","description":"Findings that fail"}"#,
    printcolumn = r#"{"name":"Warn","type":"integer","jsonPath":".status.findingCounts.warn","description":"Findings that warn"}"#,
    printcolumn = r#"{"name":"Finding","type":"string","jsonPath":".status.topFinding","description":"Code of the worst finding"}"#,
    printcolumn = r#"{"name":"Kind","type":"string","jsonPath":".spec.targetRef.kind","priority":1}"#,
    printcolumn = r#"{"name":"Target","type":"string","jsonPath":".spec.targetRef.name","priority":1}"#,
    printcolumn = r#"{"name":"Changed","type":"date","jsonPath":".status.lastChangeTime","priority":1}"#,
    printcolumn = r#"{"name":"Message","type":"string","jsonPath":".status.findings[0].message","priority":1}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct CompatReportSpec {
    /// The workload that this report is about.
    #[schemars(extend("x-kubernetes-validations" = [{"rule": "self == oldSelf", "message": "targetRef is immutable"}]))]
    pub target_ref: TargetRef,
}

/// A workload in the report's namespace.
#[derive(
    Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct TargetRef {
    /// Group and version: apps/v1.
    #[schemars(length(max = 128))]
    pub api_version: String,
    /// Kind: Deployment.
    #[schemars(length(max = 63))]
    pub kind: String,
    /// Name.
    #[schemars(length(max = 253))]
    pub name: String,
    /// UID: a workload that is deleted and made again gets a new report.
    #[schemars(length(max = 64))]
    pub uid: String,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CompatReportStatus {
    /// Generation of the workload that this speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Pass: every host fits. Warn: every host fits, something is advised against. Partial: some hosts do not fit.
    /// Fail: none fits. Unknown: it could not be told, and the findings say why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// Host profiles that fit, of those that the workload may land on: "1/2", or "?/2" if it could not be told.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub hosts: String,
    /// Findings by what they lead to.
    #[serde(default)]
    pub finding_counts: FindingCounts,
    /// Code of the worst finding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8))]
    pub top_finding: Option<String>,
    /// What was found, worst first, at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub findings: Vec<ReportFinding>,
    /// Findings beyond the first 20.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0))]
    pub findings_omitted: i32,
    /// Findings that CompatExceptions accept, at most 20: they do not count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub excepted: Vec<ExceptedFinding>,
    /// The images, and the digests that were judged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub images: Vec<ReportImage>,
    /// Digests of its images, now or before, that ran well in the namespace, the latest first. With existingWorkloads: Warn
    /// they are not refused there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 140)))]
    pub ran_digests: Vec<String>,
    /// When verdict or findings last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_change_time: Option<Time>,
    /// Compatible: every host fits; Unknown if the verdict is. Complete: nothing is unknown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub conditions: Vec<Condition>,
}

/// What a report tells of images that ran, for who reads nothing else of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Ran {
    /// As in the status.
    pub ran_digests: Vec<String>,
}

pub(crate) fn is_zero(number: &i32) -> bool {
    *number == 0
}

/// The verdict on a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Verdict {
    /// Every host fits.
    Pass,
    /// Every host fits; something is advised against.
    Warn,
    /// Some hosts do not fit.
    Partial,
    /// No host fits.
    Fail,
    /// It could not be told.
    Unknown,
}

impl From<hostfit_engine::verdict::Verdict> for Verdict {
    fn from(verdict: hostfit_engine::verdict::Verdict) -> Self {
        match verdict {
            hostfit_engine::verdict::Verdict::Pass => Self::Pass,
            hostfit_engine::verdict::Verdict::Warn => Self::Warn,
            hostfit_engine::verdict::Verdict::Partial => Self::Partial,
            hostfit_engine::verdict::Verdict::Unknown => Self::Unknown,
            hostfit_engine::verdict::Verdict::Fail => Self::Fail,
        }
    }
}

/// Findings by what they lead to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FindingCounts {
    /// Findings that warn.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub warn: i32,
    /// Findings that fail.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub fail: i32,
    /// What could not be told.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub unknown: i32,
}

/// Workloads by verdict.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VerdictCounts {
    /// Workloads that fit.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub pass: i32,
    /// Workloads that fit, with warnings.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub warn: i32,
    /// Workloads that fit only some of the hosts that they may land on.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub partial: i32,
    /// Workloads that do not fit.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub fail: i32,
    /// Workloads that could not be judged.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub unknown: i32,
}

/// One finding.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReportFinding {
    /// Its stable code: HF502. docs/findings.md explains each.
    #[schemars(length(max = 8))]
    pub code: String,
    /// How bad it is: BreaksAtStart, BreaksFeature, Degraded, Unsupported, Limited, EndOfLife or Unknown.
    #[schemars(length(max = 16))]
    pub severity: String,
    /// What it leads to on a host: Warn, Fail or Unknown.
    #[schemars(length(max = 8))]
    pub verdict: String,
    /// Containers and volumes that it is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 63)))]
    pub containers: Vec<String>,
    /// Host profiles that it is about; empty if it is not about the host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 253)))]
    pub host_profiles: Vec<String>,
    /// What was found, in one sentence.
    #[schemars(length(max = 512))]
    pub message: String,
    /// What to do about it.
    #[schemars(length(max = 512))]
    pub remediation: String,
    /// What the image's side rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub evidence: Option<String>,
    /// How sure that is: file, layers, stated or hint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8))]
    pub strength: Option<String>,
}

/// A finding that a CompatException accepts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExceptedFinding {
    /// Its stable code.
    #[schemars(length(max = 8))]
    pub code: String,
    /// Containers and volumes that it is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 63)))]
    pub containers: Vec<String>,
    /// Host profiles that it is about; empty if it is not about the host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 253)))]
    pub host_profiles: Vec<String>,
    /// What was found, in one sentence.
    #[schemars(length(max = 512))]
    pub message: String,
    /// Name of the CompatException.
    #[schemars(length(max = 253))]
    pub exception: String,
    /// From this second on the finding counts.
    pub expiration_time: Time,
}

/// One image of the workload.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReportImage {
    /// Container or volume.
    #[schemars(length(max = 63))]
    pub container: String,
    /// Reference, normalised.
    #[schemars(length(max = 1024))]
    pub image: String,
    /// Digest that was judged, if the registry told one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 140))]
    pub digest: Option<String>,
    /// Its layers have not been read (yet): it was judged by its manifest and config.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub only_config: bool,
    /// What the image stands on, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub base_image: Option<String>,
    /// The distribution that the rules took it for, if anything tells: rhel 9.4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub distro: Option<String>,
    /// Weaker evidence that says something else of the distribution.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4), inner(length(max = 256)))]
    pub contradictions: Vec<String>,
}
