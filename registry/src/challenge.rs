//! Pure: what a registry demands (`WWW-Authenticate`), and which token services may get credentials.

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};
use url::{Host, Url};

use crate::error::Failure;

/// How a registry wants to be asked. The text is the registry's: hostile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    Basic,
    Bearer(Bearer),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bearer {
    pub(crate) realm: String,
    pub(crate) service: Option<String>,
    pub(crate) scope: Option<String>,
}

/// Longest challenge that is read.
const LONGEST: usize = 4 << 10;

impl Challenge {
    /// The challenge of a 401: bearer before basic, `None` if there is neither.
    pub(crate) fn read(headers: &HeaderMap) -> Option<Self> {
        let texts = headers
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .filter(|text| text.len() <= LONGEST);
        let all: Vec<Self> = texts.flat_map(parse).collect();
        let bearer = all.iter().find(|one| matches!(one, Self::Bearer(_)));
        bearer.or(all.first()).cloned()
    }
}

/// All challenges of one header that we can answer.
fn parse(text: &str) -> Vec<Challenge> {
    let mut found = Vec::new();
    let mut scheme = String::new();
    let mut parameters: Vec<(String, String)> = Vec::new();
    for part in split(text) {
        let (name, value) = part.split_once('=').unwrap_or((&part, ""));
        // A new scheme stands before its first parameter, or alone.
        let (next, name) = match name.trim().rsplit_once(' ') {
            Some((next, name)) => (Some(next), name),
            None if part.contains('=') => (None, name.trim()),
            None => (Some(name.trim()), ""),
        };
        if let Some(next) = next {
            found.extend(challenge(&scheme, &parameters));
            scheme = next.trim().to_ascii_lowercase();
            parameters.clear();
        }
        let value = value.trim();
        let quoted = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
        parameters.push((
            name.to_ascii_lowercase(),
            quoted.unwrap_or(value).to_owned(),
        ));
    }
    found.extend(challenge(&scheme, &parameters));
    found
}

/// The text between commas that stand outside quotes.
fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    for c in text.chars() {
        quoted ^= c == '"';
        match parts.last_mut() {
            Some(part) if quoted || c != ',' => part.push(c),
            _ => parts.push(String::new()),
        }
    }
    parts.retain(|part| !part.trim().is_empty());
    parts.iter().map(|part| part.trim().to_owned()).collect()
}

fn challenge(scheme: &str, parameters: &[(String, String)]) -> Option<Challenge> {
    let get = |name: &str| {
        let found = parameters.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.clone())
    };
    match scheme {
        "basic" => Some(Challenge::Basic),
        "bearer" => Some(Challenge::Bearer(Bearer {
            realm: get("realm")?,
            service: get("service"),
            scope: get("scope"),
        })),
        _ => None,
    }
}

/// Where a token may be had, and whether credentials may be shown there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Realm {
    pub(crate) url: Url,
    pub(crate) is_trusted: bool,
}

/// Checks the realm that `registry` named. `plain` tells who is spoken to without TLS, `trusted` who
/// may get credentials besides the registry's own hosts.
pub(crate) fn realm(
    text: &str,
    registry: &str,
    plain: &[String],
    trusted: &[String],
) -> Result<Realm, Failure> {
    let is_plain = plain.iter().any(|one| one == registry);
    let scheme = if is_plain { "http" } else { "https" };
    let own = Url::parse(&format!("{scheme}://{registry}"))
        .map_err(|_| Failure::NotAllowed("the registry's name"))?;
    let url = Url::parse(text).map_err(|_| Failure::Broken("the token service has no URL"))?;
    match url.scheme() {
        "https" => {}
        "http" if is_plain => {}
        _ => return Err(Failure::NotAllowed("a token service without https")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Failure::NotAllowed(
            "a token service with credentials in its URL",
        ));
    }
    let is_literal = matches!(url.host(), Some(Host::Ipv4(_) | Host::Ipv6(_)));
    if is_literal && url.host() != own.host() {
        return Err(Failure::NotAllowed(
            "a token service with an address for a name",
        ));
    }
    let (Some(host), Some(own_host)) = (url.host_str(), own.host_str()) else {
        return Err(Failure::Broken("the token service has no host"));
    };
    let port = url.port_or_known_default();
    let listed = |list: &[String]| {
        let with_port = port.map(|port| format!("{host}:{port}"));
        let bare = url.port().is_none().then_some(host);
        list.iter()
            .any(|one| Some(one.as_str()) == bare || Some(one) == with_port.as_ref())
    };
    let below = |host: &str, parent: &str| {
        let rest = host.strip_suffix(parent);
        rest.is_some_and(|rest| rest.ends_with('.'))
    };
    // GitLab and others: the registry has a port of its own, the token service that of the web.
    let same_port = port == own.port_or_known_default() || (port == Some(443) && !is_plain);
    let is_parent = own_host
        .split_once('.')
        .is_some_and(|(_, parent)| parent == host && parent.contains('.'));
    let related = host == own_host || (!is_literal && (below(host, own_host) || is_parent));
    let built_in = registry == "docker.io" && host == "auth.docker.io" && port == Some(443);
    let is_safe = url.scheme() == "https" || host == own_host || listed(plain);
    let is_trusted = is_safe && ((related && same_port) || built_in || listed(trusted));
    Ok(Realm { url, is_trusted })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `expected`: `basic`, `realm service scope`, or `none`.
    #[track_caller]
    fn challenge(headers: &[&str], expected: &str) {
        let mut map = HeaderMap::new();
        for header in headers {
            map.append(WWW_AUTHENTICATE, header.parse().unwrap());
        }
        let or = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let got = match Challenge::read(&map) {
            None => "none".to_owned(),
            Some(Challenge::Basic) => "basic".to_owned(),
            Some(Challenge::Bearer(b)) => format!("{} {} {}", b.realm, or(b.service), or(b.scope)),
        };
        assert_eq!(got, expected, "{headers:?}");
    }

    #[test]
    fn challenges_are_read_in_all_their_forms() {
        let hub =
            r#"Bearer realm="https://a.test/token",service="s",scope="repository:x/y:pull,push""#;
        challenge(&[hub], "https://a.test/token s repository:x/y:pull,push");
        challenge(
            &[r#"bearer realm="https://a.test/t""#],
            "https://a.test/t - -",
        );
        challenge(
            &["Bearer realm=https://a.test/t , service = s"],
            "https://a.test/t s -",
        );
        challenge(&[r#"Basic realm="x""#], "basic");
        challenge(&["Basic"], "basic");
        challenge(
            &[r#"Basic realm="x", Bearer realm="https://a.test/t""#],
            "https://a.test/t - -",
        );
        challenge(
            &[r#"Basic realm="x""#, r#"Bearer realm="https://a.test/t""#],
            "https://a.test/t - -",
        );
        challenge(&["Negotiate"], "none");
        challenge(&["Negotiate, Basic realm=x"], "basic");
        challenge(&["Bearer service=s"], "none");
        challenge(&["", ",,,", "="], "none");
        challenge(&[&format!("Basic realm=\"{}\"", "x".repeat(5000))], "none");
        challenge(&[], "none");
    }

    /// `expected`: `trusted`, `anonymous`, or a part of the refusal.
    #[track_caller]
    fn check(registry: &str, text: &str, expected: &str) {
        let plain = ["plain.test:5000".to_owned(), "other.test:80".to_owned()];
        let trusted = ["tokens.test".to_owned(), "odd.test:8443".to_owned()];
        let got = match realm(text, registry, &plain, &trusted) {
            Ok(Realm {
                is_trusted: true, ..
            }) => "trusted".to_owned(),
            Ok(Realm {
                is_trusted: false, ..
            }) => "anonymous".to_owned(),
            Err(failure) => failure.to_string(),
        };
        assert!(got.contains(expected), "{registry} {text}: {got}");
    }

    #[test]
    fn credentials_go_to_the_registry_and_its_own_token_services_only() {
        check("r.example", "https://r.example/token", "trusted");
        check("r.example", "https://r.example:443/token", "trusted");
        check("r.example:5050", "https://r.example/jwt/auth", "trusted");
        check("r.example:5050", "https://r.example:5050/t", "trusted");
        check("r.example", "https://r.example:8443/token", "anonymous");
        check("r.example", "https://auth.r.example/token", "trusted");
        check(
            "registry.gitlab.example",
            "https://gitlab.example/jwt",
            "trusted",
        );
        check("r.example", "https://example/token", "anonymous");
        check("r.example", "https://auth.example/token", "anonymous");
        check("one.co.uk", "https://two.co.uk/token", "anonymous");
        check("r.example", "https://evilr.example/token", "anonymous");
        check(
            "r.example",
            "https://r.example.evil.test/token",
            "anonymous",
        );
        check("r.example", "https://evil.test/r.example", "anonymous");
        check("r.example", "https://evil.test#@r.example/", "anonymous");
        check("docker.io", "https://auth.docker.io/token", "trusted");
        check("docker.io", "https://auth.docker.io:444/token", "anonymous");
        check("r.example", "https://auth.docker.io/token", "anonymous");
        check("r.example", "https://tokens.test/t", "trusted");
        check("r.example", "https://tokens.test:8443/t", "anonymous");
        check("r.example", "https://odd.test:8443/t", "trusted");
        // A full-width stop is a stop: the name is what the resolver will see.
        check("r.example", "https://r\u{ff0e}example/token", "trusted");
    }

    #[test]
    fn hostile_realms_are_refused() {
        check("r.example", "http://r.example/token", "without https");
        check("r.example", "ftp://r.example/token", "without https");
        check("r.example", "file:///etc/passwd", "without https");
        check("r.example", "/token", "no URL");
        check(
            "r.example",
            "https://u:p@r.example/token",
            "credentials in its URL",
        );
        check(
            "r.example",
            "https://r.example@evil.test/token",
            "credentials in its URL",
        );
        check(
            "r.example",
            "https://169.254.169.254/token",
            "address for a name",
        );
        check(
            "r.example",
            "https://[::ffff:a9fe:a9fe]/token",
            "address for a name",
        );
        check(
            "r.example",
            "https://2852039166/token",
            "address for a name",
        );
        check(
            "r.example",
            "https://0xa9.0xfe.0xa9.0xfe/",
            "address for a name",
        );
        check("r.example", "https://127.1/", "address for a name");
        check("10.0.0.1", "https://10.0.0.1/token", "trusted");
        check("10.0.0.1", "https://10.0.0.2/token", "address for a name");
    }

    #[test]
    fn without_tls_credentials_stay_with_registries_listed_as_plain() {
        check("plain.test:5000", "http://plain.test:5000/token", "trusted");
        check(
            "plain.test:5000",
            "http://plain.test:5001/token",
            "anonymous",
        );
        check(
            "plain.test:5000",
            "http://auth.plain.test:5000/token",
            "anonymous",
        );
        check(
            "plain.test:5000",
            "https://plain.test:5000/token",
            "trusted",
        );
        check("plain.test:5000", "http://evil.test/token", "anonymous");
    }
}
