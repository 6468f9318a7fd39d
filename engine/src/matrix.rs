//! The judge: images × hosts × (rules and support tables) → what was found.

use std::borrow::Borrow;

use crate::distribution::Certainty;
use crate::exception::{Exception, accepting};
use crate::fact::{Evidence, Fact, Gap, Strength};
use crate::files::Reading;
use crate::finding::{CellVerdict, Finding};
use crate::host::{Host, HostFact, HostFacts};
use crate::image::{Contents, ImageFacts, ImageRef, Platform, PlatformFacts};
use crate::landing::Fleet;
use crate::lineage::{Catalog, Lineage};
use crate::policy::Rules;
use crate::verdict::{Judgement, Tally, User};
use crate::version::Date;
use crate::workload::{Role, Workload, WorkloadImage};

mod acceptance;
mod cgroups;
mod claims;
mod cpu_level;
mod cuda;
mod end_of_life;
mod fips;
mod interfaces;
mod java;
mod kept;
mod kernel;
mod limits;
mod lsm;
mod packets;
mod platform;
mod programs;
mod read;
mod rights;
pub mod row;
mod rules;
mod said;
mod sandbox;
mod schema1;
mod seccomp;
mod vendor;
mod windows;
mod zstd;

pub use acceptance::{NoRulesVersion, RulesVersion};
pub use platform::{listed, runnable, tells};
use read::{Read, read};
use rules::{Active, Check};
pub use rules::{Pack, count};
use said::Said;
use sandbox::Sandbox;

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
    /// The pod's RuntimeClass. It may bring another kernel than the host's, so rules on the kernel are not definite.
    pub(crate) runtime_class: Option<&'a str>,
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
    /// What people accept of the workload at this moment: [`crate::exception::Exceptions::of`] says. Everybody who judges
    /// passes it here, so that an exception means the same everywhere.
    pub exceptions: &'a [&'a Exception],
}

/// The platform of an image that a host would choose.
pub fn platform_on<'a>(image: &'a ImageFacts, host: &HostFacts) -> Option<&'a PlatformFacts> {
    let all: Vec<_> = image.platforms.iter().map(|it| &it.platform).collect();
    let chosen = platform::select(&all, image.left_out, host);
    image.platforms.get(chosen.ok()?)
}

/// Judges the images of a workload on every host that it may land on. `facts` is what the registries told of each image,
/// in the order of the workload.
pub fn evaluate<F: Borrow<Fact<ImageFacts>>>(
    workload: &Workload,
    facts: &[F],
    knowledge: &Knowledge<'_>,
) -> Judgement {
    let landing = knowledge.fleet.landing(&workload.placement);
    let mut tally = Tally::default();
    let gap = match landing.unprofiled {
        true => Some(Gap::NotProfiled),
        false => landing.hosts.is_empty().then_some(Gap::NoHost),
    };
    for (image, gap) in workload
        .images
        .iter()
        .flat_map(|it| Some((it, gap.as_ref()?)))
    {
        let finding = gap.finding();
        let exception = accepting(workload, &user(image), finding.code, None, knowledge);
        tally.add(&finding, &user(image), None, exception);
    }
    if landing.unprofiled {
        tally.unprofiled();
    }
    judge(workload, facts, &landing.hosts, knowledge, &mut tally);
    tally.finish()
}

/// Judges the images of a workload on one host, whether or not it may land there.
pub fn evaluate_on<F: Borrow<Fact<ImageFacts>>>(
    workload: &Workload,
    facts: &[F],
    host: &Host,
    knowledge: &Knowledge<'_>,
) -> Judgement {
    let mut tally = Tally::default();
    judge(workload, facts, &[host], knowledge, &mut tally);
    tally.finish()
}

/// Records what there is to say of the images of a workload on each host.
fn judge<F: Borrow<Fact<ImageFacts>>>(
    workload: &Workload,
    facts: &[F],
    hosts: &[&Host],
    knowledge: &Knowledge<'_>,
    tally: &mut Tally,
) {
    let runtime_class = workload.placement.runtime_class.as_deref();
    const NOT_ASKED: &Fact<ImageFacts> = &Fact::Unknown(Gap::NotFetchedInTime);
    let images = workload.images.iter().enumerate().map(|(index, image)| {
        // An image of which nobody brings anything is not known; it is not left out.
        let facts = facts.get(index).map_or(NOT_ASKED, Borrow::borrow);
        (user(image), read(image, facts, knowledge))
    });
    let images = Images {
        all: images.collect(),
        active: Active::of(knowledge.rules),
        runtime_class,
        sandbox: runtime_class.and_then(|class| Sandbox::of(class, knowledge)),
        knowledge,
    };
    for host in hosts {
        let mut worst = CellVerdict::Pass;
        claims::judge(&images, host, &mut |user, finding| {
            let finding = &*knowledge.rules.accepted.limit(finding);
            let name = Some(&host.name);
            let exception = accepting(workload, user, finding.code, name, knowledge);
            worst = worst.max(match exception {
                None => finding.verdict,
                Some(_) => finding.accepted(),
            });
            tally.add(finding, user, name, exception);
        });
        tally.host(&host.name, worst);
    }
}

/// The images of a workload, to be judged on one host after the other.
struct Images<'a> {
    all: Vec<(User, Read<'a>)>,
    active: Active,
    runtime_class: Option<&'a str>,
    sandbox: Option<Sandbox<'a>>,
    knowledge: &'a Knowledge<'a>,
}

impl Images<'_> {
    /// Adds whatever there is to say of each image on a host.
    fn judge(&self, host: &Host, add: &mut dyn FnMut(&User, &Finding)) {
        let mut of_host = None;
        for (user, image) in &self.all {
            let mut add = |finding: &Finding| add(user, finding);
            let (cell, platform) = match image.on(host, self.runtime_class, self.knowledge) {
                Ok(cell) => cell,
                Err(finding) => {
                    finding.iter().for_each(&mut add);
                    continue;
                }
            };
            // A user's row beats every pack for the pair.
            match row::decide(&cell) {
                row::Rows::Decided(outcome) => {
                    outcome.finding().iter().for_each(&mut add);
                    continue;
                }
                row::Rows::Open(gap) => gap.iter().for_each(|gap| add(&gap.finding())),
            }
            // A volume is mounted, not run: what it stands on does not matter.
            if cell.uses.role == Role::Volume {
                continue;
            }
            let concerned = platform.rules.get_or_init(|| self.active.concerned(&cell));
            debug_assert!(
                self.active.are_all_said(concerned, &cell),
                "a rule is one for Each::Pair"
            );
            let of_host: &Vec<Finding> =
                of_host.get_or_insert_with(|| cell.ask(self.active.of_hosts.iter()));
            let of_pair = cell.ask(concerned.rules.iter());
            let of_kernel = match &self.sandbox {
                Some(sandbox) => sandbox.check(&cell, &concerned.of_kernel),
                None => cell.ask(concerned.of_kernel.iter().map(|(_, check)| check)),
            };
            let beyond = [
                vendor::outside(&cell).finding(),
                cell.on_nothing_told(),
                cell.on_unreadable_files(),
            ];
            let findings = of_host.iter().chain(&of_pair).chain(&of_kernel);
            findings.chain(beyond.iter().flatten()).for_each(add);
        }
    }
}

fn user(image: &WorkloadImage) -> User {
    (image.role, image.name.clone())
}

impl Cell<'_> {
    /// What rules find of it.
    fn ask<'a>(&self, rules: impl Iterator<Item = &'a Check>) -> Vec<Finding> {
        rules.filter_map(|check| check(self).finding()).collect()
    }

    /// The gap where nothing tells what the image stands on. A program that brings all of its code stands on nothing.
    fn on_nothing_told(&self) -> Option<Finding> {
        match &self.lineage.distribution {
            Fact::Unknown(gap) if self.static_program().is_none() => Some(gap.finding()),
            _ => None,
        }
    }

    /// The gap where rules would ask files that nobody can read. What the config tells stands besides.
    fn on_unreadable_files(&self) -> Option<Finding> {
        match &self.contents.files {
            Reading::Unreadable { what } => {
                let what = what.clone();
                Some(Gap::FilesUnreadable { what }.finding())
            }
            Reading::NotRead | Reading::Read(_) => None,
        }
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
