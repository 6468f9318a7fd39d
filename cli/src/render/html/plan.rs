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
    pub(super) breaks: Vec<MoveRow<'a>>,
    pub(super) fixed: Vec<MoveRow<'a>>,
    pub(super) cannot_tell: Vec<MoveRow<'a>>,
    pub(super) work: Vec<WorkRow>,
}

pub(super) struct MoveRow<'a> {
    pub(super) name: String,
    pub(super) before: Sign,
    pub(super) after: Sign,
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
        breaks: moves(&plan.breaks),
        fixed: moves(&plan.fixed),
        cannot_tell: moves(&plan.cannot_tell),
        work: plan.order_of_work.iter().map(work).collect(),
    }
}

fn moves(moves: &[Move]) -> Vec<MoveRow<'_>> {
    let rows = moves.iter().map(|it| MoveRow {
        name: it.target.to_string(),
        before: sign(of_cell(it.before)),
        after: sign(of_cell(it.after)),
        findings: &it.findings,
    });
    rows.collect()
}
