//! What is known of an image: its reference, its platforms, and what its config says.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::fact::Fact;
use crate::files::{Files, Reading};

/// A content digest in canonical form: `sha256:` and 64, or `sha512:` and 128, lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(String);

impl Digest {
    /// The digest as text, algorithm included.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Algorithm (`sha256` or `sha512`) and the hexadecimal digits.
    pub fn parts(&self) -> (&str, &str) {
        self.0.split_once(':').unwrap_or((&self.0, ""))
    }

    /// The first twelve hexadecimal digits, for people.
    pub fn short(&self) -> &str {
        let hex = self.parts().1;
        hex.get(..12).unwrap_or(hex)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Digest {
    type Err = ImageRefError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hex = match text.split_once(':') {
            Some(("sha256", hex)) if hex.len() == 64 => hex,
            Some(("sha512", hex)) if hex.len() == 128 => hex,
            _ => return Err(ImageRefError::Digest),
        };
        let canonical = hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        canonical
            .then(|| Self(text.to_owned()))
            .ok_or(ImageRefError::Digest)
    }
}

/// An image reference, normalised as the kubelet does: `nginx` is `docker.io/library/nginx:latest`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImageRef {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl ImageRef {
    /// Registry with its port, for example `docker.io` or `registry.example:5000`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Repository without the registry, for example `library/nginx`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, if one was written (or `latest` if neither tag nor digest was).
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if one was written. It wins over the tag.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Registry and repository, as they stand in reports.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// Why a text is no image reference. The sentences are shown to users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ImageRefError {
    /// Empty, or only white space.
    #[error("the image reference is empty")]
    Empty,
    /// A template that nobody has filled in.
    #[error("the image reference is a placeholder that nothing has replaced")]
    Placeholder,
    /// Not a host name or address with an optional port.
    #[error("the registry in the image reference is not a host with an optional port")]
    Registry,
    /// Not lower-case path components, or longer than 255 characters.
    #[error("the repository in the image reference is not a valid lower-case name")]
    Repository,
    /// Not 1 to 128 letters, digits, `_`, `.` and `-`.
    #[error("the tag in the image reference is not valid")]
    Tag,
    /// Not a sha256 or sha512 digest in lower case.
    #[error("the digest in the image reference is not sha256 or sha512 in lower-case hexadecimal")]
    Digest,
}

impl FromStr for ImageRef {
    type Err = ImageRefError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim().is_empty() {
            return Err(ImageRefError::Empty);
        }
        if text.contains(['$', '{', '}', '<', '>']) {
            return Err(ImageRefError::Placeholder);
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse()?)),
            None => (text, None),
        };
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(parse_tag(tag)?)),
            _ => (rest, None),
        };
        let (registry, path) = match name.split_once('/') {
            Some((host, path)) if is_registry(host) => (parse_registry(host)?, path),
            _ => (DOCKER_HUB.to_owned(), name),
        };
        let repository = if registry == DOCKER_HUB && !path.contains('/') {
            format!("library/{path}")
        } else {
            path.to_owned()
        };
        check_repository(&repository, &registry)?;
        let tag = match (&tag, &digest) {
            (None, None) => Some("latest".to_owned()),
            _ => tag,
        };
        Ok(Self {
            registry,
            repository,
            tag,
            digest,
        })
    }
}

const DOCKER_HUB: &str = "docker.io";

/// The first component is a registry if it could not be a Docker Hub user: the rule of the reference grammar.
fn is_registry(component: &str) -> bool {
    component == "localhost"
        || component.contains(['.', ':'])
        || component.chars().any(char::is_uppercase)
}

fn parse_registry(host: &str) -> Result<String, ImageRefError> {
    let (name, port) = match host.strip_prefix('[') {
        Some(v6) => {
            let (address, port) = v6.split_once(']').ok_or(ImageRefError::Registry)?;
            address
                .parse::<std::net::Ipv6Addr>()
                .map_err(|_| ImageRefError::Registry)?;
            let port = match port {
                "" => None,
                port => Some(port.strip_prefix(':').ok_or(ImageRefError::Registry)?),
            };
            (address, port)
        }
        None => {
            let (name, port) = host
                .split_once(':')
                .map_or((host, None), |(name, port)| (name, Some(port)));
            let label = |label: &str| {
                !label.is_empty()
                    && !label.starts_with('-')
                    && !label.ends_with('-')
                    && label
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b == b'-')
            };
            if !name.split('.').all(label) {
                return Err(ImageRefError::Registry);
            }
            (name, port)
        }
    };
    if port.is_some_and(|port| port.parse::<u16>().is_err() || port.starts_with('+')) {
        return Err(ImageRefError::Registry);
    }
    Ok(match name {
        "index.docker.io" | "registry-1.docker.io" if port.is_none() => DOCKER_HUB.to_owned(),
        _ => host.to_ascii_lowercase(),
    })
}

fn parse_tag(tag: &str) -> Result<String, ImageRefError> {
    let first = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let next = |b: u8| first(b) || b == b'.' || b == b'-';
    let valid = tag.len() <= 128 && tag.bytes().next().is_some_and(first) && tag.bytes().all(next);
    valid.then(|| tag.to_owned()).ok_or(ImageRefError::Tag)
}

/// Components of `[a-z0-9]+` joined by `.`, `_`, `__` or any number of `-`, as in the distribution specification.
fn check_repository(repository: &str, registry: &str) -> Result<(), ImageRefError> {
    let component = |component: &str| {
        let alphanumeric = |b: u8| b.is_ascii_digit() || b.is_ascii_lowercase();
        let ends = [component.bytes().next(), component.bytes().last()];
        ends.iter().all(|end| end.is_some_and(alphanumeric))
            && component
                .bytes()
                .all(|b| alphanumeric(b) || matches!(b, b'.' | b'_' | b'-'))
            && !component.contains("..")
            && !component.contains("___")
            && !["._", "_.", ".-", "-.", "_-", "-_"]
                .iter()
                .any(|pair| component.contains(pair))
    };
    let fits = registry.len() + 1 + repository.len() <= 255;
    (fits && repository.split('/').all(component))
        .then_some(())
        .ok_or(ImageRefError::Repository)
}

/// What a host must be to run an image: operating system, architecture and their variants, in Go's spelling.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Platform {
    /// `linux`, `windows`, …
    pub os: String,
    /// `amd64`, `arm64`, …
    pub architecture: String,
    /// `v7`, `v8`, …, if stated.
    pub variant: Option<String>,
    /// Build of Windows, if stated.
    pub os_version: Option<String>,
}

impl Platform {
    /// The platform `os/architecture` without further marks.
    pub fn new(os: impl Into<String>, architecture: impl Into<String>) -> Self {
        Self {
            os: os.into(),
            architecture: architecture.into(),
            variant: None,
            os_version: None,
        }
    }
}

/// An architecture in Go's spelling; those of `uname` and of packages are understood.
pub fn architecture(written: &str) -> &str {
    match written {
        "x86_64" | "x86-64" => "amd64",
        "aarch64" => "arm64",
        "i386" | "i486" | "i586" | "i686" => "386",
        "armv7l" | "armhf" | "armv7hl" => "arm",
        "loongarch64" => "loong64",
        other => other,
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.iter().try_for_each(|v| write!(f, "/{v}"))
    }
}

/// What a registry told of one image: its digest, and one entry for each platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFacts {
    /// Digest of the manifest or index that the reference resolved to.
    pub digest: Digest,
    /// The platforms, in the order of the index. One for an image without an index.
    pub platforms: Vec<PlatformFacts>,
    /// How many others its index has, where only so many were kept as [`matrix::listed`](crate::matrix::listed) says.
    pub left_out: usize,
}

/// One platform of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformFacts {
    /// From the index, by which the runtime chooses; from the config for an image without one.
    pub platform: Platform,
    /// What its manifest and config say. Unknown if they were not asked for or could not be read.
    pub contents: Fact<Contents>,
}

/// An image with all that was learned of it, so that it can be kept and learned from again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspected {
    /// What is known.
    pub facts: ImageFacts,
    /// The manifest of each platform, in the same order.
    pub manifests: Vec<Manifest>,
}

/// Where the manifest of one platform lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

impl PlatformFacts {
    /// Whether its config is known and what its files say is not, though they could be read: those of Linux can, unless
    /// the manifest is of a kind that no runtime takes any more, or it is settled that nobody can read them.
    pub fn lacks_files(&self) -> bool {
        let is_open = |it: &Contents| it.files == Reading::NotRead && !it.is_schema1;
        self.platform.os == "linux" && self.contents.value().is_some_and(is_open)
    }
}

/// The media types of layers compressed with zstd, those that fewer runtimes take last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Zstd {
    /// `application/vnd.oci.image.layer.v1.tar+zstd`
    Oci,
    /// `application/vnd.docker.image.rootfs.diff.tar.zstd`
    Docker,
}

/// What the manifest and the config of one platform say, cut to what lineage and rules read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Contents {
    /// The layer chain IDs (OCI image specification) of the first layer, the first two layers, …: what two images share
    /// who stand on the same base. From the config's diff_ids, which the runtime checks at unpack.
    pub chain_ids: Vec<Digest>,
    /// Sum of the layers' sizes in bytes, as listed in the manifest.
    pub size: u64,
    /// Layers compressed with zstd, under the media type that fewer runtimes take.
    pub zstd: Option<Zstd>,
    /// Its manifest has the retired schema 1.
    pub is_schema1: bool,
    /// Labels of the config, and annotations of the manifest where the config has no label of that key.
    pub labels: BTreeMap<String, String>,
    /// Environment of the config.
    pub env: BTreeMap<String, String>,
    /// The commands that made the layers, oldest first.
    pub history: Vec<String>,
    /// How a container of it starts unless the pod says otherwise.
    pub start: Start,
    /// What is known of its files.
    pub files: Reading,
}

impl Contents {
    /// What its files say, if they were read.
    pub fn files(&self) -> Option<&Files> {
        match &self.files {
            Reading::Read(files) => Some(files),
            Reading::NotRead | Reading::Unreadable { .. } => None,
        }
    }
}

/// How a container of an image starts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Start {
    /// Entrypoint and command, one after the other.
    pub command: Vec<String>,
    /// How many of the words are the entrypoint's.
    pub entrypoint: usize,
    /// `PATH` of the environment.
    pub path: Option<String>,
    /// The working directory, or empty.
    pub folder: String,
    /// User and group as they are written, or empty.
    pub user: String,
    /// Exposed TCP and UDP ports.
    pub ports: Vec<u16>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let got = match text.parse::<ImageRef>() {
            Ok(image) => image.to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(got, expected, "{text:?}");
    }

    #[test]
    fn references_are_normalised_as_the_kubelet_does() {
        check("nginx", "docker.io/library/nginx:latest");
        check("user/app:1", "docker.io/user/app:1");
        check("localhost/app", "localhost/app:latest");
        check("localhost:5000/app", "localhost:5000/app:latest");
        check("index.docker.io/nginx", "docker.io/library/nginx:latest");
        check("registry-1.docker.io/a/b:2", "docker.io/a/b:2");
        check("Registry.Example/app", "registry.example/app:latest");
        check("[::1]:5000/x", "[::1]:5000/x:latest");
        check("a.example/b/c__d-e--f.g:T_1", "a.example/b/c__d-e--f.g:T_1");
        let digest = format!("sha256:{}", "a".repeat(64));
        check(
            &format!("nginx@{digest}"),
            &format!("docker.io/library/nginx@{digest}"),
        );
        check(
            &format!("nginx:1@{digest}"),
            &format!("docker.io/library/nginx:1@{digest}"),
        );
    }

    #[test]
    fn what_is_no_reference_says_why() {
        let repository = ImageRefError::Repository.to_string();
        let registry = ImageRefError::Registry.to_string();
        let digest = ImageRefError::Digest.to_string();
        let placeholder = ImageRefError::Placeholder.to_string();
        check("", &ImageRefError::Empty.to_string());
        check("  ", &ImageRefError::Empty.to_string());
        check("${IMAGE}", &placeholder);
        check("app:{{ .Tag }}", &placeholder);
        check("<image>", &placeholder);
        for bad in [
            "a/../b",
            "a//b",
            "/a",
            "a.b/",
            "x.y/UPPER",
            "a b",
            "x.y/a%2fb",
            "x.y/a_-b",
        ] {
            check(bad, &repository);
        }
        for bad in [
            "-a.b/c",
            "a..b/c",
            "a.b:99999/c",
            "a.b:x/c",
            "[::1/c",
            "[x]:1/c",
        ] {
            check(bad, &registry);
        }
        check("a:b c", &ImageRefError::Tag.to_string());
        check("a:", &ImageRefError::Tag.to_string());
        check("a@sha256:abc", &digest);
        check(&format!("a@sha256:{}", "A".repeat(64)), &digest);
        check(&format!("a.b/{}", "x".repeat(252)), &repository);
    }
}
