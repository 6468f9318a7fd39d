//! Access: which header to show to a registry. Tokens are kept per registry, scope and login, and
//! nothing of one login ever serves another.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use moka::sync::Cache;
use reqwest::header::HeaderValue;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use tokio::time::Instant;
use url::form_urlencoded;

use crate::challenge::{Bearer, Challenge, realm};
use crate::config::Config;
use crate::credentials::{Fingerprint, Login};
use crate::endpoint::{Place, Wire};
use crate::error::Failure;
use crate::retry_after::retry_after;
use crate::transport::Call;

/// Largest answer of a token service in bytes.
const TOKEN_BYTES: u64 = 64 << 10;
/// Bytes that all tokens may take.
const TOKENS_BYTES: u64 = 4 << 20;
/// How long a token is good for if its service does not say, and the most that is believed.
const TOKEN_TTL: Duration = Duration::from_secs(60);
const TOKEN_TTL_MOST: Duration = Duration::from_secs(3600);
/// How long before its end a token is no longer used.
const TOKEN_MARGIN: Duration = Duration::from_secs(5);

/// What has been learned about getting in.
pub(crate) struct Access {
    plain_http: Vec<String>,
    trusted_realms: Vec<String>,
    tokens: Cache<TokenKey, Token>,
    /// The last challenge of each registry, without its scope: saves the request that would only be refused.
    challenges: Cache<String, Challenge>,
    /// Until when a registry must not be asked with these credentials (429).
    limited: Cache<(String, Fingerprint), Instant>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct TokenKey {
    registry: String,
    realm: String,
    scope: String,
    login: Fingerprint,
}

#[derive(Clone)]
struct Token {
    /// Marked sensitive.
    header: HeaderValue,
    until: Instant,
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<f64>,
}

impl Access {
    pub(crate) fn new(config: &Config) -> Self {
        let weigh = |key: &TokenKey, token: &Token| {
            let bytes = key.registry.len() + key.realm.len() + key.scope.len() + token.header.len();
            u32::try_from(bytes + 256).unwrap_or(u32::MAX)
        };
        Self {
            plain_http: config.plain_http.clone(),
            trusted_realms: config.trusted_realms.clone(),
            tokens: Cache::builder()
                .max_capacity(TOKENS_BYTES)
                .weigher(weigh)
                .build(),
            challenges: Cache::new(1_024),
            limited: Cache::new(4_096),
        }
    }

    /// The challenge that `registry` gave last.
    pub(crate) fn remembered(&self, registry: &str) -> Option<Challenge> {
        self.challenges.get(registry)
    }

    /// Keeps a challenge for the next image, without the scope, which is this image's.
    pub(crate) fn remember(&self, registry: &str, challenge: &Challenge) {
        let general = match challenge {
            Challenge::Basic => Challenge::Basic,
            Challenge::Bearer(bearer) => Challenge::Bearer(Bearer {
                scope: None,
                ..bearer.clone()
            }),
        };
        self.challenges.insert(registry.to_owned(), general);
    }

    /// How long `registry` must still be left alone with these credentials.
    pub(crate) fn limited(&self, registry: &str, credentials: Fingerprint) -> Option<Duration> {
        let until = self.limited.get(&(registry.to_owned(), credentials))?;
        let left = until.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    pub(crate) fn limit(&self, registry: &str, credentials: Fingerprint, pause: Duration) {
        let key = (registry.to_owned(), credentials);
        self.limited.insert(key, Instant::now() + pause);
    }

    /// What to show to the registry as `login` after `challenge`; `None` shows nothing. With `renew`,
    /// a token that was kept is not good enough.
    pub(crate) async fn header(
        &self,
        wire: &Wire<'_>,
        place: &Place,
        challenge: &Challenge,
        login: &Login,
        renew: bool,
    ) -> Result<HeaderValue, Failure> {
        let bearer = match (challenge, login) {
            (Challenge::Basic, Login::Password { username, password }) => {
                return basic(username, password);
            }
            (Challenge::Basic, _) => return Err(Failure::Unauthorized),
            (Challenge::Bearer(bearer), _) => bearer,
        };
        let own_scope = || format!("repository:{}:pull", place.repository);
        let key = TokenKey {
            registry: place.registry.clone(),
            realm: bearer.realm.clone(),
            scope: bearer.scope.clone().unwrap_or_else(own_scope),
            login: login.fingerprint(),
        };
        let now = Instant::now();
        let kept = self.tokens.get(&key).filter(|token| token.until > now);
        if let Some(token) = kept.filter(|_| !renew) {
            return Ok(token.header);
        }
        let call = self.token_call(&place.registry, bearer, &key.scope, login)?;
        let token = fetch_token(wire, place, &call).await?;
        self.tokens.insert(key, token.clone());
        Ok(token.header)
    }

    /// The request for a token. Credentials are in it only if the realm may see them.
    fn token_call(
        &self,
        registry: &str,
        bearer: &Bearer,
        scope: &str,
        login: &Login,
    ) -> Result<Call, Failure> {
        let realm = realm(
            &bearer.realm,
            registry,
            &self.plain_http,
            &self.trusted_realms,
        )?;
        if *login != Login::Anonymous && !realm.is_trusted {
            tracing::info!(
                registry,
                "no credentials for the registry's token service: it is another host, and not a trusted realm"
            );
            return Err(Failure::Unauthorized);
        }
        let mut call = Call {
            method: Method::GET,
            url: realm.url,
            accept: Some("application/json"),
            authorization: None,
            form: None,
            redirects: false,
            limit: TOKEN_BYTES,
            sink: None,
        };
        let mut fields = vec![("scope", scope)];
        fields.extend(
            bearer
                .service
                .as_deref()
                .map(|service| ("service", service)),
        );
        match login {
            Login::Anonymous => {}
            Login::Password { username, password } => {
                call.authorization = Some(basic(username, password)?);
            }
            Login::IdentityToken(token) => {
                fields.push(("grant_type", "refresh_token"));
                fields.push(("client_id", "hostfit"));
                fields.push(("refresh_token", token));
                let form = form_urlencoded::Serializer::new(String::new())
                    .extend_pairs(fields)
                    .finish();
                call.method = Method::POST;
                call.form = Some(form);
                return Ok(call);
            }
        }
        call.url.query_pairs_mut().extend_pairs(fields);
        Ok(call)
    }
}

/// A token that has been checked to fit into a header.
async fn fetch_token(wire: &Wire<'_>, place: &Place, call: &Call) -> Result<Token, Failure> {
    let asked = Instant::now();
    let (registry, budget) = (&place.registry, &wire.budget);
    let reply = wire.transport.send(registry, budget, call).await?;
    match reply.status {
        StatusCode::OK => {}
        StatusCode::TOO_MANY_REQUESTS => {
            return Err(Failure::RateLimited(retry_after(&reply.headers)));
        }
        _ => return Err(Failure::Unauthorized),
    }
    let malformed = Failure::Broken("the token service's answer holds no usable token");
    let Ok(answer) = serde_json::from_slice::<TokenAnswer>(&reply.body) else {
        return Err(malformed);
    };
    let some = |text: Option<String>| text.filter(|text| !text.is_empty());
    let token = some(answer.token).or(some(answer.access_token));
    let visible = |token: &String| token.bytes().all(|b| b.is_ascii_graphic());
    let Some(token) = token.filter(visible) else {
        return Err(malformed);
    };
    let stated = answer.expires_in.filter(|seconds| *seconds > 0.0);
    let ttl = stated.map_or(TOKEN_TTL, |seconds| {
        Duration::try_from_secs_f64(seconds).map_or(TOKEN_TTL_MOST, |ttl| ttl.min(TOKEN_TTL_MOST))
    });
    Ok(Token {
        header: sensitive(&format!("Bearer {token}"))?,
        until: asked + ttl.saturating_sub(TOKEN_MARGIN),
    })
}

fn basic(username: &str, password: &str) -> Result<HeaderValue, Failure> {
    let encoded = STANDARD.encode(format!("{username}:{password}"));
    sensitive(&format!("Basic {encoded}"))
}

fn sensitive(text: &str) -> Result<HeaderValue, Failure> {
    let mut header = HeaderValue::from_str(text).map_err(|_| Failure::Unauthorized)?;
    header.set_sensitive(true);
    Ok(header)
}
