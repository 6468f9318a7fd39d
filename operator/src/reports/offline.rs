//! The reports on workloads without a cluster, by the functions that the operator itself uses: for tests and measurements.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use hostfit_crds::compat_exception::exceptions;
use hostfit_crds::item::Item;
use hostfit_crds::policies::Policies;
use hostfit_crds::{
    ClusterCompatReport, CompatException, CompatReport, HostProfile, SupportMatrix,
};
use hostfit_engine::fact::Fact;
use hostfit_engine::image::{ImageFacts, ImageRef};
use hostfit_engine::landing::Fleet;
use hostfit_engine::lineage::Catalog;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{plan, replacements};

/// Everything that reports depend on, at one moment.
pub struct Moment<'a> {
    /// The hosts.
    pub fleet: &'a Fleet,
    /// Their profiles.
    pub profiles: &'a [Arc<HostProfile>],
    /// The known base images.
    pub catalog: &'a Catalog,
    /// Of all namespaces.
    pub matrices: Vec<Arc<SupportMatrix>>,
    /// What people accept.
    pub exceptions: &'a [CompatException],
    /// What is known of an image.
    pub facts: &'a (dyn Fn(&ImageRef) -> Option<&'a Fact<ImageFacts>> + Sync),
    /// When it is.
    pub now: Timestamp,
}

/// What the operator would write.
#[derive(Default)]
pub struct Written {
    /// Reports on workloads.
    pub reports: Vec<CompatReport>,
    /// Reports on profiles.
    pub cluster_reports: Vec<ClusterCompatReport>,
}

/// What is to be written of these workloads, beside the reports that there are.
pub fn written(
    moment: &Moment<'_>,
    items: &[Item],
    reports: &[Arc<CompatReport>],
    cluster_reports: &[Arc<ClusterCompatReport>],
) -> Written {
    let (policies, _) = Policies::read(moment.matrices.clone(), &Policies::default());
    let now = Time(moment.now);
    let changes = replacements::replacements(moment.profiles, moment.fleet);
    let plan = plan::plan(
        items,
        reports,
        &plan::View {
            fleet: moment.fleet,
            catalog: moment.catalog,
            policies: &policies,
            namespaces: &HashMap::<String, BTreeMap<String, String>>::new(),
            facts: &|_, image| (moment.facts)(image),
            ran: &HashMap::new(),
            exceptions: &exceptions(moment.exceptions),
            replacements: &changes,
            today: hostfit_crds::date(moment.now),
            now: &now,
        },
    );
    let on_profiles = replacements::plan(&replacements::Facts {
        profiles: moment.profiles,
        fleet: moment.fleet,
        by_host: &plan.by_host,
        replaced: &plan.replaced,
        current: cluster_reports,
        now: &now,
    });
    Written {
        reports: plan.write.into_iter().map(|it| it.report).collect(),
        cluster_reports: on_profiles.reports(),
    }
}
