//! Pure: workloads, what is known of their images, and the fleet → the reports to write.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use hostfit_crds::compat_report::{ReportImage, VerdictCounts};
use hostfit_crds::item::Item;
use hostfit_crds::policies::{Judge, Policies};
use hostfit_crds::{CompatReport, names};
use hostfit_engine::exception::Exceptions;
use hostfit_engine::fact::{Fact, Gap};
use hostfit_engine::finding::CellVerdict;
use hostfit_engine::image::{Digest, ImageFacts, ImageRef};
use hostfit_engine::landing::Fleet;
use hostfit_engine::lineage::Catalog;
use hostfit_engine::matrix::{Knowledge, evaluate};
use hostfit_engine::plan::{Move, Moved};
use hostfit_engine::policy::Policy;
use hostfit_engine::verdict::{Judgement, Verdict};
use hostfit_engine::version::Date;
use hostfit_engine::workload::WorkloadImage;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;

use super::event::{self, Notice};
use super::replacements::Replaced;
use super::report::{self, is_same, report};

/// Everything that reports depend on.
pub(crate) struct View<'a> {
    pub(crate) fleet: &'a Fleet,
    pub(crate) catalog: &'a Catalog,
    pub(crate) policies: &'a Policies,
    pub(crate) namespaces: &'a HashMap<String, BTreeMap<String, String>>,
    /// What is known of an image; nothing before its first answer.
    pub(crate) facts: &'a (dyn Fn(&Item, &ImageRef) -> Option<&'a Fact<ImageFacts>> + Sync),
    /// The images that ran, by namespace.
    pub(crate) ran: &'a HashMap<String, HashSet<Digest>>,
    pub(crate) exceptions: &'a Exceptions,
    /// Profiles that are to replace others.
    pub(crate) replacements: &'a [Move<'a>],
    pub(crate) today: Date,
    pub(crate) now: &'a Time,
}

/// A report, and what to tell once it is written.
pub(crate) struct Write {
    pub(crate) report: CompatReport,
    pub(crate) notice: Option<Notice>,
}

/// What to write, and what was counted.
#[derive(Default)]
pub(crate) struct Plan {
    /// Reports that differ from what is there.
    pub(crate) write: Vec<Write>,
    /// Every report that is wanted, by namespace and name.
    keep: BTreeSet<(String, String)>,
    /// Verdicts by host profile.
    pub(crate) by_host: BTreeMap<String, VerdictCounts>,
    /// What becomes of workloads by each replacement, by the name of the new profile.
    pub(crate) replaced: BTreeMap<String, Replaced>,
    /// Verdicts by namespace.
    pub(crate) by_namespace: BTreeMap<String, VerdictCounts>,
    /// Some images are still being asked for: what was counted is not all.
    pub(crate) is_partial: bool,
    /// Workloads of which an exception accepts a finding, by its namespace and name.
    pub(crate) accepted: BTreeMap<(String, String), i32>,
    /// Findings by code and severity.
    pub(crate) findings: BTreeMap<(&'static str, &'static str), u64>,
}

impl Plan {
    /// Whether a report is ours and about nothing.
    pub(crate) fn is_obsolete(&self, report: &CompatReport) -> bool {
        let ours =
            report.labels().get(names::MANAGED_BY).map(String::as_str) == Some(names::HOSTFIT);
        let key = (report.namespace().unwrap_or_default(), report.name_any());
        ours && !self.keep.contains(&key)
    }
}

/// Judges every workload. One whose images are still being asked for keeps the report that it has.
pub(crate) fn plan(items: &[Item], reports: &[Arc<CompatReport>], view: &View<'_>) -> Plan {
    let current: HashMap<_, _> = reports
        .iter()
        .map(|report| {
            (
                (report.namespace().unwrap_or_default(), report.name_any()),
                report,
            )
        })
        .collect();
    let mut plan = Plan::default();
    let none = BTreeMap::new();
    let mut judges: HashMap<&str, Judge> = HashMap::new();
    for item in items {
        let name = names::report(&item.target.kind, &item.target.name);
        let key = (item.namespace.clone(), name);
        let current = current.get(&key).copied();
        plan.keep.insert(key);
        let own = judges.entry(&item.namespace).or_insert_with(|| {
            let labels = view.namespaces.get(&item.namespace).unwrap_or(&none);
            view.policies.judge(labels)
        });
        let Some(Judged {
            judgement,
            images,
            moved,
        }) = judge(item, &own.policy, view)
        else {
            plan.is_partial = true;
            continue;
        };
        for (name, moved) in moved {
            plan.replaced.entry(name).or_default().add(item, &moved);
        }
        plan.count(&item.namespace, &judgement);
        // The object of another UID is about a workload of that name that is gone: it goes first.
        let current = match current {
            Some(report) if report.spec.target_ref.uid != item.target.uid => {
                plan.keep
                    .remove(&(item.namespace.clone(), report.name_any()));
                continue;
            }
            current => current,
        };
        let current = current.map(AsRef::as_ref);
        let report = report(item, &judgement, images, current, view);
        if !current.is_some_and(|current| is_same(current, &report)) {
            let before = current.and_then(|report| report.status.as_ref()?.verdict);
            let notice = event::notice(item, &judgement, before, own.mode);
            plan.write.push(Write { report, notice });
        }
    }
    plan
}

impl Plan {
    fn count(&mut self, namespace: &str, judgement: &Judgement) {
        let counts = self.by_namespace.entry(namespace.to_owned()).or_default();
        *field(counts, judgement.verdict) += 1;
        for (host, verdict) in &judgement.by_host {
            *on_host(self.by_host.entry(host.0.clone()).or_default(), *verdict) += 1;
        }
        let accepting = judgement.excepted.iter().map(|it| it.exception.as_str());
        for exception in accepting.collect::<BTreeSet<_>>() {
            let key = (namespace.to_owned(), exception.to_owned());
            *self.accepted.entry(key).or_default() += 1;
        }
        for reason in &judgement.reasons {
            let finding = &reason.finding;
            let key = (finding.code.as_str(), finding.severity.as_str());
            *self.findings.entry(key).or_default() += 1;
        }
    }
}

/// The counter of a verdict.
pub(super) fn field(counts: &mut VerdictCounts, verdict: Verdict) -> &mut i32 {
    match verdict {
        Verdict::Pass => &mut counts.pass,
        Verdict::Warn => &mut counts.warn,
        Verdict::Partial => &mut counts.partial,
        Verdict::Fail => &mut counts.fail,
        Verdict::Unknown => &mut counts.unknown,
    }
}

/// The counter of a verdict on one host.
pub(super) fn on_host(counts: &mut VerdictCounts, verdict: CellVerdict) -> &mut i32 {
    match verdict {
        CellVerdict::Pass => &mut counts.pass,
        CellVerdict::Warn => &mut counts.warn,
        CellVerdict::Unknown => &mut counts.unknown,
        CellVerdict::Fail => &mut counts.fail,
    }
}

/// A workload that was judged.
struct Judged {
    judgement: Judgement,
    images: Vec<ReportImage>,
    /// What becomes of it, by the names of profiles that would replace one that it may land on.
    moved: Vec<(String, Moved)>,
}

/// Judges one workload; nothing while an image is being asked for the first time.
fn judge(item: &Item, policy: &Policy, view: &View<'_>) -> Option<Judged> {
    const MALFORMED: &Fact<ImageFacts> = &Fact::Unknown(Gap::NothingTells);
    let images = &item.workload.images;
    let facts = |image: &WorkloadImage| match &image.reference {
        Ok(reference) => (view.facts)(item, reference),
        // The reference itself is the finding; what stands here is not read.
        Err(_) => Some(MALFORMED),
    };
    let facts: Vec<&Fact<ImageFacts>> = images.iter().map(facts).collect::<Option<_>>()?;
    let exceptions = view
        .exceptions
        .of(&item.namespace, &item.labels, view.now.0);
    let knowledge = Knowledge {
        fleet: view.fleet,
        catalog: view.catalog,
        rules: &policy.rules,
        today: view.today,
        exceptions: &exceptions,
    };
    let judgement = evaluate(&item.workload, &facts, &knowledge);
    let moved = view.replacements.iter().filter_map(|replacement| {
        let moved = replacement.of(&item.workload, &facts, &knowledge)?;
        Some((replacement.to.name.0.clone(), moved))
    });
    let moved = moved.collect();
    Some(Judged {
        judgement,
        images: report::images(images.iter().zip(facts), view.catalog),
        moved,
    })
}
