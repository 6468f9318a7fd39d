//! What the metrics of the binaries show of registries.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use reqwest::StatusCode;

use crate::error::Failure;

/// Registries that are told apart. Whoever may create a pod invents others, and they count as one.
const REGISTRIES: usize = 32;
const OTHER: &str = "other";

/// What has happened since the start. Each counter only grows.
#[derive(Debug)]
pub struct Stats {
    /// Questions answered from the cache.
    pub hits: AtomicU64,
    /// Questions that the cache could not answer.
    pub misses: AtomicU64,
    /// Fetches started. Less than the misses: those who ask at the same time share one.
    pub flights: AtomicU64,
    /// Questions turned away because too many images were waiting.
    pub overflows: AtomicU64,
    /// HTTP requests sent, redirects, token requests and retries included.
    pub requests: AtomicU64,
    exchanges: Family<Exchange, Counter>,
    duration: Histogram,
    registries: Mutex<HashSet<String>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Exchange {
    registry: String,
    code: &'static str,
}

impl Default for Stats {
    fn default() -> Self {
        let buckets = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0];
        Self {
            hits: AtomicU64::default(),
            misses: AtomicU64::default(),
            flights: AtomicU64::default(),
            overflows: AtomicU64::default(),
            requests: AtomicU64::default(),
            exchanges: Family::default(),
            duration: Histogram::new(buckets),
            registries: Mutex::default(),
        }
    }
}

impl Stats {
    /// Shows the exchanges with registries under the names of docs/metrics.md.
    pub fn register(&self, metrics: &mut Registry) {
        metrics.register(
            "registry_requests",
            "Exchanges with registries by the answer",
            self.exchanges.clone(),
        );
        metrics.register(
            "registry_request_duration_seconds",
            "How long exchanges with registries took, waiting in our own queues included",
            self.duration.clone(),
        );
    }

    pub(crate) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts how one exchange ended.
    pub(crate) fn exchanged(
        &self,
        registry: &str,
        end: Result<StatusCode, &Failure>,
        took: Duration,
    ) {
        let code = match end {
            Ok(status) if status.is_success() => "200",
            Ok(StatusCode::UNAUTHORIZED) => "401",
            Ok(StatusCode::FORBIDDEN) => "403",
            Ok(StatusCode::NOT_FOUND | StatusCode::GONE) => "404",
            Ok(StatusCode::TOO_MANY_REQUESTS) => "429",
            Err(Failure::NoAnswer(_)) => "no_answer",
            Err(Failure::NotAllowed(_)) => "not_allowed",
            Ok(_) | Err(_) => OTHER,
        };
        let registry = self.told_apart(registry);
        self.exchanges
            .get_or_create(&Exchange { registry, code })
            .inc();
        self.duration.observe(took.as_secs_f64());
    }

    /// The name of the registry while few are known.
    fn told_apart(&self, registry: &str) -> String {
        let mut known = self
            .registries
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if !known.contains(registry) && known.len() >= REGISTRIES {
            return OTHER.to_owned();
        }
        known.insert(registry.to_owned());
        registry.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_registries_are_one() {
        let stats = Stats::default();
        for number in 0..100 {
            let registry = format!("made-up-{number}.example");
            stats.exchanged(&registry, Ok(StatusCode::OK), Duration::ZERO);
        }
        let mut metrics = Registry::default();
        stats.register(&mut metrics);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &metrics).unwrap();
        let rows = text
            .lines()
            .filter(|line| line.starts_with("registry_requests_total"));
        assert_eq!(rows.count(), REGISTRIES + 1);
        let rest = r#"registry_requests_total{registry="other",code="200"} 68"#;
        assert!(text.contains(rest), "{text}");
    }
}
