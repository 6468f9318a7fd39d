//! What was judged once is not judged again while nothing changed: the hit path of admission.

use std::collections::BTreeMap;
use std::sync::Arc;

use hostfit_crds::policies::Judge;
use hostfit_engine::exception::Exception;
use hostfit_engine::matrix::{Knowledge, evaluate};
use hostfit_engine::verdict::Judgement;
use hostfit_engine::version::Date;
use hostfit_engine::workload::Workload;
use hostfit_registry::SharedFacts;

use crate::snapshot::Snapshot;

/// Judgements that are kept with a snapshot.
const ENTRIES: u64 = 1024;
/// Images of a workload whose judgement is kept.
const MOST_IMAGES: usize = 32;

/// Judgements by everything that they depend on.
pub(crate) struct Memo(moka::sync::Cache<Key, Entry>);

impl Default for Memo {
    fn default() -> Self {
        Self(moka::sync::Cache::new(ENTRIES))
    }
}

/// The facts and the policy are compared by where they lie; the entry keeps them alive, so that no other facts can come
/// to lie there.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    workload: Arc<Workload>,
    facts: Vec<usize>,
    judge: usize,
    today: Date,
    /// Those that count at this moment, by where they lie in the snapshot: when one expires, the key is another one.
    exceptions: Vec<usize>,
}

#[derive(Clone)]
struct Entry {
    judgement: Arc<Judgement>,
    _alive: (Arc<[SharedFacts]>, Arc<Judge>),
}

/// A workload, and what else decides about it.
pub(crate) struct Case<'a> {
    pub(crate) workload: Arc<Workload>,
    pub(crate) facts: Arc<[SharedFacts]>,
    pub(crate) judge: &'a Arc<Judge>,
    pub(crate) namespace: &'a str,
    /// Labels of the pod.
    pub(crate) labels: &'a BTreeMap<String, String>,
    pub(crate) now: jiff::Timestamp,
}

impl Snapshot {
    /// Judges a workload, or remembers what was judged.
    pub(crate) fn evaluate(&self, case: Case<'_>) -> Arc<Judgement> {
        let Case {
            workload,
            facts,
            judge,
            namespace,
            labels,
            now,
        } = case;
        let today = hostfit_crds::date(now);
        let exceptions = self.exceptions.of(namespace, labels, now);
        let address = |it: &&Exception| std::ptr::from_ref(*it).addr();
        let key = Key {
            workload,
            facts: facts
                .iter()
                .map(|facts| Arc::as_ptr(facts).addr())
                .collect(),
            judge: Arc::as_ptr(judge).addr(),
            today,
            exceptions: exceptions.iter().map(address).collect(),
        };
        if let Some(entry) = self.memo.0.get(&key) {
            return entry.judgement;
        }
        let knowledge = Knowledge {
            fleet: &self.fleet,
            catalog: &self.catalog,
            rules: &judge.policy.rules,
            today,
            exceptions: &exceptions,
        };
        let judgement = Arc::new(evaluate(&key.workload, &facts, &knowledge));
        let entry = Entry {
            judgement: judgement.clone(),
            _alive: (facts, judge.clone()),
        };
        // A pod with that many images is rare, and large to keep.
        if key.workload.images.len() <= MOST_IMAGES {
            self.memo.0.insert(key, entry);
        }
        judgement
    }
}
