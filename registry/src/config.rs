//! What an administrator may set, with defaults that are safe in a cluster.

use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use crate::error::Error;
use crate::mirror::Mirror;

/// Settings of a [`Registry`](crate::Registry). Registries are written as in image references: host, or host:port.
#[derive(Debug, Clone)]
pub struct Config {
    /// Registries spoken to without TLS. Never a fallback: a registry speaks either way, not both.
    pub plain_http: Vec<String>,
    /// The only registries that may be asked. Empty: all.
    pub allow: Vec<String>,
    /// Mirrors of registries, in the order in which they are asked. Naming one here allows it.
    pub mirrors: Vec<Mirror>,
    /// Hosts (host or host:port) of token services that may get credentials of any registry,
    /// besides the registry's own host.
    pub trusted_realms: Vec<String>,
    /// Whether private addresses (RFC 1918, unique local, shared, benchmark) may be reached.
    pub allow_private: bool,
    /// Whether loopback addresses may be reached. Only for tests: in a pod it opens the pod's own ports.
    pub allow_loopback: bool,
    /// Networks that may never be reached, for example those of Services and Pods.
    pub deny_networks: Vec<Network>,
    /// PEM certificates trusted besides the system's.
    pub ca_bundle: Option<Vec<u8>>,
    /// Bytes that the caches may hold in all.
    pub cache_bytes: u64,
    /// An inspection reads layers, and keeps so many bytes of what they say. `None`: they are not read.
    pub layer_bytes: Option<u64>,
    /// Largest config of an image in bytes. At most 8 MiB are accepted.
    pub config_bytes: u64,
    /// How long a reference stays resolved for one credential.
    pub tag_ttl: Duration,
    /// How long a failure is remembered, and how long a registry that gives no answer is left alone.
    pub failure_ttl: Duration,
    /// How long the fetch of one image may take in all, queueing included.
    pub image_deadline: Duration,
    /// Exchanges at a time with one registry.
    pub per_host: usize,
    /// Exchanges at a time with all registries.
    pub global: usize,
    /// Images that may be on their way or waiting. Beyond it the answer is "not fetched in time" at once.
    pub flights: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            plain_http: Vec::new(),
            allow: Vec::new(),
            mirrors: Vec::new(),
            trusted_realms: Vec::new(),
            allow_private: true,
            allow_loopback: false,
            deny_networks: Vec::new(),
            ca_bundle: None,
            cache_bytes: 64 << 20,
            layer_bytes: None,
            config_bytes: 1 << 20,
            tag_ttl: Duration::from_secs(60),
            failure_ttl: Duration::from_secs(30),
            image_deadline: Duration::from_secs(30),
            per_host: 8,
            global: 32,
            flights: 1024,
        }
    }
}

impl Config {
    pub(crate) fn allows(&self, registry: &str) -> bool {
        self.allow.is_empty() || self.allow.iter().any(|one| one == registry)
    }

    pub(crate) fn mirrors_of(&self, registry: &str) -> impl Iterator<Item = &Mirror> {
        let is_of = move |mirror: &&Mirror| mirror.is_of(registry);
        self.mirrors.iter().filter(is_of)
    }

    pub(crate) fn is_plain(&self, registry: &str) -> bool {
        self.plain_http.iter().any(|one| one == registry)
    }
}

/// Addresses with a common prefix, written `10.0.0.0/8` or `fd00::/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u32,
}

impl Network {
    /// Whether `ip` is one of these addresses. IPv4 and IPv6 never contain each other.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.address, ip) {
            (IpAddr::V4(network), IpAddr::V4(ip)) => {
                let different = u32::from(network) ^ u32::from(ip);
                different.leading_zeros() >= self.prefix
            }
            (IpAddr::V6(network), IpAddr::V6(ip)) => {
                let different = u128::from(network) ^ u128::from(ip);
                different.leading_zeros() >= self.prefix
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (address, prefix) = text.split_once('/')?;
            let address: IpAddr = address.parse().ok()?;
            let prefix: u32 = prefix.parse().ok()?;
            let bits = if address.is_ipv4() { 32 } else { 128 };
            (prefix <= bits).then_some(Self { address, prefix })
        };
        parse().ok_or_else(|| Error::Network {
            text: text.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(network: &str, ip: &str, expected: bool) {
        let network: Network = network.parse().unwrap();
        assert_eq!(network.contains(ip.parse().unwrap()), expected);
    }

    #[test]
    fn networks_contain_what_shares_their_prefix() {
        check("10.96.0.0/12", "10.96.0.1", true);
        check("10.96.0.0/12", "10.112.0.1", false);
        check("1.2.3.4/32", "1.2.3.4", true);
        check("1.2.3.4/32", "1.2.3.5", false);
        check("0.0.0.0/0", "8.8.8.8", true);
        check("0.0.0.0/0", "::1", false);
        check("fd00:10::/32", "fd00:10::1", true);
        check("fd00:10::/32", "fd00:11::1", false);
        check("::/0", "2606:4700::1", true);
    }

    #[test]
    fn what_is_no_network_is_refused_by_name() {
        for text in ["10.0.0.0", "10.0.0.0/33", "::/129", "x/8", "10.0.0.0/-1"] {
            let error = text.parse::<Network>().unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        }
    }
}
