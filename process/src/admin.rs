//! The admin port: `/livez`, `/readyz` and `/metrics`.

use std::{
    fmt::Write,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus_client::{encoding::text::encode, registry::Registry};

use crate::Shutdown;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whether the process is ready: all its conditions hold and it is not shutting down.
/// Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Health {
    conditions: Arc<Mutex<Vec<Named>>>,
    shutdown: Shutdown,
}

/// One thing that must hold for the process to be ready; not ready until it says so.
#[derive(Clone, Debug)]
pub struct Condition {
    conditions: Arc<Mutex<Vec<Named>>>,
    index: usize,
}

#[derive(Debug)]
struct Named {
    name: String,
    state: Readiness,
}

#[derive(Debug, PartialEq)]
enum Readiness {
    Ready,
    /// It works on, with what it had.
    Degraded(String),
    Unready(String),
}

impl Health {
    /// A process without conditions. It stops being ready when `shutdown` is set off, so that
    /// no new work is sent to it.
    #[must_use]
    pub fn new(shutdown: Shutdown) -> Self {
        Self {
            conditions: Arc::default(),
            shutdown,
        }
    }

    /// Adds a condition. Add all of them before the first one can become ready.
    #[must_use]
    pub fn condition(&self, name: impl Into<String>) -> Condition {
        let mut conditions = lock(&self.conditions);
        conditions.push(Named {
            name: name.into(),
            state: Readiness::Unready("not yet".to_owned()),
        });
        Condition {
            conditions: Arc::clone(&self.conditions),
            index: conditions.len() - 1,
        }
    }

    /// Whether the process is ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.report().0
    }

    /// Whether the process is ready, and why or why not: one line a condition.
    pub(crate) fn report(&self) -> (bool, String) {
        let mut ready = true;
        let mut text = String::new();
        let mut line = |good: bool, line: std::fmt::Arguments<'_>| {
            ready &= good;
            // Writing to a string cannot fail.
            let _ = writeln!(text, "[{}]{line}", if good { '+' } else { '-' });
        };
        if self.shutdown.is_cancelled() {
            line(false, format_args!("shutdown: draining"));
        }
        for Named { name, state } in lock(&self.conditions).iter() {
            match state {
                Readiness::Ready => line(true, format_args!("{name}")),
                Readiness::Degraded(reason) => line(true, format_args!("{name}: {reason}")),
                Readiness::Unready(reason) => line(false, format_args!("{name}: {reason}")),
            }
        }
        (ready, text)
    }
}

impl Condition {
    /// It holds.
    pub fn set_ready(&self) {
        self.set(Readiness::Ready);
    }

    /// It holds, but something is wrong that people should know; `/readyz` shows the reason.
    pub fn set_degraded(&self, reason: impl Into<String>) {
        self.set(Readiness::Degraded(reason.into()));
    }

    /// It does not hold.
    pub fn set_unready(&self, reason: impl Into<String>) {
        self.set(Readiness::Unready(reason.into()));
    }

    fn set(&self, state: Readiness) {
        if let Some(named) = lock(&self.conditions).get_mut(self.index) {
            named.state = state;
        }
    }
}

/// Serves `/livez`, `/readyz` and `/metrics` (in the OpenMetrics format).
///
/// Register all metrics first; their values may change at any time.
pub fn router(health: Health, registry: Registry) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz).with_state(health))
        .route("/metrics", get(metrics).with_state(Arc::new(registry)))
}

async fn readyz(State(health): State<Health>) -> (StatusCode, String) {
    match health.report() {
        (true, text) => (StatusCode::OK, text),
        (false, text) => (StatusCode::SERVICE_UNAVAILABLE, text),
    }
}

async fn metrics(State(registry): State<Arc<Registry>>) -> Response {
    let mut text = String::new();
    match encode(&mut text, &registry) {
        Ok(()) => ([(CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// No panic can leave the list half changed, so that a poisoned lock is still good.
fn lock(conditions: &Mutex<Vec<Named>>) -> MutexGuard<'_, Vec<Named>> {
    conditions.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http_body_util::BodyExt;
    use hyper::Request;
    use prometheus_client::metrics::counter::Counter;
    use tower::ServiceExt;

    use super::*;

    async fn get(health: &Health, path: &str) -> (u16, String, String) {
        let mut registry = Registry::default();
        let reviews = <Counter>::default();
        registry.register("hostfit_reviews", "Reviews answered", reviews.clone());
        reviews.inc();
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router(health.clone(), registry)
            .oneshot(request)
            .await
            .unwrap();
        let status = response.status().as_u16();
        let kind = response.headers().get(CONTENT_TYPE);
        let kind = kind.map_or("", |kind| kind.to_str().unwrap()).to_owned();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, kind, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn readyz(health: &Health) -> String {
        let (status, _, text) = get(health, "/readyz").await;
        format!("{status}\n{text}")
    }

    #[tokio::test]
    async fn ready_only_when_every_condition_holds_and_not_draining() {
        let (stop, shutdown) = Shutdown::pair();
        let health = Health::new(shutdown);
        assert_eq!(readyz(&health).await, "200\n");
        let nodes = health.condition("watch nodes");
        let leaf = health.condition("certificate");
        let expected = "503\n[-]watch nodes: not yet\n[-]certificate: not yet\n";
        assert_eq!(readyz(&health).await, expected);
        nodes.set_ready();
        leaf.set_unready("expired");
        let expected = "503\n[+]watch nodes\n[-]certificate: expired\n";
        assert_eq!(readyz(&health).await, expected);
        leaf.set_ready();
        nodes.set_degraded("kind is gone");
        let expected = "200\n[+]watch nodes: kind is gone\n[+]certificate\n";
        assert_eq!(readyz(&health).await, expected);
        assert!(health.is_ready());
        stop.now();
        let expected = "503\n[-]shutdown: draining\n[+]watch nodes: kind is gone\n[+]certificate\n";
        assert_eq!(readyz(&health).await, expected);
        assert!(!health.is_ready());
    }

    #[tokio::test]
    async fn alive_whatever_the_readiness_and_metrics_are_openmetrics() {
        let health = Health::new(Shutdown::never());
        let _unready = health.condition("never");
        assert_eq!(get(&health, "/livez").await.0, 200);
        assert_eq!(get(&health, "/").await.0, 404);
        let (status, kind, text) = get(&health, "/metrics").await;
        assert_eq!((status, kind.as_str()), (200, OPENMETRICS));
        assert!(text.contains("hostfit_reviews_total 1\n"), "{text}");
        assert!(text.ends_with("# EOF\n"), "{text}");
    }
}
