//! The judge: images × hosts × (rules and support tables) → what was found.

use std::borrow::Borrow;

use crate::distribution::Certainty;
use crate::fact::{Evidence, Fact, Gap, Strength};
use crate::finding::{CellVerdict, Finding};
use crate::host::{Host, HostFact, HostFacts};
use crate::image::{Contents, ImageFacts, ImageRef, Platform, PlatformFacts};
use crate::landing::Fleet;
use crate::lineage::{Catalog, Lineage};
use crate::policy::Rules;
use crate::verdict::{Judgement, Tally, User};
use crate::version::Date;
use crate::workload::{Role, Workload, WorkloadImage};

mod cgroups;
mod cpu_level;
mod cuda;
mod end_of_life;
mod interfaces;
mod java;
mod kept;
mod kernel;
mod lsm;
mod packets;
mod platform;
mod programs;
mod rights;
pub mod row;
mod said;
mod seccomp;
mod vendor;
mod windows;
mod zstd;

pub use platform::runnable;
use said::Said;

/// What a rule says of a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing against it.
    Compatible,
    /// It depends on something that we do not know.
    Unknown(Gap),
    /// Something speaks against it.
    Incompatible(Finding),
}

/// One platform of an image on one host.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cell<'a> {
    pub(crate) image: &'a ImageRef,
    /// The container or volume that uses it.
    pub(crate) uses: &'a WorkloadImage,
    pub(crate) contents: &'a Contents,
    pub(crate) platform: &'a Platform,
    pub(crate) lineage: &'a Lineage,
    pub(crate) host: &'a Host,
    pub(crate) rules: &'a Rules,
    /// The pod asks for a RuntimeClass: it may run on another kernel than the host's, so kernel rules are not definite.
    pub(crate) other_kernel: bool,
    pub(crate) today: Date,
}

/// What the judge needs besides a workload and what is known of its images.
#[derive(Debug, Clone, Copy)]
pub struct Knowledge<'a> {
    /// The hosts.
    pub fleet: &'a Fleet,
    /// The known base images.
    pub catalog: &'a Catalog,
    /// The active rules.
    pub rules: &'a Rules,
    /// Today's date: nobody below asks a clock.
    pub today: Date,
}

/// A rule of one of the packs.
type Check = fn(&Cell<'_>) -> Outcome;

/// Every rule that depends on image and host, with the pack that brings it.
const RULES: &[(Pack, Check)] = &[
    (Pack::Recommended, cpu_level::check),
    (Pack::Recommended, programs::library),
    (Pack::Recommended, programs::go),
    (Pack::Recommended, programs::graalvm),
    (Pack::Recommended, programs::avx),
    (Pack::Recommended, programs::mislabelled),
    (Pack::Recommended, programs::small),
    (Pack::Recommended, programs::pages),
    (Pack::Recommended, kernel::check),
    (Pack::Recommended, interfaces::library),
    (Pack::Recommended, interfaces::vsyscall),
    (Pack::Recommended, interfaces::systemd),
    (Pack::Recommended, interfaces::btf),
    (Pack::Recommended, interfaces::module),
    (Pack::Recommended, seccomp::clone3),
    (Pack::Recommended, seccomp::faccessat2),
    (Pack::Recommended, seccomp::statx),
    (Pack::Recommended, seccomp::clock_gettime64),
    (Pack::Recommended, seccomp::fchmodat2),
    (Pack::Recommended, seccomp::io_uring),
    (Pack::Recommended, lsm::libselinux),
    (Pack::Recommended, lsm::apparmor),
    (Pack::Recommended, lsm::selinux_options),
    (Pack::Recommended, lsm::executable_stack),
    (Pack::Recommended, rights::own_users),
    (Pack::Recommended, rights::own_namespaces),
    (Pack::Recommended, rights::low_ports),
    (Pack::Recommended, java::cgroup_v2),
    (Pack::Recommended, java::proc_cgroups),
    (Pack::Recommended, cgroups::systemd_on_v2),
    (Pack::Recommended, cgroups::systemd_on_v1),
    (Pack::Recommended, packets::legacy),
    (Pack::Recommended, packets::nft),
    (Pack::Recommended, windows::check),
    (Pack::Recommended, zstd::check),
    (Pack::Recommended, cuda::required),
    (Pack::Recommended, cuda::minimum_driver),
    (Pack::VendorSupport, vendor::check),
    (Pack::VendorSupport, cgroups::kubelet),
    (Pack::VendorSupport, vendor::privileged),
    (Pack::EndOfLife, end_of_life::image),
    (Pack::EndOfLife, end_of_life::host),
];

/// How many rules and rows are active.
pub fn count(rules: &Rules) -> usize {
    let built_in = RULES
        .iter()
        .filter(|(pack, _)| rules.packs.contains(pack))
        .count();
    built_in + rules.rows.len()
}

/// Sets of rules that can be switched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Pack {
    /// What breaks.
    Recommended,
    /// What the vendors' published matrices say.
    VendorSupport,
    /// What is past its end of support.
    EndOfLife,
    /// Makes findings of the other packs refuse where they would only warn.
    Strict,
}

impl Pack {
    /// Every pack.
    pub const ALL: [Self; 4] = [
        Self::Recommended,
        Self::VendorSupport,
        Self::EndOfLife,
        Self::Strict,
    ];

    /// The name in objects and values.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Recommended => "recommended",
            Self::VendorSupport => "vendor-support",
            Self::EndOfLife => "eol",
            Self::Strict => "strict",
        }
    }
}

/// The platform of an image that a host would choose.
pub fn platform_on<'a>(image: &'a ImageFacts, host: &HostFacts) -> Option<&'a PlatformFacts> {
    let all: Vec<_> = image.platforms.iter().map(|it| &it.platform).collect();
    image.platforms.get(platform::select(&all, host).ok()?)
}

/// Judges the images of a workload on every host that it may land on. `facts` is what the registries told of each image,
/// in the order of the workload.
pub fn evaluate<F: Borrow<Fact<ImageFacts>>>(
    workload: &Workload,
    facts: &[F],
    knowledge: &Knowledge<'_>,
) -> Judgement {
    let landing = knowledge.fleet.landing(&workload.placement);
    let other_kernel = workload.placement.runtime_class.is_some();
    let mut tally = Tally::default();
    let gap = match landing.unprofiled {
        true => Some(Gap::NotProfiled),
        false => landing.hosts.is_empty().then_some(Gap::NoHost),
    };
    if let Some(gap) = gap {
        for image in &workload.images {
            tally.add(gap.finding(), &user(image), None);
        }
    }
    if landing.unprofiled {
        tally.unprofiled();
    }
    const NOT_ASKED: &Fact<ImageFacts> = &Fact::Unknown(Gap::NotFetchedInTime);
    let images: Vec<_> = workload
        .images
        .iter()
        .enumerate()
        .map(|(index, image)| {
            // An image of which nobody brings anything is not known; it is not left out.
            let facts = facts.get(index).map_or(NOT_ASKED, Borrow::borrow);
            (user(image), read(image, facts, knowledge))
        })
        .collect();
    for host in &landing.hosts {
        let mut worst = CellVerdict::Pass;
        for (user, image) in &images {
            for (finding, about_host) in judge(image, host, other_kernel, knowledge) {
                worst = worst.max(finding.verdict);
                tally.add(finding, user, about_host.then_some(&host.name));
            }
        }
        tally.host(&host.name, worst);
    }
    tally.finish()
}

fn user(image: &WorkloadImage) -> User {
    (image.role, image.name.clone())
}

/// What is known of one platform.
type Inside<'a> = (Lineage, &'a Contents);

/// One image, with the lineage of each of its platforms.
enum Read<'a> {
    Gap(Gap),
    Platforms {
        reference: &'a ImageRef,
        uses: &'a WorkloadImage,
        platforms: Vec<(&'a Platform, Result<Inside<'a>, Gap>)>,
    },
}

fn read<'a>(
    image: &'a WorkloadImage,
    facts: &'a Fact<ImageFacts>,
    knowledge: &Knowledge<'_>,
) -> Read<'a> {
    let reference = match &image.reference {
        Ok(reference) => reference,
        Err(error) => {
            return Read::Gap(Gap::Malformed {
                what: error.to_string(),
            });
        }
    };
    let facts = match facts {
        Fact::Known(facts, _) => facts,
        Fact::Unknown(gap) => return Read::Gap(gap.clone()),
    };
    let lineage = |contents: &Contents| knowledge.catalog.lineage(reference, contents);
    let platforms = facts.platforms.iter().map(|platform| {
        let lineage = match &platform.contents {
            Fact::Known(contents, evidence) => {
                let mut lineage = lineage(contents);
                if let Some(distribution) = windows::lineage(&platform.platform) {
                    lineage.distribution = Fact::Known(distribution, evidence.clone());
                }
                Ok((lineage, contents))
            }
            Fact::Unknown(gap) => Err(gap.clone()),
        };
        (&platform.platform, lineage)
    });
    Read::Platforms {
        reference,
        uses: image,
        platforms: platforms.collect(),
    }
}

/// The findings of one image on one host, each with whether it is about the host.
fn judge(
    image: &Read<'_>,
    host: &Host,
    other_kernel: bool,
    knowledge: &Knowledge<'_>,
) -> Vec<(Finding, bool)> {
    let (reference, uses, platforms) = match image {
        Read::Gap(gap) => return vec![(gap.finding(), false)],
        Read::Platforms {
            reference,
            uses,
            platforms,
        } => (reference, uses, platforms),
    };
    let all: Vec<_> = platforms.iter().map(|(platform, _)| *platform).collect();
    let role = uses.role;
    let (platform, lineage, contents) = match platform::select(&all, &host.facts) {
        Ok(index) => match platforms.get(index) {
            Some((platform, Ok((lineage, contents)))) => (*platform, lineage, *contents),
            Some((_, Err(gap))) => return vec![(gap.finding(), false)],
            None => return vec![(Gap::NothingTells.finding(), false)],
        },
        Err(Outcome::Unknown(gap)) => return vec![(gap.finding(), true)],
        // An image volume is mounted and not run: one manifest of another platform is mounted as well.
        Err(Outcome::Incompatible(_)) if role == Role::Volume && all.len() == 1 => {
            return Vec::new();
        }
        Err(Outcome::Incompatible(finding)) => return vec![(finding, true)],
        Err(Outcome::Compatible) => return Vec::new(),
    };
    let cell = Cell {
        image: reference,
        uses,
        contents,
        platform,
        lineage,
        host,
        rules: knowledge.rules,
        other_kernel,
        today: knowledge.today,
    };
    cell.findings(role)
}

impl Cell<'_> {
    /// A user's row beats every pack for the pair; else all packs speak.
    fn findings(&self, role: Role) -> Vec<(Finding, bool)> {
        let mut findings = Vec::new();
        match row::decide(self) {
            row::Rows::Decided(outcome) => findings.extend(outcome.finding()),
            row::Rows::Open(gap) => {
                findings.extend(gap.map(|gap| gap.finding()));
                // A volume is mounted, not run: what it stands on does not matter.
                if role != Role::Volume {
                    findings.extend(self.packs());
                    // A program that brings all of its code stands on nothing.
                    if let Fact::Unknown(gap) = &self.lineage.distribution
                        && self.static_program().is_none()
                    {
                        findings.push(gap.finding());
                    }
                }
            }
        }
        let about_host = |finding: Finding| {
            let host = finding.host.is_some();
            (finding, host)
        };
        findings.into_iter().map(about_host).collect()
    }

    fn packs(&self) -> impl Iterator<Item = Finding> {
        let active = RULES
            .iter()
            .filter(|(pack, _)| self.rules.packs.contains(pack));
        active
            .filter_map(|(_, check)| check(self).finding())
            .chain(vendor::outside(self).finding())
    }
}

impl Outcome {
    fn finding(self) -> Option<Finding> {
        match self {
            Self::Compatible => None,
            Self::Unknown(gap) => Some(gap.finding()),
            Self::Incompatible(finding) => Some(finding),
        }
    }

    fn missing(fact: HostFact) -> Self {
        Self::Unknown(Gap::HostFactMissing { fact })
    }
}

/// The doubt about a lineage that is weaker than a rule needs.
fn unproven(evidence: &Evidence, needed: Strength) -> Option<&'static str> {
    (evidence.strength < needed).then_some("follow its base with a BaseImage to be sure")
}

/// The doubt about a row of our own tables.
fn unsourced(certainty: Certainty) -> Option<&'static str> {
    (certainty == Certainty::Unverified).then_some("the number is not verified: try it there")
}
