//! ClusterCompatReport: all workloads against one HostProfile. For a declared one with a baseline it is the plan of an upgrade.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Condition;
use crate::compat_report::VerdictCounts;

/// All workloads against one HostProfile. Written by the operator, owned by the profile, and of its name.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "hostfit.dev",
    version = "v1alpha1",
    kind = "ClusterCompatReport",
    shortname = "ccompat",
    category = "hostfit",
    label("app.kubernetes.io/part-of", "hostfit"),
    status = "ClusterCompatReportStatus",
    derive = "PartialEq",
    doc = "All workloads against one HostProfile. For a declared one with a baseline: what breaks if it replaces that.",
    printcolumn = r#"{"name":"Baseline","type":"string","jsonPath":".status.baselineName","description":"The profile that this one would replace"}"#,
    printcolumn = r#"{"name":"Pass","type":"integer","jsonPath":".status.workloads.pass"}"#,
    printcolumn = r#"{"name":"Warn","type":"integer","jsonPath":".status.workloads.warn"}"#,
    printcolumn = r#"{"name":"Fail","type":"integer","jsonPath":".status.workloads.fail"}"#,
    printcolumn = r#"{"name":"New-Fail","type":"integer","jsonPath":".status.newFailures","description":"Workloads that the replacement breaks"}"#,
    printcolumn = r#"{"name":"Unknown","type":"integer","jsonPath":".status.workloads.unknown"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status","priority":1}"#,
    printcolumn = r#"{"name":"Changed","type":"date","jsonPath":".status.lastChangeTime","priority":1}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct ClusterCompatReportSpec {
    /// The profile that this report is about.
    #[schemars(length(min = 1, max = 253))]
    #[schemars(extend("x-kubernetes-validations" = [{"rule": "self == oldSelf", "message": "hostProfileName is immutable"}]))]
    pub host_profile_name: String,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterCompatReportStatus {
    /// The profile that this one would replace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub baseline_name: Option<String>,
    /// Workloads by the verdict on this profile: those that may land on it, or for a plan on its baseline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workloads: Option<VerdictCounts>,
    /// Workloads that fail on this profile by what they do not fail by on its baseline. 0 without a baseline.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub new_failures: i32,
    /// Workloads that fail on the baseline, and would not here.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub fixed: i32,
    /// The new failures, worst first, at most 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub blockers: Vec<Blocker>,
    /// New failures beyond the first 50.
    #[serde(default, skip_serializing_if = "crate::compat_report::is_zero")]
    #[schemars(range(min = 0))]
    pub blockers_omitted: i32,
    /// When counts or blockers last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_change_time: Option<Time>,
    /// Ready: the workloads were counted. If not, the message says what is missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub conditions: Vec<Condition>,
}

/// A workload that the replacement breaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Blocker {
    /// Its namespace.
    #[schemars(length(max = 63))]
    pub namespace: String,
    /// Its kind: Deployment.
    #[schemars(length(max = 63))]
    pub kind: String,
    /// Its name.
    #[schemars(length(max = 253))]
    pub name: String,
    /// Code of the worst new finding.
    #[schemars(length(max = 8))]
    pub code: String,
    /// What was found, in one sentence.
    #[schemars(length(max = 256))]
    pub message: String,
}
