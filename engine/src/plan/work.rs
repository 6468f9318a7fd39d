//! The order of work: what breaks, by what has to be changed, and which single change mends most workloads.

use std::borrow::Borrow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::Fate;
use crate::fact::Fact;
use crate::finding::Code;
use crate::host::Host;
use crate::image::{ImageFacts, ImageRef};
use crate::matrix::{Knowledge, platform_on};
use crate::verdict::Reason;
use crate::workload::{Workload, WorkloadImage};

/// What has to be changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A base image, by its name: all that stand on it are built again.
    Base(String),
    /// An image that stands on nothing known.
    Image(ImageRef),
}

/// Why it has to be changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cause {
    /// The finding.
    pub code: Code,
    /// What the image does, as a predicate.
    pub image: String,
    /// What to do about it.
    pub fix: String,
}

/// One change, and what it mends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change<K> {
    /// What has to be changed.
    pub place: Place,
    /// Why.
    pub causes: BTreeSet<Cause>,
    /// Workloads that break, and do not after this change alone.
    pub mends: Vec<K>,
    /// Workloads that get a warning, and do not after this change alone.
    pub eases: Vec<K>,
    /// Workloads that need other changes, too.
    pub helps: Vec<K>,
}

/// One thing to change and why. Images that stand on the same base may still need different things: the base may be
/// as innocent of an old Java as its neighbour is.
pub(super) type Task = (Place, BTreeSet<Cause>);

/// The changes in the making.
#[derive(Debug)]
pub struct Order<K>(BTreeMap<Task, Change<K>>);

impl<K> Default for Order<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Clone> Order<K> {
    /// Adds a workload that has these tasks.
    pub(super) fn add(&mut self, key: &K, fate: Fate, tasks: &BTreeSet<Task>) {
        for task in tasks {
            let change = self.0.entry(task.clone()).or_insert_with(|| Change {
                place: task.0.clone(),
                causes: task.1.clone(),
                mends: Vec::new(),
                eases: Vec::new(),
                helps: Vec::new(),
            });
            let list = match (tasks.len(), fate) {
                (1, Fate::Breaks) => &mut change.mends,
                (1, _) => &mut change.eases,
                _ => &mut change.helps,
            };
            list.push(key.clone());
        }
    }

    /// What mends most first.
    pub(super) fn finish(self) -> Vec<Change<K>> {
        let mut changes: Vec<_> = self.0.into_values().collect();
        // A stable sort: among equals the order of places.
        changes.sort_by_key(|change| {
            let Change {
                mends,
                eases,
                helps,
                ..
            } = change;
            Reverse((mends.len(), helps.len(), eases.len()))
        });
        changes
    }
}

/// What has to be changed for these reasons: one task for each image, fewer where images share their base and their
/// trouble.
pub(super) fn places<F: Borrow<Fact<ImageFacts>>>(
    workload: &Workload,
    facts: &[F],
    to: &Host,
    knowledge: &Knowledge<'_>,
    reasons: &[Reason],
) -> BTreeSet<Task> {
    let tasks = workload
        .images
        .iter()
        .enumerate()
        .filter_map(|(index, image)| {
            let user = (image.role, image.name.clone());
            let reasons = reasons.iter().filter(|reason| reason.users.contains(&user));
            let causes: BTreeSet<_> = reasons
                .map(|reason| Cause {
                    code: reason.finding.code,
                    image: reason.finding.image.clone(),
                    fix: reason.finding.fix_without_selection(),
                })
                .collect();
            let facts = facts.get(index).map(Borrow::borrow);
            let place = place(image, facts, to, knowledge)?;
            (!causes.is_empty()).then_some((place, causes))
        });
    tasks.collect()
}

fn place(
    image: &WorkloadImage,
    facts: Option<&Fact<ImageFacts>>,
    to: &Host,
    knowledge: &Knowledge<'_>,
) -> Option<Place> {
    let reference = image.reference.as_ref().ok()?;
    let platform = facts
        .and_then(Fact::value)
        .and_then(|known| platform_on(known, &to.facts));
    let contents = platform.and_then(|platform| platform.contents.value());
    let base = contents.and_then(|it| knowledge.catalog.lineage(reference, it).base);
    Some(base.map_or_else(|| Place::Image(reference.clone()), Place::Base))
}
