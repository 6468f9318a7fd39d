//! What the webhook counts. Labels come from closed enums: no pod, image or node is named.

use std::sync::atomic::{AtomicI64, AtomicU64};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// The two routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    Mutate,
    Validate,
}

/// What became of a review.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Allow,
    Warn,
    Deny,
    Ignore,
    Error,
}

/// How an image was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// In the cache.
    Hit,
    /// Asked for, and told in time.
    Pending,
    /// Asked for, and not told in time.
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    kind: &'static str,
    decision: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LookupLabels {
    result: &'static str,
}

/// The metrics of the webhook.
pub(crate) struct Metrics {
    requests: Family<RequestLabels, Counter<u64, AtomicU64>>,
    duration: Histogram,
    lookups: Family<LookupLabels, Counter<u64, AtomicU64>>,
}

impl Default for Metrics {
    fn default() -> Self {
        let buckets = [
            0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5,
        ];
        Self {
            requests: Family::default(),
            duration: Histogram::new(buckets),
            lookups: Family::default(),
        }
    }
}

impl Metrics {
    /// Registers every metric.
    pub(crate) fn register(
        &self,
        hostfit: &mut Registry,
        certificate_expiry: Gauge<i64, AtomicI64>,
    ) {
        hostfit.register(
            "admission_requests",
            "Reviews by route and decision",
            self.requests.clone(),
        );
        hostfit.register(
            "admission_duration_seconds",
            "How long reviews took",
            self.duration.clone(),
        );
        hostfit.register(
            "admission_lookup",
            "Images by how they were found",
            self.lookups.clone(),
        );
        hostfit.register(
            "webhook_certificate_expiry_timestamp_seconds",
            "When the served certificate expires",
            certificate_expiry,
        );
    }

    pub(crate) fn answered(&self, route: Route, outcome: Outcome, took: Duration) {
        let kind = match route {
            Route::Mutate => "mutate",
            Route::Validate => "validate",
        };
        let decision = match outcome {
            Outcome::Allow => "allow",
            Outcome::Warn => "warn",
            Outcome::Deny => "deny",
            Outcome::Ignore => "ignore",
            Outcome::Error => "error",
        };
        self.requests
            .get_or_create(&RequestLabels { kind, decision })
            .inc();
        self.duration.observe(took.as_secs_f64());
    }

    pub(crate) fn looked_up(&self, lookup: Lookup, images: usize) {
        let result = match lookup {
            Lookup::Hit => "hit",
            Lookup::Pending => "pending",
            Lookup::Unknown => "unknown",
        };
        if images > 0 {
            let images = u64::try_from(images).unwrap_or(u64::MAX);
            self.lookups
                .get_or_create(&LookupLabels { result })
                .inc_by(images);
        }
    }
}
