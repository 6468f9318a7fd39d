//! What the operator counts. Labels come from closed sets and from namespaces: no pod, image or node is named.

use std::sync::atomic::AtomicU64;

use hostfit_engine::landing::Fleet;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::reports::Plan;

/// The metrics of the operator.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    workloads: Family<WorkloadLabels, Gauge>,
    findings: Family<FindingLabels, Gauge<i64>>,
    profile_nodes: Family<ProfileLabels, Gauge>,
    report_writes: Counter<u64, AtomicU64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WorkloadLabels {
    namespace: String,
    verdict: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FindingLabels {
    code: &'static str,
    severity: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProfileLabels {
    host_profile: String,
}

impl Metrics {
    /// Registers every metric.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let hostfit = registry.sub_registry_with_prefix("hostfit");
        hostfit.register("workloads", "Workloads by verdict", self.workloads.clone());
        hostfit.register("findings", "Findings by code", self.findings.clone());
        hostfit.register(
            "host_profile_nodes",
            "Nodes by host profile",
            self.profile_nodes.clone(),
        );
        hostfit.register(
            "report_writes",
            "Reports written",
            self.report_writes.clone(),
        );
        hostfit.register(
            "rules",
            "Version of the built-in rules and tables",
            Info::new(vec![("version", hostfit_engine::RULES_VERSION)]),
        );
        hostfit.register(
            "build",
            "Version of the program",
            Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]),
        );
    }

    pub(crate) fn report_written(&self) {
        self.report_writes.inc();
    }

    /// Replaces all gauges by what was counted last.
    pub(crate) fn record(&self, plan: &Plan, fleet: &Fleet) {
        self.workloads.clear();
        for (namespace, counts) in &plan.by_namespace {
            let verdicts = [
                ("Pass", counts.pass),
                ("Warn", counts.warn),
                ("Partial", counts.partial),
                ("Fail", counts.fail),
                ("Unknown", counts.unknown),
            ];
            for (verdict, count) in verdicts {
                let labels = WorkloadLabels {
                    namespace: namespace.clone(),
                    verdict,
                };
                self.workloads.get_or_create(&labels).set(i64::from(count));
            }
        }
        self.findings.clear();
        for ((code, severity), count) in &plan.findings {
            let labels = FindingLabels { code, severity };
            let count = i64::try_from(*count).unwrap_or(i64::MAX);
            self.findings.get_or_create(&labels).set(count);
        }
        self.profile_nodes.clear();
        for host in fleet.hosts() {
            let labels = ProfileLabels {
                host_profile: host.name.0.clone(),
            };
            self.profile_nodes
                .get_or_create(&labels)
                .set(i64::from(host.nodes));
        }
    }
}
