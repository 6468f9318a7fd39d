//! What to do about a judgement: the only place where "unknown" becomes allow, warn or deny.

use std::collections::{BTreeMap, BTreeSet};

use crate::finding::{CellVerdict, Code};
use crate::host::HostFacts;
use crate::matrix::row::Row;
use crate::matrix::{Pack, RulesVersion};
use crate::verdict::{Judgement, Reason, User, Verdict};

/// How strict a SupportMatrix is at admission. Later is stricter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mode {
    /// Pods are not judged. Only a namespace's label can say so.
    Off,
    /// Reports only.
    Audit,
    /// Pods are annotated, and warnings go to the terminal.
    Warn,
    /// What fits nowhere is refused.
    Enforce,
}

impl Mode {
    /// The value of the namespace label `hostfit.dev/mode`.
    pub fn from_label(value: &str) -> Option<Self> {
        Some(match value {
            "off" => Self::Off,
            "audit" => Self::Audit,
            "warn" => Self::Warn,
            "enforce" => Self::Enforce,
            _ => return None,
        })
    }
}

/// What to do about something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Response {
    /// Let it in and say nothing.
    Allow,
    /// Let it in and say so.
    Warn,
    /// Refuse it (in mode Enforce).
    Deny,
}

/// When a pod is refused that fits some of the hosts that it may land on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostPolicy {
    /// Never: one host that fits is enough.
    AnyReachable,
    /// If one does not fit.
    AllReachable,
}

/// What becomes of an image that would be refused, but has already run in the namespace. Later is stricter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ExistingWorkloads {
    /// It is let in, with a warning.
    Warn,
    /// It is refused as any other.
    Deny,
}

/// What the label of a namespace may do to the mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NamespaceOverrides {
    /// Nothing.
    None,
    /// Make it stricter.
    Tighten,
    /// Anything, also switch it off.
    Any,
}

/// Which rules are active.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Built-in rules.
    pub packs: BTreeSet<Pack>,
    /// People's rows, in order: the first that matches decides.
    pub rows: Vec<Row>,
    /// What the handlers of RuntimeClasses give their pods instead of the node's kernel.
    pub runtime_handlers: BTreeMap<String, HostFacts>,
    /// What to make of a pair of which no row of any active matrix speaks.
    pub outside_matrix: Response,
    /// The version of the rules that people accept: what is newer only warns.
    pub accepted: RulesVersion,
    /// Findings that exceptions may accept.
    pub exceptable: BTreeSet<Code>,
}

/// Everything that people decide in a SupportMatrix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// How strict.
    pub mode: Mode,
    /// What namespaces may change.
    pub namespace_overrides: NamespaceOverrides,
    /// When to refuse a pod that fits somewhere.
    pub host_policy: HostPolicy,
    /// What becomes of images that have already run.
    pub existing_workloads: ExistingWorkloads,
    /// Whether pods are kept away from hosts that do not fit, where another one does.
    pub steer: bool,
    /// What to do about an image that cannot be read (HF901, 902, 903, 905 to 908).
    pub image_unreadable: Response,
    /// What to do if a fact of the host is missing (HF904).
    pub host_unknown: Response,
    /// The rules.
    pub rules: Rules,
}

impl Policy {
    /// No SupportMatrix speaks of the namespace: report with the default packs, and say nothing at admission.
    pub fn report_only() -> Self {
        Self {
            mode: Mode::Audit,
            namespace_overrides: NamespaceOverrides::None,
            host_policy: HostPolicy::AnyReachable,
            existing_workloads: ExistingWorkloads::Warn,
            steer: false,
            image_unreadable: Response::Warn,
            host_unknown: Response::Allow,
            rules: Rules {
                packs: [Pack::Recommended, Pack::VendorSupport, Pack::EndOfLife].into(),
                rows: Vec::new(),
                runtime_handlers: BTreeMap::new(),
                outside_matrix: Response::Allow,
                accepted: RulesVersion::LATEST,
                exceptable: Code::ALL.iter().copied().collect(),
            },
        }
    }

    /// Two matrices on one namespace: the stricter of each setting, all packs, all rows, and only the exceptions that both
    /// allow. One that
    /// steers is enough.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.rules.packs.extend(other.rules.packs);
        self.rules.rows.extend(other.rules.rows);
        for (handler, facts) in other.rules.runtime_handlers {
            self.rules.runtime_handlers.entry(handler).or_insert(facts);
        }
        self.rules.outside_matrix = self.rules.outside_matrix.max(other.rules.outside_matrix);
        self.rules.accepted = self.rules.accepted.max(other.rules.accepted);
        let both = |code: &Code| other.rules.exceptable.contains(code);
        self.rules.exceptable.retain(both);
        Self {
            mode: self.mode.max(other.mode),
            namespace_overrides: self.namespace_overrides.min(other.namespace_overrides),
            host_policy: self.host_policy.max(other.host_policy),
            existing_workloads: self.existing_workloads.max(other.existing_workloads),
            steer: self.steer || other.steer,
            image_unreadable: self.image_unreadable.max(other.image_unreadable),
            host_unknown: self.host_unknown.max(other.host_unknown),
            rules: self.rules,
        }
    }

    /// The mode in a namespace whose label `hostfit.dev/mode` asks for another one.
    pub fn mode_in(&self, label: Option<Mode>) -> Mode {
        match (self.namespace_overrides, label) {
            (_, None) | (NamespaceOverrides::None, _) => self.mode,
            (NamespaceOverrides::Tighten, Some(wanted)) => self.mode.max(wanted),
            (NamespaceOverrides::Any, Some(wanted)) => wanted,
        }
    }

    /// Whether what speaks against a workload speaks only against images that have already run.
    fn spares(&self, refusal: &Refusal, already_ran: impl Fn(&User) -> bool) -> bool {
        let mut reasons = std::iter::once(&refusal.worst).chain(&refusal.others);
        self.existing_workloads == ExistingWorkloads::Warn
            && reasons.all(|it| !it.users.is_empty() && it.users.iter().all(&already_ran))
    }

    /// What to do about a reason that could not be told; `None` for what is told.
    fn response(&self, reason: &Reason) -> Option<Response> {
        if reason.finding.verdict != CellVerdict::Unknown {
            return None;
        }
        Some(match reason.finding.code {
            Code::HF904 => self.host_unknown,
            // No host can take the pod now: the scheduler will say so. Never a refusal.
            Code::HF909 => self.host_unknown.min(Response::Warn),
            _ => self.image_unreadable,
        })
    }
}

/// What admission does with a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Say nothing, annotate nothing.
    Ignore,
    /// Let it in.
    Admit {
        /// What to warn of, worst first.
        warnings: Vec<Reason>,
        /// It would be refused if its images had not already run.
        already_ran: bool,
    },
    /// Refuse it, for these reasons, worst first.
    Deny(Refusal),
}

/// Why a pod is refused: at least one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The worst reason.
    pub worst: Reason,
    /// The other ones.
    pub others: Vec<Reason>,
}

/// Applies a policy, in the mode of the pod's namespace, to what was found. `already_ran` tells of a user of an image
/// whether the image has already run in that namespace; it is asked only about what would be refused.
pub fn decide(
    judgement: &Judgement,
    policy: &Policy,
    mode: Mode,
    already_ran: impl Fn(&User) -> bool,
) -> Decision {
    match mode {
        Mode::Off | Mode::Audit => return Decision::Ignore,
        Mode::Warn | Mode::Enforce => {}
    }
    let denied = |reason: &&Reason| match policy.response(reason) {
        Some(response) => response == Response::Deny,
        None => reason.finding.verdict == CellVerdict::Fail,
    };
    let refuse = match judgement.verdict {
        Verdict::Fail => true,
        Verdict::Partial => policy.host_policy == HostPolicy::AllReachable,
        // If all hosts must fit, one that does not is enough, whatever is not known of the others.
        Verdict::Unknown => {
            let any = |wanted: &[CellVerdict]| {
                judgement
                    .by_host
                    .iter()
                    .any(|(_, worst)| wanted.contains(worst))
            };
            let denied = || {
                let mut responses = judgement.reasons.iter().map(|it| policy.response(it));
                responses.any(|response| response == Some(Response::Deny))
            };
            match policy.host_policy {
                HostPolicy::AllReachable => any(&[CellVerdict::Fail]) || denied(),
                // One host that fits is enough, whatever is not known of the others.
                HostPolicy::AnyReachable => {
                    !any(&[CellVerdict::Pass, CellVerdict::Warn]) && denied()
                }
            }
        }
        Verdict::Pass | Verdict::Warn => false,
    };
    let mut refusal = judgement.reasons.iter().filter(denied).cloned();
    let refusal = match mode == Mode::Enforce && refuse {
        true => refusal.next().map(|worst| Refusal {
            worst,
            others: refusal.collect(),
        }),
        false => None,
    };
    let already_ran = match refusal {
        Some(refusal) if !policy.spares(&refusal, already_ran) => return Decision::Deny(refusal),
        refusal => refusal.is_some(),
    };
    let warned = |reason: &&Reason| policy.response(reason) != Some(Response::Allow);
    Decision::Admit {
        warnings: judgement.reasons.iter().filter(warned).cloned().collect(),
        already_ran,
    }
}
