//! A row of a SupportMatrix, and what the engine makes of it.

use std::collections::BTreeMap;

use hostfit_engine::finding::Severity as EngineSeverity;
use hostfit_engine::matrix::row::{self, Row, RowSpec, Support};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::MatrixError;

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
    /// procCgroups, fips, ia32, aarch32, btf, modules, signedModules, iptables, cpuFeatures, sysctls. Versions and levels are
    /// ranges. A list holds alternatives.
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

/// The rows for the judge, in their order.
pub(super) fn rows(rules: &[MatrixRule]) -> Result<Vec<Row>, MatrixError> {
    let rows = rules.iter().map(spec).collect::<Result<Vec<_>, _>>()?;
    Ok(row::parse(&rows)?)
}

fn spec(rule: &MatrixRule) -> Result<(RowSpec, Support, Option<EngineSeverity>), MatrixError> {
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
    use super::super::SupportMatrixSpec;
    use super::*;
    use hostfit_engine::policy::Policy;
    use serde_json::json;

    /// `expected`: what is wrong with a row of these facts, or nothing.
    #[track_caller]
    fn check(image: Value, host: Value, expected: &str) {
        let row = json!({"name": "r", "image": image, "host": host, "verdict": "Unsupported"});
        let spec: SupportMatrixSpec = serde_json::from_value(json!({"rules": [row]})).unwrap();
        let read = Policy::try_from(&spec);
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
