//! Who is let into a repository, and who gets a token.

use std::collections::HashMap;

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::WWW_AUTHENTICATE;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Seen, Shared, empty, faults};

/// How a repository lets callers in.
#[derive(Debug, Clone)]
pub enum Guard {
    /// Basic authentication with `user:password`.
    Basic(String),
    /// A token of `/token`, which is given for `user:password`.
    Bearer(String),
    /// A token of `/token`, which is given to everybody.
    Anonymous,
    /// A token of `/token`, which is given for this refresh token.
    Refresh(String),
}

pub(super) fn challenge(text: &str) -> Response {
    Response::builder()
        .status(StatusCode::UNAUTHORIZED)
        .header(WWW_AUTHENTICATE, text)
        .body(Body::from("{\"errors\": []}"))
        .expect("the challenge is a valid header")
}

pub(super) fn bearer(realm: &str, repository: &str) -> Response {
    let scope = format!("repository:{repository}:pull");
    challenge(&format!(
        "Bearer realm=\"{realm}\",service=\"fake\",scope=\"{scope}\""
    ))
}

/// The answer to those who may not see `repository`.
pub(super) fn refusal(shared: &Shared, repository: &str, seen: &Seen) -> Option<Response> {
    let state = shared.lock();
    let shown = seen.authorization.as_deref();
    match state.guards.get(repository)? {
        Guard::Basic(login) if shown == Some(&basic(login)) => None,
        Guard::Basic(_) => Some(challenge("Basic realm=\"fake\"")),
        _ => {
            let token = shown.and_then(|shown| shown.strip_prefix("Bearer "));
            let is_good = token.is_some_and(|token| {
                state.tokens.contains(token) && token.ends_with(&repository.replace('/', "_"))
            });
            (!is_good).then(|| bearer(&shared.realm(), repository))
        }
    }
}

fn basic(login: &str) -> String {
    format!("Basic {}", STANDARD.encode(login))
}

/// Gives a token for one repository to those who may have it.
pub(super) fn token(shared: &Shared, seen: &Seen) -> Response {
    let query = match seen.method.as_str() {
        "POST" => seen.body.clone(),
        _ => seen.path.split_once('?').unwrap_or_default().1.to_owned(),
    };
    let fields: HashMap<_, _> = url::form_urlencoded::parse(query.as_bytes()).collect();
    let scope = fields.get("scope").cloned().unwrap_or_default();
    let repository = scope.split(':').nth(1).unwrap_or_default();
    if let Some(fault) = repository.strip_prefix("evil/") {
        return faults::token(fault);
    }
    let mut state = shared.lock();
    let is_allowed = match state.guards.get(repository) {
        Some(Guard::Bearer(login)) => seen.authorization == Some(basic(login)),
        Some(Guard::Refresh(token)) => fields
            .get("refresh_token")
            .is_some_and(|given| given == token),
        Some(Guard::Anonymous) => true,
        Some(Guard::Basic(_)) | None => false,
    };
    if !is_allowed {
        return empty(StatusCode::UNAUTHORIZED);
    }
    state.tokens_issued += 1;
    let token = format!("t{}-{}", state.tokens_issued, repository.replace('/', "_"));
    state.tokens.insert(token.clone());
    let answer = serde_json::json!({"token": token, "expires_in": 300});
    Response::new(answer.to_string().into())
}
