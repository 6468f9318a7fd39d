//! A plan → the document of which all formats are renderings.

use std::sync::Arc;

use hostfit_engine::finding::{CellVerdict, plain};
use hostfit_engine::host::HostName;
use hostfit_engine::matrix::evaluate_on;
use hostfit_engine::plan::{Difference, Fate, Move, Moved, Place, Plan};
use hostfit_engine::verdict::Verdict;

use crate::document::{self, Document, Kind, Summary, Target, Work, of_cell};
use crate::hosts::HostArg;
use crate::survey::Survey;

/// The plan as the document of which all formats are renderings.
pub(super) fn documented(
    survey: &Survey,
    change: Move<'_>,
    plan: &Plan<usize>,
    to: &HostArg,
) -> Document {
    let mut builder = survey.builder(Kind::Plan);
    let known = |name: &HostName| survey.fleet.hosts().iter().any(|it| it.name == *name);
    if let Some(origin) = to.origin().filter(|_| !known(&change.to.name)) {
        builder.host(change.to, origin);
    }
    let target = |index: usize| {
        let item = survey.items.get(index);
        Arc::new(item.map_or_else(
            || Target {
                namespace: None,
                kind: String::new(),
                name: String::new(),
                file: None,
            },
            |item| Target {
                namespace: Some(item.namespace.clone()),
                kind: item.target.kind.clone(),
                name: item.target.name.clone(),
                file: None,
            },
        ))
    };
    let mut judges = survey.judges();
    let mut worst_before = |index: usize| {
        let item = survey.items.get(index)?;
        let judge = judges.of(&item.namespace);
        let exceptions = survey.exceptions(item);
        let knowledge = survey.knowledge(&survey.fleet, &judge, &exceptions);
        let before = evaluate_on(&item.workload, &survey.facts(item), change.from, &knowledge);
        before.by_host.iter().map(|(_, worst)| *worst).max()
    };
    let mut moves = |fate: Fate| {
        let listed = plan.listed.iter().filter(|(_, moved)| moved.fate == fate);
        let moved: Vec<_> = listed
            .map(|(index, Moved { after, reasons, .. })| document::Move {
                target: target(*index),
                before: worst_before(*index).unwrap_or(CellVerdict::Unknown),
                after: *after,
                findings: reasons
                    .iter()
                    .map(|it| Arc::new(builder.finding(it, true)))
                    .collect(),
            })
            .collect();
        moved
    };
    let (breaks, fixed, cannot_tell) = (
        moves(Fate::Breaks),
        moves(Fate::Fixed),
        moves(Fate::Unknown),
    );
    let (still_fails, new_warnings) = (moves(Fate::StillFails), moves(Fate::NewWarning));
    let (in_no_matrix, elsewhere) = (moves(Fate::Unspoken), moves(Fate::Elsewhere));
    let before = survey.items.iter().enumerate().filter_map(|(index, item)| {
        let admits = survey
            .fleet
            .admits(&change.from.name, &item.workload.placement);
        admits.then(|| worst_before(index))?
    });
    let before = Summary::of(before.map(of_cell).collect::<Vec<_>>());
    let (mut changes, mut same) = (Vec::new(), Vec::new());
    for (fact, difference) in change.differences() {
        let (from, to) = match difference {
            Difference::Same(_) => {
                same.push(fact.name().to_owned());
                continue;
            }
            Difference::Changes(from, to) => (Some(from), Some(to)),
            Difference::Untold { from, to } => (from, to),
        };
        let fact = fact.name().to_owned();
        changes.push(document::Change { fact, from, to });
    }
    let order_of_work = plan.order.iter().filter_map(|work| {
        let cause = work.causes.first()?;
        let workloads = work.mends.iter().map(|index| target(*index).to_string());
        let workloads: Vec<_> = workloads.collect();
        (!workloads.is_empty()).then(|| Work {
            image: match &work.place {
                Place::Base(base) => plain(base, 300),
                Place::Image(image) => plain(&image.to_string(), 300),
            },
            code: cause.code.as_str(),
            fix: plain(&cause.fix, 300),
            workloads,
        })
    });
    let after = after(plan);
    let plan = document::Plan {
        from: plain(&change.from.name.0, 300).into(),
        to: plain(&change.to.name.0, 300).into(),
        changes,
        same,
        before,
        after,
        breaks,
        fixed,
        cannot_tell,
        still_fails,
        new_warnings,
        in_no_matrix,
        elsewhere,
        order_of_work: order_of_work.collect(),
    };
    let mut document = survey.finish(builder);
    document.summary = after;
    document.plan = Some(plan);
    document
}

/// The verdicts on the new hosts. What only warns as before or fits is counted and not listed.
fn after(plan: &Plan<usize>) -> Summary {
    let listed = plan.listed.iter().filter_map(|(_, moved)| moved.after);
    let listed = listed.map(of_cell);
    let times = |verdict, fate| std::iter::repeat_n(verdict, plan.counts.of(fate));
    let fits = times(Verdict::Pass, Fate::Fits);
    Summary::of(listed.chain(fits).chain(times(Verdict::Warn, Fate::Warns)))
}
