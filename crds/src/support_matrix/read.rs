//! A SupportMatrix → the policy that it asks for, or what is wrong with it.

use std::collections::BTreeMap;

use hostfit_engine::finding::Severity as EngineSeverity;
use hostfit_engine::matrix::row::{self, RowError, RowSpec, Support};
use hostfit_engine::matrix::{NoRulesVersion, Pack, RulesVersion};
use hostfit_engine::policy;
use serde_json::Value;

use super::{
    HostPolicy, MatrixRule, Mode, NamespaceOverrides, Response, RulePack, RuleSeverity,
    RuleVerdict, SupportMatrix, SupportMatrixSpec, SupportMatrixStatus,
};

/// Why a SupportMatrix cannot be used. Shown in its condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MatrixError {
    /// A row is wrong.
    #[error(transparent)]
    Row(#[from] RowError),
    /// The version of the rules is none.
    #[error("rulesVersion: {0}")]
    RulesVersion(#[from] NoRulesVersion),
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

    /// What the matrix asks for. One that names no version of the rules accepts what it was made with; one that nobody has
    /// looked at yet is being made.
    ///
    /// # Errors
    /// A row or a version that cannot be read.
    pub fn policy(&self) -> Result<policy::Policy, MatrixError> {
        let mut policy = policy::Policy::try_from(&self.spec)?;
        if self.spec.rules_version.is_none() {
            let kept = self
                .status
                .as_ref()
                .and_then(SupportMatrixStatus::made_with);
            policy.rules.accepted = kept.unwrap_or(RulesVersion::LATEST);
        }
        Ok(policy)
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
                accepted: match &spec.rules_version {
                    Some(version) => version.parse()?,
                    None => RulesVersion::LATEST,
                },
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

    /// `accepted`: the version that a matrix of this spec and status lets refuse.
    #[track_caller]
    fn accepts(spec: Value, status: Value, accepted: &str) {
        let mut matrix = SupportMatrix::new("m", serde_json::from_value(spec).unwrap());
        matrix.status = serde_json::from_value(status).unwrap();
        let policy = matrix.policy();
        let got = policy.map_or_else(
            |error| error.to_string(),
            |policy| policy.rules.accepted.to_string(),
        );
        assert_eq!(got, accepted);
    }

    #[test]
    fn a_matrix_keeps_the_rules_that_it_was_made_with() {
        accepts(json!({}), json!(null), "latest");
        let made = json!({"firstRulesVersion": "2026.11.1", "rulesVersion": "2026.11.2"});
        accepts(json!({}), made.clone(), "2026.11.1");
        accepts(json!({}), json!({"rulesVersion": "2026.11.1"}), "2026.11.1");
        accepts(json!({"rulesVersion": "latest"}), made.clone(), "latest");
        accepts(
            json!({"rulesVersion": "2026.11.2"}),
            made.clone(),
            "2026.11.2",
        );
        let wrong = "rulesVersion: \"new\" is no version of the rules: write one like ";
        let wrong = format!("{wrong}{}, or latest", RulesVersion::CURRENT);
        accepts(json!({"rulesVersion": "new"}), made, &wrong);
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
