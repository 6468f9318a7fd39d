//! All SupportMatrices together → the policy of each namespace.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use hostfit_engine::policy::{Mode, Policy};
use kube::ResourceExt;

use crate::names;
use crate::support_matrix::{MatrixError, SupportMatrix};

/// The policies of the cluster. A matrix that cannot be read keeps its last good state, or
/// without one its mode and packs.
#[derive(Debug, Clone, Default)]
pub struct Policies {
    matrices: Vec<(Arc<SupportMatrix>, Policy)>,
}

/// The policy of a namespace, and its mode there.
#[derive(Debug, Clone, PartialEq)]
pub struct Judge {
    /// The policy.
    pub policy: Policy,
    /// The mode, with what the namespace itself asks for as far as the policy lets it.
    pub mode: Mode,
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
                Ok(policy) => read.push((matrix, policy)),
                Err(error) => {
                    let name = matrix.name_any();
                    let before = last
                        .matrices
                        .iter()
                        .find(|(last, _)| last.name_any() == name);
                    // After a restart there is no last good state: mode and packs hold, the rows do not.
                    let without_rows = || {
                        let mut without = (*matrix).clone();
                        without.spec.rules.clear();
                        without.spec.rules_version = None;
                        let policy = without.policy().ok()?;
                        Some((matrix.clone(), policy))
                    };
                    read.extend(before.cloned().or_else(without_rows));
                    errors.insert(name, error);
                }
            }
        }
        read.sort_by_key(|(matrix, _)| matrix.name_any());
        (Self { matrices: read }, errors)
    }

    /// The policy of a namespace with these labels: all matrices that select it, the stricter of each setting.
    fn of_namespace(&self, labels: &BTreeMap<String, String>) -> Policy {
        let selected = self
            .matrices
            .iter()
            .filter(|(matrix, _)| matrix.selects(labels));
        selected
            .map(|(_, policy)| policy.clone())
            .reduce(Policy::and)
            .unwrap_or_else(Policy::report_only)
    }

    /// The policy of a namespace with these labels, and its mode there.
    pub fn judge(&self, labels: &BTreeMap<String, String>) -> Judge {
        let policy = self.of_namespace(labels);
        let wanted = labels.get(names::MODE);
        let wanted = wanted.and_then(|label| Mode::from_label(label));
        Judge {
            mode: policy.mode_in(wanted),
            policy,
        }
    }

    /// The active policy of each matrix.
    pub fn active(&self) -> impl Iterator<Item = (&SupportMatrix, &Policy)> {
        self.matrices
            .iter()
            .map(|(matrix, policy)| (matrix.as_ref(), policy))
    }
}
