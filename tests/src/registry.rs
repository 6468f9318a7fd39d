//! A registry that serves what a test gives it, asks for passwords and tokens, misbehaves on demand, and
//! remembers every request, so that a test can count them and look for credentials in them.
//!
//! Repositories named `evil/<fault>` misbehave: `registry/faults.rs` lists them. Where a fault leaves anything whole,
//! they serve the image [`Image::default`].

mod faults;
mod guard;
mod image;
mod tls;

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::AbortHandle;

pub use self::guard::Guard;
pub use self::image::{Image, digest};

/// A running registry. It stops when it is dropped.
pub struct FakeRegistry {
    address: SocketAddr,
    ca: Option<String>,
    shared: Arc<Shared>,
    server: AbortHandle,
}

/// One request as it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// `GET`, `HEAD` or `POST`.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The `Authorization` header, as sent.
    pub authorization: Option<String>,
    /// The body, as sent.
    pub body: String,
}

struct Shared {
    /// `http` or `https`.
    scheme: &'static str,
    host: String,
    state: Mutex<Store>,
    open: watch::Sender<bool>,
}

#[derive(Default)]
struct Store {
    /// By repository, then by tag or digest: media type and content.
    manifests: HashMap<(String, String), (String, Bytes)>,
    blobs: HashMap<(String, String), Bytes>,
    /// Blobs that break off.
    halves: HashSet<(String, String)>,
    /// Repositories that tell nothing without sending it.
    headless: HashSet<String>,
    guards: HashMap<String, Guard>,
    tokens: HashSet<String>,
    tokens_issued: usize,
    /// Repositories that name this digest whatever a HEAD asks for.
    claims: HashMap<String, String>,
    elsewhere: String,
    seen: Vec<Seen>,
    /// How often each faulty repository has been asked.
    asked: HashMap<String, usize>,
}

impl FakeRegistry {
    /// A registry on a free port of 127.0.0.1, without TLS.
    pub async fn start() -> Self {
        let (listener, address) = listen().await;
        let shared = Shared::new("http", address.to_string());
        let router = axum::Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            address,
            ca: None,
            shared,
            server: server.abort_handle(),
        }
    }

    /// The same with TLS, under the name `localhost`, which its own authority has signed.
    pub async fn start_tls() -> Self {
        let (listener, address) = listen().await;
        let (acceptor, ca) = tls::localhost();
        let shared = Shared::new("https", format!("localhost:{}", address.port()));
        let router = axum::Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&shared));
        let listener = tls::Listener { listener, acceptor };
        let server = tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            address,
            ca: Some(ca),
            shared,
            server: server.abort_handle(),
        }
    }

    /// Name and port, as in image references.
    pub fn host(&self) -> &str {
        &self.shared.host
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The authority's certificate as PEM, with TLS.
    pub fn ca(&self) -> Option<&str> {
        self.ca.as_deref()
    }

    /// Scheme, host and port.
    pub fn url(&self) -> String {
        format!("{}://{}", self.shared.scheme, self.shared.host)
    }

    /// Serves `image` under `tag`, and gives the digest of its manifest.
    pub fn push(&self, repository: &str, tag: &str, image: &Image) -> String {
        self.push_blob(repository, image.config_bytes());
        self.push_manifest(repository, tag, image.media_type(), image.manifest_bytes())
    }

    /// Serves an index of `images` under `tag`, and gives its digest. `extra` are further entries, as JSON.
    pub fn push_index(
        &self,
        repository: &str,
        tag: &str,
        images: &[Image],
        extra: &[serde_json::Value],
    ) -> String {
        for image in images {
            self.push_blob(repository, image.config_bytes());
            let bytes = image.manifest_bytes();
            self.push_manifest(repository, &digest(&bytes), image.media_type(), bytes);
        }
        let index = image::index(images, extra);
        self.push_manifest(repository, tag, image::INDEX, index)
    }

    /// Serves any manifest under `tag` and under its digest, which it gives.
    pub fn push_manifest(
        &self,
        repository: &str,
        tag: &str,
        media_type: &str,
        bytes: Vec<u8>,
    ) -> String {
        let digest = digest(&bytes);
        let served = (media_type.to_owned(), Bytes::from(bytes));
        let mut state = self.shared.lock();
        for reference in [tag, &digest] {
            let key = (repository.to_owned(), reference.to_owned());
            state.manifests.insert(key, served.clone());
        }
        digest
    }

    /// Serves a blob under its digest.
    pub fn push_blob(&self, repository: &str, bytes: Vec<u8>) {
        let key = (repository.to_owned(), digest(&bytes));
        self.shared.lock().blobs.insert(key, bytes.into());
    }

    /// Says of this repository, where only that is asked, that whatever is asked for has this digest.
    pub fn claim(&self, repository: &str, digest: &str) {
        let (key, claim) = (repository.to_owned(), digest.to_owned());
        self.shared.lock().claims.insert(key, claim);
    }

    /// Serves the first half of a blob under its digest, and breaks off.
    pub fn push_half(&self, repository: &str, bytes: &[u8]) {
        let key = (repository.to_owned(), digest(bytes));
        let half = bytes.get(..bytes.len() / 2).unwrap_or_default();
        let mut state = self.shared.lock();
        state.halves.insert(key.clone());
        state.blobs.insert(key, half.to_vec().into());
    }

    /// Refuses to tell of this repository what it does not send.
    pub fn refuse_heads(&self, repository: &str) {
        self.shared.lock().headless.insert(repository.to_owned());
    }

    /// No longer serves the manifest with this digest.
    pub fn remove(&self, repository: &str, digest: &str) {
        let key = (repository.to_owned(), digest.to_owned());
        self.shared.lock().manifests.remove(&key);
    }

    /// Lets only some into `repository`.
    pub fn guard(&self, repository: &str, guard: Guard) {
        let key = repository.to_owned();
        self.shared.lock().guards.insert(key, guard);
    }

    /// No token that was given is good any more.
    pub fn expire_tokens(&self) {
        self.shared.lock().tokens.clear();
    }

    /// Where the faults that lead elsewhere lead to: scheme, host and port.
    pub fn set_elsewhere(&self, url: &str) {
        self.shared.lock().elsewhere = url.to_owned();
    }

    /// Lets the requests go on that hang in `evil/hang`, and all later ones.
    pub fn release(&self) {
        self.shared.open.send_replace(true);
    }

    /// Every request so far, oldest first.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.lock().seen.clone()
    }

    /// Method and path of every request since the last call, for example `GET /v2/app/manifests/1`, with
    /// digests cut to `sha256`.
    pub fn take(&self) -> Vec<String> {
        let seen = std::mem::take(&mut self.shared.lock().seen);
        let short = |path: &str| match path.split_once("sha256:") {
            Some((before, _)) => format!("{before}sha256"),
            None => path.split('?').next().unwrap_or_default().to_owned(),
        };
        seen.iter()
            .map(|one| format!("{} {}", one.method, short(&one.path)))
            .collect()
    }
}

impl Drop for FakeRegistry {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("127.0.0.1 has a free port");
    let address = listener.local_addr().expect("the listener is bound");
    (listener, address)
}

impl Shared {
    fn new(scheme: &'static str, host: String) -> Arc<Self> {
        Arc::new(Self {
            scheme,
            host,
            state: Mutex::default(),
            open: watch::Sender::new(false),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Store> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn realm(&self) -> String {
        format!("{}://{}/token", self.scheme, self.host)
    }

    /// How often this has been called for `name`, this time included.
    fn count(&self, name: &str) -> usize {
        let mut state = self.lock();
        let count = state.asked.entry(name.to_owned()).or_default();
        *count += 1;
        *count
    }

    async fn opened(&self) {
        let mut open = self.open.subscribe();
        let _ = open.wait_for(|open| *open).await;
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await;
    let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
    let authorization = parts.headers.get(AUTHORIZATION);
    let seen = Seen {
        method: parts.method.to_string(),
        path: path.to_owned(),
        authorization: authorization.map(|value| String::from_utf8_lossy(value.as_bytes()).into()),
        body: String::from_utf8_lossy(&body.unwrap_or_default()).into(),
    };
    shared.lock().seen.push(seen.clone());
    if parts.uri.path() == "/token" {
        return guard::token(&shared, &seen);
    }
    if let Some(repository) = parts.uri.path().strip_prefix("/v2/")
        && let Some(repository) = repository.strip_suffix("/tags/list")
    {
        if let Some(fault) = repository.strip_prefix("evil/") {
            return faults::tags(&shared, fault);
        }
        let refusal = guard::refusal(&shared, repository, &seen);
        return refusal.unwrap_or_else(|| tags(&shared, repository, &seen.path));
    }
    let route = parts.uri.path().strip_prefix("/v2/").and_then(|path| {
        let (repository, rest) = path
            .split_once("/manifests/")
            .map(|(repository, reference)| (repository, (true, reference)))
            .or_else(|| {
                let (repository, digest) = path.split_once("/blobs/")?;
                Some((repository, (false, digest)))
            })?;
        Some((repository, rest.0, rest.1))
    });
    let Some((repository, is_manifest, reference)) = route else {
        return empty(StatusCode::NOT_FOUND);
    };
    let is_head = parts.method == Method::HEAD;
    if let Some(fault) = repository.strip_prefix("evil/") {
        return faults::answer(&shared, fault, is_manifest, reference, &seen).await;
    }
    if let Some(refusal) = guard::refusal(&shared, repository, &seen) {
        return refusal;
    }
    serve(&shared, repository, is_manifest, reference, is_head)
}

/// The tags of a repository, two a page however many are asked for.
fn tags(shared: &Shared, repository: &str, path: &str) -> Response {
    const PAGE: usize = 2;
    let last = path.split_once("last=").map_or("", |(_, last)| last);
    let state = shared.lock();
    let mut tags: Vec<_> = state
        .manifests
        .keys()
        .filter(|(own, tag)| own == repository && !tag.contains(':'))
        .map(|(_, tag)| tag.as_str())
        .filter(|tag| *tag > last)
        .collect();
    tags.sort_unstable();
    let more = tags.len() > PAGE;
    tags.truncate(PAGE);
    let mut response = Response::builder().header(CONTENT_TYPE, "application/json");
    if let Some(last) = tags.last().filter(|_| more) {
        let next = format!("</v2/{repository}/tags/list?n={PAGE}&last={last}>; rel=\"next\"");
        response = response.header("link", next);
    }
    let page = serde_json::json!({"name": repository, "tags": tags});
    let page = Body::from(page.to_string());
    response.body(page).expect("the headers are valid")
}

fn serve(
    shared: &Shared,
    repository: &str,
    is_manifest: bool,
    reference: &str,
    is_head: bool,
) -> Response {
    let key = (repository.to_owned(), reference.to_owned());
    let state = shared.lock();
    if let Some(claim) = state.claims.get(repository).filter(|_| is_head) {
        return Response::builder()
            .header("docker-content-digest", claim)
            .body(Body::empty())
            .expect("the claim is a valid header");
    }
    if is_head && state.headless.contains(repository) {
        return empty(StatusCode::FORBIDDEN);
    }
    let found = match is_manifest {
        true => state.manifests.get(&key).cloned(),
        false => {
            let blob = state.blobs.get(&key).cloned();
            blob.map(|bytes| ("application/octet-stream".to_owned(), bytes))
        }
    };
    match found {
        Some((_, bytes)) if state.halves.contains(&key) => faults::broken_off(bytes),
        Some((media_type, bytes)) => content(&media_type, bytes, is_head),
        None => empty(StatusCode::NOT_FOUND),
    }
}

/// Content with its type and digest.
fn content(media_type: &str, bytes: Bytes, is_head: bool) -> Response {
    let response = Response::builder()
        .header(CONTENT_TYPE, media_type)
        .header("docker-content-digest", digest(&bytes));
    let body = if is_head { Body::empty() } else { bytes.into() };
    response.body(body).expect("the headers are valid")
}

fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
