//! One repository of one registry: manifests and blobs, checked against their digests, and lists of tags.

use std::sync::Arc;

use bytes::Bytes;
use hostfit_engine::image::{Digest, ImageRef};
use reqwest::header::{CONTENT_TYPE, LINK};
use reqwest::{Method, StatusCode};
use tokio::sync::mpsc;
use url::Url;

use crate::credentials::Credentials;
use crate::digest::{contradicts, is_digest_of, sha256};
use crate::endpoint::{Ask, Endpoint, Place, Wire};
use crate::error::Failure;
use crate::fetch::Source;
use crate::layers::{Layer, Layers};
use crate::parse::{self, Descriptor, Document};
use crate::transport::Reply;

/// Largest manifest or index in bytes.
const MANIFEST_BYTES: u64 = 4 << 20;
/// Largest page of tags in bytes.
const TAGS_BYTES: u64 = 2 << 20;
const DOCKER_CONTENT_DIGEST: &str = "docker-content-digest";

/// A conversation about one repository, within one budget.
pub(crate) struct Session<'a> {
    wire: Wire<'a>,
    /// In the order in which they are asked: the registry itself last.
    endpoints: Vec<Endpoint>,
    /// Registry, as in the image reference.
    registry: &'a str,
    /// Largest config in bytes.
    config_bytes: u64,
    /// Where layers are read, if they are.
    layers: Option<&'a Layers>,
}

/// A manifest or an index whose bytes have their digest.
pub(crate) struct Found {
    pub(crate) descriptor: Descriptor,
    pub(crate) document: Document,
}

impl<'a> Session<'a> {
    pub(crate) fn new(
        wire: Wire<'a>,
        places: Vec<Place>,
        image: &'a ImageRef,
        credentials: &Credentials,
        config_bytes: u64,
        layers: Option<&'a Layers>,
    ) -> Self {
        Self {
            wire,
            endpoints: places
                .into_iter()
                .map(|place| Endpoint::new(place, credentials))
                .collect(),
            registry: image.registry(),
            config_bytes,
            layers,
        }
    }

    /// The digest that `reference` (a tag or a digest) has now; `None` if the registry does not tell
    /// without sending the manifest.
    pub(crate) async fn head(&self, reference: &str) -> Result<Option<Digest>, Failure> {
        let path = format!("manifests/{reference}");
        let reply = self.exchange(manifest(Method::HEAD, &path)).await?;
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
        // A mirror may list only what somebody has asked it for: here it is the one that is asked last.
        let endpoints = self.endpoints.iter().rev();
        let ask = Ask::get(&path, TAGS_BYTES);
        let reply = self.exchange_with(endpoints, ask).await?;
        expect_ok(&reply)?;
        let query = next_link(&reply).and_then(|link| {
            // Whatever it is relative to, only its query counts.
            let link = Url::parse("http://registry.invalid/")
                .ok()?
                .join(&link)
                .ok()?;
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

    /// Whether the repository has a blob, for these credentials: an error says that it has not.
    async fn has(&self, blob: &Descriptor) -> Result<(), Failure> {
        let path = format!("blobs/{}", blob.digest);
        let ask = Ask {
            method: Method::HEAD,
            ..Ask::get(&path, blob.size)
        };
        expect_ok(&self.exchange(ask).await?)
    }

    async fn get_manifest(&self, reference: &str) -> Result<Reply, Failure> {
        let path = format!("manifests/{reference}");
        let reply = self.exchange(manifest(Method::GET, &path)).await?;
        expect_ok(&reply)?;
        Ok(reply)
    }

    /// The first answer that there is, as container runtimes ask.
    async fn exchange(&self, ask: Ask<'_>) -> Result<Reply, Failure> {
        self.exchange_with(self.endpoints.iter(), ask).await
    }

    /// How many mirrors are not asked any more.
    fn passed_over(&self) -> usize {
        let endpoints = self.endpoints.iter();
        endpoints.filter(|it| it.is_given_up()).count()
    }

    /// Of several failures that of the registry itself is told.
    async fn exchange_with<'e>(
        &'e self,
        endpoints: impl Iterator<Item = &'e Endpoint> + Send,
        ask: Ask<'_>,
    ) -> Result<Reply, Failure> {
        let mut own = Err(Failure::NotFound);
        for endpoint in endpoints {
            if endpoint.is_given_up() {
                continue;
            }
            let result = endpoint.exchange(&self.wire, ask.clone()).await;
            let is_mirror = endpoint.is_mirror();
            let goes_on = match &result {
                Ok(reply) => reply.status != StatusCode::OK,
                // Of our own time and turns nothing is left.
                Err(Failure::Late | Failure::Exhausted) => false,
                Err(Failure::NotFound) => true,
                Err(failure) => {
                    if is_mirror {
                        let mirror = endpoint.name();
                        tracing::info!(registry = self.registry, mirror, %failure, "a mirror is passed over");
                        endpoint.give_up();
                    }
                    // A part of what is passed on as it comes may have been passed on: who reads it begins anew.
                    let is_begun = matches!(failure, Failure::NoAnswer(_) | Failure::Broken(_));
                    !(is_begun && ask.sink.is_some())
                }
            };
            if !goes_on {
                return result;
            }
            if !is_mirror {
                own = result;
            }
        }
        own
    }
}

fn manifest(method: Method, path: &str) -> Ask<'_> {
    Ask {
        method,
        accept: Some(parse::ACCEPT),
        ..Ask::get(path, MANIFEST_BYTES)
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
            Some(layers) => {
                let read = || {
                    let is_there = || self.has(layer);
                    let send = |sink| self.stream(layer, sink);
                    layers.get(self.name(), layer, is_there, send)
                };
                let mut passed_over = self.passed_over();
                let mut result = read().await;
                // A mirror may break off in the middle.
                while result.is_err() && self.passed_over() > passed_over {
                    passed_over = self.passed_over();
                    result = read().await;
                }
                result.map(Some)
            }
            None => Ok(None),
        }
    }

    fn name(&self) -> &str {
        self.registry
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
