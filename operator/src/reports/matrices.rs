//! The statuses of SupportMatrices: whether every row could be read, and what the workloads come to.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use hostfit_crds::compat_report::VerdictCounts;
use hostfit_crds::condition::{self, Status, Wanted};
use hostfit_crds::policies::Policies;
use hostfit_crds::support_matrix::{MatrixError, SupportMatrixStatus};
use hostfit_crds::{SupportMatrix, names};
use hostfit_engine::matrix::{self, RulesVersion};
use hostfit_engine::policy::Policy;
use hostfit_engine::{RULES_PUBLISHED, RULES_VERSION};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;

use crate::apply::Writer;
use crate::defaults::Unapplied;

/// Namespaces that a condition names.
const MOST_NAMESPACES: usize = 5;
/// Names in rows that a condition names.
const MOST_NAMES: usize = 3;

/// What the statuses depend on.
pub(super) struct Facts<'a> {
    pub(super) matrices: &'a [Arc<SupportMatrix>],
    pub(super) policies: &'a Policies,
    pub(super) errors: &'a HashMap<String, MatrixError>,
    pub(super) unapplied: &'a Unapplied,
    pub(super) namespaces: &'a HashMap<String, BTreeMap<String, String>>,
    /// The names of the HostProfiles.
    pub(super) profiles: &'a [&'a str],
    /// Whether the operator labels nodes, by which pods are steered.
    pub(super) label_nodes: bool,
    /// What was counted. Without it the counters stay as they are: who edits a matrix is told at once what became of that.
    pub(super) counted: Option<Counted<'a>>,
    pub(super) now: &'a Time,
}

/// What the workloads, hosts and exceptions come to.
#[derive(Clone, Copy)]
pub(super) struct Counted<'a> {
    pub(super) by_namespace: &'a BTreeMap<String, VerdictCounts>,
    pub(super) profiles: usize,
    /// Exceptions that accept something now, by namespace.
    pub(super) exceptions: &'a BTreeMap<String, usize>,
}

/// Writes the statuses that changed. Whether there was any.
pub(super) async fn write(writer: &Writer, facts: &Facts<'_>) -> kube::Result<bool> {
    let changed = changed(facts);
    for matrix in &changed {
        writer.support_matrix_status(matrix).await?;
    }
    Ok(!changed.is_empty())
}

/// The matrices whose status is to be another one.
fn changed(facts: &Facts<'_>) -> Vec<SupportMatrix> {
    let changed = facts.matrices.iter().filter_map(|matrix| {
        let status = status(matrix, facts);
        (matrix.status.as_ref() != Some(&status)).then(|| {
            let mut wanted = SupportMatrix::new(&matrix.name_any(), matrix.spec.clone());
            wanted.status = Some(status);
            wanted
        })
    });
    changed.collect()
}

fn status(matrix: &SupportMatrix, facts: &Facts<'_>) -> SupportMatrixStatus {
    let before = matrix.status.clone().unwrap_or_default();
    let name = matrix.name_any();
    let active = facts
        .policies
        .active()
        .find(|(active, _)| active.name_any() == name);
    let rules = active.map_or(0, |(_, policy)| matrix::count(&policy.rules));
    let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    let policy = active.map(|it| it.1);
    let unknown = unknown_names(policy, facts.profiles);
    let mut conditions = vec![match facts.errors.get(&name) {
        None => Wanted {
            type_: names::READY,
            status: Status::True,
            reason: match unknown.is_empty() {
                true => "RulesLoaded",
                false => "UnknownName",
            },
            message: format!(
                "{rules} rules loaded, {RULES_VERSION} of {RULES_PUBLISHED}{}{unknown}",
                held_back(policy)
            ),
        },
        Some(error) => Wanted {
            type_: names::READY,
            status: Status::False,
            reason: match error {
                MatrixError::Handler { .. } => "UnreadableHandler",
                MatrixError::Row(_) | MatrixError::Value { .. } => "UnreadableRow",
                MatrixError::RulesVersion(_) => "UnknownRulesVersion",
                MatrixError::ExceptionCode(_) => "UnknownCode",
            },
            message: match facts.policies.has_rows_of(&name) {
                true => {
                    format!("{error}; the last good state stays active until a process restarts")
                }
                false => format!(
                    "{error}; until it is mended its mode and packs hold, and its rows do not"
                ),
            },
        },
    }];
    let unapplied = facts.unapplied.get(&name);
    let unapplied = unapplied.map(|why| (why.reason(), why.to_string()));
    // Right after a start the defaults may not have been tried yet: what the leader before told stays until all is counted.
    let told = before.conditions.iter();
    let mut told = told.filter(|it| facts.counted.is_none() && it.type_ == names::DEFAULTS_APPLIED);
    let told = told
        .next()
        .map(|it| (it.reason.as_str(), it.message.clone()));
    if let Some((reason, message)) = unapplied.or(told) {
        conditions.push(Wanted {
            type_: names::DEFAULTS_APPLIED,
            status: Status::False,
            reason,
            message,
        });
    }
    conditions.extend(unheeded(matrix, facts));
    if matrix.spec.steer && !facts.label_nodes {
        conditions.push(Wanted {
            type_: names::STEERING_POSSIBLE,
            status: Status::False,
            reason: "NodesNotLabelled",
            message: "spec.steer keeps pods away from nothing: it rests on the labels of nodes, and the operator does not write \
                      them; set facts.labelNodes=true in the chart's values, or steer: false"
                .to_owned(),
        });
    }
    let first = before.made_with().unwrap_or(RulesVersion::CURRENT);
    let mut status = SupportMatrixStatus {
        observed_generation: matrix.metadata.generation,
        rules: number(rules),
        rules_version: Some(RULES_VERSION.to_owned()),
        first_rules_version: Some(first.to_string()),
        conditions: condition::merge(
            &before.conditions,
            &conditions,
            matrix.metadata.generation,
            facts.now,
        ),
        ..before.clone()
    };
    if let Some(counted) = facts.counted {
        let none = BTreeMap::new();
        let selected = |namespace: &String| {
            let labels = facts.namespaces.get(namespace);
            matrix.selects(labels.unwrap_or(&none))
        };
        let workloads = status.workloads.insert(VerdictCounts::default());
        for (namespace, counts) in counted.by_namespace {
            if selected(namespace) {
                workloads.pass += counts.pass;
                workloads.warn += counts.warn;
                workloads.partial += counts.partial;
                workloads.fail += counts.fail;
                workloads.unknown += counts.unknown;
            }
        }
        let exceptions = counted.exceptions.iter();
        let exceptions = exceptions.filter(|(namespace, _)| selected(namespace));
        status.active_exceptions = number(exceptions.map(|(_, count)| count).sum());
        status.host_profiles = number(counted.profiles);
    }
    match status == before {
        true => status,
        false => SupportMatrixStatus {
            last_change_time: Some(facts.now.clone()),
            ..status
        },
    }
}

/// What a version that people accept keeps from refusing.
fn held_back(policy: Option<&Policy>) -> String {
    let Some(accepted) = policy.map(|policy| policy.rules.accepted) else {
        return String::new();
    };
    match accepted.cmp(&RulesVersion::CURRENT) {
        Ordering::Less => format!("; what is newer than {accepted} only warns (spec.rulesVersion)"),
        // People mean it by `latest`, and hardly by a number.
        Ordering::Greater if accepted != RulesVersion::LATEST => format!(
            "; there are no rules {accepted} yet: what upgrades bring until then refuses at once (spec.rulesVersion)"
        ),
        Ordering::Equal | Ordering::Greater => String::new(),
    }
}

/// What rows name and nothing bears. They count all the same, as what bears it may come.
fn unknown_names(policy: Option<&Policy>, profiles: &[&str]) -> String {
    let rows = policy.iter().flat_map(|policy| &policy.rules.rows);
    let names: Vec<_> = rows.flat_map(|row| row.unknown_names(profiles)).collect();
    let told = names.iter().take(MOST_NAMES).map(|it| format!("; {it}"));
    let mut told: String = told.collect();
    match names.len().saturating_sub(MOST_NAMES) {
        0 => {}
        more => told.push_str(&format!("; and {more} more")),
    }
    told
}

/// The namespaces of the matrix whose labels ask for a mode that they do not get. Nothing if all get theirs.
fn unheeded(matrix: &SupportMatrix, facts: &Facts<'_>) -> Option<Wanted<'static>> {
    let asking = facts
        .namespaces
        .iter()
        .filter(|(_, labels)| labels.contains_key(names::MODE) && matrix.selects(labels));
    let mut unheeded: Vec<_> = asking
        .filter_map(|(name, labels)| Some((name, facts.policies.judge(labels).unheeded?)))
        .collect();
    unheeded.sort_by_key(|(name, _)| *name);
    let told = unheeded.iter().take(MOST_NAMESPACES);
    let mut told: Vec<_> = told
        .map(|(name, unheeded)| format!("namespace {name} {unheeded}"))
        .collect();
    match unheeded.len().saturating_sub(MOST_NAMESPACES) {
        0 => {}
        more => told.push(format!("and {more} more")),
    }
    (!told.is_empty()).then(|| Wanted {
        type_: names::NAMESPACE_LABELS_HEEDED,
        status: Status::False,
        reason: "NotPermitted",
        message: told.join("; "),
    })
}

#[cfg(test)]
mod tests;
