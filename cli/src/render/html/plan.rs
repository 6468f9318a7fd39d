//! The part of the page that tells what becomes of workloads when hosts are replaced.

use std::sync::Arc;

use super::super::counted;
use super::parts::{Names, Sign, Tile, label, tiles};
use super::sign;
use crate::document::{Finding, Move, Plan, of_cell};

pub(super) struct PlanPart<'a> {
    pub(super) from: &'a str,
    pub(super) to: &'a str,
    pub(super) before: Vec<Tile>,
    pub(super) after: Vec<Tile>,
    pub(super) before_label: String,
    pub(super) after_label: String,
    pub(super) changes: Vec<(&'a str, &'a str, &'a str)>,
    pub(super) same: String,
    pub(super) moves: Vec<Moves<'a>>,
    pub(super) work: Vec<WorkRow>,
}

/// Workloads of which the same becomes.
pub(super) struct Moves<'a> {
    pub(super) title: &'static str,
    pub(super) rows: Vec<MoveRow<'a>>,
    /// What is said where there are none.
    pub(super) none: &'static str,
}

pub(super) struct MoveRow<'a> {
    pub(super) name: String,
    pub(super) before: Sign,
    pub(super) after: Option<Sign>,
    pub(super) findings: &'a [Arc<Finding>],
}

pub(super) struct WorkRow {
    pub(super) what: String,
    pub(super) workloads: Names,
}

pub(super) fn plan(plan: &Plan) -> PlanPart<'_> {
    let (before, after) = (tiles(&plan.before), tiles(&plan.after));
    fn side(it: &Option<String>) -> &str {
        it.as_deref().unwrap_or("not known")
    }
    let changes = plan.changes.iter();
    let changes = changes.map(|it| (it.fact.as_str(), side(&it.from), side(&it.to)));
    let work = |it: &crate::document::Work| WorkRow {
        what: format!(
            "{}, {}: {} ({})",
            it.image,
            it.code,
            it.fix,
            counted(it.workloads.len(), "workload")
        ),
        workloads: Names::of(it.workloads.clone()),
    };
    PlanPart {
        from: &plan.from,
        to: &plan.to,
        before_label: label(&before),
        after_label: label(&after),
        before,
        after,
        changes: changes.collect(),
        same: plan.same.join(", "),
        moves: plan.sections().into_iter().filter_map(moves).collect(),
        work: plan.order_of_work.iter().map(work).collect(),
    }
}

/// What breaks, cannot be told or is fixed is told even where it is nothing.
fn moves<'a>((title, moves): (&'static str, &'a [Move])) -> Option<Moves<'a>> {
    let none = match title {
        "Breaks" => "Nothing that fits now stops fitting.",
        "Cannot tell" => "Everything could be told.",
        "Fixed by the move" => "Nothing that does not fit now would fit.",
        _ => "",
    };
    let rows = moves.iter().map(|it| MoveRow {
        name: it.target.to_string(),
        before: sign(of_cell(it.before)),
        after: it.after.map(|after| sign(of_cell(after))),
        findings: &it.findings,
    });
    let rows: Vec<_> = rows.collect();
    (!rows.is_empty() || !none.is_empty()).then_some(Moves { title, rows, none })
}
