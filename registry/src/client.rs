//! One repository of one registry: manifests and blobs, checked against their digests, and lists of tags,
//! with whichever of the caller's credentials the registry accepts.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use hostfit_engine::image::{Digest, ImageRef};
use reqwest::header::{CONTENT_TYPE, HeaderValue, LINK};
use reqwest::{Method, StatusCode};
use tokio::sync::mpsc;
use url::Url;

use crate::access::Access;
use crate::challenge::Challenge;
use crate::credentials::{Credentials, Fingerprint, Login};
use crate::digest::{contradicts, is_digest_of, sha256};
use crate::error::Failure;
use crate::fetch::Source;
use crate::layers::{Layer, Layers};
use crate::parse::{self, Descriptor, Document};
use crate::retry_after::retry_after;
use crate::transport::{Budget, Call, Reply, Transport};

/// Largest manifest or index in bytes.
const MANIFEST_BYTES: u64 = 4 << 20;
/// Largest page of tags in bytes.
const TAGS_BYTES: u64 = 2 << 20;
/// Most logins that are tried for one image, the anonymous one besides.
const LOGINS: usize = 8;
const DOCKER_CONTENT_DIGEST: &str = "docker-content-digest";

/// A conversation about one repository, within one budget.
pub(crate) struct Session<'a> {
    transport: &'a Transport,
    access: &'a Access,
    budget: Budget,
    base: Url,
    repository: &'a str,
    /// Largest config in bytes.
    config_bytes: u64,
    /// Where layers are read, if they are.
    layers: Option<&'a Layers>,
    logins: Vec<Login>,
    fingerprint: Fingerprint,
    /// What worked last, if anything has.
    grant: Mutex<Option<Grant>>,
}

/// A manifest or an index whose bytes have their digest.
pub(crate) struct Found {
    pub(crate) descriptor: Descriptor,
    pub(crate) document: Document,
}

/// What is asked of the repository.
struct Ask<'a> {
    method: Method,
    path: &'a str,
    accept: Option<&'static str>,
    /// Most bytes of the answer.
    limit: u64,
    sink: Option<mpsc::Sender<Bytes>>,
}

impl<'a> Ask<'a> {
    fn get(path: &'a str, limit: u64) -> Self {
        Self {
            method: Method::GET,
            path,
            accept: None,
            limit,
            sink: None,
        }
    }

    fn manifest(method: Method, path: &'a str) -> Self {
        Self {
            method,
            accept: Some(parse::ACCEPT),
            ..Self::get(path, MANIFEST_BYTES)
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

impl<'a> Session<'a> {
    pub(crate) fn new(
        transport: &'a Transport,
        access: &'a Access,
        budget: Budget,
        image: &'a ImageRef,
        credentials: &Credentials,
        config_bytes: u64,
        layers: Option<&'a Layers>,
    ) -> Result<Self, Failure> {
        let host = match image.registry() {
            "docker.io" => "registry-1.docker.io",
            other => other,
        };
        let scheme = if budget.is_plain { "http" } else { "https" };
        let base = Url::parse(&format!("{scheme}://{host}/v2/"))
            .map_err(|_| Failure::NotAllowed("the registry's name"))?;
        let mut logins = credentials.logins(image);
        logins.truncate(LOGINS);
        logins.push(Login::Anonymous);
        Ok(Self {
            transport,
            access,
            budget,
            base,
            repository: image.repository(),
            config_bytes,
            layers,
            logins,
            fingerprint: credentials.fingerprint(image),
            grant: Mutex::default(),
        })
    }

    /// The digest that `reference` (a tag or a digest) has now; `None` if the registry does not tell
    /// without sending the manifest.
    pub(crate) async fn head(&self, reference: &str) -> Result<Option<Digest>, Failure> {
        let path = format!("manifests/{reference}");
        let reply = self.exchange(Ask::manifest(Method::HEAD, &path)).await?;
        let found = (reply.status == StatusCode::OK).then(|| stated_digest(&reply));
        Ok(found.flatten())
    }

    /// The manifest or index that a tag leads to.
    pub(crate) async fn tagged(&self, tag: &str) -> Result<Found, Failure> {
        let reply = self.get_manifest(tag).await?;
        let stated = stated_digest(&reply);
        let digest = stated.unwrap_or_else(|| sha256(&reply.body));
        found(digest, &reply)
    }

    /// One page of the list of tags: its bytes, and the query of the next page. Of a link only the query is used: it
    /// can lead nowhere but to this list.
    pub(crate) async fn tags(&self, query: &str) -> Result<(Bytes, Option<String>), Failure> {
        let path = format!("tags/list?{query}");
        let reply = self.exchange(Ask::get(&path, TAGS_BYTES)).await?;
        expect_ok(&reply)?;
        let query = next_link(&reply).and_then(|link| {
            let link = self.base.join(&link).ok()?;
            link.query().map(str::to_owned)
        });
        Ok((reply.body, query))
    }

    /// Sends a blob to `sink`, as it comes.
    async fn stream(&self, blob: &Descriptor, sink: mpsc::Sender<Bytes>) -> Result<(), Failure> {
        let path = format!("blobs/{}", blob.digest);
        let ask = Ask {
            sink: Some(sink),
            ..Ask::get(&path, blob.size)
        };
        expect_ok(&self.exchange(ask).await?)
    }

    async fn get_manifest(&self, reference: &str) -> Result<Reply, Failure> {
        let path = format!("manifests/{reference}");
        let reply = self.exchange(Ask::manifest(Method::GET, &path)).await?;
        expect_ok(&reply)?;
        Ok(reply)
    }

    /// Asks with what worked last, then answers challenges, then tries the next login.
    async fn exchange(&self, ask: Ask<'_>) -> Result<Reply, Failure> {
        let registry = self.budget.registry.as_str();
        if let Some(pause) = self.access.limited(registry, self.fingerprint) {
            return Err(Failure::RateLimited(pause));
        }
        let result = self.try_logins(ask).await;
        if let Err(Failure::RateLimited(pause)) = &result {
            self.access.limit(registry, self.fingerprint, *pause);
        }
        result
    }

    async fn try_logins(&self, ask: Ask<'_>) -> Result<Reply, Failure> {
        let url = format!("{}/{}", self.repository, ask.path);
        let url = self.base.join(&url);
        let url = url.map_err(|_| Failure::NotAllowed("the image's name"))?;
        let mut grant = self.grant().await;
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
            let reply = self.transport.send(&self.budget, &call).await?;
            match reply.status {
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                    grant = self.next_grant(grant, &reply).await?;
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
    async fn grant(&self) -> Grant {
        let last = self
            .grant
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(grant) = last {
            return grant;
        }
        match self.access.remembered(&self.budget.registry) {
            // If that fails, perhaps this image is open to all, or the token service has moved: the registry will say.
            Some(challenge) => {
                let grant = self.authorize(0, &challenge, false).await;
                grant.unwrap_or_default()
            }
            None => Grant::default(),
        }
    }

    /// After a refusal: the same login with an answer to a new challenge, or the next login.
    async fn next_grant(&self, grant: Grant, refusal: &Reply) -> Result<Grant, Failure> {
        let is_challenge = refusal.status == StatusCode::UNAUTHORIZED;
        let challenge = match Challenge::read(&refusal.headers).filter(|_| is_challenge) {
            Some(challenge) => {
                self.access.remember(&self.budget.registry, &challenge);
                challenge
            }
            None => self
                .access
                .remembered(&self.budget.registry)
                .filter(|_| grant.header.is_some())
                .ok_or(Failure::Unauthorized)?,
        };
        let renew = grant.header.is_some();
        let mut grant = if is_challenge && !grant.is_fresh {
            self.authorize(grant.login, &challenge, renew).await?
        } else {
            self.authorize(grant.login + 1, &challenge, false).await?
        };
        grant.is_fresh = true;
        Ok(grant)
    }

    /// The first login from `from` on for which there is something to show.
    async fn authorize(
        &self,
        from: usize,
        challenge: &Challenge,
        renew: bool,
    ) -> Result<Grant, Failure> {
        for (index, login) in self.logins.iter().enumerate().skip(from) {
            let header = self.access.header(
                self.transport,
                &self.budget,
                self.repository,
                challenge,
                login,
                renew && index == from,
            );
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

impl Source for Session<'_> {
    /// The manifest or index with this digest, and with this size if it is known.
    async fn by_digest(&self, digest: &Digest, size: Option<u64>) -> Result<Found, Failure> {
        if size.is_some_and(|size| size > MANIFEST_BYTES) {
            return Err(Failure::Invalid(
                "a manifest of its index is larger than it may be",
            ));
        }
        let reply = self.get_manifest(digest.as_str()).await?;
        if stated_digest(&reply).is_some_and(|stated| contradicts(&stated, digest)) {
            return Err(WRONG_DIGEST);
        }
        if size.is_some_and(|size| size != reply.body.len() as u64) {
            return Err(WRONG_SIZE);
        }
        found(digest.clone(), &reply)
    }

    /// The config that a manifest names.
    async fn config(&self, descriptor: &Descriptor) -> Result<Bytes, Failure> {
        if descriptor.size > self.config_bytes {
            return Err(Failure::Invalid("its config is larger than it may be"));
        }
        let path = format!("blobs/{}", descriptor.digest);
        let reply = self.exchange(Ask::get(&path, self.config_bytes)).await?;
        expect_ok(&reply)?;
        if reply.body.len() as u64 != descriptor.size {
            return Err(WRONG_SIZE);
        }
        verify(&descriptor.digest, &reply.body)?;
        Ok(reply.body)
    }

    async fn layer(&self, layer: &Descriptor) -> Result<Option<Arc<Layer>>, Failure> {
        match self.layers {
            Some(layers) => layers
                .get(layer, |sink| self.stream(layer, sink))
                .await
                .map(Some),
            None => Ok(None),
        }
    }

    fn name(&self) -> &str {
        &self.budget.registry
    }
}

pub(crate) const WRONG_DIGEST: Failure =
    Failure::Broken("the registry's answer does not have the digest that it should have");
const WRONG_SIZE: Failure =
    Failure::Broken("the registry's answer does not have the size that it should have");

fn expect_ok(reply: &Reply) -> Result<(), Failure> {
    match reply.status {
        StatusCode::OK => Ok(()),
        _ => Err(Failure::Broken(
            "the registry answered with an unexpected status",
        )),
    }
}

/// Where the answer says that it goes on: `Link: </v2/app/tags/list?last=9>; rel="next"`.
fn next_link(reply: &Reply) -> Option<String> {
    let link = reply.headers.get(LINK)?.to_str().ok()?;
    let (link, relation) = link.strip_prefix('<')?.split_once('>')?;
    relation
        .to_ascii_lowercase()
        .contains("next")
        .then(|| link.to_owned())
}

fn found(digest: Digest, reply: &Reply) -> Result<Found, Failure> {
    let content_type = reply.headers.get(CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    let document = match is_digest_of(&digest, &reply.body) {
        true => parse::document(&reply.body, content_type)?,
        // Signatures stand outside of what the digest is of, and so does whatever else stands there.
        false => {
            let payload = parse::payload(&reply.body).ok_or(WRONG_DIGEST)?;
            verify(&digest, &payload)?;
            parse::document(&payload, content_type)?
        }
    };
    let size = reply.body.len() as u64;
    Ok(Found {
        descriptor: Descriptor { digest, size },
        document,
    })
}

/// The digest that the registry claims, if we can compute its like.
fn stated_digest(reply: &Reply) -> Option<Digest> {
    let header = reply.headers.get(DOCKER_CONTENT_DIGEST)?;
    header.to_str().ok()?.parse().ok()
}

fn verify(digest: &Digest, body: &[u8]) -> Result<(), Failure> {
    is_digest_of(digest, body).then_some(()).ok_or(WRONG_DIGEST)
}
