//! A fact that only the nodes themselves claim, where that is not believed, refuses nothing alone: what would not be
//! found without it is possible, at most a warning.

use std::collections::BTreeSet;

use super::Images;
use crate::finding::{CellVerdict, Code, Finding};
use crate::host::Host;
use crate::verdict::User;

/// Adds whatever there is to say of each image on a host.
pub(super) fn judge(images: &Images<'_>, host: &Host, add: &mut dyn FnMut(&User, &Finding)) {
    if host.claimed.is_empty() {
        return images.judge(host, add);
    }
    let proven = Host {
        facts: host.facts.without(&host.claimed),
        claimed: BTreeSet::new(),
        ..host.clone()
    };
    let mut certain: Vec<(User, Code)> = Vec::new();
    images.judge(&proven, &mut |user, finding| {
        if finding.verdict == CellVerdict::Fail {
            certain.push((user.clone(), finding.code));
        }
    });
    images.judge(host, &mut |user, finding| {
        let is_certain = |(other, code): &(User, Code)| other == user && *code == finding.code;
        if finding.verdict != CellVerdict::Fail || certain.iter().any(is_certain) {
            return add(user, finding);
        }
        let doubt = "only the node claims it: spec.overrides of its NodeProfile settles it";
        let possible = Finding {
            verdict: CellVerdict::Warn,
            image: format!("possibly {}", finding.image),
            fix: format!("{}; {doubt}", finding.fix),
            ..finding.clone()
        };
        add(user, &possible);
    });
}
