//! The routes /mutate and /validate: limits of body and of what is in flight, and an answer to every review.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tokio::sync::Semaphore;
use tracing::debug;

use crate::admit::Admission;
use crate::metrics::{Outcome, Route};
use crate::question::Verdict;
use crate::respond::{self, Answer};
use crate::review::Review;

/// Largest review in bytes: an update carries two objects of up to 3 MB each.
const BODY: usize = 8 << 20;
/// Bodies in flight, in KiB: more is answered with 503 at once, so that the failure policy decides and not the memory.
const IN_FLIGHT_KIB: usize = 16 << 10;

struct Server {
    admission: Admission,
    annotate: bool,
    in_flight: Semaphore,
}

/// The routes of the webhook.
pub(crate) fn router(admission: Admission, annotate: bool) -> Router {
    let server = Server {
        admission,
        annotate,
        in_flight: Semaphore::new(IN_FLIGHT_KIB),
    };
    Router::new()
        .route("/mutate", post(mutate))
        .route("/validate", post(validate))
        .with_state(Arc::new(server))
}

async fn mutate(State(server): State<Arc<Server>>, headers: HeaderMap, body: Body) -> Response {
    server.answer(Route::Mutate, &headers, body).await
}

async fn validate(State(server): State<Arc<Server>>, headers: HeaderMap, body: Body) -> Response {
    server.answer(Route::Validate, &headers, body).await
}

impl Server {
    async fn answer(&self, route: Route, headers: &HeaderMap, body: Body) -> Response {
        let started = Instant::now();
        let (response, outcome) = match self.review(route, headers, body).await {
            Ok(answered) => answered,
            Err((status, what)) => {
                debug!(%status, what, "review refused");
                ((status, what).into_response(), Outcome::Error)
            }
        };
        self.admission
            .metrics
            .answered(route, outcome, started.elapsed());
        response
    }

    async fn review(
        &self,
        route: Route,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<(Response, Outcome), (StatusCode, &'static str)> {
        if headers.contains_key(header::CONTENT_ENCODING) {
            return Err((
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "send the review without content encoding\n",
            ));
        }
        let too_large = (
            StatusCode::PAYLOAD_TOO_LARGE,
            "the review is larger than 8 MiB\n",
        );
        let length: Option<usize> = headers
            .get(header::CONTENT_LENGTH)
            .and_then(|it| it.to_str().ok()?.parse().ok());
        let kib = match length {
            Some(length) if length > BODY => return Err(too_large),
            Some(length) => length / 1024 + 1,
            // Of unknown length: it may be as large as any.
            None => BODY / 1024,
        };
        let _slot = self
            .in_flight
            .try_acquire_many(u32::try_from(kib).unwrap_or(u32::MAX))
            .map_err(|_| {
                (
                    StatusCode::SERVICE_UNAVAILABLE,
                    "too many reviews at once\n",
                )
            })?;
        let bytes = to_bytes(body, BODY).await.map_err(|_| too_large)?;
        let review: Review<'_> = serde_json::from_slice(&bytes).map_err(|_| {
            (
                StatusCode::BAD_REQUEST,
                "the body is no AdmissionReview of admission.k8s.io/v1 with a request\n",
            )
        })?;
        let request = &review.request;
        let uid = &*request.uid;
        let namespace = request.namespace.as_deref().unwrap_or_default();
        let (answer, outcome) = match self.admission.judge(route, request).await {
            Verdict::NotJudged => (respond::allow(uid), Outcome::Ignore),
            Verdict::Unreadable(kind) => {
                let warning = format!(
                    "hostfit: {} not judged, its spec cannot be read. HF908",
                    kind.noun()
                );
                (respond::allow_with(uid, &warning), Outcome::Error)
            }
            Verdict::Judged(judged) => match route {
                Route::Mutate => respond::mutate(uid, &judged, namespace, self.annotate),
                Route::Validate => respond::validate(uid, &judged, namespace),
            },
        };
        Ok((json(&answer)?, outcome))
    }
}

fn json(answer: &Answer<'_>) -> Result<Response, (StatusCode, &'static str)> {
    let body = serde_json::to_vec(answer).map_err(|_| {
        (
            StatusCode::INTERNAL_SERVER_ERROR,
            "the answer cannot be written\n",
        )
    })?;
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}
