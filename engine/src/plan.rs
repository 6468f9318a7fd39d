//! One class of hosts in the place of another: what changes, which workloads break, and what mends most of them.

use std::borrow::Borrow;
use std::collections::BTreeSet;

use crate::fact::Fact;
use crate::finding::{CellVerdict, Code};
use crate::host::{Host, HostFact};
use crate::image::ImageFacts;
use crate::matrix::{Knowledge, evaluate_on};
use crate::policy::{Response, Rules};
use crate::verdict::{Judgement, Reason, User};
use crate::workload::Workload;

mod work;

pub use work::{Cause, Change, Order, Place};

/// Hosts of one class, replaced by hosts of another.
#[derive(Debug, Clone, Copy)]
pub struct Move<'a> {
    /// What is there now: a host of the fleet.
    pub from: &'a Host,
    /// What comes.
    pub to: &'a Host,
}

/// What becomes of one fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// It changes, from the first to the second.
    Changes(String, String),
    /// It stays as it is.
    Same(String),
    /// Only one of the two tells it.
    Untold {
        /// What it is now.
        from: Option<String>,
        /// What it will be.
        to: Option<String>,
    },
}

/// What becomes of a workload. Only [`Fate::Breaks`] speaks against the move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fate {
    /// Something fails that did not fail before.
    Breaks,
    /// It fails, and did before for the same reasons.
    StillFails,
    /// How it will be cannot be told.
    Unknown,
    /// It runs, with a warning that was not there before.
    NewWarning,
    /// It runs, with the warnings of before.
    Warns,
    /// It failed for want of a vendor's support, and of what comes no matrix speaks: nothing is found, and nothing mended.
    Unspoken,
    /// It failed, and will not any more.
    Fixed,
    /// Nothing speaks against it.
    Fits,
    /// The labels that are declared of the new hosts keep it away.
    Elsewhere,
}

impl Fate {
    /// Every fate, worst first.
    pub const ALL: [Self; 9] = [
        Self::Breaks,
        Self::StillFails,
        Self::Unknown,
        Self::NewWarning,
        Self::Warns,
        Self::Unspoken,
        Self::Fixed,
        Self::Fits,
        Self::Elsewhere,
    ];
}

/// A workload, before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// What becomes of it.
    pub fate: Fate,
    /// The worst that is found on the new hosts; `None` where it does not land there.
    pub after: Option<CellVerdict>,
    /// What the fate rests on, worst first: what fails or warns newly, what still does, what cannot be told, what failed, or
    /// of which no matrix speaks.
    pub reasons: Vec<Reason>,
}

impl Move<'_> {
    /// What becomes of each fact that one of the two tells, in the order of the documentation.
    pub fn differences(&self) -> Vec<(HostFact, Difference)> {
        let of = |fact: HostFact| {
            let difference = match (self.from.facts.show(fact), self.to.facts.show(fact)) {
                (None, None) => return None,
                (Some(from), Some(to)) if from == to => Difference::Same(to),
                (Some(from), Some(to)) => Difference::Changes(from, to),
                (from, to) => Difference::Untold { from, to },
            };
            Some((fact, difference))
        };
        HostFact::ALL.into_iter().filter_map(of).collect()
    }

    /// What becomes of a workload; nothing if it may not land on the hosts of now.
    pub fn of<F: Borrow<Fact<ImageFacts>>>(
        &self,
        workload: &Workload,
        facts: &[F],
        knowledge: &Knowledge<'_>,
    ) -> Option<Moved> {
        let (fleet, placement) = (knowledge.fleet, &workload.placement);
        if !fleet.admits(&self.from.name, placement) {
            return None;
        }
        if fleet.is_declared(&self.to.name) && !fleet.admits(&self.to.name, placement) {
            return Some(Moved {
                fate: Fate::Elsewhere,
                after: None,
                reasons: Vec::new(),
            });
        }
        let on = |host| evaluate_on(workload, facts, host, knowledge);
        let moved = compare(on(self.from), on(self.to));
        let unspoken = match moved.fate {
            Fate::Fixed => unspoken(&moved.reasons, workload, facts, self.to, knowledge),
            _ => Vec::new(),
        };
        Some(match unspoken.is_empty() {
            true => moved,
            false => Moved {
                fate: Fate::Unspoken,
                reasons: unspoken,
                ..moved
            },
        })
    }
}

/// What no matrix speaks of on the new host, of those whom a vendor does not support on the old one. A table that ends
/// mends nothing, whatever the policy says of pairs beyond it.
fn unspoken<F: Borrow<Fact<ImageFacts>>>(
    failed: &[Reason],
    workload: &Workload,
    facts: &[F],
    to: &Host,
    knowledge: &Knowledge<'_>,
) -> Vec<Reason> {
    let failed = failed.iter().filter(|it| it.finding.code == Code::HF502);
    let failed: BTreeSet<&User> = failed.flat_map(|reason| &reason.users).collect();
    if failed.is_empty() {
        return Vec::new();
    }
    let rules = Rules {
        outside_matrix: Response::Warn,
        ..knowledge.rules.clone()
    };
    let minding = Knowledge {
        rules: &rules,
        exceptions: &[],
        ..*knowledge
    };
    let reasons = evaluate_on(workload, facts, to, &minding).reasons;
    let reasons = reasons.into_iter().filter(|reason| {
        reason.finding.code == Code::HF508 && reason.users.iter().any(|user| failed.contains(user))
    });
    reasons.collect()
}

/// What becomes of a workload, by what is found on one host now and on the other one later.
fn compare(before: Judgement, after: Judgement) -> Moved {
    let worst = |judgement: &Judgement| judgement.by_host.iter().map(|(_, worst)| *worst).max();
    let (was, is) = (worst(&before), worst(&after));
    let new = |verdict| new(&before, &after, verdict);
    let (fate, reasons) = match is {
        Some(CellVerdict::Fail) => match new(CellVerdict::Fail) {
            fails if fails.is_empty() => (Fate::StillFails, of(after, CellVerdict::Fail)),
            fails => (Fate::Breaks, fails),
        },
        Some(CellVerdict::Unknown) | None => (Fate::Unknown, of(after, CellVerdict::Unknown)),
        Some(CellVerdict::Pass | CellVerdict::Warn) if was == Some(CellVerdict::Fail) => {
            (Fate::Fixed, of(before, CellVerdict::Fail))
        }
        Some(CellVerdict::Warn) => match new(CellVerdict::Warn) {
            warnings if warnings.is_empty() => (Fate::Warns, of(after, CellVerdict::Warn)),
            warnings => (Fate::NewWarning, warnings),
        },
        Some(CellVerdict::Pass) => (Fate::Fits, Vec::new()),
    };
    Moved {
        fate,
        after: is,
        reasons,
    }
}

fn of(judgement: Judgement, verdict: CellVerdict) -> Vec<Reason> {
    let reasons = judgement.reasons.into_iter();
    reasons
        .filter(|reason| reason.finding.verdict == verdict)
        .collect()
}

/// What is found later of users of which it is not found now. The same code is the same, whatever it says of the hosts.
fn new(before: &Judgement, after: &Judgement, verdict: CellVerdict) -> Vec<Reason> {
    let found = before.reasons.iter().filter(|reason| {
        // What fails now and only warns later gets better.
        matches!(
            reason.finding.verdict,
            CellVerdict::Warn | CellVerdict::Fail
        ) && reason.finding.verdict >= verdict
    });
    let found: BTreeSet<(Code, &User)> = found
        .flat_map(|reason| reason.users.iter().map(|user| (reason.finding.code, user)))
        .collect();
    let later = after.reasons.iter();
    let later = later.filter(|reason| reason.finding.verdict == verdict);
    let new = later.filter_map(|reason| {
        let is_new = |user: &&User| !found.contains(&(reason.finding.code, *user));
        let users: BTreeSet<User> = reason.users.iter().filter(is_new).cloned().collect();
        (!users.is_empty()).then(|| Reason {
            users,
            ..reason.clone()
        })
    });
    new.collect()
}

/// How many workloads have which fate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts([usize; Fate::ALL.len()]);

impl Counts {
    /// Counts a workload.
    pub fn add(&mut self, fate: Fate) {
        for (counted, count) in Fate::ALL.into_iter().zip(&mut self.0) {
            *count += usize::from(counted == fate);
        }
    }

    /// How many have this fate.
    pub fn of(&self, fate: Fate) -> usize {
        let counted = Fate::ALL.into_iter().zip(self.0);
        counted
            .filter(|(counted, _)| *counted == fate)
            .map(|(_, count)| count)
            .sum()
    }

    /// How many workloads are there now.
    pub fn all(&self) -> usize {
        self.0.iter().sum()
    }
}

/// A whole plan: what becomes of all workloads that may land on the hosts of now, each under a name of the caller's.
#[derive(Debug, Clone)]
pub struct Plan<K> {
    /// How many have which fate.
    pub counts: Counts,
    /// Those that are to be named: all but what fits, or only warns as before. Worst first.
    pub listed: Vec<(K, Moved)>,
    /// Which single changes mend most of what breaks.
    pub order: Vec<Change<K>>,
}

/// A plan in the making.
#[derive(Debug)]
pub struct Planner<'a, K> {
    change: Move<'a>,
    counts: Counts,
    listed: Vec<(K, Moved)>,
    order: Order<K>,
}

impl<'a, K: Ord + Clone> Planner<'a, K> {
    /// No workload yet.
    pub fn new(change: Move<'a>) -> Self {
        Self {
            change,
            counts: Counts::default(),
            listed: Vec::new(),
            order: Order::default(),
        }
    }

    /// Adds a workload, if it may land on the hosts of now. `facts` is what the registries told of its images, in their
    /// order.
    pub fn add<F: Borrow<Fact<ImageFacts>>>(
        &mut self,
        key: K,
        workload: &Workload,
        facts: &[F],
        knowledge: &Knowledge<'_>,
    ) {
        let Some(moved) = self.change.of(workload, facts, knowledge) else {
            return;
        };
        self.counts.add(moved.fate);
        if matches!(moved.fate, Fate::Breaks | Fate::NewWarning) {
            let places = work::places(workload, facts, self.change.to, knowledge, &moved.reasons);
            self.order.add(&key, moved.fate, &places);
        }
        if !matches!(moved.fate, Fate::Fits | Fate::Warns) {
            self.listed.push((key, moved));
        }
    }

    /// The plan.
    pub fn finish(self) -> Plan<K> {
        let mut listed = self.listed;
        listed.sort_by(|(key, moved), (other, than)| {
            let rank = |moved: &Moved| {
                let worst = moved.reasons.first();
                let worst = worst.map(|reason| (reason.finding.severity, reason.finding.code));
                (moved.fate, worst)
            };
            (rank(moved), key).cmp(&(rank(than), other))
        });
        Plan {
            counts: self.counts,
            listed,
            order: self.order.finish(),
        }
    }
}

#[cfg(test)]
mod tests;
