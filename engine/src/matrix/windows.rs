//! HF601: a Windows image is of another build than the host, and Windows lets it not share the kernel.
//!
//! Runtime error: `The operating system of the container does not match the operating system of the host. (0xc0370101)`.
//! From `os.version` of index or config, so definite where Microsoft's matrix has a row for both builds.

use std::sync::LazyLock;

use crate::distribution::Distribution;
use crate::fact::Gap;
use crate::finding::{CellVerdict, Code, Finding, Severity};
use crate::host::{HostFact, HostFacts, WINDOWS};
use crate::image::Platform;
use crate::matrix::{Cell, Outcome};
use crate::tables;
use crate::version::DottedVersion;

/// `10.0.20348` of `10.0.20348.1668`: the revision matters to one release only.
const BUILD: usize = 3;
/// Windows Server 2016: the revision has to be the same, too.
const WITH_REVISION: &str = "10.0.14393";

struct Row {
    image: &'static str,
    host: &'static str,
    is_supported: bool,
}

static MATRIX: LazyLock<Vec<Row>> = LazyLock::new(|| {
    let parse = |row: Vec<&'static str>| match row.as_slice() {
        &[image, host, status, _source] => Some(Row {
            image,
            host,
            is_supported: status == "supported",
        }),
        _ => None,
    };
    let table = tables::WINDOWS.rows();
    table.filter_map(parse).collect()
});

pub(super) fn check(cell: &Cell<'_>) -> Outcome {
    // A HostProcess container is a process of the host: it has no kernel to share.
    if cell.platform.os != WINDOWS || cell.uses.is_host_process {
        return Outcome::Compatible;
    }
    let Some(image) = build(cell.platform) else {
        return Outcome::Unknown(Gap::NothingTells);
    };
    let Some(host) = host_build(&cell.host.facts) else {
        return Outcome::missing(HostFact::OsVersion);
    };
    let finding = || Finding {
        code: Code::HF601,
        severity: Severity::BreaksAtStart,
        verdict: CellVerdict::Fail,
        image: format!("is built for Windows {image}"),
        host: Some(format!("runs {host}")),
        fix: format!(
            "build the image for Windows {host}, or select nodes with node.kubernetes.io/windows-build={image}"
        ),
        evidence: None,
    };
    let sandbox = cell.other_kernel();
    match supported(&image, &host) {
        Some(true) if image == WITH_REVISION => match revisions(cell) {
            Some((own, host)) if own == host => Outcome::Compatible,
            Some((own, other)) => {
                let exact = Finding {
                    image: format!("is built for Windows {image}.{own}"),
                    host: Some(format!(
                        "runs {host}.{other}, and of this build the revisions have to be the same"
                    )),
                    fix: "build the image for the revision of the nodes, or use a newer Windows"
                        .to_owned(),
                    ..finding()
                };
                cell.broken(exact, sandbox)
            }
            None => cell.broken(
                finding(),
                Some("the revisions have to be the same, and nothing tells that of the host"),
            ),
        },
        Some(true) => Outcome::Compatible,
        Some(false) => cell.broken(finding(), sandbox),
        None => {
            let doubt = "Microsoft's matrix that we know says nothing of these two builds";
            cell.broken(finding(), Some(doubt))
        }
    }
}

/// The numbers after the builds of image and host, where both are told.
fn revisions<'a>(cell: &Cell<'a>) -> Option<(&'a str, &'a str)> {
    fn revision(version: &str) -> Option<&str> {
        version.split('.').nth(BUILD)
    }
    let image = cell.platform.os_version.as_deref()?;
    let host = cell.host.facts.os.as_ref()?;
    revision(image).zip(revision(host.version()))
}

/// How little the host likes a Windows image of this platform: its own build first, then what it runs besides.
pub(super) fn rank(platform: &Platform, host: &HostFacts) -> usize {
    let (Some(image), Some(host)) = (build(platform), host_build(host)) else {
        return 1;
    };
    match supported(&image, &host) {
        _ if image == host => 0,
        Some(true) => 1,
        None => 2,
        Some(false) => 3,
    }
}

/// Whether Microsoft's matrix speaks of image and host.
pub(super) fn is_in_matrix(platform: &Platform, host: &HostFacts) -> bool {
    let builds = build(platform).zip(host_build(host));
    builds.is_some_and(|(image, host)| row(&image, &host).is_some())
}

fn row(image: &str, host: &str) -> Option<&'static Row> {
    MATRIX
        .iter()
        .find(|row| row.image == image && row.host == host)
}

/// What is published of two builds. Of one and the same build nobody needs to tell.
fn supported(image: &str, host: &str) -> Option<bool> {
    let published = row(image, host).map(|row| row.is_supported);
    published.or((image == host).then_some(true))
}

/// What a Windows image stands on: its build tells. Nothing for other systems.
pub(super) fn lineage(platform: &Platform) -> Option<Distribution> {
    let build = build(platform).filter(|_| platform.os == WINDOWS)?;
    Some(Distribution::new(WINDOWS, build))
}

/// The build for which a platform was made.
fn build(platform: &Platform) -> Option<String> {
    first_numbers(platform.os_version.as_deref()?)
}

fn host_build(host: &HostFacts) -> Option<String> {
    first_numbers(host.os.as_ref()?.version())
}

fn first_numbers(version: &str) -> Option<String> {
    version.parse::<DottedVersion>().ok()?;
    let numbers: Vec<_> = version.split('.').take(BUILD).collect();
    (numbers.len() == BUILD).then(|| numbers.join("."))
}
