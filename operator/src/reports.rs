//! Controller: workloads × profiles → CompatReports, and the counts that profiles and matrices show.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use hostfit_crds::CompatReport;
use hostfit_crds::compat_exception::exceptions as exceptions_of;
use hostfit_crds::image_profile::find_of_any_version;
use hostfit_crds::policies::Policies;
use hostfit_crds::runtime_class::runtime_classes as runtime_classes_of;
use hostfit_engine::landing::Fleet;
use hostfit_engine::lineage::Catalog;
use hostfit_registry::Platforms;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::apply::{Writer, Written};
use crate::defaults::Unapplied;
use crate::image_profiles::InUse;
use crate::metrics::{Counted, Metrics};
use crate::nodes::{self, Counts};
use crate::world::World;

mod event;
mod exceptions;
mod images;
mod interim;
mod matrices;
pub mod offline;
mod plan;
mod replacements;
mod report;

pub(crate) use event::note;
pub(crate) use images::{ImageCounts, Images};
pub(crate) use plan::Plan;

/// Between two looks: changes that come together are taken together.
const DEBOUNCE: Duration = Duration::from_millis(500);
/// After a write that failed.
const RETRY: Duration = Duration::from_secs(3);
/// Counters in statuses of matrices are written at most this often.
const MATRIX_PERIOD: Duration = Duration::from_secs(10);
/// How long the first answers of registries are waited for before anything is counted.
const WARM_UP: Duration = Duration::from_secs(60);
/// Dates decide about ends of support: look again even if nothing changes.
const IDLE: Duration = Duration::from_secs(3600);

/// What the controller needs besides the world.
pub(crate) struct Reports {
    pub(crate) world: World,
    pub(crate) writer: Writer,
    pub(crate) images: Images,
    pub(crate) excluded: BTreeSet<String>,
    pub(crate) counts: watch::Sender<Counts>,
    /// Tells which images are in use.
    pub(crate) using: watch::Sender<InUse>,
    pub(crate) unapplied: watch::Receiver<Unapplied>,
    pub(crate) metrics: Arc<Metrics>,
    /// Whether nodes are labelled.
    pub(crate) label_nodes: bool,
    /// Whether verdicts that change are told as Events, too.
    pub(crate) events: bool,
    pub(crate) started: Instant,
}

impl Reports {
    /// Runs for ever, by the leader only. It may be dropped at any moment.
    pub(crate) async fn run(mut self) {
        let mut changes = self.world.anything_changed.subscribe();
        let mut hosts = self.world.hosts_changed.subscribe();
        let mut profiles = self.world.images_changed.subscribe();
        let mut secrets = self.images.secrets_changed();
        let mut policies = Policies::default();
        let mut matrices_due = Instant::now();
        let mut again = Instant::now() + IDLE;
        loop {
            tokio::select! {
                () = changes.next() => {}
                () = hosts.next() => {}
                () = profiles.next() => self.images.look_up(),
                () = secrets.next() => self.images.with_other_secrets(),
                () = self.images.landed() => {}
                () = tokio::time::sleep_until(again) => {}
            }
            tokio::time::sleep(DEBOUNCE).await;
            again = Instant::now() + IDLE;
            match self.once(&mut policies, &mut matrices_due).await {
                Ok(due) => again = due.unwrap_or(again).min(again),
                Err(error) => {
                    warn!(%error, "reports not written; trying again");
                    again = Instant::now() + RETRY;
                }
            }
        }
    }

    /// Looks at everything once. When to look again, if that is known.
    async fn once(
        &mut self,
        policies: &mut Policies,
        matrices_due: &mut Instant,
    ) -> kube::Result<Option<Instant>> {
        let world = &self.world;
        let (
            Some(fleet),
            Some(items),
            Some(matrices),
            Some(bases),
            Some(of_people),
            Some(namespaces),
            Some(ran),
            Some(reports),
            Some(profiles),
            Some(cluster_reports),
        ) = (
            known_fleet(world),
            world.workloads(&self.excluded),
            world.matrices.state(),
            world.bases.state(),
            world.exceptions.state(),
            world.namespace_labels(),
            world.ran(),
            world.reports.state(),
            world.profiles.state(),
            world.cluster_reports.state(),
        )
        else {
            return Ok(None);
        };
        let now = jiff::Timestamp::now();
        let (read, errors) = Policies::read(matrices.clone(), policies);
        *policies = read;
        // Before anything is judged and counted: who edits a matrix waits for this.
        let unapplied = self.unapplied.borrow().clone();
        let names = profiles.iter().filter_map(|it| it.metadata.name.as_deref());
        let names: Vec<_> = names.collect();
        let of_matrices = matrices::Facts {
            matrices: &matrices,
            policies,
            errors: &errors,
            unapplied: &unapplied,
            namespaces: &namespaces,
            profiles: &names,
            label_nodes: self.label_nodes,
            counted: None,
            now: &Time(now),
        };
        let followed = matrices::write(&self.writer, &of_matrices).await;
        let wanted: BTreeSet<_> = items
            .iter()
            .flat_map(|item| {
                let references = item.workload.images.iter();
                let references = references.filter_map(|image| image.reference.as_ref().ok());
                references.map(|image| self.images.ask(item, image))
            })
            .collect();
        let images_due = self.images.want(wanted, Platforms::of(fleet.platforms()));
        let catalog = Catalog::new(bases.iter().flat_map(|base| base.known_bases()));
        let accepted = exceptions_of(of_people.iter().map(AsRef::as_ref));
        let replacements = replacements::replacements(&profiles, &fleet);
        let store = world.image_profiles.store();
        let interim = interim::interim(self.images.told(), |digest| {
            let get = |name: &str| store?.get(&ObjectRef::new(name));
            find_of_any_version(digest, get)
        });
        let view = plan::View {
            fleet: &fleet,
            catalog: &catalog,
            policies,
            namespaces: &namespaces,
            facts: &|item, image| {
                let facts = self.images.facts(&self.images.ask(item, image))?;
                let digest = facts.value().map(|facts| &facts.digest);
                let better = digest.and_then(|digest| interim.get(digest));
                Some(better.unwrap_or(facts))
            },
            ran: &ran,
            exceptions: &accepted,
            replacements: &replacements,
            today: hostfit_crds::date(now),
            now: &Time(now),
        };
        let plan = plan::plan(&items, &reports, &view);
        let in_use = self.images.in_use(!plan.is_partial);
        self.using.send_if_modified(|using| {
            let changed = *using != in_use;
            *using = in_use;
            changed
        });
        let written = self.write(&plan, &reports).await;
        // Right after the start, counts of half the workloads would look like good news.
        if plan.is_partial && self.started.elapsed() < WARM_UP {
            followed?;
            return Ok(images_due);
        }
        let exceptions = exceptions::plan(&exceptions::Facts {
            profiles: &names,
            exceptions: &of_people,
            policies,
            namespaces: &namespaces,
            accepted: &plan.accepted,
            now: view.now,
        });
        let on_profiles = replacements::plan(&replacements::Facts {
            profiles: &profiles,
            fleet: &fleet,
            by_host: &plan.by_host,
            replaced: &plan.replaced,
            current: &cluster_reports,
            now: view.now,
        });
        let planned = on_profiles.write(&self.writer, self.events).await;
        let counted = Some(on_profiles.counts.clone());
        self.counts.send_if_modified(|counts| {
            let changed = *counts != counted;
            *counts = counted;
            changed
        });
        self.metrics.record(&Counted {
            plan: &plan,
            by_profile: &on_profiles.counts,
            fleet: &fleet,
            images: self.images.count(),
            exceptions: exceptions.by_state(),
            objects: [
                ("CompatReport", reports.len()),
                ("HostProfile", profiles.len()),
                ("SupportMatrix", matrices.len()),
                ("BaseImage", bases.len()),
                ("CompatException", of_people.len()),
                ("ClusterCompatReport", cluster_reports.len()),
                (
                    "ImageProfile",
                    world.image_profiles.store().map_or(0, |store| store.len()),
                ),
            ],
        });
        // At that very second what it accepted counts again.
        let expiry = accepted.next_expiry(now);
        let expiry = expiry.map(|it| Instant::now() + it.duration_since(now).unsigned_abs());
        let mut due = images_due.into_iter().chain(expiry).min();
        let numbers_due = Instant::now() >= *matrices_due;
        let said = exceptions.write(&self.writer, numbers_due, self.events);
        let said = said.await;
        if numbers_due {
            let counted = matrices::Counted {
                by_namespace: &plan.by_namespace,
                profiles: fleet.hosts().len(),
                exceptions: &exceptions.active(),
            };
            let facts = matrices::Facts {
                counted: Some(counted),
                ..of_matrices
            };
            if matrices::write(&self.writer, &facts).await? {
                *matrices_due = Instant::now() + MATRIX_PERIOD;
            }
        } else {
            due = Some(due.map_or(*matrices_due, |due| due.min(*matrices_due)));
        }
        followed?;
        written?;
        said?;
        planned?;
        Ok(due)
    }

    /// Writes each report on its own: one that the API server refuses must not keep the others waiting.
    async fn write(&self, plan: &plan::Plan, reports: &[Arc<CompatReport>]) -> kube::Result<()> {
        let mut failed = None;
        for plan::Write { report, notice } in &plan.write {
            match self.writer.report(report).await {
                // The workload and its namespace are going: there is nothing to tell.
                Ok(Written::Gone) => {}
                Ok(Written::Done) => {
                    self.metrics.report_written(true);
                    if let Some(notice) = notice.as_ref().filter(|_| self.events) {
                        self.writer.event(&notice.event, &notice.about).await;
                    }
                }
                Err(error) => {
                    self.metrics.report_written(false);
                    warn!(namespace = report.namespace(), report = report.name_any(), %error, "report not written");
                    failed = Some(error);
                }
            }
        }
        for report in reports.iter().filter(|report| plan.is_obsolete(report)) {
            match self.writer.delete_report(report).await {
                Ok(_) => info!(
                    namespace = report.namespace(),
                    report = report.name_any(),
                    "the workload is gone, and so is its report"
                ),
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

/// The fleet as the operator itself observes it: it need not wait for the profiles that it is about to write.
pub(crate) fn known_fleet(world: &World) -> Option<Fleet> {
    let runtime_classes = world.runtime_classes.state()?;
    let runtime_classes = runtime_classes_of(runtime_classes.iter().map(AsRef::as_ref));
    let fleet = nodes::planned(world)?.fleet();
    Some(fleet.with_runtime_classes(runtime_classes))
}
