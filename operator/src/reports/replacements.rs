//! All workloads against each HostProfile: how they fare there, and what breaks if it replaces its baseline.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hostfit_crds::cluster_compat_report::Blocker;
use hostfit_crds::compat_report::VerdictCounts;
use hostfit_crds::condition::{self, Status, Wanted};
use hostfit_crds::fleet::Class;
use hostfit_crds::item::Item;
use hostfit_crds::{
    ClusterCompatReport, ClusterCompatReportSpec, ClusterCompatReportStatus, HostProfile, names,
};
use hostfit_engine::finding::{Code, Severity, nearest, plain};
use hostfit_engine::host::{HostFacts, HostName};
use hostfit_engine::landing::Fleet;
use hostfit_engine::plan::{Fate, Move, Moved};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::runtime::events::{Event, EventType};
use kube::{Resource, ResourceExt};
use tracing::{info, warn};

use super::event;
use super::plan::on_host;
use crate::apply::{Writer, Written};

/// Blockers that a report lists.
const MOST_BLOCKERS: usize = 50;

/// The replacements that people declare, as far as both sides are known.
pub(super) fn replacements<'a>(profiles: &[Arc<HostProfile>], fleet: &'a Fleet) -> Vec<Move<'a>> {
    let replacement = |profile: &Arc<HostProfile>| {
        let from = fleet.host(&HostName(profile.spec.baseline_name.clone()?))?;
        let to = fleet.host(&HostName(profile.name_any()))?;
        Some(Move { from, to })
    };
    profiles.iter().filter_map(replacement).collect()
}

/// What becomes of workloads by a replacement. Only the worst are kept by name.
#[derive(Debug, Default)]
pub(crate) struct Replaced {
    workloads: VerdictCounts,
    new_failures: i32,
    fixed: i32,
    blockers: BTreeMap<(Severity, Code, [String; 3]), String>,
}

impl Replaced {
    pub(super) fn add(&mut self, item: &Item, moved: &Moved) {
        if let Some(after) = moved.after {
            *on_host(&mut self.workloads, after) += 1;
        }
        self.fixed += i32::from(moved.fate == Fate::Fixed);
        let Some(worst) = moved.reasons.first().filter(|_| moved.fate == Fate::Breaks) else {
            return;
        };
        self.new_failures += 1;
        let target = &item.target;
        let who = [&item.namespace, &target.kind, &target.name].map(Clone::clone);
        let finding = &worst.finding;
        let key = (finding.severity, finding.code, who);
        self.blockers.insert(key, plain(&finding.message(), 256));
        if self.blockers.len() > MOST_BLOCKERS {
            self.blockers.pop_last();
        }
    }

    fn blockers(&self) -> Vec<Blocker> {
        let blocker = |((_, code, who), message): (&(Severity, Code, [String; 3]), &String)| {
            let [namespace, kind, name] = who.clone();
            Blocker {
                namespace,
                kind,
                name,
                code: code.to_string(),
                message: message.clone(),
            }
        };
        self.blockers.iter().map(blocker).collect()
    }
}

/// What the reports depend on.
pub(super) struct Facts<'a> {
    pub(super) profiles: &'a [Arc<HostProfile>],
    pub(super) fleet: &'a Fleet,
    /// Verdicts of the workloads that may land there, by profile.
    pub(super) by_host: &'a BTreeMap<String, VerdictCounts>,
    pub(super) replaced: &'a BTreeMap<String, Replaced>,
    /// The reports that there are.
    pub(super) current: &'a [Arc<ClusterCompatReport>],
    pub(super) now: &'a Time,
}

/// What to write, and what was counted.
#[derive(Default)]
pub(super) struct Plan {
    /// Reports that differ from what is there, each with the profile that it is about and what to tell of it.
    write: Vec<(ClusterCompatReport, Arc<HostProfile>, Option<Event>)>,
    /// Reports of profiles that are gone.
    obsolete: Vec<Arc<ClusterCompatReport>>,
    /// Reports that somebody else made, with the status that says so.
    foreign: Vec<ClusterCompatReport>,
    /// Workloads by verdict, by profile; without those where there is nothing to count.
    pub(super) counts: BTreeMap<String, VerdictCounts>,
}

/// The reports on all profiles.
pub(super) fn plan(facts: &Facts<'_>) -> Plan {
    let by_name: BTreeMap<_, _> = facts.current.iter().map(|it| (it.name_any(), it)).collect();
    let mut plan = Plan {
        counts: facts.by_host.clone(),
        ..Plan::default()
    };
    let mut keep = BTreeSet::new();
    for profile in facts.profiles {
        let name = profile.name_any();
        let current = by_name.get(&name).copied();
        // A report of a profile of this name that is gone: it goes first.
        if current.is_some_and(|current| !is_of(current, profile)) {
            continue;
        }
        keep.insert(name.clone());
        let status = status(profile, current.and_then(|it| it.status.as_ref()), facts);
        if let Some(workloads) = &status.workloads {
            plan.counts.insert(name.clone(), workloads.clone());
        }
        let before = current.and_then(|current| current.status.as_ref());
        if before == Some(&status) {
            continue;
        }
        let notice = notice(profile, before, &status);
        let report = report(profile, status);
        plan.write.push((report, profile.clone(), notice));
    }
    let unwanted = facts.current.iter();
    let unwanted = unwanted.filter(|report| !keep.contains(&report.name_any()));
    let (ours, others): (Vec<_>, Vec<_>) = unwanted.cloned().partition(|it| is_ours(it));
    plan.obsolete = ours;
    plan.foreign = others.iter().filter_map(|it| foreign(it, facts)).collect();
    plan
}

fn is_of(report: &ClusterCompatReport, profile: &HostProfile) -> bool {
    let uid = profile.uid();
    let mut owners = report.owner_references().iter();
    owners.any(|owner| Some(&owner.uid) == uid.as_ref())
}

fn report(profile: &HostProfile, status: ClusterCompatReportStatus) -> ClusterCompatReport {
    let name = profile.name_any();
    let spec = ClusterCompatReportSpec {
        host_profile_name: name.clone(),
    };
    let mut report = ClusterCompatReport::new(&name, spec);
    let managed = (names::MANAGED_BY.to_owned(), names::HOSTFIT.to_owned());
    report.labels_mut().extend([managed]);
    report.owner_references_mut().extend(profile.owner_ref(&()));
    report.status = Some(status);
    report
}

fn status(
    profile: &HostProfile,
    before: Option<&ClusterCompatReportStatus>,
    facts: &Facts<'_>,
) -> ClusterCompatReportStatus {
    let name = profile.name_any();
    let baseline = profile.spec.baseline_name.as_ref();
    let not = |reason, message: String| (false, reason, message);
    let landing = || facts.by_host.get(&name).cloned().unwrap_or_default();
    let none = Replaced::default();
    let (counted, replaced, (ready, reason, message)) = match (Class::of(profile), baseline) {
        (None, _) => {
            let (reason, message) = no_facts(profile);
            (None, None, not(reason, message))
        }
        (Some(_), Some(baseline)) => match facts.fleet.host(&HostName(baseline.clone())) {
            Some(_) => {
                let replaced = facts.replaced.get(&name).unwrap_or(&none);
                let message = format!("judged in the place of {baseline}");
                let ready = (true, "Planned", message);
                (Some(replaced.workloads.clone()), Some(replaced), ready)
            }
            None => {
                let (reason, message) = no_baseline(baseline, facts);
                (None, None, not(reason, message))
            }
        },
        (Some(class), None) if profile.spec.facts.is_some() && class.labels.is_none() => {
            let message = "nobody can land there: give it nodeLabels, or a baselineName that it would replace";
            (None, None, not("NowhereToLand", message.to_owned()))
        }
        (Some(_), None) => {
            let ready = (true, "Counted", "workloads that may land there".to_owned());
            (Some(landing()), None, ready)
        }
    };
    let ready = Wanted {
        type_: names::READY,
        status: ready.into(),
        reason,
        message,
    };
    let replaced = replaced.unwrap_or(&none);
    let blockers = replaced.blockers();
    let omitted = replaced.blockers.len();
    let omitted = i32::try_from(omitted).map_or(0, |listed| replaced.new_failures - listed);
    let conditions = before.map(|before| before.conditions.as_slice());
    let generation = profile.metadata.generation;
    let status = ClusterCompatReportStatus {
        baseline_name: baseline.cloned(),
        workloads: counted,
        new_failures: replaced.new_failures,
        fixed: replaced.fixed,
        blockers,
        blockers_omitted: omitted,
        last_change_time: before.and_then(|before| before.last_change_time.clone()),
        conditions: condition::merge(
            conditions.unwrap_or_default(),
            &[ready],
            generation,
            facts.now,
        ),
    };
    match before == Some(&status) {
        true => status,
        false => ClusterCompatReportStatus {
            last_change_time: Some(facts.now.clone()),
            ..status
        },
    }
}

/// Why the facts of a profile are none.
fn no_facts(profile: &HostProfile) -> (&'static str, String) {
    match profile.facts().map(HostFacts::try_from) {
        Some(Err(error)) => (
            "UnreadableFacts",
            format!("nothing is counted until spec.facts of the HostProfile can be read: {error}"),
        ),
        None | Some(Ok(_)) => (
            "NoFacts",
            "nothing is counted: the HostProfile says of no fact what its nodes offer; write spec.facts there"
                .to_owned(),
        ),
    }
}

/// Why a baseline is none.
fn no_baseline(written: &str, facts: &Facts<'_>) -> (&'static str, String) {
    if facts.profiles.iter().any(|it| it.name_any() == written) {
        let message = format!(
            "nothing is counted: HostProfile {written}, which it could replace, has no facts that can be read"
        );
        return ("NoFactsOfBaseline", message);
    }
    let names: Vec<_> = facts
        .fleet
        .hosts()
        .iter()
        .map(|host| host.name.0.as_str())
        .collect();
    let nearest = nearest(written, &names);
    let meant = nearest.map(|name| format!("; did you mean {name}?"));
    let message = format!(
        "there is no HostProfile {written} that it could replace{}",
        meant.unwrap_or_default()
    );
    ("NoBaseline", message)
}

/// What is told of a report that somebody else made; nothing if that stands there already.
fn foreign(report: &ClusterCompatReport, facts: &Facts<'_>) -> Option<ClusterCompatReport> {
    let about = &report.spec.host_profile_name;
    let (reason, message) = match facts.profiles.iter().any(|it| it.name_any() == *about) {
        true => (
            "HandMade",
            format!(
                "the operator makes the report on HostProfile {about} itself, with its name: delete this one"
            ),
        ),
        false => (
            "NoProfile",
            format!(
                "there is no HostProfile {about}: make one, and the operator makes its report; delete this one"
            ),
        ),
    };
    let ready = Wanted {
        type_: names::READY,
        status: Status::False,
        reason,
        message,
    };
    let before = report.status.as_ref();
    let conditions = before.map(|before| before.conditions.as_slice());
    let status = ClusterCompatReportStatus {
        conditions: condition::merge(
            conditions.unwrap_or_default(),
            &[ready],
            report.metadata.generation,
            facts.now,
        ),
        ..ClusterCompatReportStatus::default()
    };
    (before != Some(&status)).then(|| ClusterCompatReport {
        status: Some(status),
        ..report.clone()
    })
}

fn is_ours(report: &ClusterCompatReport) -> bool {
    report.labels().get(names::MANAGED_BY).map(String::as_str) == Some(names::HOSTFIT)
}

/// One Event when more would break than before.
fn notice(
    profile: &HostProfile,
    before: Option<&ClusterCompatReportStatus>,
    after: &ClusterCompatReportStatus,
) -> Option<Event> {
    let was = before.map_or(0, |before| before.new_failures);
    let first = after
        .blockers
        .first()
        .filter(|_| after.new_failures > was)?;
    let Blocker {
        namespace,
        kind,
        name,
        code,
        message,
    } = first;
    let (count, profile) = (after.new_failures, profile.name_any());
    let baseline = after.baseline_name.as_deref().unwrap_or_default();
    let unit = if count == 1 { "workload" } else { "workloads" };
    let text = format!(
        "{count} {unit} would break (were {was}) if {profile} replaced {baseline}; worst: {namespace}/{kind}/{name}: {code} {message}"
    );
    let end = format!(". See kubectl describe ccompat {profile}");
    Some(Event {
        type_: EventType::Warning,
        reason: "NewFailures".to_owned(),
        note: Some(event::note(&text, &end)),
        action: "Plan".to_owned(),
        secondary: None,
    })
}

impl Plan {
    /// The reports to write.
    pub(super) fn reports(self) -> Vec<ClusterCompatReport> {
        self.write.into_iter().map(|(report, ..)| report).collect()
    }

    /// Writes what differs. Each on its own: one that the API server refuses must not keep the others waiting.
    pub(super) async fn write(&self, writer: &Writer, events: bool) -> kube::Result<()> {
        let mut failed = None;
        for (report, profile, notice) in &self.write {
            match writer.cluster_report(report).await {
                Ok(Written::Gone) => {}
                Ok(Written::Done) => {
                    if let Some(event) = notice.as_ref().filter(|_| events) {
                        writer.event(event, &profile.object_ref(&())).await;
                    }
                }
                Err(error) => {
                    warn!(report = report.name_any(), %error, "report on a profile not written");
                    failed = Some(error);
                }
            }
        }
        for report in &self.foreign {
            if let Err(error) = writer.cluster_report_status(report).await {
                failed = Some(error);
            }
        }
        for report in &self.obsolete {
            match writer.delete_cluster_report(report).await {
                Ok(_) => info!(
                    report = report.name_any(),
                    "the profile is gone, and so is its report"
                ),
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests;
