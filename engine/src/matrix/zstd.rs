//! HF311, HF312: layers compressed with zstd that the runtime of the host cannot unpack.
//!
//! Runtime errors: `archive/tar: invalid tar header` (HF311), `unsupported docker v2s2 media type:
//! "application/vnd.docker.image.rootfs.diff.tar.zstd"` (HF312). From the manifest and the runtime's version alone, so
//! definite where it is known which version began to take them.

use crate::finding::{Code, Severity};
use crate::host::HostFact;
use crate::image::Zstd;
use crate::matrix::{Cell, Outcome, Said};
use crate::version::DottedVersion;

/// The first version of a runtime that takes such layers; `None` if that is not known.
const OCI: [(&str, Option<&str>); 3] = [
    // containerd 1.5.0 and moby 23.0.0 release notes.
    ("containerd", Some("1.5.0")),
    ("docker", Some("23.0.0")),
    // containers-image 4.0.0; which CRI-O was the first to have it is not verified.
    ("cri-o", None),
];
/// The catalogue's guess at the first CRI-O: from it on nothing is known against such layers.
const CRI_O_WITH_OCI: &str = "1.17";
const DOCKER: [(&str, Option<&str>); 2] = [
    // containerd 1.7.28, and 2.0.0.
    ("containerd", Some("1.7.28")),
    // podman-container-tools/container-libs#293, merged after 2025-08-29; its first release is not verified.
    ("cri-o", None),
];
/// The first CRI-O whose tag holds a library that takes them (vendor/go.podman.io/image 5.38): from it on nothing is known
/// against such layers.
const CRI_O_WITH_DOCKER: &str = "1.35";

pub(super) fn check(cell: &Cell<'_>) -> Outcome {
    let (code, first, names) = match cell.contents.zstd {
        None => return Outcome::Compatible,
        Some(Zstd::Oci) => (Code::HF311, OCI.as_slice(), "layers compressed with zstd"),
        Some(Zstd::Docker) => (
            Code::HF312,
            DOCKER.as_slice(),
            "zstd layers under Docker's media type",
        ),
    };
    let Some(runtime) = &cell.host.facts.runtime else {
        return Outcome::missing(HostFact::Runtime);
    };
    // Of a runtime that nobody has told of, nothing is known against it.
    let Some((_, first)) = first.iter().find(|(name, _)| *name == runtime.name) else {
        return Outcome::Compatible;
    };
    let Some(version) = &runtime.version else {
        return Outcome::missing(HostFact::Runtime);
    };
    let cri_o = match code {
        Code::HF311 => CRI_O_WITH_OCI,
        _ => CRI_O_WITH_DOCKER,
    };
    let parse = |text: &str| text.parse::<DottedVersion>().ok();
    let (wanted, doubt) = match first.and_then(parse) {
        Some(first) if *version >= first => return Outcome::Compatible,
        Some(first) => (format!("{} {first} or newer", runtime.name), None),
        None if version.is_at_least(cri_o) => return Outcome::Compatible,
        None => (
            format!("a newer {}", runtime.name),
            Some("which version began to take them is not verified: try it there"),
        ),
    };
    let fix = match code {
        Code::HF312 => {
            "build it with gzip or with OCI media types (buildx --output type=registry,oci-mediatypes=true)"
        }
        _ => "build it with gzip",
    };
    cell.says(Said {
        code,
        severity: Severity::BreaksAtStart,
        image: format!("has {names}"),
        host: format!("runs {runtime}"),
        fix: format!("{fix}, or use nodes with {wanted}"),
        evidence: None,
        doubt,
    })
}
