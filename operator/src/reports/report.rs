//! Pure: what was found of a workload → its report.

use std::collections::{HashMap, HashSet};

use hostfit_crds::compat_report::{
    CompatReportSpec, CompatReportStatus, ExceptedFinding, FindingCounts, ReportFinding,
    ReportImage,
};
use hostfit_crds::condition::{self, Status, Wanted};
use hostfit_crds::item::Item;
use hostfit_crds::{CompatReport, names};
use hostfit_engine::fact::Fact;
use hostfit_engine::finding::{CellVerdict, plain};
use hostfit_engine::image::{Digest, ImageFacts, PlatformFacts};
use hostfit_engine::lineage::Catalog;
use hostfit_engine::verdict::{Excepted, Judgement, Reason, Verdict};
use hostfit_engine::workload::WorkloadImage;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use kube::ResourceExt;

use super::plan::View;

/// Findings that a report lists.
const MOST_FINDINGS: usize = 20;
/// Images, containers and hosts that a report lists.
const MOST_LISTED: usize = 32;
/// Images that ran and are remembered, of one workload.
const MOST_RAN: usize = 16;
/// Contradictions that are listed of one image.
const MOST_CONTRADICTIONS: usize = 4;

/// The images of a workload, as its report lists them.
pub(super) fn images<'a>(
    images: impl Iterator<Item = (&'a WorkloadImage, &'a Fact<ImageFacts>)>,
    catalog: &Catalog,
) -> Vec<ReportImage> {
    let listed = images.take(MOST_LISTED);
    let listed = listed.filter_map(|(image, facts)| listed_image(image, facts, catalog));
    listed.collect()
}

fn listed_image(
    image: &WorkloadImage,
    facts: &Fact<ImageFacts>,
    catalog: &Catalog,
) -> Option<ReportImage> {
    let reference = image.reference.as_ref().ok()?;
    let known = facts.value();
    let contents =
        known.and_then(|facts| facts.platforms.iter().find_map(|it| it.contents.value()));
    let lineage = contents.map(|contents| catalog.lineage(reference, contents));
    let mut listed = ReportImage {
        container: image.name.clone(),
        image: reference.to_string(),
        digest: known.map(|facts| facts.digest.to_string()),
        only_config: known.is_some_and(|it| it.platforms.iter().any(PlatformFacts::lacks_files)),
        ..ReportImage::default()
    };
    if let Some(lineage) = lineage {
        let distribution = lineage.distribution.value();
        listed.base_image = lineage.base.map(|base| plain(&base, 256));
        listed.distro = distribution.map(|it| plain(&it.to_string(), 128));
        let contradictions = lineage.contradictions.iter().take(MOST_CONTRADICTIONS);
        listed.contradictions = contradictions.map(|text| plain(text, 256)).collect();
    }
    Some(listed)
}

/// The report on a workload.
pub(super) fn report(
    item: &Item,
    judgement: &Judgement,
    images: Vec<ReportImage>,
    current: Option<&CompatReport>,
    view: &View<'_>,
) -> CompatReport {
    let now = view.now;
    let before = current.and_then(|report| report.status.as_ref());
    let verdict = judgement.verdict.into();
    let findings: Vec<_> = judgement
        .reasons
        .iter()
        .take(MOST_FINDINGS)
        .map(finding)
        .collect();
    let excepted = judgement.excepted.iter().take(MOST_FINDINGS).map(excepted);
    let excepted: Vec<_> = excepted.collect();
    let omitted = judgement.reasons.len().saturating_sub(MOST_FINDINGS);
    let outcome_changed = before.is_none_or(|before| {
        before.verdict != Some(verdict)
            || before.findings != findings
            || before.excepted != excepted
    });
    let last_change = match outcome_changed {
        true => Some(now.clone()),
        false => before.and_then(|before| before.last_change_time.clone()),
    };
    let conditions = before
        .map(|before| before.conditions.as_slice())
        .unwrap_or_default();
    let status = CompatReportStatus {
        observed_generation: item.generation,
        verdict: Some(verdict),
        hosts: judgement.hosts(),
        finding_counts: counts(judgement),
        top_finding: judgement
            .reasons
            .first()
            .map(|reason| reason.finding.code.to_string()),
        findings,
        findings_omitted: i32::try_from(omitted).unwrap_or(i32::MAX),
        ran_digests: ran_digests(&item.namespace, &images, before, view.ran),
        excepted,
        images,
        last_change_time: last_change,
        conditions: condition::merge(conditions, &conditions_of(judgement), item.generation, now),
    };
    let name = names::report(&item.target.kind, &item.target.name);
    let mut report = CompatReport::new(
        &name,
        CompatReportSpec {
            target_ref: item.target.clone(),
        },
    );
    report.metadata.namespace = Some(item.namespace.clone());
    report.metadata.owner_references = Some(vec![OwnerReference {
        api_version: item.target.api_version.clone(),
        kind: item.target.kind.clone(),
        name: item.target.name.clone(),
        uid: item.target.uid.clone(),
        ..OwnerReference::default()
    }]);
    let labels = report.labels_mut();
    labels.insert(names::MANAGED_BY.to_owned(), names::HOSTFIT.to_owned());
    labels.insert(
        names::VERDICT.to_owned(),
        judgement.verdict.as_str().to_owned(),
    );
    report.status = Some(status);
    report
}

/// What of the workload's images runs in its namespace, and what did before: a rollback must find it here.
fn ran_digests(
    namespace: &str,
    images: &[ReportImage],
    before: Option<&CompatReportStatus>,
    ran: &HashMap<String, HashSet<Digest>>,
) -> Vec<String> {
    let before = before.map_or(&[][..], |before| &before.ran_digests);
    let runs = |digest: &&String| {
        let digest: Option<Digest> = digest.parse().ok();
        digest.is_some_and(|digest| ran.get(namespace).is_some_and(|ran| ran.contains(&digest)))
    };
    let now = images.iter().filter_map(|image| image.digest.as_ref());
    let mut digests: Vec<String> = Vec::new();
    // What was told stays where it is: a report must not change with the order of its containers.
    for digest in now.filter(runs).filter(|digest| !before.contains(digest)) {
        if !digests.contains(digest) {
            digests.push(digest.clone());
        }
    }
    digests.extend_from_slice(before);
    digests.truncate(MOST_RAN);
    digests
}

fn finding(reason: &Reason) -> ReportFinding {
    let finding = &reason.finding;
    ReportFinding {
        code: finding.code.to_string(),
        severity: finding.severity.as_str().to_owned(),
        verdict: finding.verdict.as_str().to_owned(),
        containers: containers(reason),
        host_profiles: host_profiles(reason),
        message: plain(&finding.message(), 512),
        remediation: plain(&finding.fix, 512),
        evidence: finding
            .evidence
            .as_ref()
            .map(|evidence| plain(&evidence.from, 512)),
        strength: finding
            .evidence
            .as_ref()
            .map(|evidence| evidence.strength.to_string()),
    }
}

fn excepted(excepted: &Excepted) -> ExceptedFinding {
    let Excepted {
        exception,
        expires,
        reason,
    } = excepted;
    ExceptedFinding {
        code: reason.finding.code.to_string(),
        containers: containers(reason),
        host_profiles: host_profiles(reason),
        message: plain(&reason.finding.message(), 512),
        exception: exception.clone(),
        expiration_time: Time(*expires),
    }
}

fn containers(reason: &Reason) -> Vec<String> {
    let users = reason.users.iter().take(MOST_LISTED);
    users.map(|(_, name)| name.clone()).collect()
}

fn host_profiles(reason: &Reason) -> Vec<String> {
    let hosts = reason.hosts.iter().take(MOST_LISTED);
    hosts.map(|host| host.0.clone()).collect()
}

fn counts(judgement: &Judgement) -> FindingCounts {
    let count = |verdict| {
        let reasons = judgement
            .reasons
            .iter()
            .filter(|reason| reason.finding.verdict == verdict);
        i32::try_from(reasons.count()).unwrap_or(i32::MAX)
    };
    FindingCounts {
        warn: count(CellVerdict::Warn),
        fail: count(CellVerdict::Fail),
        unknown: count(CellVerdict::Unknown),
    }
}

fn conditions_of(judgement: &Judgement) -> [Wanted<'static>; 2] {
    let (compatible, reason) = match judgement.verdict {
        Verdict::Pass => (Status::True, "Fits"),
        Verdict::Warn => (Status::True, "FitsWithWarnings"),
        Verdict::Partial => (Status::False, "PartialFit"),
        Verdict::Fail => (Status::False, "FitsNowhere"),
        Verdict::Unknown => (Status::Unknown, "Unknown"),
    };
    let accepted = judgement.excepted.iter().map(|it| &it.reason);
    let unknown = judgement
        .reasons
        .iter()
        .chain(accepted)
        .find(|reason| reason.finding.verdict == CellVerdict::Unknown)
        .map(|reason| plain(&reason.finding.message(), 512));
    let message = match (&unknown, compatible) {
        (Some(why), Status::Unknown) => format!("whether it fits could not be told: {why}"),
        _ => format!("{} host profiles fit", judgement.hosts()),
    };
    [
        Wanted {
            type_: names::COMPATIBLE,
            status: compatible,
            reason,
            message,
        },
        Wanted {
            type_: names::COMPLETE,
            status: unknown.is_none().into(),
            reason: if unknown.is_none() {
                "AllKnown"
            } else {
                "SomethingUnknown"
            },
            message: unknown.unwrap_or_default(),
        },
    ]
}

/// Whether writing the report would change nothing.
pub(super) fn is_same(current: &CompatReport, wanted: &CompatReport) -> bool {
    let label = |report: &CompatReport| report.labels().get(names::VERDICT).cloned();
    current.spec == wanted.spec
        && current.status == wanted.status
        && label(current) == label(wanted)
        && current.owner_references().len() == wanted.owner_references().len()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use hostfit_crds::Condition;
    use hostfit_engine::finding::{Code, Finding, Severity};

    use super::*;

    /// A look at a workload whose images have these digests, by their digit, after what was remembered; then what is.
    #[track_caller]
    fn check(images: &str, runs: &str, before: &str, expected: &str) {
        let digest = |digit: char| format!("sha256:{}", digit.to_string().repeat(64));
        let images: Vec<_> = images
            .chars()
            .map(|digit| ReportImage {
                digest: Some(digest(digit)),
                ..ReportImage::default()
            })
            .collect();
        let runs = runs.chars().map(|digit| digest(digit).parse().unwrap());
        let before = CompatReportStatus {
            ran_digests: before.chars().map(digest).collect(),
            ..CompatReportStatus::default()
        };
        let ran = HashMap::from([("shop".to_owned(), runs.collect())]);
        let got = ran_digests("shop", &images, Some(&before), &ran);
        let got: String = got.iter().filter_map(|it| it.chars().nth(7)).collect();
        assert_eq!(got, expected);
    }

    /// What the conditions of a verdict say, where this finding is all that was found.
    #[track_caller]
    fn says(verdict: Verdict, found: CellVerdict, expected: [&str; 2]) {
        let finding = Finding {
            code: Code::HF901,
            severity: Severity::Unknown,
            verdict: found,
            image: "not checked: registry a.example refused access".to_owned(),
            host: None,
            fix: String::new(),
            evidence: None,
        };
        let judgement = Judgement {
            verdict,
            fitting: (verdict != Verdict::Unknown).then_some(1),
            landing: 2,
            by_host: Vec::new(),
            reasons: vec![Reason {
                finding,
                users: BTreeSet::new(),
                hosts: BTreeSet::new(),
            }],
            excepted: Vec::new(),
        };
        let time = Time(jiff::Timestamp::UNIX_EPOCH);
        let conditions = condition::merge(&[], &conditions_of(&judgement), None, &time);
        let said = conditions.iter().map(|it| {
            let Condition {
                type_,
                status,
                reason,
                message,
                ..
            } = it;
            format!("{type_} {status} {reason} {message}")
        });
        let said: Vec<_> = said.collect();
        assert_eq!(
            said.iter().map(|it| it.trim()).collect::<Vec<_>>(),
            expected
        );
    }

    #[test]
    fn what_could_not_be_told_is_neither_compatible_nor_incompatible() {
        let why = "image not checked: registry a.example refused access";
        says(
            Verdict::Unknown,
            CellVerdict::Unknown,
            [
                &format!("Compatible Unknown Unknown whether it fits could not be told: {why}"),
                &format!("Complete False SomethingUnknown {why}"),
            ],
        );
        // Something is unknown, and it fails in any case.
        says(
            Verdict::Partial,
            CellVerdict::Unknown,
            [
                "Compatible False PartialFit 1/2 host profiles fit",
                &format!("Complete False SomethingUnknown {why}"),
            ],
        );
        says(
            Verdict::Warn,
            CellVerdict::Warn,
            [
                "Compatible True FitsWithWarnings 1/2 host profiles fit",
                "Complete True AllKnown",
            ],
        );
    }

    #[test]
    fn what_ran_is_remembered_latest_first_as_long_as_there_is_room() {
        check("a", "", "", "");
        check("a", "a", "", "a");
        check("ab", "ab", "", "ab");
        check("ab", "b", "a", "ba");
        // What runs there, but is none of the workload's images, is no business of its report.
        check("a", "ea", "", "a");
        // A roll-out and a rollback: nothing is forgotten, and nothing moves without need.
        check("b", "ab", "a", "ba");
        check("a", "ab", "ba", "ba");
        check("ba", "ab", "ba", "ba");
        check("f", "f", "0123456789abcde", "f0123456789abcde");
        check("f", "f", "0123456789abcdee", "f0123456789abcde");
    }
}
