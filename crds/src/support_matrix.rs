//! SupportMatrix: which images may run on which hosts, and what to do about the rest.

use std::collections::BTreeMap;

use hostfit_engine::finding::Severity as EngineSeverity;
use hostfit_engine::matrix::Pack;
use hostfit_engine::matrix::row::{self, RowError, RowSpec, Support};
use hostfit_engine::policy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::compat_report::VerdictCounts;
use crate::{Condition, Selector};

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
    /// What to do about what could not be told.
    pub unknown_policy: UnknownPolicy,
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
            unknown_policy: UnknownPolicy::default(),
            rules: Vec::new(),
        }
    }
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

/// A row: what you support for the images and hosts that it selects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MatrixRule {
    /// Name, unique in the matrix. Messages name it.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Facts of the image: distro, distroVersion (a range: ">=10", "8", ">=8 <10"), architecture, repository and baseImage (a *
    /// at the end matches the rest), libc, libcVersion, cpuLevel, minKernel, systemd, libselinux, runtimes: {java: "<8u372"},
    /// packages: {coreutils: ">=9"}. A list holds alternatives.
    #[serde(default)]
    #[schemars(schema_with = "facts_selector")]
    pub image: BTreeMap<String, Value>,
    /// Facts of the host: profiles (names of HostProfiles), os, osVersion, kernel, architecture, cpuLevel, cgroup, selinux,
    /// runtime, kubelet, nvidiaDriver, cuda, computeCapability, libseccomp, vsyscall, apparmor, seccompDefault, pageSize,
    /// procCgroups, fips, ia32, btf, modules, sysctls. Versions and levels are ranges. A list holds alternatives.
    #[serde(default)]
    #[schemars(schema_with = "facts_selector")]
    pub host: BTreeMap<String, Value>,
    /// Supported passes, BestEffort warns, Unsupported fails.
    pub verdict: RuleVerdict,
    /// How bad an unsupported pair is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<RuleSeverity>,
    /// Why, for the one who reads the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200))]
    pub message: Option<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200))]
    pub remediation: Option<String>,
}

/// Names are not listed in the schema: an unknown one would silently be dropped. The condition Ready names it instead.
fn facts_selector(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 16,
        "x-kubernetes-preserve-unknown-fields": true,
    })
}

/// What a row says of its pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RuleVerdict {
    /// Passes.
    Supported,
    /// Warns.
    BestEffort,
    /// Fails.
    Unsupported,
}

/// How bad an unsupported pair is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RuleSeverity {
    /// The container does not start.
    BreaksAtStart,
    /// A part of it does not work.
    BreaksFeature,
    /// It runs, but worse.
    Degraded,
    /// Nobody supports it.
    Unsupported,
    /// Supported with limits.
    Limited,
    /// Past the end of support.
    EndOfLife,
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
    /// Workloads of the selected namespaces by verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workloads: Option<VerdictCounts>,
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

/// Why a SupportMatrix cannot be used. Shown in its condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MatrixError {
    /// A row is wrong.
    #[error(transparent)]
    Row(#[from] RowError),
    /// A selector's value has a shape that means nothing.
    #[error(
        "row {row:?}: {side}.{name} must be a text, a whole number, true, false, or a list of those (put versions in quotes)"
    )]
    Value {
        /// Name of the row.
        row: String,
        /// `image` or `host`.
        side: &'static str,
        /// The fact.
        name: String,
    },
}

impl SupportMatrix {
    /// Whether the matrix speaks of a namespace with these labels.
    pub fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        self.spec
            .namespace_selector
            .as_ref()
            .is_none_or(|selector| selector.selects(labels))
    }
}

impl TryFrom<&SupportMatrixSpec> for policy::Policy {
    type Error = MatrixError;

    fn try_from(spec: &SupportMatrixSpec) -> Result<Self, MatrixError> {
        let response = |response: Response| match response {
            Response::Allow => policy::Response::Allow,
            Response::Warn => policy::Response::Warn,
            Response::Deny => policy::Response::Deny,
        };
        let rows = spec.rules.iter().map(row).collect::<Result<Vec<_>, _>>()?;
        let pack = |pack: &RulePack| match pack {
            RulePack::Recommended => Pack::Recommended,
            RulePack::VendorSupport => Pack::VendorSupport,
            RulePack::Eol => Pack::EndOfLife,
            RulePack::Strict => Pack::Strict,
        };
        Ok(Self {
            mode: match spec.mode {
                Mode::Audit => policy::Mode::Audit,
                Mode::Warn => policy::Mode::Warn,
                Mode::Enforce => policy::Mode::Enforce,
            },
            namespace_overrides: match spec.namespace_overrides {
                NamespaceOverrides::None => policy::NamespaceOverrides::None,
                NamespaceOverrides::Tighten => policy::NamespaceOverrides::Tighten,
                NamespaceOverrides::Any => policy::NamespaceOverrides::Any,
            },
            host_policy: match spec.host_policy {
                HostPolicy::AnyReachable => policy::HostPolicy::AnyReachable,
                HostPolicy::AllReachable => policy::HostPolicy::AllReachable,
            },
            image_unreadable: response(spec.unknown_policy.image_unreadable),
            host_unknown: response(spec.unknown_policy.host_unknown),
            rules: policy::Rules {
                packs: spec.rule_packs.iter().map(pack).collect(),
                rows: row::parse(&rows)?,
                outside_matrix: response(spec.unknown_policy.outside_matrix),
            },
        })
    }
}

fn row(rule: &MatrixRule) -> Result<(RowSpec, Support, Option<EngineSeverity>), MatrixError> {
    let spec = RowSpec {
        name: rule.name.clone(),
        image: values(&rule.name, "image", &rule.image)?,
        host: values(&rule.name, "host", &rule.host)?,
        message: rule.message.clone(),
        remediation: rule.remediation.clone(),
    };
    let support = match rule.verdict {
        RuleVerdict::Supported => Support::Supported,
        RuleVerdict::BestEffort => Support::BestEffort,
        RuleVerdict::Unsupported => Support::Unsupported,
    };
    let severity = rule.severity.map(|severity| match severity {
        RuleSeverity::BreaksAtStart => EngineSeverity::BreaksAtStart,
        RuleSeverity::BreaksFeature => EngineSeverity::BreaksFeature,
        RuleSeverity::Degraded => EngineSeverity::Degraded,
        RuleSeverity::Unsupported => EngineSeverity::Unsupported,
        RuleSeverity::Limited => EngineSeverity::Limited,
        RuleSeverity::EndOfLife => EngineSeverity::EndOfLife,
    });
    Ok((spec, support, severity))
}

fn values(
    row: &str,
    side: &'static str,
    written: &BTreeMap<String, Value>,
) -> Result<BTreeMap<String, Vec<String>>, MatrixError> {
    let scalar = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        // 8.10 without quotes is the number 8.1.
        Value::Number(number) if number.is_f64() => None,
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    // `runtimes: {java: "<8u372"}` is the fact runtimes.java.
    let flat = written.iter().flat_map(|(name, value)| match value {
        Value::Object(inner) if !inner.is_empty() => inner
            .iter()
            .map(|(inner, value)| (format!("{name}.{inner}"), value))
            .collect(),
        value => vec![(name.clone(), value)],
    });
    let list = |value: &Value| match value {
        Value::Array(values) => values.iter().map(scalar).collect(),
        value => scalar(value).map(|value| vec![value]),
    };
    let one = |(name, value): (String, &Value)| {
        let values = list(value).filter(|values| !values.is_empty());
        match values {
            Some(values) => Ok((name, values)),
            None => Err(MatrixError::Value {
                row: row.to_owned(),
                side,
                name,
            }),
        }
    };
    flat.map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// `expected`: what is wrong with a row of these facts, or nothing.
    #[track_caller]
    fn check(image: Value, host: Value, expected: &str) {
        let row = json!({"name": "r", "image": image, "host": host, "verdict": "Unsupported"});
        let spec = serde_json::from_value(json!({"rules": [row]})).unwrap();
        let read = policy::Policy::try_from(&spec);
        let got = read.err().map(|error| error.to_string());
        assert_eq!(got.unwrap_or_default(), expected);
    }

    #[test]
    fn rows_may_select_on_every_fact_of_an_image() {
        let image = json!({
            "distro": "rhel", "distroVersion": ">=8", "architecture": ["amd64", "arm64"],
            "repository": "registry.example/*", "baseImage": "ubi9*", "libc": "glibc", "libcVersion": "<2.34",
            "cpuLevel": 3, "minKernel": ">=3.2", "runtimes": {"java": ["<8u372", ">=9 <11.0.16"]},
            "systemd": "<232", "libselinux": "<2.1.1", "packages": {"coreutils": ">=8.32", "musl": "1.2"},
        });
        check(image, json!({}), "");
    }

    #[test]
    fn a_name_that_is_no_fact_is_told_with_the_one_that_was_meant() {
        let image = |image: Value, expected: &str| check(image, json!({}), expected);
        image(
            json!({"libcVersoin": "2"}),
            r#"row "r": image has no fact "libcVersoin"; did you mean "libcVersion"?"#,
        );
        image(
            json!({"java": "<9"}),
            r#"row "r": image has no fact "java"; did you mean "runtimes.java"?"#,
        );
        image(
            json!({"packages": {"coreutil": "9"}}),
            r#"row "r": image has no fact "packages.coreutil"; did you mean "packages.coreutils"?"#,
        );
        image(
            json!({"colour": "red"}),
            r#"row "r": image has no fact "colour""#,
        );
        check(
            json!({}),
            json!({"kernal": "5"}),
            r#"row "r": host has no fact "kernal"; did you mean "kernel"?"#,
        );
        check(
            json!({}),
            json!({"sysctls": {"vm.overcommit_memory": "2"}}),
            r#"row "r": host has no fact "sysctls.vm.overcommit_memory""#,
        );
    }

    #[test]
    fn a_range_that_cannot_be_read_is_told() {
        let image = |image: Value, expected: &str| check(image, json!({}), expected);
        image(
            json!({"libcVersion": "new"}),
            r#"row "r": image.libcVersion: "new" is not a version with an optional <, <=, > or >= before it"#,
        );
        image(
            json!({"runtimes": {"java": "<openjdk"}}),
            r#"row "r": image.runtimes.java: "<openjdk" is not a version with an optional <, <=, > or >= before it"#,
        );
        image(
            json!({"systemd": ""}),
            r#"row "r": image.systemd: the range is empty; write for example ">=9" or ">=8 <10""#,
        );
        let shape = "must be a text, a whole number, true, false, or a list of those (put versions in quotes)";
        image(
            json!({"libcVersion": 2.31}),
            &format!(r#"row "r": image.libcVersion {shape}"#),
        );
        image(
            json!({"runtimes": {}}),
            &format!(r#"row "r": image.runtimes {shape}"#),
        );
        image(
            json!({"runtimes": {"java": {"major": 8}}}),
            &format!(r#"row "r": image.runtimes.java {shape}"#),
        );
    }
}
