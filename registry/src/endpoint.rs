//! One place where a repository lies, with whichever of the caller's credentials it accepts.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use hostfit_engine::image::ImageRef;
use reqwest::header::HeaderValue;
use reqwest::{Method, StatusCode};
use tokio::sync::mpsc;
use url::Url;

use crate::access::Access;
use crate::challenge::Challenge;
use crate::config::Config;
use crate::credentials::{Credentials, Fingerprint, Login};
use crate::error::Failure;
use crate::retry_after::retry_after;
use crate::transport::{Budget, Call, Reply, Transport};

/// Most logins that are tried for one image, the anonymous one besides.
const LOGINS: usize = 8;

/// What every exchange of one conversation needs.
pub(crate) struct Wire<'a> {
    pub(crate) transport: &'a Transport,
    pub(crate) access: &'a Access,
    pub(crate) budget: Budget,
}

/// Where a repository lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Host, or host:port, by which credentials are matched, and everything is counted and kept.
    pub(crate) registry: String,
    pub(crate) repository: String,
    /// `https://registry.example/v2/`
    pub(crate) base: Url,
    /// The registry whose images a mirror is asked for.
    pub(crate) mirror_of: Option<String>,
}

impl Place {
    /// Where an image may lie: at the mirrors of the registry that it names, and there.
    pub(crate) fn all(image: &ImageRef, config: &Config) -> Result<Vec<Self>, Failure> {
        let mirrors = config.mirrors_of(image.registry());
        let mut all: Vec<_> = mirrors.map(|mirror| mirror.place(image)).collect();
        all.push(Self::of(image, config)?);
        Ok(all)
    }

    fn of(image: &ImageRef, config: &Config) -> Result<Self, Failure> {
        let registry = image.registry();
        let host = match registry {
            "docker.io" => "registry-1.docker.io",
            other => other,
        };
        let scheme = match config.is_plain(registry) {
            true => "http",
            false => "https",
        };
        let base = Url::parse(&format!("{scheme}://{host}/v2/"))
            .map_err(|_| Failure::NotAllowed("the registry's name"))?;
        Ok(Self {
            registry: registry.to_owned(),
            repository: image.repository().to_owned(),
            base,
            mirror_of: None,
        })
    }
}

/// A place, and how to get in.
pub(crate) struct Endpoint {
    place: Place,
    logins: Vec<Login>,
    fingerprint: Fingerprint,
    /// What worked last, if anything has.
    grant: Mutex<Option<Grant>>,
    /// It did not answer, or let nobody in: a mirror is then not asked again in this conversation.
    is_given_up: AtomicBool,
}

/// What is asked of the repository.
#[derive(Clone)]
pub(crate) struct Ask<'a> {
    pub(crate) method: Method,
    /// Below the repository.
    pub(crate) path: &'a str,
    pub(crate) accept: Option<&'static str>,
    /// Most bytes of the answer.
    pub(crate) limit: u64,
    /// Where the answer goes piece by piece.
    pub(crate) sink: Option<mpsc::Sender<Bytes>>,
}

impl<'a> Ask<'a> {
    pub(crate) fn get(path: &'a str, limit: u64) -> Self {
        Self {
            method: Method::GET,
            path,
            accept: None,
            limit,
            sink: None,
        }
    }
}

#[derive(Clone, Default)]
struct Grant {
    /// Which login is being tried.
    login: usize,
    /// What it shows; nothing before the registry's first challenge.
    header: Option<HeaderValue>,
    /// Whether the header answers a challenge of this very exchange.
    is_fresh: bool,
}

impl Endpoint {
    pub(crate) fn new(place: Place, credentials: &Credentials) -> Self {
        let (registry, repository) = (&place.registry, &place.repository);
        let mut logins = credentials.logins(registry, repository);
        logins.truncate(LOGINS);
        logins.push(Login::Anonymous);
        Self {
            fingerprint: credentials.fingerprint(registry, repository),
            logins,
            place,
            grant: Mutex::default(),
            is_given_up: AtomicBool::new(false),
        }
    }

    pub(crate) fn is_mirror(&self) -> bool {
        self.place.mirror_of.is_some()
    }

    /// Host, or host:port.
    pub(crate) fn name(&self) -> &str {
        &self.place.registry
    }

    pub(crate) fn is_given_up(&self) -> bool {
        self.is_given_up.load(Ordering::Relaxed)
    }

    pub(crate) fn give_up(&self) {
        self.is_given_up.store(true, Ordering::Relaxed);
    }

    /// Asks with what worked last, then answers challenges, then tries the next login.
    pub(crate) async fn exchange(&self, wire: &Wire<'_>, ask: Ask<'_>) -> Result<Reply, Failure> {
        let registry = self.place.registry.as_str();
        if let Some(pause) = wire.access.limited(registry, self.fingerprint) {
            return Err(Failure::RateLimited(pause));
        }
        let result = self.try_logins(wire, ask).await;
        if let Err(Failure::RateLimited(pause)) = &result {
            wire.access.limit(registry, self.fingerprint, *pause);
        }
        result
    }

    async fn try_logins(&self, wire: &Wire<'_>, ask: Ask<'_>) -> Result<Reply, Failure> {
        let registry = self.place.registry.as_str();
        let url = format!("{}/{}", self.place.repository, ask.path);
        let url = self.place.base.join(&url);
        let mut url = url.map_err(|_| Failure::NotAllowed("the image's name"))?;
        if let Some(registry) = &self.place.mirror_of {
            // As containerd asks: a mirror may have the images of several registries.
            url.query_pairs_mut().append_pair("ns", registry);
        }
        let mut grant = self.grant(wire).await;
        loop {
            let call = Call {
                method: ask.method.clone(),
                url: url.clone(),
                accept: ask.accept,
                authorization: grant.header.clone(),
                form: None,
                redirects: true,
                limit: ask.limit,
                sink: ask.sink.clone(),
            };
            let reply = wire.transport.send(registry, &wire.budget, &call).await?;
            match reply.status {
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                    grant = self.next_grant(wire, grant, &reply).await?;
                }
                StatusCode::TOO_MANY_REQUESTS => {
                    return Err(Failure::RateLimited(retry_after(&reply.headers)));
                }
                StatusCode::NOT_FOUND | StatusCode::GONE => return Err(Failure::NotFound),
                _ => {
                    grant.is_fresh = false;
                    *self.grant.lock().unwrap_or_else(PoisonError::into_inner) = Some(grant);
                    return Ok(reply);
                }
            }
        }
    }

    /// What worked last, else an answer to the challenge that the registry gave for another image, else nothing.
    async fn grant(&self, wire: &Wire<'_>) -> Grant {
        let last = self
            .grant
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(grant) = last {
            return grant;
        }
        match wire.access.remembered(&self.place.registry) {
            // If that fails, perhaps this image is open to all, or the token service has moved: the registry will say.
            Some(challenge) => {
                let grant = self.authorize(wire, 0, &challenge, false).await;
                grant.unwrap_or_default()
            }
            None => Grant::default(),
        }
    }

    /// After a refusal: the same login with an answer to a new challenge, or the next login.
    async fn next_grant(
        &self,
        wire: &Wire<'_>,
        grant: Grant,
        refusal: &Reply,
    ) -> Result<Grant, Failure> {
        let is_challenge = refusal.status == StatusCode::UNAUTHORIZED;
        let challenge = match Challenge::read(&refusal.headers).filter(|_| is_challenge) {
            Some(challenge) => {
                wire.access.remember(&self.place.registry, &challenge);
                challenge
            }
            None => wire
                .access
                .remembered(&self.place.registry)
                .filter(|_| grant.header.is_some())
                .ok_or(Failure::Unauthorized)?,
        };
        let renew = grant.header.is_some();
        let mut grant = if is_challenge && !grant.is_fresh {
            self.authorize(wire, grant.login, &challenge, renew).await?
        } else {
            self.authorize(wire, grant.login + 1, &challenge, false)
                .await?
        };
        grant.is_fresh = true;
        Ok(grant)
    }

    /// The first login from `from` on for which there is something to show.
    async fn authorize(
        &self,
        wire: &Wire<'_>,
        from: usize,
        challenge: &Challenge,
        renew: bool,
    ) -> Result<Grant, Failure> {
        for (index, login) in self.logins.iter().enumerate().skip(from) {
            let header =
                wire.access
                    .header(wire, &self.place, challenge, login, renew && index == from);
            match header.await {
                Ok(header) => {
                    return Ok(Grant {
                        login: index,
                        header: Some(header),
                        is_fresh: false,
                    });
                }
                Err(Failure::Unauthorized) => {}
                Err(failure) => return Err(failure),
            }
        }
        Err(Failure::Unauthorized)
    }
}
