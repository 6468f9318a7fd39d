//! One bounded HTTP exchange: who may be reached, how many requests and bytes, for how long.

mod body;

use std::error::Error as _;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use moka::sync::Cache;
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION,
};
use reqwest::{Client, Method, StatusCode, redirect};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep, timeout_at};
use url::{Host, Url};

use crate::address::{Blocked, Filter, FilteredResolver};
use crate::config::Config;
use crate::error::{Error, Failure};
use crate::stats::Stats;

/// Most redirects of one exchange.
const REDIRECTS: usize = 3;
/// Longest time that one exchange may hold its connection.
const EXCHANGE: Duration = Duration::from_secs(15);
const CONNECT: Duration = Duration::from_secs(5);
/// Most requests for one image, for its layers besides (redirects and challenges count), and bytes that are not layers'.
const IMAGE_REQUESTS: u32 = 40;
const LAYERS_REQUESTS: u32 = 1_000;
const IMAGE_BYTES: u64 = 16 << 20;
/// Exchanges without an answer, one after the other, after which a registry is left alone for a while.
const FAILURES: u32 = 5;

/// Speaks HTTP/1.1 with whoever the rules allow, through no proxy.
pub(crate) struct Transport {
    http: Client,
    filter: Arc<Filter>,
    hosts: Cache<String, Arc<Peer>>,
    all: Semaphore,
    per_host: usize,
    rest: Duration,
    stats: Arc<Stats>,
}

/// What one image may use up.
pub(crate) struct Budget {
    pub(crate) deadline: Instant,
    /// Exchanges that whoever caused this may have at a time.
    exchanges: Option<Arc<Semaphore>>,
    /// Requests that are left.
    requests: AtomicU32,
    bytes: AtomicU64,
}

/// One request, before redirects.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) accept: Option<&'static str>,
    pub(crate) authorization: Option<HeaderValue>,
    /// A form to send. Such a call, and one that may not go elsewhere, follows no redirect.
    pub(crate) form: Option<String>,
    pub(crate) redirects: bool,
    /// Most bytes of the answer.
    pub(crate) limit: u64,
    /// Where the answer goes piece by piece, as a layer does, and not into memory. Such a call has only its budget's
    /// deadline.
    pub(crate) sink: Option<mpsc::Sender<Bytes>>,
}

/// An answer that came whole. Anything but success has no body.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What we know of one registry.
struct Peer {
    permits: Semaphore,
    /// Exchanges in a row without an answer, and until when it is left alone.
    silence: Mutex<(u32, Option<Instant>)>,
}

/// A failure, and whether the same exchange may go well at once.
struct Attempt {
    failure: Failure,
    again: bool,
}

impl From<Failure> for Attempt {
    fn from(failure: Failure) -> Self {
        let again = false;
        Self { failure, again }
    }
}

impl Budget {
    pub(crate) fn new(exchanges: Option<Arc<Semaphore>>, deadline: Instant) -> Self {
        Self {
            deadline,
            exchanges,
            requests: AtomicU32::new(IMAGE_REQUESTS),
            bytes: AtomicU64::new(0),
        }
    }

    /// The budget of an image whose layers are read as well.
    pub(crate) fn with_layers(mut self) -> Self {
        *self.requests.get_mut() += LAYERS_REQUESTS;
        self
    }

    fn take_request(&self) -> Result<(), Failure> {
        let one_less = |left: u32| left.checked_sub(1);
        self.requests
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less)
            .map(drop)
            .map_err(|_| Failure::Exhausted)
    }

    fn take_bytes(&self, count: usize) -> Result<(), Failure> {
        let used = self.bytes.fetch_add(count as u64, Ordering::Relaxed);
        (used + count as u64 <= IMAGE_BYTES)
            .then_some(())
            .ok_or(Failure::Broken("reading it takes more than 16 MiB"))
    }
}

impl Transport {
    pub(crate) fn new(config: &Config, stats: Arc<Stats>) -> Result<Self, Error> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(Error::NoTlsProvider);
        }
        let filter = Arc::new(Filter::new(config));
        let mut builder = Client::builder()
            .http1_only()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .dns_resolver(Arc::new(FilteredResolver(Arc::clone(&filter))))
            .connect_timeout(CONNECT)
            .pool_max_idle_per_host(config.per_host)
            .pool_idle_timeout(Duration::from_secs(60))
            .user_agent(concat!("hostfit/", env!("CARGO_PKG_VERSION")));
        if let Some(pem) = &config.ca_bundle {
            let certificates = reqwest::Certificate::from_pem_bundle(pem)
                .map_err(|error| Error::CaBundle(Some(error)))?;
            if certificates.is_empty() {
                return Err(Error::CaBundle(None));
            }
            builder = builder.tls_certs_merge(certificates);
        }
        Ok(Self {
            http: builder.build().map_err(Error::Client)?,
            filter,
            hosts: Cache::new(4_096),
            all: Semaphore::new(config.global.max(1)),
            per_host: config.per_host.max(1),
            rest: config.failure_ttl,
            stats,
        })
    }

    /// Sends `call` to `registry` or for it, once more after a reset, a short body or a server error if time remains.
    pub(crate) async fn send(
        &self,
        registry: &str,
        budget: &Budget,
        call: &Call,
    ) -> Result<Reply, Failure> {
        let peer = self.hosts.get_with_by_ref(registry, || {
            Arc::new(Peer {
                permits: Semaphore::new(self.per_host),
                silence: Mutex::default(),
            })
        });
        let began = Instant::now();
        let mut result = self.attempt(&peer, budget, call).await;
        if result.as_ref().is_err_and(|attempt| attempt.again) {
            let pause = jitter();
            if Instant::now() + pause < budget.deadline {
                sleep(pause).await;
                result = self.attempt(&peer, budget, call).await;
            }
        }
        let result = result.map_err(|attempt| attempt.failure);
        let end = result.as_ref().map(|reply| reply.status);
        self.stats.exchanged(registry, end, began.elapsed());
        result
    }

    async fn attempt(&self, peer: &Peer, budget: &Budget, call: &Call) -> Result<Reply, Attempt> {
        let permits = async {
            // The caller's own first, then the registry's: who waits for a slow one takes nothing from the others.
            let tenant = match &budget.exchanges {
                Some(exchanges) => Some(exchanges.acquire().await),
                None => None,
            };
            let own = peer.permits.acquire().await;
            (tenant, own, self.all.acquire().await)
        };
        let _permits = timeout_at(budget.deadline, permits)
            .await
            .map_err(|_| Failure::Late)?;
        if peer.is_silent() {
            let text = "the last exchanges with this registry got no answer";
            return Err(Failure::NoAnswer(text.to_owned()).into());
        }
        let until = match call.sink {
            Some(_) => budget.deadline,
            None => budget.deadline.min(Instant::now() + EXCHANGE),
        };
        let result = timeout_at(until, self.follow(budget, call))
            .await
            .unwrap_or_else(|_| Err(Failure::NoAnswer("timed out".to_owned()).into()));
        match &result {
            Ok(reply) if reply.status.is_server_error() => {
                peer.answered();
                let text = format!("server error {}", reply.status.as_u16());
                return Err(Attempt {
                    failure: Failure::NoAnswer(text),
                    again: true,
                });
            }
            Err(Attempt {
                failure: Failure::NoAnswer(_),
                ..
            }) => peer.unanswered(self.rest),
            _ => peer.answered(),
        }
        result
    }

    async fn follow(&self, budget: &Budget, call: &Call) -> Result<Reply, Attempt> {
        let mut url = call.url.clone();
        let mut authorization = call.authorization.clone();
        for _ in 0..=REDIRECTS {
            self.check(&url)?;
            budget.take_request()?;
            Stats::count(&self.stats.requests);
            let mut request = self
                .http
                .request(call.method.clone(), url.clone())
                .header(ACCEPT_ENCODING, "identity");
            if let Some(accept) = call.accept {
                request = request.header(ACCEPT, accept);
            }
            if let Some(authorization) = &authorization {
                request = request.header(AUTHORIZATION, authorization);
            }
            if let Some(form) = &call.form {
                request = request
                    .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                    .body(form.clone());
            }
            let response = request.send().await.map_err(attempt)?;
            let status = response.status();
            if url.origin() != call.url.origin() && is_refusal(status) {
                // No challenge of the registry: nobody else may ask for its credentials.
                return Err(Failure::Unauthorized.into());
            }
            if !status.is_redirection() {
                return body::read(response, budget, call).await;
            }
            if !call.redirects || call.form.is_some() {
                return Err(Failure::NotAllowed("a redirect where none may be followed").into());
            }
            let next = target(&url, response.headers())?;
            if next.origin() != url.origin() {
                authorization = None;
            }
            url = next;
        }
        Err(Failure::NotAllowed("too many redirects").into())
    }

    /// Addresses in the URL itself never reach the resolver.
    fn check(&self, url: &Url) -> Result<(), Failure> {
        let literal = match url.host() {
            Some(Host::Ipv4(ip)) => Some(ip.into()),
            Some(Host::Ipv6(ip)) => Some(ip.into()),
            Some(Host::Domain(_)) => None,
            None => return Err(Failure::NotAllowed("a URL without a host")),
        };
        if literal.is_some_and(|ip| !self.filter.allows(ip)) {
            return Err(Failure::NotAllowed("the address"));
        }
        Ok(())
    }
}

impl Peer {
    fn is_silent(&self) -> bool {
        let silence = self.silence.lock().unwrap_or_else(PoisonError::into_inner);
        silence.1.is_some_and(|until| Instant::now() < until)
    }

    fn answered(&self) {
        *self.silence.lock().unwrap_or_else(PoisonError::into_inner) = (0, None);
    }

    fn unanswered(&self, rest: Duration) {
        let mut silence = self.silence.lock().unwrap_or_else(PoisonError::into_inner);
        silence.0 = silence.0.saturating_add(1);
        if silence.0 >= FAILURES {
            silence.1 = Some(Instant::now() + rest);
        }
    }
}

fn is_refusal(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

/// Where a redirect leads, if it may lead there.
fn target(from: &Url, headers: &HeaderMap) -> Result<Url, Failure> {
    let next = headers
        .get(LOCATION)
        .and_then(|location| location.to_str().ok())
        .and_then(|location| from.join(location).ok())
        .ok_or(Failure::Broken("a redirect of the registry leads nowhere"))?;
    match (from.scheme(), next.scheme()) {
        (_, "https") | ("http", "http") => {}
        _ => return Err(Failure::NotAllowed("a redirect away from https")),
    }
    if !next.username().is_empty() || next.password().is_some() {
        return Err(Failure::NotAllowed("a redirect with credentials in it"));
    }
    Ok(next)
}

fn attempt(error: reqwest::Error) -> Attempt {
    // URLs may be signed: they are credentials.
    let error = error.without_url();
    let mut chain: Vec<String> = vec![error.to_string()];
    let mut source = error.source();
    while let Some(cause) = source {
        if cause.is::<Blocked>() {
            return Failure::NotAllowed("the address").into();
        }
        chain.push(cause.to_string());
        source = cause.source();
    }
    if error.is_builder() {
        return Failure::Broken("a URL of the registry cannot be asked").into();
    }
    Attempt {
        again: !error.is_timeout() && !error.is_connect(),
        failure: Failure::NoAnswer(chain.join(": ")),
    }
}

/// 50 to 150 ms, so that those who failed together do not come back together.
fn jitter() -> Duration {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let nanos = now.map_or(0, |now| now.subsec_nanos());
    Duration::from_millis(50 + u64::from(nanos / 1_000 % 100))
}
