//! The plan of an upgrade: ten thousand workloads with two images each, half of which break.

use std::hint::black_box;
use std::time::Instant;

use anyhow::Context as _;
use hostfit_engine::distribution::Distribution;
use hostfit_engine::fact::Fact;
use hostfit_engine::host::{Host, HostName};
use hostfit_engine::image::ImageFacts;
use hostfit_engine::landing::{Fleet, NodeClass};
use hostfit_engine::lineage::Catalog;
use hostfit_engine::matrix::Knowledge;
use hostfit_engine::plan::{Fate, Move, Planner};
use hostfit_engine::policy::Policy;
use hostfit_engine::workload::{Placement, Role, Workload, WorkloadImage};

use crate::evaluate;
use crate::profiles::anonymous;
use crate::rows::{Goal, counted};

const WORKLOADS: usize = 10_000;
const ROUNDS: usize = 5;

pub(crate) fn run() -> anyhow::Result<()> {
    let before = anonymous()?;
    let from = evaluate::complete_hosts().next().context("no host")?;
    let mut to = Host {
        name: HostName("new".to_owned()),
        ..from.clone()
    };
    to.facts.os = Some(Distribution::new("amzn", "2023"));
    to.facts.cpu_level = Some(1);
    let class = NodeClass {
        host: Some(0),
        labels: Default::default(),
        taints: Default::default(),
        nodes: vec![("n1".to_owned(), None)],
    };
    let fleet = Fleet::new(vec![from.clone()], vec![class]);
    let (catalog, policy) = (Catalog::default(), Policy::report_only());
    let knowledge = Knowledge {
        fleet: &fleet,
        catalog: &catalog,
        rules: &policy.rules,
        today: hostfit_engine::RULES_PUBLISHED.parse()?,
        exceptions: &[],
    };
    let innocent = evaluate::facts()?;
    let facts = [[innocent.clone(), innocent.clone()], [innocent, newer()?]];
    let workloads: Vec<_> = (0..WORKLOADS).map(workload).collect::<Result<_, _>>()?;
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let change = Move {
            from: &from,
            to: &to,
        };
        let mut planner = Planner::new(change);
        for (number, workload) in workloads.iter().enumerate() {
            let facts = facts.get(number % 2).context("two kinds")?;
            planner.add(number, workload, facts, &knowledge);
        }
        let plan = black_box(planner.finish());
        best = best.min(began.elapsed().as_secs_f64());
        let breaks = plan.counts.of(Fate::Breaks);
        anyhow::ensure!(breaks == WORKLOADS / 2, "{breaks} break");
    }
    let taken = (anonymous()? - before) / 1024.0;
    let name = "plan over 10,000 workloads";
    counted(name, best, "s", &Goal::AtMost(2.0));
    counted(
        &format!("{name}, memory"),
        taken,
        "MiB",
        &Goal::AtMost(200.0),
    );
    Ok(())
}

fn workload(number: usize) -> anyhow::Result<Workload> {
    let image = |part: usize| -> anyhow::Result<WorkloadImage> {
        let reference = format!("registry.example/team{number}/app{part}:1").parse()?;
        let name = format!("c{part}");
        Ok(WorkloadImage::new(name, Role::Container, Ok(reference)))
    };
    Ok(Workload {
        images: vec![image(0)?, image(1)?],
        placement: Placement::default(),
    })
}

/// An image whose C library wants a newer CPU than the new hosts have.
fn newer() -> anyhow::Result<Fact<ImageFacts>> {
    let mut facts = evaluate::facts()?;
    if let Fact::Known(image, _) = &mut facts {
        for platform in &mut image.platforms {
            let Fact::Known(contents, _) = &mut platform.contents else {
                continue;
            };
            let mut files = contents.files().cloned().unwrap_or_default();
            let libc = files.libc.as_mut();
            libc.context("no C library")?.cpu_level = Some(3);
            contents.files = files.into();
        }
    }
    Ok(facts)
}
