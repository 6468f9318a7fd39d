//! A plan in the document: what becomes of the workloads of one host when another takes its place.

use std::sync::Arc;

use hostfit_engine::finding::CellVerdict;
use serde::{Serialize, Serializer};

use super::{Finding, Summary, Target, cell};

/// What becomes of the workloads of one host when another one takes its place.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Plan {
    /// Names in `hosts`.
    pub(crate) from: Arc<str>,
    pub(crate) to: Arc<str>,
    /// Facts that differ, or of which one side is not known.
    pub(crate) changes: Vec<Change>,
    /// Facts that stay.
    pub(crate) same: Vec<String>,
    /// The workloads that may land on `from`, there.
    pub(crate) before: Summary,
    /// The same ones on `to`.
    pub(crate) after: Summary,
    /// They fit now and would not.
    pub(crate) breaks: Vec<Move>,
    /// They do not fit now and would.
    pub(crate) fixed: Vec<Move>,
    /// It cannot be told whether they would fit.
    pub(crate) cannot_tell: Vec<Move>,
    /// They do not fit now, and would not, for the same reasons.
    pub(crate) still_fails: Vec<Move>,
    /// They would run, with a warning that is not there now.
    pub(crate) new_warnings: Vec<Move>,
    /// They are unsupported now, and of `to` no matrix speaks: that mends nothing.
    pub(crate) in_no_matrix: Vec<Move>,
    /// They would not land on `to`: labels that are declared of it keep them away.
    pub(crate) elsewhere: Vec<Move>,
    /// What to mend first: what mends most.
    pub(crate) order_of_work: Vec<Work>,
}

/// A fact that changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Change {
    pub(crate) fact: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) to: Option<String>,
}

/// A workload whose verdict changes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Move {
    #[serde(flatten)]
    pub(crate) target: Arc<Target>,
    #[serde(serialize_with = "cell")]
    pub(crate) before: CellVerdict,
    /// Absent where it would not land there.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "cell_if_any"
    )]
    pub(crate) after: Option<CellVerdict>,
    /// On `to`; of what is fixed, on `from`.
    pub(crate) findings: Vec<Arc<Finding>>,
}

/// One change that mends several workloads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Work {
    /// Base image or image that has to change.
    pub(crate) image: String,
    pub(crate) code: &'static str,
    pub(crate) fix: String,
    /// The workloads that it mends.
    pub(crate) workloads: Vec<String>,
}

impl Plan {
    /// What becomes of workloads, in the order in which people want to know.
    pub(crate) fn sections(&self) -> [(&'static str, &[Move]); 7] {
        [
            ("Breaks", &self.breaks),
            ("Still fails", &self.still_fails),
            ("Cannot tell", &self.cannot_tell),
            ("New warning", &self.new_warnings),
            (
                "In no matrix then, unsupported now: not mended",
                &self.in_no_matrix,
            ),
            ("Fixed by the move", &self.fixed),
            ("Goes elsewhere", &self.elsewhere),
        ]
    }
}

fn cell_if_any<S: Serializer>(
    verdict: &Option<CellVerdict>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    verdict.map(CellVerdict::as_str).serialize(serializer)
}
