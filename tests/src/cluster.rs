//! An API server, as far as watches need one: it lists and watches what a test puts into it, and misbehaves on demand.
//!
//! Plain HTTP on 127.0.0.1; [`FakeCluster::kubeconfig`] leads to it. Nothing is checked: a test may put what no real API
//! server would hold.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use bytes::Bytes;
use futures::stream;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// The token that the kubeconfig carries: nobody but this server may ever see it.
pub const TOKEN: &str = "token-of-the-service-account";

/// The kinds that are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `nodes`
    Node,
    /// `namespaces`
    Namespace,
    /// `hostprofiles.hostfit.dev`
    HostProfile,
    /// `nodeprofiles.hostfit.dev`
    NodeProfile,
    /// `baseimages.hostfit.dev`
    BaseImage,
    /// `supportmatrices.hostfit.dev`
    SupportMatrix,
    /// `imageprofiles.hostfit.dev`
    ImageProfile,
    /// `compatreports.hostfit.dev`
    CompatReport,
    /// `compatexceptions.hostfit.dev`
    CompatException,
    /// `runtimeclasses.node.k8s.io`
    RuntimeClass,
    /// `secrets`, of one namespace
    Secret,
    /// `serviceaccounts`, of one namespace
    ServiceAccount,
}

impl Kind {
    /// Every kind that is not of one namespace.
    pub const ALL: [Self; 10] = [
        Self::Node,
        Self::Namespace,
        Self::HostProfile,
        Self::NodeProfile,
        Self::BaseImage,
        Self::ImageProfile,
        Self::CompatReport,
        Self::RuntimeClass,
        Self::SupportMatrix,
        Self::CompatException,
    ];

    /// Its plural, as in paths.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Node => "nodes",
            Self::Namespace => "namespaces",
            Self::HostProfile => "hostprofiles",
            Self::NodeProfile => "nodeprofiles",
            Self::BaseImage => "baseimages",
            Self::SupportMatrix => "supportmatrices",
            Self::ImageProfile => "imageprofiles",
            Self::CompatReport => "compatreports",
            Self::CompatException => "compatexceptions",
            Self::Secret => "secrets",
            Self::ServiceAccount => "serviceaccounts",
            Self::RuntimeClass => "runtimeclasses",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Node => "Node",
            Self::Namespace => "Namespace",
            Self::HostProfile => "HostProfile",
            Self::NodeProfile => "NodeProfile",
            Self::BaseImage => "BaseImage",
            Self::SupportMatrix => "SupportMatrix",
            Self::ImageProfile => "ImageProfile",
            Self::CompatReport => "CompatReport",
            Self::CompatException => "CompatException",
            Self::Secret => "Secret",
            Self::ServiceAccount => "ServiceAccount",
            Self::RuntimeClass => "RuntimeClass",
        }
    }

    fn api_version(self) -> &'static str {
        match self {
            Self::Node | Self::Namespace | Self::Secret | Self::ServiceAccount => "v1",
            Self::RuntimeClass => "node.k8s.io/v1",
            Self::HostProfile
            | Self::NodeProfile
            | Self::BaseImage
            | Self::SupportMatrix
            | Self::ImageProfile
            | Self::CompatReport
            | Self::CompatException => "hostfit.dev/v1alpha1",
        }
    }

    fn of_path(path: &str) -> Option<Self> {
        let group = |kind: &Self| match kind.api_version() {
            "v1" => "/api/v1/".to_owned(),
            version => format!("/apis/{version}/"),
        };
        Self::ALL
            .into_iter()
            .find(|kind| path.strip_prefix(&group(kind)) == Some(kind.plural()))
    }

    fn of_plural(plural: &str) -> Option<Self> {
        let namespaced = [Self::Secret, Self::ServiceAccount];
        namespaced.into_iter().find(|it| it.plural() == plural)
    }
}

/// What is listed or watched.
#[derive(Clone)]
struct Scope {
    kind: Kind,
    namespace: Option<String>,
    /// Of Secrets.
    type_: Option<String>,
}

impl Scope {
    fn of(path: &str, query: &HashMap<String, String>) -> Option<Self> {
        let inside = path.strip_prefix("/api/v1/namespaces/");
        let (kind, namespace) = match inside.and_then(|it| it.split_once('/')) {
            Some((namespace, plural)) => (Kind::of_plural(plural)?, Some(namespace.to_owned())),
            None => (Kind::of_path(path)?, None),
        };
        let selector = query.get("fieldSelector");
        let type_ = selector.and_then(|it| it.strip_prefix("type="));
        Some(Self {
            kind,
            namespace,
            type_: type_.map(str::to_owned),
        })
    }

    fn admits(&self, object: &Value) -> bool {
        let is = |path: &str, wanted: &Option<String>| {
            let own = object.pointer(path).and_then(Value::as_str);
            wanted.is_none() || own == wanted.as_deref()
        };
        is("/metadata/namespace", &self.namespace) && is("/type", &self.type_)
    }

    fn name(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{} in {namespace}", self.kind.plural()),
            None => self.kind.plural().to_owned(),
        }
    }
}

/// What is wrong with a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// There is no such kind: its CustomResourceDefinition is not installed.
    Missing,
    /// Not allowed.
    Forbidden,
    /// Requests are accepted and never answered.
    Hangs,
}

/// A running API server. It stops when it is dropped.
pub struct FakeCluster {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: AbortHandle,
}

struct Shared {
    store: Mutex<Store>,
    /// Fired at each change.
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct Store {
    version: u64,
    objects: BTreeMap<(Kind, String), Value>,
    events: Vec<Event>,
    trouble: HashMap<Kind, Trouble>,
    /// Watches that began before this version are told that it is too old.
    expired: HashMap<Kind, u64>,
    seen: Vec<String>,
}

struct Event {
    version: u64,
    kind: Kind,
    object: Value,
    line: Bytes,
}

impl FakeCluster {
    /// An empty cluster on a free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("127.0.0.1 has a free port");
        let address = listener.local_addr().expect("the listener is bound");
        let shared = Arc::new(Shared {
            store: Mutex::default(),
            changed: watch::Sender::new(()),
        });
        let router = axum::Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            address,
            shared,
            server: server.abort_handle(),
        }
    }

    /// A kubeconfig for this cluster.
    pub fn kubeconfig(&self) -> String {
        let server = format!("http://{}", self.address);
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "fake",
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
            "clusters": [{"name": "fake", "cluster": {"server": server}}],
            "users": [{"name": "fake", "user": {"token": TOKEN}}],
        })
        .to_string()
    }

    /// Creates or replaces the object of this kind with the name in its metadata.
    pub fn put(&self, kind: Kind, mut object: Value) {
        let mut store = self.shared.lock();
        store.version += 1;
        set(&mut object, "apiVersion", kind.api_version());
        set(&mut object, "kind", kind.name());
        mark(&mut object, store.version);
        let name = object.pointer("/metadata/name").and_then(Value::as_str);
        let name = name.expect("every object has a name").to_owned();
        let namespace = object
            .pointer("/metadata/namespace")
            .and_then(Value::as_str);
        let key = match namespace {
            Some(namespace) => (kind, format!("{namespace}/{name}")),
            None => (kind, name),
        };
        let old = store.objects.insert(key, object.clone());
        let change = if old.is_some() { "MODIFIED" } else { "ADDED" };
        store.tell(kind, change, &object);
        drop(store);
        self.shared.changed.send_replace(());
    }

    /// Deletes an object: of a namespace, by `namespace/name`.
    pub fn delete(&self, kind: Kind, name: &str) {
        let mut store = self.shared.lock();
        store.version += 1;
        if let Some(mut object) = store.objects.remove(&(kind, name.to_owned())) {
            mark(&mut object, store.version);
            store.tell(kind, "DELETED", &object);
        }
        drop(store);
        self.shared.changed.send_replace(());
    }

    /// From now on this is wrong with the kind, or nothing. Watches of it end.
    pub fn trouble(&self, kind: Kind, trouble: Option<Trouble>) {
        let mut store = self.shared.lock();
        match trouble {
            Some(trouble) => store.trouble.insert(kind, trouble),
            None => store.trouble.remove(&kind),
        };
        drop(store);
        self.shared.changed.send_replace(());
    }

    /// The history of the kind is compacted: its watches end with 410 Gone and have to list again.
    pub fn expire(&self, kind: Kind) {
        let mut store = self.shared.lock();
        store.version += 1;
        let version = store.version;
        store.expired.insert(kind, version);
        drop(store);
        self.shared.changed.send_replace(());
    }

    /// Verb and kind of every request so far, for example `list nodes`; what is not served, by method and path.
    pub fn seen(&self) -> Vec<String> {
        self.shared.lock().seen.clone()
    }
}

impl Drop for FakeCluster {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Store {
    fn tell(&mut self, kind: Kind, change: &str, object: &Value) {
        let line = format!("{}\n", json!({"type": change, "object": object}));
        self.events.push(Event {
            version: self.version,
            kind,
            object: object.clone(),
            line: line.into(),
        });
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trouble(&self, kind: Kind) -> Option<Trouble> {
        self.lock().trouble.get(&kind).copied()
    }

    /// Waits until the kind no longer hangs.
    async fn answers(&self, kind: Kind) {
        let mut changed = self.changed.subscribe();
        while self.trouble(kind) == Some(Trouble::Hangs) {
            let _ = changed.changed().await;
        }
    }
}

fn set(object: &mut Value, key: &str, value: &str) {
    if let Some(map) = object.as_object_mut() {
        map.insert(key.to_owned(), json!(value));
    }
}

/// Writes the version of the change into the object.
fn mark(object: &mut Value, version: u64) {
    if let Some(metadata) = object.get_mut("metadata") {
        set(metadata, "resourceVersion", &version.to_string());
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let path = request.uri().path();
    let query: HashMap<String, String> =
        url::form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes())
            .into_owned()
            .collect();
    let watches = query
        .get("watch")
        .is_some_and(|it| it == "true" || it == "1");
    let scope = Scope::of(path, &query).filter(|_| request.method() == "GET");
    shared.lock().seen.push(match &scope {
        Some(scope) if watches => format!("watch {}", scope.name()),
        Some(scope) => format!("list {}", scope.name()),
        None => format!("{} {path}", request.method()),
    });
    let Some(scope) = scope else {
        return text(StatusCode::NOT_FOUND, "404 page not found\n".to_owned());
    };
    let kind = scope.kind;
    shared.answers(kind).await;
    match shared.trouble(kind) {
        // As the real one says it: in plain text, since no group answers for the path.
        Some(Trouble::Missing) => text(StatusCode::NOT_FOUND, "404 page not found\n".to_owned()),
        Some(Trouble::Forbidden) => json(StatusCode::FORBIDDEN, &status(403, "Forbidden")),
        Some(Trouble::Hangs) | None if watches => {
            let from = query.get("resourceVersion").and_then(|it| it.parse().ok());
            follow(shared, scope, from.unwrap_or_default())
        }
        Some(Trouble::Hangs) | None => json(StatusCode::OK, &list(&shared, &scope)),
    }
}

fn list(shared: &Shared, scope: &Scope) -> Value {
    let (store, kind) = (shared.lock(), scope.kind);
    let is_listed = |own: Kind, object: &Value| own == kind && scope.admits(object);
    let items = store.objects.iter();
    let items = items.filter(|((own, _), object)| is_listed(*own, object));
    let items: Vec<_> = items.map(|(_, object)| object.clone()).collect();
    json!({
        "kind": format!("{}List", kind.name()), "apiVersion": kind.api_version(),
        "metadata": {"resourceVersion": store.version.to_string()}, "items": items,
    })
}

/// Every event after `from`, as it happens, until something is wrong with the kind.
fn follow(shared: Arc<Shared>, scope: Scope, from: u64) -> Response {
    let kind = scope.kind;
    let changed = shared.changed.subscribe();
    let lines = stream::unfold(Some((shared, changed, from)), move |state| {
        let scope = scope.clone();
        async move {
            let (shared, mut changed, from) = state?;
            loop {
                {
                    let store = shared.lock();
                    if store.expired.get(&kind).is_some_and(|at| from < *at) {
                        let gone = json!({"type": "ERROR", "object": status(410, "Expired")});
                        return Some((line(gone.to_string()), None));
                    }
                    if store.trouble.contains_key(&kind) {
                        return None;
                    }
                    let next = store.events.iter().find(|event| {
                        event.kind == kind && event.version > from && scope.admits(&event.object)
                    });
                    if let Some(event) = next {
                        let (version, bytes) = (event.version, event.line.clone());
                        drop(store);
                        return Some((Ok(bytes), Some((shared, changed, version))));
                    }
                }
                changed.changed().await.ok()?;
            }
        }
    });
    Response::builder()
        .header(CONTENT_TYPE, "application/json")
        .body(Body::from_stream(lines))
        .expect("the header is valid")
}

fn line(text: String) -> Result<Bytes, std::convert::Infallible> {
    Ok(format!("{text}\n").into())
}

fn status(code: u16, reason: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": format!("the fake cluster says {reason}"), "reason": reason, "code": code,
    })
}

fn json(code: StatusCode, value: &Value) -> Response {
    let mut response = text(code, value.to_string());
    let json = axum::http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

fn text(code: StatusCode, body: String) -> Response {
    Response::builder()
        .status(code)
        .body(body.into())
        .expect("the status is valid")
}
