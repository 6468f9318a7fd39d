//! The flags by which every Hostfit process is told about registries. Flag = environment variable = Helm value.

use std::path::PathBuf;

use clap::{ArgAction, Args};

use crate::config::{Config, Network};
use crate::error::Error;
use crate::mirror::Mirror;

/// Bytes that the caches of a process may hold: a quarter of the memory that the chart grants it. Facts of an image
/// take a few KB, so thousands of images fit.
const CACHE_BYTES: u64 = 16 << 20;

/// How registries may be spoken to.
#[derive(Debug, Clone, Args)]
pub struct Settings {
    /// Registries that are spoken to without TLS, as host or host:port. Never a fallback.
    #[arg(
        long,
        env = "HOSTFIT_REGISTRY_PLAIN_HTTP",
        value_delimiter = ',',
        value_name = "HOST"
    )]
    pub registry_plain_http: Vec<String>,

    /// The only registries that may be asked, as host or host:port. All, if none is given.
    #[arg(
        long,
        env = "HOSTFIT_REGISTRY_ALLOW",
        value_delimiter = ',',
        value_name = "HOST"
    )]
    pub registry_allow: Vec<String>,

    /// Mirrors of registries, asked before them: docker.io=https://mirror.example/prefix. One with http:// is spoken to
    /// without TLS.
    #[arg(
        long,
        env = "HOSTFIT_REGISTRY_MIRRORS",
        value_delimiter = ',',
        value_name = "REGISTRY=URL"
    )]
    pub registry_mirrors: Vec<Mirror>,

    /// Networks that are never asked, for example those of Services and Pods: 10.96.0.0/12.
    #[arg(
        long,
        env = "HOSTFIT_REGISTRY_DENY_NETWORKS",
        value_delimiter = ',',
        value_name = "NETWORK"
    )]
    pub registry_deny_networks: Vec<Network>,

    /// Whether registries at private addresses may be asked.
    #[arg(long, env = "HOSTFIT_REGISTRY_ALLOW_PRIVATE", default_value_t = true, action = ArgAction::Set)]
    pub registry_allow_private: bool,

    /// Token services that may be given the credentials of any registry, as host or host:port.
    #[arg(
        long,
        env = "HOSTFIT_REGISTRY_TRUSTED_REALMS",
        value_delimiter = ',',
        value_name = "HOST"
    )]
    pub registry_trusted_realms: Vec<String>,

    /// PEM file of certificates that are trusted besides the system's.
    #[arg(long, env = "HOSTFIT_REGISTRY_CA_FILE", value_name = "FILE")]
    pub registry_ca_file: Option<PathBuf>,

    /// Folder with one folder for each pull secret, as Kubernetes mounts Secrets.
    #[arg(long, env = "HOSTFIT_REGISTRY_CREDENTIALS_DIR", value_name = "FOLDER")]
    pub registry_credentials_dir: Option<PathBuf>,

    /// Whether registries on loopback addresses may be asked. Only for tests, so neither a flag nor a variable.
    #[doc(hidden)]
    #[arg(skip)]
    pub registry_allow_loopback: bool,
}

impl Settings {
    /// The configuration that the settings ask for.
    ///
    /// # Errors
    ///
    /// If the file of certificates cannot be read.
    pub fn config(&self) -> Result<Config, Error> {
        let listed = |list: &[String]| -> Vec<String> {
            list.iter()
                .map(|one| one.trim().to_owned())
                .filter(|one| !one.is_empty())
                .collect()
        };
        let ca_bundle = match &self.registry_ca_file {
            Some(path) => Some(std::fs::read(path).map_err(|source| Error::File {
                path: path.clone(),
                source,
            })?),
            None => None,
        };
        Ok(Config {
            plain_http: listed(&self.registry_plain_http),
            allow: listed(&self.registry_allow),
            mirrors: self.registry_mirrors.clone(),
            trusted_realms: listed(&self.registry_trusted_realms),
            allow_private: self.registry_allow_private,
            deny_networks: self.registry_deny_networks.clone(),
            allow_loopback: self.registry_allow_loopback,
            ca_bundle,
            cache_bytes: CACHE_BYTES,
            ..Config::default()
        })
    }
}
