//! Controller: BaseImage → the chains of layers that prove it, in its status.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hostfit_crds::BaseImage;
use hostfit_engine::image::ImageRef;
use hostfit_registry::{Platforms, PullSecrets, Registry};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use tokio::time::Instant;
use tracing::warn;

use crate::apply::Writer;
use crate::reports::known_fleet;
use crate::world::World;

mod plan;
mod tags;
mod told;

use plan::Looked;
use tags::Chosen;
use told::Told;

/// How long the registry may take for all tags of one base, their list included.
const PATIENCE: Duration = Duration::from_secs(35);
/// When to look again at a base whose tags could not all be read.
const RETRY: Duration = Duration::from_secs(60);
/// When to look again if a status could not be written.
const RETRY_WRITE: Duration = Duration::from_secs(5);
const DEBOUNCE: Duration = Duration::from_millis(200);

/// When each base is due, and for which generation that holds.
type Due = HashMap<String, (Option<i64>, Instant)>;

/// Runs for ever, by the leader only. It may be dropped at any moment.
pub(crate) async fn run(
    world: World,
    writer: Writer,
    registry: Registry,
    secrets: PullSecrets,
    refresh: Duration,
) {
    let mut changes = world.bases_changed.subscribe();
    let mut due: Due = HashMap::new();
    let mut told = Told::default();
    loop {
        let next = due.values().map(|(_, at)| *at).min();
        let wait = next.unwrap_or_else(|| Instant::now() + refresh);
        tokio::select! {
            () = changes.next() => tokio::time::sleep(DEBOUNCE).await,
            () = tokio::time::sleep_until(wait) => {}
        }
        let (Some(bases), Some(fleet)) = (world.bases.state(), known_fleet(&world)) else {
            continue;
        };
        // Every manifest counts against a public registry's quota: only what can run here is read.
        let platforms = Platforms::of(fleet.platforms());
        let is_there = |name: &str| bases.iter().any(|base| base.name_any() == name);
        due.retain(|name, _| is_there(name));
        told.retain(is_there);
        let now = Instant::now();
        let pending: Vec<_> = bases
            .into_iter()
            .filter(|base| {
                let before = due.get(&base.name_any());
                before.is_none_or(|(generation, at)| {
                    *generation != base.metadata.generation || *at <= now
                })
            })
            .collect();
        // All at once: a registry that hangs must not keep the other bases waiting.
        let looks = pending
            .iter()
            .map(|base| look(base, &writer, &registry, &secrets, &platforms));
        let outcomes = futures::future::join_all(looks).await;
        for (base, outcome) in pending.iter().zip(outcomes) {
            if let Ok(problem) = &outcome {
                let (name, problem) = (base.name_any(), problem.as_deref());
                if told.is_news(&name, problem, Instant::now()) {
                    warn!(
                        base = name,
                        problem, "a base image cannot be followed; trying again each minute"
                    );
                }
            }
            let pause = match outcome {
                Ok(None) => refresh,
                Ok(Some(_)) => RETRY.min(refresh),
                Err(error) => {
                    warn!(base = base.name_any(), %error, "status not written; trying again");
                    RETRY_WRITE
                }
            };
            due.insert(
                base.name_any(),
                (base.metadata.generation, Instant::now() + pause),
            );
        }
        world.anything_changed.fire();
    }
}

/// Reads every tag of one base and writes what changed. What kept it from reading all of them, if anything did.
async fn look(
    base: &Arc<BaseImage>,
    writer: &Writer,
    registry: &Registry,
    secrets: &PullSecrets,
    platforms: &Platforms,
) -> kube::Result<Option<String>> {
    let credentials = secrets.current();
    let deadline = Instant::now() + PATIENCE;
    let repository = plan::no_repository(&base.spec.repository);
    let reference = |tag: &str| format!("{}:{tag}", base.spec.repository).parse::<ImageRef>();
    let (patterns, exact): (Vec<_>, Vec<_>) = base
        .spec
        .tags
        .iter()
        .cloned()
        .partition(|tag| tags::is_pattern(tag));
    let chosen = match (&repository, patterns.is_empty()) {
        (Some(_), _) => Chosen::default(),
        (None, true) => Chosen::exactly(exact),
        (None, false) => {
            let listed = match reference("latest") {
                Ok(any) => {
                    let listed = registry.tags(&any, &credentials, deadline).await;
                    listed.map_err(|gap| gap.finding().message())
                }
                Err(error) => Err(error.to_string()),
            };
            tags::choose(exact, &patterns, listed)
        }
    };
    let read = chosen.tags.into_iter().map(|tag| {
        let credentials = credentials.clone();
        async move {
            let reference = reference(&tag);
            let facts = match &reference {
                Ok(image) => Some(
                    registry
                        .facts(image, &credentials, platforms, None, deadline)
                        .await,
                ),
                Err(_) => None,
            };
            plan::Tag {
                tag,
                reference,
                facts,
            }
        }
    });
    let looked = Looked {
        platforms: platforms.clone(),
        tags: futures::future::join_all(read).await,
        repository,
        problems: chosen.problems,
        notes: chosen.notes,
    };
    let plan = plan::plan(base, &looked, &Time(jiff::Timestamp::now()));
    let problem = plan.problem;
    if base.status.as_ref() != Some(&plan.status) {
        let mut wanted = BaseImage::new(&base.name_any(), base.spec.clone());
        wanted.status = Some(plan.status);
        writer.base_image_status(&wanted).await?;
    }
    Ok(problem)
}
