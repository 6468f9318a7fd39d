//! What the operator counts. Labels come from closed sets and from namespaces: no pod, image or node is named.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;

use hostfit_crds::compat_exception::State;
use hostfit_crds::compat_report::VerdictCounts;
use hostfit_engine::landing::Fleet;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::reports::{ImageCounts, Plan};

/// The metrics of the operator.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    workloads: Family<WorkloadLabels, Gauge>,
    findings: Family<FindingLabels, Gauge>,
    profile_workloads: Family<ProfileVerdict, Gauge>,
    profile_nodes: Family<ProfileOrigin, Gauge>,
    facts_missing: Family<FactLabels, Gauge>,
    images: Family<ImageLabels, Gauge>,
    objects: Family<ObjectLabels, Gauge>,
    exceptions: Family<ExceptionLabels, Gauge>,
    report_writes: Family<ResultLabels, Counter<u64, AtomicU64>>,
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
struct ProfileVerdict {
    host_profile: String,
    verdict: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProfileOrigin {
    host_profile: String,
    origin: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FactLabels {
    fact: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ImageLabels {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ObjectLabels {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ExceptionLabels {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    result: &'static str,
}

/// What the gauges show.
pub(crate) struct Counted<'a> {
    pub(crate) plan: &'a Plan,
    /// Workloads by verdict, by host profile.
    pub(crate) by_profile: &'a BTreeMap<String, VerdictCounts>,
    pub(crate) fleet: &'a Fleet,
    /// Images in use, by what is known of them.
    pub(crate) images: ImageCounts,
    /// Exceptions, by what they do.
    pub(crate) exceptions: BTreeMap<State, usize>,
    /// Objects of our kinds, by the kind.
    pub(crate) objects: [(&'static str, usize); 7],
}

impl Metrics {
    /// Registers every metric.
    pub(crate) fn register(&self, hostfit: &mut Registry) {
        hostfit.register("workloads", "Workloads by verdict", self.workloads.clone());
        hostfit.register("findings", "Findings by code", self.findings.clone());
        hostfit.register(
            "host_profile_workloads",
            "Workloads by host profile, and the verdict there",
            self.profile_workloads.clone(),
        );
        hostfit.register(
            "host_profile_nodes",
            "Nodes by host profile",
            self.profile_nodes.clone(),
        );
        hostfit.register(
            "nodes_facts_missing",
            "Nodes of which a fact is not known that may decide about an image",
            self.facts_missing.clone(),
        );
        hostfit.register("images", "Images in use", self.images.clone());
        hostfit.register("exceptions", "Exceptions by state", self.exceptions.clone());
        hostfit.register("objects", "Objects by kind", self.objects.clone());
        hostfit.register(
            "report_writes",
            "Reports written, or not",
            self.report_writes.clone(),
        );
    }

    pub(crate) fn report_written(&self, is_written: bool) {
        let result = if is_written { "ok" } else { "error" };
        self.report_writes
            .get_or_create(&ResultLabels { result })
            .inc();
    }

    /// Replaces all gauges by what was counted last.
    pub(crate) fn record(&self, counted: &Counted<'_>) {
        self.workloads.clear();
        for (namespace, counts) in &counted.plan.by_namespace {
            for (verdict, count) in verdicts(counts) {
                let namespace = namespace.clone();
                let labels = WorkloadLabels { namespace, verdict };
                self.workloads.get_or_create(&labels).set(count);
            }
        }
        self.profile_workloads.clear();
        for (host_profile, counts) in counted.by_profile {
            for (verdict, count) in verdicts(counts) {
                let host_profile = host_profile.clone();
                let labels = ProfileVerdict {
                    host_profile,
                    verdict,
                };
                self.profile_workloads.get_or_create(&labels).set(count);
            }
        }
        self.findings.clear();
        for ((code, severity), count) in &counted.plan.findings {
            let labels = FindingLabels { code, severity };
            self.findings.get_or_create(&labels).set(number(*count));
        }
        self.hosts(counted.fleet);
        self.images.clear();
        let ImageCounts {
            known,
            unknown,
            pending,
        } = counted.images;
        for (state, count) in [("known", known), ("unknown", unknown), ("pending", pending)] {
            let labels = ImageLabels { state };
            self.images.get_or_create(&labels).set(number(count));
        }
        for (state, count) in &counted.exceptions {
            let state = state.as_str();
            let labels = ExceptionLabels { state };
            self.exceptions.get_or_create(&labels).set(number(*count));
        }
        for (kind, count) in counted.objects {
            let labels = ObjectLabels { kind };
            self.objects.get_or_create(&labels).set(number(count));
        }
    }

    fn hosts(&self, fleet: &Fleet) {
        self.profile_nodes.clear();
        self.facts_missing.clear();
        for host in fleet.hosts() {
            let nodes = i64::from(host.nodes);
            // An observed class is there because of its nodes.
            let origin = if nodes > 0 { "Observed" } else { "Declared" };
            let host_profile = host.name.0.clone();
            let labels = ProfileOrigin {
                host_profile,
                origin,
            };
            self.profile_nodes.get_or_create(&labels).set(nodes);
            for fact in host.facts.missing() {
                let labels = FactLabels { fact: fact.name() };
                self.facts_missing.get_or_create(&labels).inc_by(nodes);
            }
        }
    }
}

fn verdicts(counts: &VerdictCounts) -> [(&'static str, i64); 5] {
    [
        ("Pass", counts.pass.into()),
        ("Warn", counts.warn.into()),
        ("Partial", counts.partial.into()),
        ("Fail", counts.fail.into()),
        ("Unknown", counts.unknown.into()),
    ]
}

fn number<N: TryInto<i64>>(count: N) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}
