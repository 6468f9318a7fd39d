//! HF401: the driver of the node does not satisfy what the image demands of it (`NVIDIA_REQUIRE_*`). HF402: its CUDA needs
//! a newer driver, and the image has switched the demand off.
//!
//! Runtime errors: `nvidia-container-cli: requirement error: unsatisfied condition: cuda>=12.4`; in CDI mode, which does
//! not look at the demand, `CUDA driver version is insufficient for CUDA runtime version` (35) in the program.

use std::collections::BTreeMap;

use crate::fact::{Evidence, Strength};
use crate::finding::{CellVerdict, Code, Finding, Severity};
use crate::host::HostFact;
use crate::matrix::cuda::requirement::{Answer, Requirement};
use crate::matrix::{Cell, Outcome};
use crate::version::DottedVersion;

mod requirement;

pub(super) const REQUIRE: &str = "NVIDIA_REQUIRE_";
const JETPACK: &str = "NVIDIA_REQUIRE_JETPACK";
pub(super) const DISABLE: &str = "NVIDIA_DISABLE_REQUIRE";
pub(super) const CUDA_VERSION: &str = "CUDA_VERSION";
const REQUIRE_CUDA: &str = "NVIDIA_REQUIRE_CUDA";
pub(super) const COMPAT: &str = "NV_CUDA_COMPAT_PACKAGE";

/// The oldest driver of each CUDA (docs.nvidia.com/deploy/cuda-compatibility).
const OLDEST_DRIVERS: [(u64, &str); 3] = [(13, "580"), (12, "525.60.13"), (11, "450.80.02")];

/// HF401
pub(super) fn required(cell: &Cell<'_>) -> Outcome {
    if !has_gpu(cell) || is_disabled(cell) {
        return Outcome::Compatible;
    }
    let mut unknown = None;
    for (name, value) in demands(cell) {
        let finding = |demand: &str| Finding {
            code: Code::HF401,
            severity: Severity::BreaksAtStart,
            verdict: CellVerdict::Fail,
            image: format!("demands {demand} of the NVIDIA driver"),
            host: Some(driver(cell)),
            fix: "use an image for an older CUDA, or nodes with a newer driver".to_owned(),
            evidence: Some(Evidence::new(
                Strength::Stated,
                format!("{name} of the environment"),
            )),
        };
        let Some(requirement) = Requirement::parse(&value) else {
            let demand = finding("what cannot be read");
            let doubt = "nvidia-container-cli refuses such a demand, newer toolkits pass over it";
            return cell.broken(demand, Some(doubt));
        };
        match requirement.ask(&cell.host.facts) {
            Answer::Yes => {}
            Answer::Unknown(fact) => unknown = Some(fact),
            Answer::No => return Outcome::Incompatible(finding(&requirement.to_string())),
        }
    }
    unknown.map_or(Outcome::Compatible, Outcome::missing)
}

/// HF402
pub(super) fn minimum_driver(cell: &Cell<'_>) -> Outcome {
    let Some(cuda) = cuda(cell) else {
        return Outcome::Compatible;
    };
    let mut oldest = OLDEST_DRIVERS.iter();
    let oldest = oldest.find(|(major, _)| *major == cuda.version.major());
    let Some(oldest) = oldest.and_then(|(_, text)| text.parse::<DottedVersion>().ok()) else {
        return Outcome::Compatible;
    };
    let Some(driver) = &cell.host.facts.nvidia_driver else {
        return Outcome::missing(HostFact::NvidiaDriver);
    };
    if *driver >= oldest {
        return Outcome::Compatible;
    }
    let finding = Finding {
        code: Code::HF402,
        severity: Severity::BreaksFeature,
        verdict: cell.advised_against(),
        image: format!(
            "has CUDA {}, which needs NVIDIA driver {oldest}",
            cuda.version
        ),
        host: Some(format!("has driver {driver}")),
        fix: format!(
            "use an image for an older CUDA, or nodes with NVIDIA driver {oldest} or newer"
        ),
        evidence: Some(cuda.evidence),
    };
    let compat = cell.files().and_then(|files| files.cuda_compat.as_ref());
    let brings_compat = variable(cell, COMPAT).is_some() || compat.is_some();
    let compat =
        brings_compat.then_some("the image brings cuda-compat, which helps on data-center GPUs");
    cell.broken(finding, compat.or(cuda.doubt))
}

/// The CUDA of an image.
struct Cuda {
    version: DottedVersion,
    evidence: Evidence,
    doubt: Option<&'static str>,
}

/// The CUDA of an image that demands nothing of the driver: what it demands is more exact, as it says which older drivers
/// will do.
fn cuda(cell: &Cell<'_>) -> Option<Cuda> {
    // Most pairs of image and host end here.
    if !has_gpu(cell) {
        return None;
    }
    if let Some(text) = variable(cell, CUDA_VERSION) {
        return Some(Cuda {
            version: text.parse().ok().filter(|_| is_disabled(cell))?,
            evidence: Evidence::new(
                Strength::Stated,
                format!("{CUDA_VERSION} of the environment"),
            ),
            doubt: None,
        });
    }
    // Without it only the library tells, as packages of Python bring it. Where the pod asks for no GPU, nobody uses it.
    let library = cell.files()?.cuda_runtime.as_ref();
    let library = library.filter(|_| cell.uses.wants_gpu)?;
    if !is_disabled(cell) && !demands(cell).is_empty() {
        return None;
    }
    let is_linked = |it: &String| it.starts_with("libcudart.so.");
    let program = cell.program();
    let is_needed = program.is_some_and(|it| it.needs.iter().any(is_linked));
    Some(Cuda {
        version: library.value.to_string().parse().ok()?,
        evidence: library.evidence(),
        doubt: (!is_needed).then_some("whether its program uses that library cannot be read"),
    })
}

/// Whether the container may see a GPU: the pod asks for one, or the node has some and whoever wants sees them.
fn has_gpu(cell: &Cell<'_>) -> bool {
    let facts = &cell.host.facts;
    cell.uses.wants_gpu || facts.nvidia_driver.is_some() || facts.cuda.is_some()
}

fn is_disabled(cell: &Cell<'_>) -> bool {
    variable(cell, DISABLE).is_some_and(|text| matches!(text, "true" | "1" | "TRUE" | "True"))
}

/// Every demand, each with the variable that makes it. An image from before the demands has only its CUDA's version.
fn demands(cell: &Cell<'_>) -> Vec<(String, String)> {
    let is_demand = |name: &str| name.starts_with(REQUIRE) && !name.starts_with(JETPACK);
    let mut demands: BTreeMap<&String, &String> = BTreeMap::new();
    for environment in [&cell.contents.env, &cell.uses.env] {
        demands.extend(environment.iter().filter(|(name, _)| is_demand(name)));
    }
    let mut demands: Vec<_> = demands
        .into_iter()
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if demands.iter().all(|(name, _)| name != REQUIRE_CUDA)
        && let Some(version) = variable(cell, CUDA_VERSION)
    {
        let numbers: Vec<_> = version.split('.').take(2).collect();
        demands.push((
            CUDA_VERSION.to_owned(),
            format!("cuda>={}", numbers.join(".")),
        ));
    }
    demands
}

/// What the pod sets wins over what the image sets.
fn variable<'a>(cell: &Cell<'a>, name: &str) -> Option<&'a str> {
    let own = cell.uses.env.get(name);
    own.or_else(|| cell.contents.env.get(name))
        .map(String::as_str)
}

fn driver(cell: &Cell<'_>) -> String {
    let facts = &cell.host.facts;
    match (&facts.nvidia_driver, &facts.cuda) {
        (Some(driver), Some(cuda)) => format!("has driver {driver}, CUDA up to {cuda}"),
        (Some(driver), None) => format!("has driver {driver}"),
        (None, Some(cuda)) => format!("has CUDA up to {cuda}"),
        (None, None) => "has a driver that nothing tells".to_owned(),
    }
}
