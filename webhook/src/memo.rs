//! What was judged once is not judged again while nothing changed: the hit path of admission.

use std::sync::Arc;

use hostfit_crds::policies::Judge;
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
}

#[derive(Clone)]
struct Entry {
    judgement: Arc<Judgement>,
    _alive: (Arc<[SharedFacts]>, Arc<Judge>),
}

impl Snapshot {
    /// Judges a workload, or remembers what was judged.
    pub(crate) fn evaluate(
        &self,
        workload: Arc<Workload>,
        facts: Arc<[SharedFacts]>,
        judge: &Arc<Judge>,
        today: Date,
    ) -> Arc<Judgement> {
        let key = Key {
            workload,
            facts: facts
                .iter()
                .map(|facts| Arc::as_ptr(facts).addr())
                .collect(),
            judge: Arc::as_ptr(judge).addr(),
            today,
        };
        if let Some(entry) = self.memo.0.get(&key) {
            return entry.judgement;
        }
        let knowledge = Knowledge {
            fleet: &self.fleet,
            catalog: &self.catalog,
            rules: &judge.policy.rules,
            today,
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
