//! Reports on ten thousand workloads, judged again because one host profile of twenty has changed, with a plan on top.

use std::sync::Arc;
use std::time::Instant;

use hostfit_crds::compat_report::TargetRef;
use hostfit_crds::fleet::{Class, fleet};
use hostfit_crds::item::Item;
use hostfit_crds::{HostFacts, HostProfile};
use hostfit_engine::fact::Fact;
use hostfit_engine::image::{ImageFacts, ImageRef};
use hostfit_engine::lineage::Catalog;
use hostfit_engine::workload::{Placement, Role, Workload, WorkloadImage};
use hostfit_operator::offline::{Moment, Written, written};
use serde_json::json;

use crate::evaluate;
use crate::profiles::anonymous;
use crate::rows::{Goal, counted};

const WORKLOADS: usize = 10_000;
/// Profiles that people declared as pools, so that every workload may land on each.
const POOLS: usize = 20;

pub(crate) fn run() -> anyhow::Result<()> {
    let facts = evaluate::facts()?;
    let items: Vec<_> = (0..WORKLOADS).map(item).collect::<Result<_, _>>()?;
    let judged = |level: u8, before: &Written| judged(level, &facts, &items, before);
    let first = judged(3, &Written::default())?;
    anyhow::ensure!(first.reports.len() == WORKLOADS, "not all have a report");
    let same = judged(3, &first)?;
    anyhow::ensure!(
        same.reports.is_empty() && same.cluster_reports.is_empty(),
        "written without need"
    );
    let began = Instant::now();
    let changed = judged(1, &first)?;
    let took = began.elapsed().as_secs_f64();
    anyhow::ensure!(
        changed.cluster_reports.len() <= 2,
        "other profiles are written"
    );
    let name = "one profile of 20 changes, 10,000 workloads judged again";
    counted(name, took, "s", &Goal::AtMost(5.0));
    counted(
        "resident after it",
        anonymous()? / 1024.0,
        "MiB",
        &Goal::None,
    );
    Ok(())
}

/// What is written if the first profile has CPUs of this level.
fn judged(
    level: u8,
    facts: &Fact<ImageFacts>,
    items: &[Item],
    before: &Written,
) -> anyhow::Result<Written> {
    let profiles: Vec<_> = evaluate::complete_hosts()
        .take(POOLS + 1)
        .enumerate()
        .map(|(number, mut host)| {
            if number == 0 {
                host.facts.cpu_level = Some(level);
            }
            let name = format!("pool-{number}");
            let facts = HostFacts::from(&host.facts);
            let spec = match number {
                POOLS => json!({"facts": facts, "baselineName": "pool-0"}),
                _ => json!({"facts": facts, "nodeLabels": {"pool": name}}),
            };
            let profile = json!({
                "apiVersion": "hostfit.dev/v1alpha1", "kind": "HostProfile",
                "metadata": {"name": name, "uid": name}, "spec": spec,
            });
            serde_json::from_value::<HostProfile>(profile).map(Arc::new)
        })
        .collect::<Result<_, _>>()?;
    let fleet = fleet(profiles.iter().filter_map(|it| Class::of(it)), []);
    anyhow::ensure!(fleet.hosts().len() == POOLS + 1, "a profile is not read");
    let known = |_: &ImageRef| Some(facts);
    let moment = Moment {
        fleet: &fleet,
        profiles: &profiles,
        catalog: &Catalog::default(),
        matrices: Vec::new(),
        exceptions: &[],
        facts: &known,
        now: "2026-11-25T10:00:00Z".parse()?,
    };
    let reports: Vec<_> = before.reports.iter().cloned().map(Arc::new).collect();
    let cluster: Vec<_> = before
        .cluster_reports
        .iter()
        .cloned()
        .map(Arc::new)
        .collect();
    Ok(written(&moment, items, &reports, &cluster))
}

fn item(number: usize) -> anyhow::Result<Item> {
    let image = |part: usize| -> anyhow::Result<WorkloadImage> {
        let reference = format!("registry.example/team{number}/app{part}:1").parse()?;
        let name = format!("c{part}");
        Ok(WorkloadImage::new(name, Role::Container, Ok(reference)))
    };
    Ok(Item {
        pull_secrets: Default::default(),
        namespace: format!("team-{}", number % 100),
        target: TargetRef {
            api_version: "apps/v1".to_owned(),
            kind: "Deployment".to_owned(),
            name: format!("app-{number}"),
            uid: format!("{number}"),
        },
        generation: Some(1),
        labels: Default::default(),
        workload: Workload {
            images: vec![image(0)?, image(1)?],
            placement: Placement::default(),
        },
    })
}
