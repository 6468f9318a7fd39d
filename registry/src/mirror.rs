//! Mirrors of registries, as container runtimes have them: they are asked first, the registry itself last.

use std::str::FromStr;

use hostfit_engine::image::ImageRef;
use url::Url;

use crate::endpoint::Place;
use crate::error::Error;

/// A mirror of one registry, written `docker.io=https://mirror.example/prefix`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// Whose images it has, as in image references.
    registry: String,
    /// The mirror itself: host, or host:port.
    host: String,
    /// `https://mirror.example/v2/`
    base: Url,
    /// What stands before each repository there, with a slash at its end; or nothing.
    prefix: String,
}

impl Mirror {
    /// Whether it has images of this registry.
    pub(crate) fn is_of(&self, registry: &str) -> bool {
        self.registry == registry
    }

    /// The host, if it is spoken to without TLS.
    pub(crate) fn plain_host(&self) -> Option<&str> {
        (self.base.scheme() == "http").then_some(&self.host)
    }

    /// Registry and repository of an image there, as credentials for them are written.
    pub(crate) fn name(&self, image: &ImageRef) -> (&str, String) {
        let repository = format!("{}{}", self.prefix, image.repository());
        (&self.host, repository)
    }

    pub(crate) fn place(&self, image: &ImageRef) -> Place {
        let (registry, repository) = self.name(image);
        Place {
            registry: registry.to_owned(),
            repository,
            base: self.base.clone(),
            mirror_of: Some(self.registry.clone()),
        }
    }
}

impl FromStr for Mirror {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (registry, url) = text.trim().split_once('=')?;
            let url = Url::parse(url).ok()?;
            let is_bare = url.username().is_empty() && url.password().is_none();
            let is_whole = url.query().is_none() && url.fragment().is_none();
            if !matches!(url.scheme(), "http" | "https") || !is_bare || !is_whole {
                return None;
            }
            let host = match url.port() {
                Some(port) => format!("{}:{port}", url.host_str()?),
                None => url.host_str()?.to_owned(),
            };
            // As in the files of containerd that override the path: the prefix stands behind the version of the API.
            let path = url.path().trim_matches('/');
            let path = path
                .strip_prefix("v2")
                .filter(|it| it.is_empty() || it.starts_with('/'))
                .unwrap_or(path);
            let path = path.trim_matches('/');
            // What holds for a repository holds for the prefix of one.
            let name = match path.is_empty() {
                true => "x".to_owned(),
                false => path.to_owned(),
            };
            format!("{registry}/{name}")
                .parse::<ImageRef>()
                .ok()
                .filter(|it| it.registry() == registry)?;
            Some(Self {
                registry: registry.to_ascii_lowercase(),
                base: Url::parse(&format!("{}://{host}/v2/", url.scheme())).ok()?,
                host,
                prefix: match path.is_empty() {
                    true => String::new(),
                    false => format!("{path}/"),
                },
            })
        };
        parse().ok_or_else(|| Error::Mirror {
            text: text.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let mirror: Mirror = text.parse().unwrap();
        let place = mirror.place(&"docker.io/library/nginx".parse().unwrap());
        let got = format!("{} {} {}", place.registry, place.base, place.repository);
        assert_eq!(got, expected);
    }

    #[test]
    fn a_mirror_has_the_repositories_below_its_prefix() {
        check(
            "docker.io=https://mirror.example",
            "mirror.example https://mirror.example/v2/ library/nginx",
        );
        check(
            "docker.io=http://Mirror.example:5000/",
            "mirror.example:5000 http://mirror.example:5000/v2/ library/nginx",
        );
        for path in ["/hub/", "/v2/hub"] {
            check(
                &format!("docker.io=https://mirror.example{path}"),
                "mirror.example https://mirror.example/v2/ hub/library/nginx",
            );
        }
    }

    #[test]
    fn what_is_no_mirror_is_refused_by_name() {
        for text in [
            "docker.io",
            "=https://a.example",
            "docker.io=mirror.example",
            "docker.io=ftp://mirror.example",
            "docker.io=https://mirror.example?x",
            "docker.io=https://mirror.example/a/../B",
            "a/b=https://mirror.example",
        ] {
            let error = text.parse::<Mirror>().unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        }
        // A password is not repeated.
        let error = "docker.io=https://me:s3cret@mirror.example".parse::<Mirror>();
        assert!(!error.unwrap_err().to_string().contains("s3cret"));
    }
}
