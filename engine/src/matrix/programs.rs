//! What single programs and libraries need of the CPU: HF102 (a marked library), HF103 (Go), HF104 (GraalVM), HF105
//! (AVX), HF111 (32 bits), HF113 (pages).

use crate::fact::{Evidence, Strength};
use crate::files::LARGEST_PAGE;
use crate::finding::{Code, Severity};
use crate::host::{AVX, HostFact};
use crate::matrix::{Cell, Outcome, Said, cpu_level, runnable};
use crate::version::DottedVersion;

const AMD64: &str = "amd64";

/// HF102: `CPU ISA level is lower than required`.
pub(super) fn library(cell: &Cell<'_>) -> Outcome {
    let (Some(libc), Some(files)) = (cell.libc(), cell.files()) else {
        return Outcome::Compatible;
    };
    let Some(object) = &files.object_level else {
        return Outcome::Compatible;
    };
    // Older loaders do not look; where libc needs as much, HF101 has said it.
    let looks = libc
        .glibc()
        .is_some_and(|it| it.is_at_least(cpu_level::CHECKS_MARKS));
    if !looks || libc.cpu_level >= Some(object.value) {
        return Outcome::Compatible;
    }
    cell.needs_level(object.value, |_| Said {
        code: Code::HF102,
        severity: Severity::BreaksFeature,
        image: format!("has a library for CPU level x86-64-v{}", object.value),
        host: String::new(),
        fix: "rebuild it without -z x86-64-vN, or use newer CPUs".to_owned(),
        evidence: Some(object.evidence()),
        doubt: None,
    })
}

/// HF103: `This program can only be run on AMD64 processors with v3 microarchitecture support.`
pub(super) fn go(cell: &Cell<'_>) -> Outcome {
    let Some(program) = cell.program() else {
        return Outcome::Compatible;
    };
    let level = program.go.as_ref().map_or(1, |go| go.amd64);
    cell.needs_level(level, |_| Said {
        code: Code::HF103,
        severity: Severity::BreaksAtStart,
        image: format!("is a Go program built with GOAMD64=v{level}"),
        host: String::new(),
        fix: "build it with GOAMD64=v1, or use newer CPUs".to_owned(),
        evidence: Some(program.evidence()),
        doubt: None,
    })
}

/// HF104: it compares the CPU with the features that it was built for, which stand in its message since 2025 (shown in the
/// lab). Where they do not, they are by default those of level 3.
pub(super) fn graalvm(cell: &Cell<'_>) -> Outcome {
    let program = cell.program();
    let Some((program, native)) = program.and_then(|it| Some((it, it.native_image.as_ref()?)))
    else {
        return Outcome::Compatible;
    };
    let said = |image: String, doubt| Said {
        code: Code::HF104,
        severity: Severity::BreaksAtStart,
        image,
        host: String::new(),
        fix: "build it with -march=compatibility".to_owned(),
        evidence: Some(program.evidence()),
        doubt,
    };
    let Some(level) = native.cpu_level else {
        let image = "is a native image of GraalVM, by default for x86-64-v3".to_owned();
        let doubt = "which CPU it was built for cannot be read: try it there";
        return cell.needs_level(3, |_| said(image, Some(doubt)));
    };
    let image = format!("is a native image of GraalVM for x86-64-v{level}");
    let outcome = cell.needs_level(level, |_| said(image, None));
    if outcome != Outcome::Compatible || cell.platform.architecture != "amd64" {
        return outcome;
    }
    let Some(first) = native.beyond.first() else {
        return Outcome::Compatible;
    };
    let image = match native.beyond.len() - 1 {
        0 => format!("is a native image of GraalVM that needs {first} of the CPU"),
        more => format!(
            "is a native image of GraalVM that needs {first} and {more} more features of the CPU"
        ),
    };
    let doubt = "no level of x86-64 tells whether the CPU has them: try it there";
    cell.says(said(image, Some(doubt)))
}

/// The variable of the official MongoDB images.
pub(super) const MONGO: &str = "MONGO_VERSION";
/// Packages that hold its server.
const MONGO_PACKAGES: [&str; 3] = [
    "mongodb-org-server",
    "mongodb-enterprise-server",
    "percona-server-mongodb-server",
];
/// The first version that needs AVX.
const NEEDS_AVX: &str = "5.0";
/// The first versions that need ARMv8.2, by branch (docker-entrypoint.sh of the official images, SERVER-71772).
const NEEDS_ARM_8_2: [&str; 3] = ["4.2.19", "4.4.19", "5.0"];

/// HF105: exit code 132 without a word.
pub(super) fn features(cell: &Cell<'_>) -> Outcome {
    let Some((version, evidence)) = mongo(cell) else {
        return Outcome::Compatible;
    };
    let said = |needed: &str, host: String, fix: &str, doubt| {
        cell.says(Said {
            code: Code::HF105,
            severity: Severity::BreaksAtStart,
            image: format!("holds MongoDB {version}, which needs {needed}"),
            host,
            fix: fix.to_owned(),
            evidence: Some(evidence.clone()),
            doubt,
        })
    };
    let facts = &cell.host.facts;
    let features = facts.cpu_features.as_ref();
    match cell.platform.architecture.as_str() {
        AMD64 if version.is_at_least(NEEDS_AVX) => {
            const FIX: &str = "use MongoDB 4.4, or let the CPU model pass AVX on";
            match (features, facts.cpu_level) {
                (Some(features), _) if features.contains(AVX) => Outcome::Compatible,
                (Some(_), _) => said("AVX", "has CPUs without it".to_owned(), FIX, None),
                (None, None) => Outcome::missing(HostFact::CpuLevel),
                // AVX comes after all of level 2 and is a part of level 3: in between some CPUs have it.
                (None, Some(3..)) => Outcome::Compatible,
                (None, Some(level)) => said(
                    "AVX",
                    format!("has v{level}"),
                    FIX,
                    (level == 2)
                        .then_some("some CPUs of level 2 have AVX: look for avx in /proc/cpuinfo"),
                ),
            }
        }
        "arm64" if needs_arm_8_2(&version) => match features {
            None => Outcome::missing(HostFact::CpuFeatures),
            Some(features) if !features.is_empty() => Outcome::Compatible,
            Some(_) => said(
                "ARMv8.2-A",
                "has CPUs that show no feature of it".to_owned(),
                "use MongoDB 4.4.18, or nodes with newer CPUs",
                None,
            ),
        },
        _ => Outcome::Compatible,
    }
}

fn needs_arm_8_2(version: &DottedVersion) -> bool {
    let firsts: Vec<_> = NEEDS_ARM_8_2.iter().flat_map(|it| it.parse()).collect();
    version.is_since(firsts.iter())
}

/// The version of the MongoDB that an image holds: by its package, else by the variable of the official images.
fn mongo(cell: &Cell<'_>) -> Option<(DottedVersion, Evidence)> {
    let package = cell
        .files()
        .and_then(|files| files.package(&MONGO_PACKAGES));
    if let Some(package) = package {
        return Some((package.value.upstream()?, package.evidence()));
    }
    let version = cell.contents.env.get(MONGO)?.parse().ok()?;
    let from = format!("{MONGO} of the environment");
    Some((version, Evidence::new(Strength::Stated, from)))
}

/// HF110 again: an image whose index or config says one architecture, and whose program is of another.
pub(super) fn mislabelled(cell: &Cell<'_>) -> Outcome {
    let program = cell
        .program()
        .and_then(|it| Some((it.architecture.as_deref()?, it)));
    let host = cell.host.facts.architecture.as_deref();
    let (Some((own, program)), Some(host)) = (program, host) else {
        return Outcome::Compatible;
    };
    if runnable(host).any(|it| it == own) {
        return Outcome::Compatible;
    }
    cell.says(Said {
        code: Code::HF110,
        severity: Severity::BreaksAtStart,
        image: format!(
            "says {}, and its program is for {own}",
            cell.platform.architecture
        ),
        host: format!("is {host}"),
        fix: "build it for the architecture that it says".to_owned(),
        evidence: Some(program.evidence()),
        doubt: None,
    })
}

/// HF111: `exec format error`.
pub(super) fn small(cell: &Cell<'_>) -> Outcome {
    let own = cell
        .program()
        .and_then(|program| program.architecture.as_deref());
    let image = own.unwrap_or(&cell.platform.architecture);
    let facts = &cell.host.facts;
    let (fact, runs, fix) = match (image, facts.architecture.as_deref()) {
        ("386", Some(AMD64)) => (
            HostFact::Ia32,
            facts.ia32,
            "use an image for amd64, or boot the nodes with ia32_emulation=1",
        ),
        ("arm", Some("arm64")) => (
            HostFact::Aarch32,
            facts.aarch32,
            "use an image for arm64, or nodes whose CPUs and kernel run 32-bit programs",
        ),
        _ => return Outcome::Compatible,
    };
    // That of amd64 is shown in the lab.
    let unseen =
        (fact == HostFact::Aarch32).then_some("it was not seen on such a host: try it there");
    match runs {
        None => Outcome::missing(fact),
        Some(true) => Outcome::Compatible,
        Some(false) => cell.says(Said {
            code: Code::HF111,
            severity: Severity::BreaksAtStart,
            image: "is a 32-bit one".to_owned(),
            host: "runs no 32-bit programs".to_owned(),
            fix: fix.to_owned(),
            evidence: cell.program().map(|program| program.evidence()),
            doubt: cell.other_kernel().or(unseen),
        }),
    }
}

/// The page size that everything for arm64 is built for at least.
const SMALL_PAGE: u32 = 4096;

/// HF113: `ELF load command address/offset not page-aligned`, `<jemalloc>: Unsupported system page size`.
pub(super) fn pages(cell: &Cell<'_>) -> Outcome {
    if cell.platform.architecture != "arm64" {
        return Outcome::Compatible;
    }
    let program = cell.program().and_then(|it| Some((it.alignment?, it)));
    let tight = program.filter(|(alignment, _)| *alignment < LARGEST_PAGE);
    let jemalloc = cell.files().and_then(|files| files.jemalloc.as_ref());
    // A static program loads none.
    let loads = cell.files().filter(|_| cell.static_program().is_none());
    let library = loads.and_then(|files| files.object_alignment.as_ref());
    if tight.is_none() && jemalloc.is_none() && library.is_none() {
        return Outcome::Compatible;
    }
    let Some(page) = cell.host.facts.page_size else {
        return Outcome::missing(HostFact::PageSize);
    };
    let said = |image, fix: &str, evidence, doubt| {
        cell.says(Said {
            code: Code::HF113,
            severity: Severity::BreaksAtStart,
            image,
            host: format!("has pages of {page} bytes"),
            fix: fix.to_owned(),
            evidence: Some(evidence),
            doubt,
        })
    };
    match (tight, jemalloc, library) {
        (Some((alignment, program)), _, _) if alignment < u64::from(page) => said(
            format!("is built for pages of {alignment} bytes"),
            "link it with -z max-page-size=65536, or use a kernel with smaller pages",
            program.evidence(),
            cell.other_kernel(),
        ),
        (_, Some(seen), _) if page > SMALL_PAGE => said(
            "holds jemalloc, which knows one page size".to_owned(),
            "build it with --with-lg-page=16, or use a kernel with 4 KiB pages",
            seen.evidence(),
            Some("for which page size it was built cannot be read: try it there"),
        ),
        (_, _, Some(seen)) if seen.value < u64::from(page) => said(
            format!(
                "has a library that is built for pages of {} bytes",
                seen.value
            ),
            "link it with -z max-page-size=65536, or use a kernel with smaller pages",
            seen.evidence(),
            Some("whether anything loads it cannot be read"),
        ),
        _ => Outcome::Compatible,
    }
}
