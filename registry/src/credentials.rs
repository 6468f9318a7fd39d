//! Pull secrets, matched to images as the kubelet does.
//!
//! Only `auths` is read. Helpers (`credHelpers`, `credsStore`) name programs to run, and whoever may
//! write a Secret would choose which.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::error::Error;

/// The data of one pull secret.
#[derive(Clone, Copy)]
pub enum PullSecret<'a> {
    /// `.dockerconfigjson` of a Secret of type `kubernetes.io/dockerconfigjson`.
    DockerConfigJson(&'a [u8]),
    /// `.dockercfg` of a Secret of type `kubernetes.io/dockercfg`.
    DockerCfg(&'a [u8]),
}

impl<'a> PullSecret<'a> {
    /// Of the older form, or of the current one.
    pub fn new(is_legacy: bool, data: &'a [u8]) -> Self {
        match is_legacy {
            true => Self::DockerCfg(data),
            false => Self::DockerConfigJson(data),
        }
    }
}

/// Credentials of a pod or a namespace. Cheap to clone; `Debug` shows how many, and no content.
#[derive(Clone)]
pub struct Credentials(Arc<[Entry]>);

/// What tells one set of credentials from another, and nothing else.
pub(crate) type Fingerprint = [u8; 32];

/// One way to log in.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Login {
    Anonymous,
    Password { username: String, password: String },
    IdentityToken(String),
}

#[derive(Clone)]
struct Entry {
    pattern: Pattern,
    login: Login,
    fingerprint: Fingerprint,
}

impl Credentials {
    /// No credentials: anonymous access.
    pub fn none() -> Self {
        Self(Arc::from([]))
    }

    /// The entries of all `secrets`. Where several match an image, they are tried as the kubelet tries
    /// them: by key in reverse alphabetical order (so a longer path comes before a shorter one), then
    /// in the order given here.
    ///
    /// # Errors
    ///
    /// [`Error::PullSecret`] if a secret is not the JSON that its type demands.
    pub fn parse<'a>(secrets: impl IntoIterator<Item = PullSecret<'a>>) -> Result<Self, Error> {
        let mut entries = Vec::new();
        for (index, secret) in secrets.into_iter().enumerate() {
            let found = parse_secret(secret).map_err(|problem| Error::PullSecret {
                number: index + 1,
                problem,
            })?;
            entries.extend(found);
        }
        Ok(Self::of(entries))
    }

    fn of(mut entries: Vec<Entry>) -> Self {
        // Stable, so that the order of the secrets decides between equal keys.
        entries.sort_by(|a, b| b.pattern.key.cmp(&a.pattern.key));
        Self(entries.into())
    }

    /// These and, before them among equals, those of `others`.
    #[must_use]
    pub(crate) fn after<'a>(&self, others: impl IntoIterator<Item = &'a Self>) -> Self {
        let others = others.into_iter().flat_map(|it| it.0.iter());
        Self::of(others.chain(self.0.iter()).cloned().collect())
    }

    /// The ways to log in for a repository, best first, without the anonymous one.
    pub(crate) fn logins(&self, registry: &str, repository: &str) -> Vec<Login> {
        self.matching(registry, repository)
            .map(|entry| entry.login.clone())
            .collect()
    }

    /// A fingerprint of what [`logins`](Self::logins) gives; zeros without any.
    pub(crate) fn fingerprint(&self, registry: &str, repository: &str) -> Fingerprint {
        let mut matching = self.matching(registry, repository).peekable();
        if matching.peek().is_none() {
            return Fingerprint::default();
        }
        let hash = matching.fold(Sha256::new(), |hash, one| {
            hash.chain_update(one.fingerprint)
        });
        hash.finalize().into()
    }

    fn matching(&self, registry: &str, repository: &str) -> impl Iterator<Item = &Entry> {
        let hub = registry == "docker.io";
        let exact = move |entry: &&Entry| entry.pattern.matches(registry, repository);
        // The kubelet takes the entry of Docker Hub's old address if there is no better one.
        let any = self.0.iter().any(|entry| exact(&entry));
        self.0.iter().filter(move |entry| {
            if any {
                exact(entry)
            } else {
                hub && entry.pattern.key == "index.docker.io"
            }
        })
    }
}

/// The fingerprint of what is shown at two places.
pub(crate) fn both(one: Fingerprint, other: Fingerprint) -> Fingerprint {
    match [one, other] == [Fingerprint::default(); 2] {
        true => Fingerprint::default(),
        false => Sha256::new()
            .chain_update(one)
            .chain_update(other)
            .finalize()
            .into(),
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({} redacted)", self.0.len())
    }
}

impl fmt::Debug for PullSecret<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PullSecret(redacted)")
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Anonymous => "Anonymous",
            Self::Password { .. } => "Password(redacted)",
            Self::IdentityToken(_) => "IdentityToken(redacted)",
        })
    }
}

impl Login {
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        let parts: [&str; 3] = match self {
            Self::Anonymous => return Fingerprint::default(),
            Self::Password { username, password } => ["password", username, password],
            Self::IdentityToken(token) => ["token", "", token],
        };
        let hash = parts.iter().fold(Sha256::new(), |hash, part| {
            let length = (part.len() as u64).to_be_bytes();
            hash.chain_update(length).chain_update(part)
        });
        hash.finalize().into()
    }
}

/// A key of `auths`: labels of a host that may be globs, a port, a prefix of the path.
#[derive(Clone)]
struct Pattern {
    /// What the kubelet sorts by.
    key: String,
    host: String,
    port: String,
    path: String,
}

impl Pattern {
    fn parse(key: &str) -> Self {
        let bare = key
            .strip_prefix("https://")
            .or_else(|| key.strip_prefix("http://"))
            .unwrap_or(key);
        let slash = bare.find('/').unwrap_or(bare.len());
        let (authority, mut path) = bare.split_at(slash);
        // The path of the registry API means the whole registry.
        if path.starts_with("/v1/") || path.starts_with("/v2/") {
            path = path.get(3..).unwrap_or_default();
        }
        let path = if path == "/" { "" } else { path };
        let (host, port) = split_port(authority);
        Self {
            key: format!("{authority}{path}"),
            host: host.to_ascii_lowercase(),
            port: port.to_owned(),
            path: path.to_owned(),
        }
    }

    fn matches(&self, registry: &str, repository: &str) -> bool {
        let (host, port) = split_port(registry);
        let path = |prefix: &str| repository.starts_with(prefix);
        if self.port != port || !self.path.strip_prefix('/').is_none_or(path) {
            return false;
        }
        if host.parse::<std::net::IpAddr>().is_ok() {
            return self.host == host;
        }
        let (globs, labels) = (self.host.split('.'), host.split('.'));
        globs.clone().count() == labels.clone().count()
            && globs
                .zip(labels)
                .all(|(glob, label)| glob_matches(glob.as_bytes(), label.as_bytes()))
    }
}

/// Host without brackets, and port (empty if there is none).
fn split_port(authority: &str) -> (&str, &str) {
    if let Some((host, rest)) = authority
        .strip_prefix('[')
        .and_then(|v6| v6.split_once(']'))
    {
        return (host, rest.strip_prefix(':').unwrap_or_default());
    }
    authority.split_once(':').unwrap_or((authority, ""))
}

/// `*` is any text, `?` any character. Only the last star is ever tried again: no glob takes long.
fn glob_matches(glob: &[u8], text: &[u8]) -> bool {
    let (mut g, mut t) = (0, 0);
    let mut star = None;
    while let Some(byte) = text.get(t) {
        match glob.get(g) {
            Some(b'*') => {
                star = Some((g, t));
                g += 1;
            }
            Some(want) if want == byte || *want == b'?' => (g, t) = (g + 1, t + 1),
            _ => {
                let Some((star_g, star_t)) = star else {
                    return false;
                };
                star = Some((star_g, star_t + 1));
                (g, t) = (star_g + 1, star_t + 1);
            }
        }
    }
    glob.iter().skip(g).all(|rest| *rest == b'*')
}

#[derive(Deserialize)]
struct DockerConfig {
    #[serde(default)]
    auths: Option<Auths>,
}

type Auths = HashMap<String, Option<Auth>>;

#[derive(Deserialize)]
struct Auth {
    #[serde(default)]
    auth: Option<String>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<String>,
    #[serde(default, alias = "identitytoken")]
    #[serde(rename = "identityToken")]
    identity_token: Option<String>,
}

/// The problem is told without any part of the input: serde's own messages may quote it.
fn parse_secret(secret: PullSecret<'_>) -> Result<Vec<Entry>, String> {
    let auths = match secret {
        PullSecret::DockerConfigJson(json) => serde_json::from_slice::<DockerConfig>(json)
            .map(|config| config.auths.unwrap_or_default())
            .map_err(|error| problem(".dockerconfigjson", "{\"auths\": {…}}", &error))?,
        PullSecret::DockerCfg(json) => serde_json::from_slice::<Auths>(json)
            .map_err(|error| problem(".dockercfg", "{\"registry\": {…}}", &error))?,
    };
    let mut auths: Vec<_> = auths.into_iter().collect();
    auths.sort_by(|a, b| a.0.cmp(&b.0));
    let mut entries = Vec::new();
    for (number, (key, auth)) in auths.into_iter().enumerate() {
        let login = auth
            .map(parse_login)
            .transpose()
            .map_err(|problem| format!("entry {} in the order of keys: {problem}", number + 1))?;
        if let Some(login) = login.flatten() {
            entries.push(Entry {
                pattern: Pattern::parse(&key),
                fingerprint: login.fingerprint(),
                login,
            });
        }
    }
    Ok(entries)
}

fn problem(field: &str, shape: &str, error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    let kind = match error.classify() {
        serde_json::error::Category::Data => "does not have the shape",
        _ => "is not JSON of the shape",
    };
    format!("{field} {kind} {shape} (line {line}, column {column})")
}

fn parse_login(auth: Auth) -> Result<Option<Login>, &'static str> {
    let some = |text: Option<String>| text.filter(|text| !text.is_empty());
    if let Some(token) = some(auth.identity_token) {
        return Ok(Some(Login::IdentityToken(token)));
    }
    if let Some(encoded) = some(auth.auth) {
        let (username, password) = decode(&encoded).ok_or("auth is not base64 of user:password")?;
        return Ok(Some(Login::Password { username, password }));
    }
    let password = auth.password.unwrap_or_default();
    Ok(some(auth.username).map(|username| Login::Password { username, password }))
}

fn decode(encoded: &str) -> Option<(String, String)> {
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let engine = GeneralPurpose::new(&alphabet::STANDARD, config);
    let compact: String = encoded.split_ascii_whitespace().collect();
    let decoded = String::from_utf8(engine.decode(compact).ok()?).ok()?;
    let (username, password) = decoded.split_once(':')?;
    Some((username.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use hostfit_engine::image::ImageRef;

    use super::*;

    fn logins(credentials: &Credentials, image: &ImageRef) -> Vec<Login> {
        credentials.logins(image.registry(), image.repository())
    }

    fn config(keys: &[&str]) -> Credentials {
        let auths: Vec<String> = keys
            .iter()
            .map(|key| format!(r#""{key}": {{"username": "{key}", "password": "p"}}"#))
            .collect();
        let json = format!(r#"{{"auths": {{{}}}}}"#, auths.join(","));
        Credentials::parse([PullSecret::DockerConfigJson(json.as_bytes())]).unwrap()
    }

    /// `expected`: the keys that match, best first.
    #[track_caller]
    fn check(keys: &[&str], image: &str, expected: &[&str]) {
        let logins = logins(&config(keys), &image.parse().unwrap());
        let got: Vec<_> = logins
            .iter()
            .map(|login| match login {
                Login::Password { username, .. } => username.as_str(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(got, expected, "{keys:?} {image}");
    }

    #[test]
    fn keys_match_as_in_the_kubelet() {
        check(&["a.example"], "a.example/x", &["a.example"]);
        check(
            &["https://a.example"],
            "a.example/x",
            &["https://a.example"],
        );
        check(
            &["https://a.example/v2/"],
            "a.example/x",
            &["https://a.example/v2/"],
        );
        check(&["A.Example"], "a.example/x", &["A.Example"]);
        check(&["a.example"], "b.example/x", &[]);
        check(&["a.example"], "a.example.evil.test/x", &[]);
        check(&["a.example"], "sub.a.example/x", &[]);
        check(&["a.example:5000"], "a.example:5000/x", &["a.example:5000"]);
        check(&["a.example:5000"], "a.example/x", &[]);
        check(&["a.example"], "a.example:5000/x", &[]);
        check(&["a.example/team"], "a.example/team/x", &["a.example/team"]);
        check(&["a.example/team"], "a.example/other/x", &[]);
    }

    #[test]
    fn globs_match_within_one_label() {
        check(&["*.example"], "a.example/x", &["*.example"]);
        check(&["*.example"], "b.a.example/x", &[]);
        check(&["*.example"], "example/x", &[]);
        check(&["*.*.example"], "b.a.example/x", &["*.*.example"]);
        check(&["pre*.example"], "prefix.example/x", &["pre*.example"]);
        check(&["pre*.example"], "fix.example/x", &[]);
        check(&["?.example"], "a.example/x", &["?.example"]);
        check(&["?.example"], "ab.example/x", &[]);
        check(&["*.example:5000"], "a.example:5000/x", &["*.example:5000"]);
        check(
            &["a*b*c.example"],
            "aXbbYc.example/x".to_lowercase().as_str(),
            &["a*b*c.example"],
        );
        let slow = format!("{}b.example", "*a".repeat(100));
        check(&[&slow], &format!("{}.example/x", "a".repeat(120)), &[]);
    }

    #[test]
    fn the_most_specific_key_comes_first() {
        check(
            &[
                "a.example",
                "a.example/team/app",
                "*.example",
                "a.example/team",
            ],
            "a.example/team/app",
            &[
                "a.example/team/app",
                "a.example/team",
                "a.example",
                "*.example",
            ],
        );
    }

    #[test]
    fn docker_hub_has_an_old_address() {
        let old = "https://index.docker.io/v1/";
        check(&[old], "nginx", &[old]);
        check(&[old, "docker.io"], "nginx", &["docker.io"]);
        check(&["docker.io/library"], "nginx", &["docker.io/library"]);
        check(&["docker.io/library"], "docker.io/user/x", &[]);
        check(&[old], "quay.io/a/b", &[]);
    }

    #[test]
    fn an_address_needs_its_own_key() {
        check(&["*.*.*.*"], "10.0.0.1/x", &[]);
        check(&["10.0.0.1"], "10.0.0.1/x", &["10.0.0.1"]);
        check(&["10.0.0.1:5000"], "10.0.0.1:5000/x", &["10.0.0.1:5000"]);
        check(&["*"], "[::1]/x", &[]);
        check(&["[::1]:5000"], "[::1]:5000/x", &["[::1]:5000"]);
    }

    #[test]
    fn every_form_of_login_is_read() {
        let image = "a.example/x".parse().unwrap();
        #[track_caller]
        fn login(entry: &str, image: &ImageRef) -> Vec<Login> {
            let json = format!(r#"{{"a.example": {entry}}}"#);
            let secrets = [PullSecret::DockerCfg(json.as_bytes())];
            logins(&Credentials::parse(secrets).unwrap(), image)
        }
        let user = |username: &str, password: &str| {
            vec![Login::Password {
                username: username.to_owned(),
                password: password.to_owned(),
            }]
        };
        assert_eq!(login(r#"{"auth": "dTpwOnE="}"#, &image), user("u", "p:q"));
        assert_eq!(login(r#"{"auth": "dTpwOnE"}"#, &image), user("u", "p:q"));
        assert_eq!(login(r#"{"auth": "dTpw\nOnE="}"#, &image), user("u", "p:q"));
        let both = r#"{"auth": "dTpw", "username": "x", "password": "y", "email": "z"}"#;
        assert_eq!(login(both, &image), user("u", "p"));
        assert_eq!(
            login(r#"{"username": "x", "password": "y"}"#, &image),
            user("x", "y")
        );
        let token = r#"{"auth": "MDA6", "identitytoken": "t"}"#;
        assert_eq!(login(token, &image), [Login::IdentityToken("t".to_owned())]);
        for nothing in ["{}", "null", r#"{"auth": ""}"#] {
            assert_eq!(login(nothing, &image), []);
        }
    }

    #[test]
    fn several_secrets_are_tried_in_their_order() {
        let one = br#"{"auths": {"a.example": {"username": "first", "password": "s3cret"}}}"#;
        let two = br#"{"a.example": {"username": "second", "password": "s3cret"}}"#;
        let secrets = [
            PullSecret::DockerConfigJson(one),
            PullSecret::DockerCfg(two),
        ];
        let credentials = Credentials::parse(secrets).unwrap();
        let image = "a.example/x".parse().unwrap();
        let logins = logins(&credentials, &image);
        let first = |login: &Login| matches!(login, Login::Password { username, .. } if username == "first");
        assert_eq!(logins.len(), 2);
        assert!(first(&logins[0]));
        let shown = format!("{credentials:?} {logins:?} {:?}", secrets[0]);
        assert!(
            !shown.contains("s3cret") && !shown.contains("first"),
            "{shown}"
        );
    }

    #[test]
    fn a_bad_secret_is_named_and_not_quoted() {
        #[track_caller]
        fn refused(json: &str, expected: &str) {
            let good = PullSecret::DockerConfigJson(b"{}");
            let secrets = [good, PullSecret::DockerConfigJson(json.as_bytes())];
            let error = Credentials::parse(secrets).unwrap_err().to_string();
            assert!(error.starts_with("pull secret 2: "), "{error}");
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
        refused("s3cret", "not JSON");
        refused(r#"{"auths": "s3cret"}"#, "does not have the shape");
        refused(
            r#"{"auths": {"a": {"auth": "s3cret!"}}}"#,
            "base64 of user:password",
        );
        refused(
            r#"{"auths": {"a": {"auth": "czNjcmV0"}}}"#,
            "base64 of user:password",
        );
        refused("", "line 1");
    }

    #[test]
    fn helpers_are_never_read() {
        let json = br#"{"credHelpers": {"a.example": "evil"}, "credsStore": "evil"}"#;
        let credentials = Credentials::parse([PullSecret::DockerConfigJson(json)]).unwrap();
        assert_eq!(credentials.logins("a.example", "x"), []);
    }

    #[test]
    fn fingerprints_tell_credentials_apart_by_what_matches() {
        let print = |keys: &[&str]| config(keys).fingerprint("a.example", "x");
        assert_eq!(print(&["b.example"]), Fingerprint::default());
        assert_eq!(
            Credentials::none().fingerprint("a.example", "x"),
            Fingerprint::default()
        );
        assert_eq!(print(&["a.example"]), print(&["a.example", "b.example"]));
        assert_ne!(print(&["a.example"]), print(&["*.example"]));
        assert_ne!(print(&["a.example"]), print(&["a.example", "*.example"]));
    }
}
