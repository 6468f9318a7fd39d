//! All SupportMatrices together → the policy of each namespace.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use hostfit_engine::exception::codes;
use hostfit_engine::finding::plain;
use hostfit_engine::policy::{Mode, NamespaceOverrides, Policy};
use kube::ResourceExt;

use crate::names;
use crate::support_matrix::{MatrixError, SupportMatrix};

/// The policies of the cluster. A matrix that cannot be read keeps its last good state, or
/// without one its mode and packs.
#[derive(Debug, Clone, Default)]
pub struct Policies {
    matrices: Vec<Active>,
}

/// A matrix, and what counts of it.
#[derive(Debug, Clone)]
struct Active {
    matrix: Arc<SupportMatrix>,
    policy: Policy,
    /// Not if it was never readable: then its rows do not count.
    is_whole: bool,
}

/// The policy of a namespace, and its mode there.
#[derive(Debug, Clone, PartialEq)]
pub struct Judge {
    /// The policy.
    pub policy: Policy,
    /// The mode, with what the namespace itself asks for as far as the policy lets it.
    pub mode: Mode,
    /// What the namespace asks for and does not get.
    pub unheeded: Option<Unheeded>,
}

/// The label of a namespace that asks for a mode which it does not get.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unheeded {
    /// There is no such mode.
    #[error("asks for mode {0:?}, which is none of off, audit, warn and enforce")]
    NoMode(String),
    /// The matrices do not permit it.
    #[error("asks for mode {asked:?}, which {by} does not permit")]
    NotPermitted {
        /// The value of the label.
        asked: String,
        /// The setting that decides.
        by: &'static str,
    },
}

impl Unheeded {
    /// What is unheeded of a label, if anything is.
    fn of(label: &str, policy: &Policy) -> Option<Self> {
        let Some(wanted) = Mode::from_label(label) else {
            return Some(Self::NoMode(plain(label, 63)));
        };
        let asked = label.to_owned();
        let by = match policy.namespace_overrides {
            NamespaceOverrides::None => "namespaceOverrides: None",
            NamespaceOverrides::Tighten => "namespaceOverrides: Tighten",
            NamespaceOverrides::Any => return None,
        };
        (policy.mode_in(Some(wanted)) != wanted).then_some(Self::NotPermitted { asked, by })
    }
}

impl Policies {
    /// Reads the matrices; the errors are told by name. `last` is what was active before.
    pub fn read(
        matrices: Vec<Arc<SupportMatrix>>,
        last: &Self,
    ) -> (Self, HashMap<String, MatrixError>) {
        let mut errors = HashMap::new();
        let mut read = Vec::new();
        for matrix in matrices {
            match matrix.policy() {
                Ok(policy) => read.push(Active {
                    matrix,
                    policy,
                    is_whole: true,
                }),
                Err(error) => {
                    let name = matrix.name_any();
                    let before = last
                        .matrices
                        .iter()
                        .find(|last| last.matrix.name_any() == name);
                    // After a restart there is no last good state: mode and packs hold, the rows do not.
                    let without_rows = || {
                        let mut without = (*matrix).clone();
                        without.spec.rules.clear();
                        without.spec.runtime_handlers.clear();
                        without.spec.rules_version = None;
                        // What cannot be read allows nothing.
                        if codes(&without.spec.exception_codes).is_err() {
                            without.spec.exception_codes.clear();
                        }
                        Some(Active {
                            policy: without.policy().ok()?,
                            matrix: matrix.clone(),
                            is_whole: false,
                        })
                    };
                    read.extend(before.cloned().or_else(without_rows));
                    errors.insert(name, error);
                }
            }
        }
        read.sort_by_key(|active| active.matrix.name_any());
        (Self { matrices: read }, errors)
    }

    /// The policy of a namespace with these labels: all matrices that select it, the stricter of each setting.
    fn of_namespace(&self, labels: &BTreeMap<String, String>) -> Policy {
        let selected = self
            .matrices
            .iter()
            .filter(|active| active.matrix.selects(labels));
        selected
            .map(|active| active.policy.clone())
            .reduce(Policy::and)
            .unwrap_or_else(Policy::report_only)
    }

    /// The policy of a namespace with these labels, and its mode there.
    pub fn judge(&self, labels: &BTreeMap<String, String>) -> Judge {
        let policy = self.of_namespace(labels);
        let label = labels.get(names::MODE);
        let wanted = label.and_then(|label| Mode::from_label(label));
        Judge {
            mode: policy.mode_in(wanted),
            unheeded: label.and_then(|label| Unheeded::of(label, &policy)),
            policy,
        }
    }

    /// The active policy of each matrix.
    pub fn active(&self) -> impl Iterator<Item = (&SupportMatrix, &Policy)> {
        self.matrices
            .iter()
            .map(|active| (active.matrix.as_ref(), &active.policy))
    }

    /// Whether rows of the matrix of this name count. Not if none of its states was readable since the process started.
    pub fn has_rows_of(&self, name: &str) -> bool {
        let mut whole = self.matrices.iter().filter(|active| active.is_whole);
        whole.any(|active| active.matrix.name_any() == name)
    }
}
