//! Which images already ran in a namespace, by the operator's reports. Asked only about what would be refused.

use hostfit_crds::CompatReport;
use hostfit_crds::compat_report::Ran;
use hostfit_engine::image::Digest;
use hostfit_process::watch::{self, Keep, Watched};
use hostfit_process::{Changed, Health, Tasks};
use kube::core::object::{NotUsed, Object};
use kube::discovery::ApiResource;
use kube::runtime::watcher;
use kube::{Api, Client};

/// A report, as far as it tells what ran.
type Report = Object<NotUsed, Ran>;

/// The reports.
pub(crate) struct Reports(Watched<Report>);

impl Reports {
    /// Starts the watch; nothing is ready before it has synced, as what ran must not be refused for that.
    pub(crate) fn watch(client: &Client, health: &Health, tasks: &mut Tasks) -> Self {
        let resource = ApiResource::erase::<CompatReport>(&());
        let api = Api::all_with(client.clone(), &resource);
        let (reports, watching) = watch::watch_dynamic::<Report>(
            resource,
            api,
            watcher::Config::default(),
            Keep {
                prune,
                is_same: |one, other| one.status == other.status,
            },
            health.condition("watch compatreports"),
            Changed::default(),
        );
        tasks.background("watch compatreports", watching);
        Self(reports)
    }

    /// Whether an image already ran in a namespace.
    pub(crate) fn already_ran(&self, digest: &Digest, namespace: &str) -> bool {
        let reports = self.0.state().unwrap_or_default();
        let mut there = reports
            .iter()
            .filter(|it| it.metadata.namespace.as_deref() == Some(namespace));
        there.any(|report| {
            let digests = report.status.iter().flat_map(|it| &it.ran_digests);
            digests.into_iter().any(|it| it == digest.as_str())
        })
    }
}

fn prune(report: &mut Report) {
    report.types = None;
    report.metadata.annotations = None;
    report.metadata.labels = None;
    report.metadata.managed_fields = None;
    report.metadata.owner_references = None;
}
