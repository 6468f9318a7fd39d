//! HF310: a manifest of the retired schema 1, which newer runtimes no longer take.
//!
//! Runtime error: `media type "application/vnd.docker.distribution.manifest.v1+prettyjws" is no longer supported since
//! containerd v2.1`. From the manifest and the runtime's version alone, so definite where the runtime has no way back.

use crate::finding::{Code, Severity};
use crate::host::HostFact;
use crate::matrix::{Cell, Outcome, Said};

/// The first versions of a runtime that may refuse such manifests, and that surely do.
struct Runtime {
    name: &'static str,
    may_refuse: &'static str,
    refuses: &'static str,
    doubt: &'static str,
}

/// CRI-O and Podman take them still.
const RUNTIMES: [Runtime; 2] = [
    Runtime {
        name: "containerd",
        may_refuse: "2.0",
        refuses: "2.1",
        doubt: "containerd 2.0 takes it with CONTAINERD_ENABLE_DEPRECATED_PULL_SCHEMA_1_IMAGE=1",
    },
    Runtime {
        name: "docker",
        may_refuse: "28.2",
        refuses: "29",
        doubt: "which Docker was the first to refuse it is not verified: try it there",
    },
];

pub(super) fn check(cell: &Cell<'_>) -> Outcome {
    if !cell.contents.is_schema1 {
        return Outcome::Compatible;
    }
    let Some(runtime) = &cell.host.facts.runtime else {
        return Outcome::missing(HostFact::Runtime);
    };
    let Some(known) = RUNTIMES.iter().find(|known| known.name == runtime.name) else {
        return Outcome::Compatible;
    };
    let Some(version) = &runtime.version else {
        return Outcome::missing(HostFact::Runtime);
    };
    if !version.is_at_least(known.may_refuse) {
        return Outcome::Compatible;
    }
    let refuses = version.is_at_least(known.refuses);
    cell.says(Said {
        code: Code::HF310,
        severity: Severity::BreaksAtStart,
        image: "has a manifest of the retired schema 1".to_owned(),
        host: format!("runs {runtime}, which no longer takes it"),
        fix: "push it again with a current tool (skopeo copy --format v2s2)".to_owned(),
        evidence: None,
        doubt: (!refuses).then_some(known.doubt),
    })
}
