//! SupportMatrix: which images may run on which hosts, and what to do about the rest.

mod read;
mod row;

use hostfit_engine::matrix::RulesVersion;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::compat_report::VerdictCounts;
use crate::{Condition, HostFacts, Selector};

pub use read::MatrixError;
pub use row::{MatrixRule, RuleSeverity, RuleVerdict};

/// Which images may run on which hosts, how strictly, and what to do about the unknown.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "hostfit.dev",
    version = "v1alpha1",
    kind = "SupportMatrix",
    plural = "supportmatrices",
    shortname = "smx",
    category = "hostfit",
    label("app.kubernetes.io/part-of", "hostfit"),
    status = "SupportMatrixStatus",
    derive = "PartialEq",
    doc = "Which images may run on which hosts, how strictly, and what to do about the unknown.",
    printcolumn = r#"{"name":"Mode","type":"string","jsonPath":".spec.mode","description":"Audit, Warn or Enforce"}"#,
    printcolumn = r#"{"name":"Rules","type":"integer","jsonPath":".status.rules","description":"Active rules and rows"}"#,
    printcolumn = r#"{"name":"Pass","type":"integer","jsonPath":".status.workloads.pass"}"#,
    printcolumn = r#"{"name":"Warn","type":"integer","jsonPath":".status.workloads.warn"}"#,
    printcolumn = r#"{"name":"Partial","type":"integer","jsonPath":".status.workloads.partial"}"#,
    printcolumn = r#"{"name":"Fail","type":"integer","jsonPath":".status.workloads.fail"}"#,
    printcolumn = r#"{"name":"Unknown","type":"integer","jsonPath":".status.workloads.unknown"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status","description":"Whether every row could be read"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase", default)]
pub struct SupportMatrixSpec {
    /// Audit: reports only. Warn: pods are annotated, and warnings go to the terminal. Enforce: what fits nowhere is refused.
    pub mode: Mode,
    /// Namespaces that this matrix speaks of, on top of the chart's exclusions. All, if absent or empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<Selector>,
    /// What the namespace label hostfit.dev/mode may do: None, Tighten (stricter only), or Any.
    pub namespace_overrides: NamespaceOverrides,
    /// Built-in rules: recommended, vendor-support and eol; strict makes warnings of the others refuse.
    #[schemars(length(max = 4))]
    pub rule_packs: Vec<RulePack>,
    /// AnyReachable: a pod is refused if no host that it may land on fits. AllReachable: if one does not.
    pub host_policy: HostPolicy,
    /// Warn: an image that already ran well in the namespace is warned of and not refused, so that no drain or restart
    /// takes a workload away. Deny: it is refused as any other.
    pub existing_workloads: ExistingWorkloads,
    /// Keep new pods away from hosts that do not fit, where another one does: a required node affinity on the label
    /// hostfit.dev/host-profile is added. Not in mode Audit, and never because of what is unknown or only possible.
    pub steer: bool,
    /// What to do about what could not be told.
    pub unknown_policy: UnknownPolicy,
    /// The version of the built-in rules that may refuse, such as 2026.11.2: what later versions bring only warns. latest
    /// accepts every version. If absent, the version that was installed when this matrix was made (status.firstRulesVersion).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 32),
        regex(pattern = r"^(latest|[0-9]{4}\.[0-9]{1,2}\.[0-9]{1,2})$")
    )]
    pub rules_version: Option<String>,
    /// Codes that CompatExceptions of the selected namespaces may name: HF501, HF5* for all that begin so, * for all; none if
    /// empty. Where several matrices select a namespace, all must allow it.
    #[schemars(length(max = 64), inner(length(min = 1, max = 8)))]
    pub exception_codes: Vec<String>,
    /// What the handlers of RuntimeClasses give their pods instead of the node's kernel: rules on the kernel then judge by that.
    /// Without it, of a sandbox they say nothing (HF250), and of any other handler they are only possible.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["handler"]))]
    pub runtime_handlers: Vec<RuntimeHandler>,
    /// Your own rows. The first row that matches a pair of image and host decides; it beats every pack.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200))]
    pub rules: Vec<MatrixRule>,
}

impl Default for SupportMatrixSpec {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            namespace_selector: None,
            namespace_overrides: NamespaceOverrides::default(),
            rule_packs: vec![
                RulePack::Recommended,
                RulePack::VendorSupport,
                RulePack::Eol,
            ],
            host_policy: HostPolicy::default(),
            existing_workloads: ExistingWorkloads::default(),
            steer: false,
            runtime_handlers: Vec::new(),
            unknown_policy: UnknownPolicy::default(),
            rules_version: None,
            exception_codes: vec!["*".to_owned()],
            rules: Vec::new(),
        }
    }
}

/// What a handler of RuntimeClasses gives its pods.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuntimeHandler {
    /// The handler, as RuntimeClasses name it: runsc, kata-qemu.
    #[schemars(length(min = 1, max = 253))]
    pub handler: String,
    /// The kernel in it, as facts of a host: kernel, vsyscall, modules, btf, sysctls, and what else rules on the kernel ask for.
    pub facts: HostFacts,
}

/// How strict the matrix is at admission.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// Reports only.
    Audit,
    /// Pods are annotated, and warnings go to the terminal.
    #[default]
    Warn,
    /// What fits nowhere is refused.
    Enforce,
}

/// What a namespace may do to the mode by its label.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NamespaceOverrides {
    /// Nothing.
    None,
    /// Make it stricter.
    #[default]
    Tighten,
    /// Anything, also off.
    Any,
}

/// Built-in rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RulePack {
    /// What breaks.
    Recommended,
    /// What the vendors' published matrices say.
    VendorSupport,
    /// What is past its end of support.
    Eol,
    /// Warnings of the other packs refuse.
    Strict,
}

/// When a pod is refused that fits some of the hosts that it may land on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum HostPolicy {
    /// Never: one host that fits is enough.
    #[default]
    AnyReachable,
    /// If one host does not fit.
    AllReachable,
}

/// What becomes of an image that would be refused, but already ran well in the namespace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ExistingWorkloads {
    /// Let it in, and say so.
    #[default]
    Warn,
    /// Refuse it.
    Deny,
}

/// What to do about something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Response {
    /// Let it in and say nothing.
    Allow,
    /// Let it in and say so.
    Warn,
    /// Refuse it, in mode Enforce.
    Deny,
}

/// What to do about what could not be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct UnknownPolicy {
    /// The image could not be read (HF901, HF902, HF903, HF905 to HF908).
    pub image_unreadable: Response,
    /// A fact of the host is missing (HF904).
    pub host_unknown: Response,
    /// No row of any active matrix speaks of the pair (HF508).
    pub outside_matrix: Response,
}

impl Default for UnknownPolicy {
    fn default() -> Self {
        Self {
            image_unreadable: Response::Warn,
            host_unknown: Response::Allow,
            outside_matrix: Response::Allow,
        }
    }
}

/// What the operator makes of the matrix.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SupportMatrixStatus {
    /// Generation of the spec that this speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Active rules: the rows of this matrix and the rules of its packs.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub rules: i32,
    /// Version of the built-in rules and tables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub rules_version: Option<String>,
    /// The version of them when the matrix was made: unless spec.rulesVersion says otherwise, what is newer only warns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub first_rules_version: Option<String>,
    /// Workloads of the selected namespaces by verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workloads: Option<VerdictCounts>,
    /// CompatExceptions of the selected namespaces that accept something now.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub active_exceptions: i32,
    /// Host profiles in the cluster.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub host_profiles: i32,
    /// When rules or counts last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_change_time: Option<Time>,
    /// Ready: every row could be read. If not, the last good state of the matrix stays active.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub conditions: Vec<Condition>,
}

impl SupportMatrixStatus {
    /// The version of the rules that the matrix was made with. Before that was kept, the version that judged by it last.
    pub fn made_with(&self) -> Option<RulesVersion> {
        let kept = self.first_rules_version.as_ref();
        kept.or(self.rules_version.as_ref())?.parse().ok()
    }
}
