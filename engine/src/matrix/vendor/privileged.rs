//! HF504: who looks into the host must speak its language: the vendors' matrices leave such containers out where the
//! major releases differ.

use crate::fact::{Fact, Strength};
use crate::finding::{Code, Severity};
use crate::matrix::vendor::{Status, find};
use crate::matrix::{Cell, Outcome, Said, unproven};
use crate::workload::Security;

/// Capabilities with which a container reaches into the host.
const REACH: [&str; 4] = ["BPF", "NET_ADMIN", "SYS_ADMIN", "SYS_MODULE"];
/// Folders of the host that tell of the host.
const PLACES: [&str; 4] = ["/proc", "/sys", "/dev", "/lib/modules"];

/// What lets a container into the host, in words.
fn reach(security: &Security) -> Option<String> {
    let capability = || REACH.iter().find(|it| security.may(it));
    let is_in = |path: &&String, place: &str| {
        let rest = path.trim_end_matches('/').strip_prefix(place);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) || path.as_str() == "/"
    };
    let path = || {
        let mut paths = security.host_paths.iter();
        paths.find(|path| PLACES.iter().any(|place| is_in(path, place)))
    };
    match security {
        Security {
            privileged: true, ..
        } => Some("is privileged".to_owned()),
        Security { host_pid: true, .. } => Some("sees the host's processes".to_owned()),
        Security {
            host_network: true, ..
        } => Some("uses the host's network".to_owned()),
        _ => capability()
            .map(|name| format!("has the capability {name}"))
            .or_else(|| path().map(|path| format!("mounts {path} of the host"))),
    }
}

/// Red Hat's matrix leaves such components out of its tiers; SUSE's guide advises against them.
pub(in crate::matrix) fn check(cell: &Cell<'_>) -> Outcome {
    let Fact::Known(image, evidence) = &cell.lineage.distribution else {
        return Outcome::Compatible;
    };
    let (Some(os), Some(reach)) = (&cell.host.facts.os, reach(&cell.uses.security)) else {
        return Outcome::Compatible;
    };
    let host = os.in_vendor_matrix(cell.host.facts.kernel.as_ref());
    let major = |version: &str| version.split('.').next().map(str::to_owned);
    // Where the pair itself is not supported HF502 has said it.
    let row = find(image, &host).filter(|row| row.status != Status::Unsupported);
    let Some(row) = row.filter(|_| major(image.version()) != major(host.version())) else {
        return Outcome::Compatible;
    };
    cell.says(Said {
        code: Code::HF504,
        severity: match row.vendor {
            "redhat" => Severity::Unsupported,
            _ => Severity::Limited,
        },
        image: format!("stands on {image} and {reach}"),
        host: format!(
            "is {os}: {} supports that within one major release",
            row.vendor_name()
        ),
        fix: format!(
            "rebuild it on {} {}, or take the privilege away",
            row.host.0, row.host.1
        ),
        evidence: Some(evidence.clone()),
        doubt: unproven(evidence, Strength::Stated),
    })
}
