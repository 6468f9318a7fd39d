//! Counters for the metrics of the binaries.

use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::StatusCode;

use crate::error::Failure;

/// What has happened since the start. Each counter only grows; read them with [`AtomicU64::load`].
#[derive(Debug, Default)]
pub struct Stats {
    /// Questions answered from the cache.
    pub hits: AtomicU64,
    /// Questions that the cache could not answer.
    pub misses: AtomicU64,
    /// Fetches started. Less than the misses: those who ask at the same time share one.
    pub flights: AtomicU64,
    /// Questions turned away because too many images were waiting.
    pub overflows: AtomicU64,
    /// Images that were malformed, lied about their digest or size, or exceeded a limit.
    pub malformed: AtomicU64,
    /// HTTP requests sent, redirects, token requests and retries included.
    pub requests: AtomicU64,
    /// Exchanges that gave what was asked for.
    pub answered: AtomicU64,
    /// Exchanges answered with 401 (a challenge, at first) or 403.
    pub refused: AtomicU64,
    /// Exchanges answered "no such thing".
    pub not_found: AtomicU64,
    /// Exchanges answered "too many requests".
    pub rate_limited: AtomicU64,
    /// Exchanges that failed for lack of an answer, or with a server error.
    pub no_answer: AtomicU64,
    /// Exchanges that our rules against request forgery stopped.
    pub not_allowed: AtomicU64,
    /// Exchanges with any other end.
    pub other: AtomicU64,
}

impl Stats {
    pub(crate) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts how one exchange ended.
    pub(crate) fn count_exchange(&self, end: Result<StatusCode, &Failure>) {
        Self::count(match end {
            Ok(status) if status.is_success() => &self.answered,
            Ok(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => &self.refused,
            Ok(StatusCode::NOT_FOUND | StatusCode::GONE) => &self.not_found,
            Ok(StatusCode::TOO_MANY_REQUESTS) => &self.rate_limited,
            Err(Failure::NoAnswer(_)) => &self.no_answer,
            Err(Failure::NotAllowed(_)) => &self.not_allowed,
            Ok(_) | Err(_) => &self.other,
        });
    }
}
