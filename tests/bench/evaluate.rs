//! All rules on one pod: five containers whose files were read, twenty host profiles, nothing remembered.

use std::hint::black_box;
use std::time::Instant;

use hostfit_engine::distribution::Distribution;
use hostfit_engine::fact::{Evidence, Fact, Strength};
use hostfit_engine::files::{Files, Libc, LibcKind, Program, Seen};
use hostfit_engine::host::{Host, Runtime, Selinux, Vsyscall, builtin};
use hostfit_engine::image::{Contents, ImageFacts, Platform, PlatformFacts};
use hostfit_engine::landing::Fleet;
use hostfit_engine::lineage::Catalog;
use hostfit_engine::matrix::{Knowledge, evaluate};
use hostfit_engine::package::{Family, PackageVersion};
use hostfit_engine::policy::Policy;
use hostfit_engine::workload::{Placement, Role, Workload, WorkloadImage};

use crate::rows::{Goal, counted, median};

const CONTAINERS: usize = 5;
const HOSTS: usize = 20;
const ROUNDS: usize = 2_000;

pub(crate) fn run() -> anyhow::Result<()> {
    let fleet = fleet();
    let (workload, facts) = (workload()?, facts()?);
    let (catalog, policy) = (Catalog::default(), Policy::report_only());
    let knowledge = Knowledge {
        fleet: &fleet,
        catalog: &catalog,
        rules: &policy.rules,
        today: hostfit_engine::RULES_PUBLISHED.parse()?,
        exceptions: &[],
    };
    let facts: Vec<_> = (0..CONTAINERS).map(|_| facts.clone()).collect();
    let once = || {
        let began = Instant::now();
        black_box(evaluate(black_box(&workload), &facts, &knowledge));
        began.elapsed().as_secs_f64() * 1e6
    };
    let judgement = evaluate(&workload, &facts, &knowledge);
    anyhow::ensure!(
        judgement.landing == HOSTS,
        "the pod may land on {}",
        judgement.landing
    );
    let name = format!("evaluate {CONTAINERS} containers on {HOSTS} hosts");
    let time = median((0..ROUNDS).map(|_| once()));
    counted(&name, time, "us", &Goal::AtMost(50.0));
    Ok(())
}

/// Hosts of which everything is known, so that every rule has something to look at.
pub(crate) fn complete_hosts() -> impl Iterator<Item = Host> {
    let complete = |host: &Host| {
        let mut host = host.clone();
        let facts = &mut host.facts;
        facts.cpu_level = facts.cpu_level.or(Some(3));
        facts.selinux = Some(Selinux::Enforcing);
        facts.vsyscall = Some(Vsyscall::None);
        facts.seccomp_default = Some(true);
        facts.runtime = Some(Runtime {
            name: "containerd".to_owned(),
            version: "2.1.4".parse().ok(),
        });
        facts.proc_cgroups = Some(["cpu", "cpuset", "memory"].map(str::to_owned).into());
        host
    };
    builtin::hosts().iter().map(complete)
}

fn fleet() -> Fleet {
    Fleet::of_hosts(complete_hosts().take(HOSTS).collect())
}

fn workload() -> anyhow::Result<Workload> {
    let image = |index: usize| -> anyhow::Result<WorkloadImage> {
        let reference = format!("registry.example/shop/app{index}:1").parse()?;
        Ok(WorkloadImage::new(
            format!("c{index}"),
            Role::Container,
            Ok(reference),
        ))
    };
    Ok(Workload {
        images: (0..CONTAINERS).map(image).collect::<Result<_, _>>()?,
        placement: Placement::default(),
    })
}

/// Debian 13 with Java, of which every file that rules ask for is there.
pub(crate) fn facts() -> anyhow::Result<Fact<ImageFacts>> {
    let package = |version: &str| Seen::new(PackageVersion::new(Family::Dpkg, version), "status");
    let packages = [
        ("libselinux1", "3.8-4"),
        ("coreutils", "9.7-3"),
        ("systemd", "257.7-1"),
    ];
    let packages = packages.map(|(name, version)| (name.to_owned(), package(version)));
    let files = Files {
        distribution: Some(Seen::new(
            Distribution::new("debian", "13"),
            "etc/os-release",
        )),
        libc: Some(Libc {
            kind: LibcKind::Glibc,
            version: Some("2.41".parse()?),
            kernel: Some("3.2.0".parse()?),
            cpu_level: Some(1),
            path: "usr/lib/x86_64-linux-gnu/libc.so.6".to_owned(),
        }),
        program: Some(Program {
            path: "usr/bin/java".to_owned(),
            architecture: Some("amd64".to_owned()),
            ..Program::default()
        }),
        java: Some(Seen::new("21.0.11".to_owned(), "opt/java/release")),
        packages: packages.into(),
        ..Files::default()
    };
    let contents = Contents {
        files: files.into(),
        ..Contents::default()
    };
    let evidence = || Evidence::new(Strength::Stated, "config");
    let facts = ImageFacts {
        digest: format!("sha256:{}", "a".repeat(64)).parse()?,
        platforms: vec![PlatformFacts {
            platform: Platform::new("linux", "amd64"),
            contents: Fact::Known(contents, evidence()),
        }],
        left_out: 0,
    };
    Ok(Fact::Known(facts, evidence()))
}
