//! Pure: a verdict that changed → what `kubectl describe` tells of the workload. Where nobody reads warnings, as with
//! Argo or Flux, this is what people see besides the report.

use hostfit_crds::compat_report;
use hostfit_crds::item::Item;
use hostfit_engine::finding::plain;
use hostfit_engine::policy::Mode;
use hostfit_engine::verdict::{Judgement, Verdict};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType};

/// Bytes of a note that the API server takes.
const NOTE: usize = 1024;

/// What to tell, and about which object.
pub(crate) struct Notice {
    pub(crate) about: ObjectReference,
    pub(crate) event: Event,
}

/// One event when the verdict changes to something that people should act on. None for what fits or could not be told,
/// and none in mode Audit: red marks would frighten people who did nothing wrong.
pub(super) fn notice(
    item: &Item,
    judgement: &Judgement,
    before: Option<compat_report::Verdict>,
    mode: Mode,
) -> Option<Notice> {
    let reason = match judgement.verdict {
        Verdict::Fail | Verdict::Partial => "ImageHostIncompatible",
        Verdict::Warn => "ImageHostWarning",
        Verdict::Pass | Verdict::Unknown => return None,
    };
    let is_told = matches!(mode, Mode::Warn | Mode::Enforce);
    if !is_told || before == Some(judgement.verdict.into()) {
        return None;
    }
    let worst = judgement.reasons.first()?;
    let finding = &worst.finding;
    let users: Vec<_> = worst.users.iter().map(|(_, name)| name.as_str()).collect();
    let text = format!(
        "{} {}: {}. Fix: {}",
        finding.code,
        users.join(", "),
        finding.message(),
        finding.fix
    );
    let docs = format!(". See {}", finding.code.docs());
    let note = note(&text, &docs);
    let target = &item.target;
    Some(Notice {
        about: ObjectReference {
            api_version: Some(target.api_version.clone()),
            kind: Some(target.kind.clone()),
            name: Some(target.name.clone()),
            namespace: Some(item.namespace.clone()),
            uid: Some(target.uid.clone()),
            ..ObjectReference::default()
        },
        event: Event {
            type_: EventType::Warning,
            reason: reason.to_owned(),
            note: Some(note),
            action: "Evaluate".to_owned(),
            secondary: None,
        },
    })
}

/// A text and what stays at its end, together no longer than a note may be.
pub(crate) fn note(text: &str, end: &str) -> String {
    let text = plain(text, NOTE);
    let cut = text.floor_char_boundary(NOTE - end.len());
    text.get(..cut).unwrap_or_default().to_owned() + end
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use hostfit_crds::compat_report::TargetRef;
    use hostfit_engine::distribution::Distribution;
    use hostfit_engine::fact::{Evidence, Fact, Strength};
    use hostfit_engine::host::{Host, HostFacts, HostName};
    use hostfit_engine::image::{Contents, ImageFacts, Platform, PlatformFacts};
    use hostfit_engine::landing::{Fleet, NodeClass};
    use hostfit_engine::lineage::Catalog;
    use hostfit_engine::matrix::{Knowledge, evaluate};
    use hostfit_engine::policy::Policy;
    use hostfit_engine::workload::{Placement, Role, Workload, WorkloadImage};

    use super::*;

    /// A Job of an image for CUDA 12.8, and the judge's word on it on GPU nodes with an older driver.
    fn trainer() -> (Item, Judgement) {
        let host = Host {
            name: HostName("ubuntu2204-gpu535".to_owned()),
            nodes: 2,
            facts: HostFacts {
                os: Some(Distribution::new("ubuntu", "22.04")),
                architecture: Some("amd64".to_owned()),
                nvidia_driver: "535.183.01".parse().ok(),
                cuda: "12.2".parse().ok(),
                ..HostFacts::default()
            },
            claimed: BTreeSet::new(),
        };
        let class = NodeClass {
            host: Some(0),
            labels: BTreeMap::new(),
            taints: BTreeSet::new(),
            nodes: vec![("gpu-a-01".to_owned(), None)],
        };
        let reference = "registry.acme.example/ml/trainer:2.0".parse();
        let workload = Workload {
            images: vec![WorkloadImage::new("train", Role::Container, reference)],
            placement: Placement::default(),
        };
        let evidence = Evidence::new(Strength::Stated, "config");
        let demand = ("NVIDIA_REQUIRE_CUDA".to_owned(), "cuda>=12.8".to_owned());
        let contents = Contents {
            env: [demand].into(),
            ..Contents::default()
        };
        let facts = ImageFacts {
            digest: format!("sha256:{}", "a".repeat(64)).parse().unwrap(),
            platforms: vec![PlatformFacts {
                platform: Platform::new("linux", "amd64"),
                contents: Fact::Known(contents, evidence.clone()),
            }],
            left_out: 0,
        };
        let policy = Policy::report_only();
        let knowledge = Knowledge {
            fleet: &Fleet::new(vec![host], vec![class]),
            catalog: &Catalog::default(),
            rules: &policy.rules,
            today: "2026-04-01".parse().unwrap(),
            exceptions: &[],
        };
        let judgement = evaluate(&workload, &[Fact::Known(facts, evidence)], &knowledge);
        let item = Item {
            namespace: "ml".to_owned(),
            target: TargetRef {
                api_version: "batch/v1".to_owned(),
                kind: "Job".to_owned(),
                name: "trainer".to_owned(),
                uid: "u".to_owned(),
            },
            generation: None,
            labels: BTreeMap::new(),
            pull_secrets: Default::default(),
            workload,
        };
        (item, judgement)
    }

    #[test]
    fn what_does_not_fit_is_told_once_with_its_fix_and_never_in_audit() {
        let (item, judgement) = trainer();
        let told = |before, mode| notice(&item, &judgement, before, mode);
        let notice = told(None, Mode::Warn).unwrap();
        assert_eq!(notice.about.kind.as_deref(), Some("Job"));
        assert_eq!(notice.event.reason, "ImageHostIncompatible");
        assert_eq!(
            notice.event.note.as_deref(),
            Some(
                "HF401 train: image demands cuda>=12.8 of the NVIDIA driver, host has driver 535.183.1, CUDA up to 12.2. \
                 Fix: use an image for an older CUDA, or nodes with a newer driver. See https://hostfit.dev/c/HF401"
            )
        );
        assert!(told(Some(judgement.verdict.into()), Mode::Enforce).is_none());
        assert!(told(None, Mode::Audit).is_none());
    }

    #[test]
    fn a_note_is_cut_by_bytes_and_keeps_its_end() {
        assert_eq!(note("short", ". See x"), "short. See x");
        let long = note(&"\u{4e00}".repeat(1000), ". See x");
        assert!(
            long.len() <= NOTE && long.len() > NOTE - 4,
            "{}",
            long.len()
        );
        assert!(long.ends_with("\u{4e00}. See x"));
    }
}
