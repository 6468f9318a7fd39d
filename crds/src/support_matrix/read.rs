//! A SupportMatrix → the policy that it asks for, or what is wrong with it.

use std::collections::BTreeMap;

use hostfit_engine::exception::{UnknownCode, codes};
use hostfit_engine::matrix::row::RowError;
use hostfit_engine::matrix::{NoRulesVersion, Pack, RulesVersion};
use hostfit_engine::{host, policy};

use crate::host_facts::FactError;

use super::{
    ExistingWorkloads, HostPolicy, Mode, NamespaceOverrides, Response, RulePack, RuntimeHandler,
    SupportMatrix, SupportMatrixSpec, SupportMatrixStatus, row,
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
    /// A code that is none.
    #[error("exceptionCodes: {0}")]
    ExceptionCode(#[from] UnknownCode),
    /// What is stated of a handler cannot be read.
    #[error("runtimeHandlers {handler:?}: {error}")]
    Handler {
        /// The handler.
        handler: String,
        /// What is wrong.
        error: FactError,
    },
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
            existing_workloads: match spec.existing_workloads {
                ExistingWorkloads::Warn => policy::ExistingWorkloads::Warn,
                ExistingWorkloads::Deny => policy::ExistingWorkloads::Deny,
            },
            steer: spec.steer,
            image_unreadable: response(spec.unknown_policy.image_unreadable),
            host_unknown: response(spec.unknown_policy.host_unknown),
            rules: policy::Rules {
                packs: spec.rule_packs.iter().map(pack).collect(),
                rows: row::rows(&spec.rules)?,
                outside_matrix: response(spec.unknown_policy.outside_matrix),
                runtime_handlers: spec
                    .runtime_handlers
                    .iter()
                    .map(handler)
                    .collect::<Result<_, _>>()?,
                exceptable: codes(&spec.exception_codes)?,
                accepted: match &spec.rules_version {
                    Some(version) => version.parse()?,
                    None => RulesVersion::LATEST,
                },
            },
        })
    }
}

fn handler(stated: &RuntimeHandler) -> Result<(String, host::HostFacts), MatrixError> {
    let handler = stated.handler.clone();
    match host::HostFacts::try_from(&stated.facts) {
        Ok(facts) => Ok((handler, facts)),
        Err(error) => Err(MatrixError::Handler { handler, error }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

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
}
