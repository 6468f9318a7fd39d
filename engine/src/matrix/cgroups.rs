//! The cgroup hierarchy: HF303 and HF304 (systemd as PID 1), HF305 (the kubelet itself).

use crate::finding::{Code, Severity};
use crate::host::HostFact;
use crate::matrix::{Cell, Outcome, Said};

/// Versions of systemd that know the unified hierarchy: in part, and in practice.
const KNOWS_V2: (&str, &str) = ("226", "232");
/// Versions that refuse the old hierarchy: on a machine, unless forced; and always.
const REFUSES_V1: (&str, &str) = ("256", "258");
pub(super) const FORCE: &str = "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE";

/// HF303: `Failed to mount cgroup at /sys/fs/cgroup/systemd: Operation not permitted`.
pub(super) fn systemd_on_v2(cell: &Cell<'_>) -> Outcome {
    let systemd = cell
        .systemd()
        .filter(|(version, _)| !version.is_at_least(KNOWS_V2.1));
    let Some((version, evidence)) = systemd else {
        return Outcome::Compatible;
    };
    match cell.host.facts.cgroup {
        None => Outcome::missing(HostFact::Cgroup),
        Some(2) => cell.says(Said {
            code: Code::HF303,
            severity: Severity::BreaksAtStart,
            image: format!("runs systemd {version}, which does not know cgroup v2"),
            host: "has cgroup v2".to_owned(),
            fix: "use an image with a newer systemd (ubi8-init, ubi9-init)".to_owned(),
            evidence: Some(evidence),
            doubt: version
                .is_at_least(KNOWS_V2.0)
                .then_some("from 226 on it knows it in part: try it there"),
        }),
        Some(_) => Outcome::Compatible,
    }
}

/// HF304: `Detected unsupported legacy cgroup hierarchy, refusing execution`.
pub(super) fn systemd_on_v1(cell: &Cell<'_>) -> Outcome {
    let systemd = cell
        .systemd()
        .filter(|(version, _)| version.is_at_least(REFUSES_V1.0));
    let Some((version, evidence)) = systemd else {
        return Outcome::Compatible;
    };
    let variable = cell
        .uses
        .env
        .get(FORCE)
        .or_else(|| cell.contents.env.get(FORCE));
    let is_forced = variable.is_some_and(|value| value == "1");
    if is_forced && !version.is_at_least(REFUSES_V1.1) {
        return Outcome::Compatible;
    }
    match cell.host.facts.cgroup {
        None => Outcome::missing(HostFact::Cgroup),
        Some(1) => cell.says(Said {
            code: Code::HF304,
            severity: Severity::BreaksAtStart,
            image: format!("runs systemd {version}, which refuses cgroup v1"),
            host: "has cgroup v1".to_owned(),
            fix: "use nodes with cgroup v2, or an image with systemd before 256".to_owned(),
            evidence: Some(evidence),
            doubt: (!version.is_at_least(REFUSES_V1.1)).then_some(
                "before 258 it refuses machines, and was seen to run in a container: try it there",
            ),
        }),
        Some(_) => Outcome::Compatible,
    }
}

/// The kubelet that refuses cgroup v1 unless it is told otherwise (KEP-5573).
const KUBELET: &str = "1.35";

/// HF305: `kubelet is configured to not run on a host using cgroup v1`. A finding of the host.
pub(super) fn kubelet(cell: &Cell<'_>) -> Outcome {
    let facts = &cell.host.facts;
    // Where one of the two is not told, such a kubelet would not be there to say so.
    let (Some(1), Some(kubelet)) = (facts.cgroup, &facts.kubelet) else {
        return Outcome::Compatible;
    };
    if !kubelet.is_at_least(KUBELET) {
        return Outcome::Compatible;
    }
    cell.says(Said {
        code: Code::HF305,
        severity: Severity::Unsupported,
        image: "may land on a host whose kubelet refuses to run".to_owned(),
        host: format!("has cgroup v1 and kubelet {kubelet}"),
        fix: "move the nodes to cgroup v2, or set failCgroupV1: false until 1.38".to_owned(),
        evidence: None,
        doubt: Some("a kubelet that is told to may run there"),
    })
}
