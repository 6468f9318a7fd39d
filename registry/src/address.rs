//! Which addresses may be connected to: the rules against request forgery, for literals and for resolved names.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::config::{Config, Network};

/// Decides on addresses. Link-local, metadata, unspecified, multicast and reserved ones are always refused.
#[derive(Debug)]
pub(crate) struct Filter {
    private: bool,
    loopback: bool,
    deny: Vec<Network>,
}

/// The error in the chain of a connection that the [`Filter`] stopped.
#[derive(Debug)]
pub(crate) struct Blocked;

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the address is not allowed")
    }
}

impl std::error::Error for Blocked {}

/// Resolves names by the system, and hands out only addresses that the filter allows. What it
/// hands out is what is connected to, so that a second answer of the DNS cannot slip in.
pub(crate) struct FilteredResolver(pub(crate) Arc<Filter>);

impl Resolve for FilteredResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let filter = Arc::clone(&self.0);
        Box::pin(async move {
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let any = !found.is_empty();
            let allowed: Vec<SocketAddr> = found
                .into_iter()
                .filter(|address| filter.allows(address.ip()))
                .collect();
            if any && allowed.is_empty() {
                return Err(Blocked.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Public,
    Private,
    Loopback,
    Never,
}

impl Filter {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            private: config.allow_private,
            loopback: config.allow_loopback,
            deny: config.deny_networks.clone(),
        }
    }

    /// Whether `ip` may be connected to.
    pub(crate) fn allows(&self, ip: IpAddr) -> bool {
        let canonical = canonical(ip);
        let denied = |network: &Network| network.contains(ip) || network.contains(canonical);
        if self.deny.iter().any(denied) {
            return false;
        }
        match class(canonical) {
            Class::Public => true,
            Class::Private => self.private,
            Class::Loopback => self.loopback,
            Class::Never => false,
        }
    }
}

/// The IPv4 address that an IPv6 address leads to (mapped, compatible, NAT64, 6to4), else the address itself.
fn canonical(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    let low = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match v6.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => ip,
        [0, 0, 0, 0, 0, 0 | 0xffff, a, b]
        | [0, 0, 0, 0, 0xffff, 0, a, b]
        | [0x64, 0xff9b, 0, 0, 0, 0, a, b]
        | [0x64, 0xff9b, 1, _, _, _, a, b]
        | [0x2002, a, b, ..] => IpAddr::V4(low(a, b)),
        _ => ip,
    }
}

fn class(ip: IpAddr) -> Class {
    match ip {
        IpAddr::V4(v4) => class_v4(v4),
        IpAddr::V6(v6) => class_v6(v6),
    }
}

fn class_v4(ip: Ipv4Addr) -> Class {
    match ip.octets() {
        [127, ..] => Class::Loopback,
        // This network, link-local, protocol assignments, multicast, reserved and broadcast.
        [0, ..] | [169, 254, ..] | [192, 0, 0, _] | [224..=255, ..] => Class::Never,
        // Metadata and host agents of Alibaba Cloud and Azure.
        [100, 100, 100, 200] | [168, 63, 129, 16] => Class::Never,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Class::Private,
        [100, 64..=127, ..] | [198, 18 | 19, ..] => Class::Private,
        _ => Class::Public,
    }
}

fn class_v6(ip: Ipv6Addr) -> Class {
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Class::Loopback,
        // Metadata of AWS and Google Cloud.
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254] | [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254] => {
            Class::Never
        }
        // Unspecified, discard, Teredo, link-local, site-local, multicast.
        [0, 0, 0, 0, 0, 0, 0, 0] | [0x100, 0, 0, 0, ..] | [0x2001, 0, ..] => Class::Never,
        [0xfe80..=0xffff, ..] => Class::Never,
        [0xfc00..=0xfdff, ..] => Class::Private,
        _ => Class::Public,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `expected`: public, private, loopback or never.
    #[track_caller]
    fn check(ip: &str, expected: &str) {
        let got = match class(canonical(ip.parse().unwrap())) {
            Class::Public => "public",
            Class::Private => "private",
            Class::Loopback => "loopback",
            Class::Never => "never",
        };
        assert_eq!(got, expected, "{ip}");
    }

    #[test]
    fn every_address_has_its_class() {
        check("8.8.8.8", "public");
        check("1.1.1.1", "public");
        check("9.255.255.255", "public");
        check("11.0.0.0", "public");
        check("100.63.255.255", "public");
        check("100.128.0.0", "public");
        check("169.253.255.255", "public");
        check("172.15.255.255", "public");
        check("172.32.0.0", "public");
        check("192.169.0.0", "public");
        check("223.255.255.255", "public");
        check("10.0.0.1", "private");
        check("10.255.255.255", "private");
        check("172.16.0.1", "private");
        check("172.31.255.255", "private");
        check("192.168.0.1", "private");
        check("100.64.0.1", "private");
        check("100.127.255.255", "private");
        check("198.18.0.1", "private");
        check("127.0.0.1", "loopback");
        check("127.255.255.254", "loopback");
        check("0.0.0.0", "never");
        check("0.1.2.3", "never");
        check("169.254.169.254", "never");
        check("169.254.0.1", "never");
        check("192.0.0.192", "never");
        check("100.100.100.200", "never");
        check("168.63.129.16", "never");
        check("224.0.0.1", "never");
        check("239.255.255.255", "never");
        check("240.0.0.1", "never");
        check("255.255.255.255", "never");
        check("2606:4700:4700::1111", "public");
        check("2001:4860:4860::8888", "public");
        check("fc00::1", "private");
        check("fd12:3456::1", "private");
        check("::1", "loopback");
        check("::", "never");
        check("100::1", "never");
        check("2001:0:4136:e378::1", "never");
        check("fe80::1", "never");
        check("febf::1", "never");
        check("fec0::1", "never");
        check("ff02::1", "never");
        check("fd00:ec2::254", "never");
        check("fd20:ce::254", "never");
    }

    #[test]
    fn ipv4_inside_ipv6_has_the_class_of_the_ipv4() {
        check("::ffff:169.254.169.254", "never");
        check("::ffff:a9fe:a9fe", "never");
        check("::ffff:127.0.0.1", "loopback");
        check("::ffff:10.0.0.1", "private");
        check("::ffff:8.8.8.8", "public");
        check("::ffff:0:a9fe:a9fe", "never");
        check("::169.254.169.254", "never");
        check("64:ff9b::a9fe:a9fe", "never");
        check("64:ff9b::7f00:1", "loopback");
        check("64:ff9b:1::a9fe:a9fe", "never");
        check("2002:a9fe:a9fe::1", "never");
        check("2002:7f00:1::", "loopback");
        check("2002:808:808::1", "public");
    }

    #[test]
    fn settings_open_private_and_loopback_and_close_networks() {
        let allows = |config: Config, ip: &str| Filter::new(&config).allows(ip.parse().unwrap());
        let config = Config::default;
        assert!(allows(config(), "10.0.0.1"));
        assert!(!allows(config(), "127.0.0.1"));
        let strict = Config {
            allow_private: false,
            ..config()
        };
        assert!(!allows(strict, "10.0.0.1"));
        let local = || Config {
            allow_loopback: true,
            ..config()
        };
        assert!(allows(local(), "::ffff:127.0.0.1"));
        assert!(!allows(local(), "169.254.169.254"));
        let services = || Config {
            deny_networks: vec!["10.96.0.0/12".parse().unwrap()],
            ..config()
        };
        assert!(!allows(services(), "10.96.0.1"));
        assert!(!allows(services(), "::ffff:10.96.0.1"));
        assert!(allows(services(), "10.0.0.1"));
    }
}
