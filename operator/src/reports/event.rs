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
    use super::*;

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
