//! Hosts that can be named without a cluster: distribution releases as they are installed, CPU levels, cgroup modes.

use std::sync::LazyLock;

use super::{Host, HostFacts, HostName, Selinux, Vsyscall};
use crate::distribution::Distribution;
use crate::tables;

/// Every built-in host, in the order of the table.
pub fn hosts() -> &'static [Host] {
    static HOSTS: LazyLock<Vec<Host>> = LazyLock::new(|| {
        let host = |row: Vec<&str>| {
            let &[name, facts, _source] = row.as_slice() else {
                return None;
            };
            Some(Host {
                name: HostName(name.to_owned()),
                nodes: 0,
                facts: read(facts)?,
                claimed: Default::default(),
            })
        };
        tables::HOSTS.rows().filter_map(host).collect()
    });
    &HOSTS
}

/// Where the facts of a built-in host come from.
pub fn source(name: &str) -> Option<&'static str> {
    let row = tables::HOSTS
        .rows()
        .find(|row| row.first() == Some(&name))?;
    row.get(2).copied()
}

/// `os=debian;osVersion=12;kernel=6.1`. `None` if a fact is unknown or cannot be read.
fn read(text: &str) -> Option<HostFacts> {
    let mut facts = HostFacts::default();
    for pair in text.split(';') {
        let (name, value) = pair.split_once('=')?;
        match name {
            "os" => facts.os = Some(Distribution::new(value, "")),
            "osVersion" => facts.os = Some(Distribution::new(facts.os.as_ref()?.id(), value)),
            "kernel" => facts.kernel = Some(value.parse().ok()?),
            "architecture" => facts.architecture = Some(value.to_owned()),
            "cpuLevel" => facts.cpu_level = Some(value.parse().ok()?),
            "cgroup" => facts.cgroup = Some(value.parse().ok()?),
            "vsyscall" if value == "none" => facts.vsyscall = Some(Vsyscall::None),
            "selinux" if value == "Enforcing" => facts.selinux = Some(Selinux::Enforcing),
            "selinux" if value == "Disabled" => facts.selinux = Some(Selinux::Disabled),
            "apparmor" => facts.apparmor = Some(value.parse().ok()?),
            "ia32" => facts.ia32 = Some(value.parse().ok()?),
            "btf" => facts.btf = Some(value.parse().ok()?),
            _ => return None,
        }
    }
    Some(facts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_table_is_a_host() {
        assert_eq!(hosts().len(), tables::HOSTS.rows().count());
        let mut names: Vec<_> = hosts().iter().map(|host| &host.name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), hosts().len(), "two hosts have one name");
        assert!(hosts().iter().all(|host| source(&host.name.0).is_some()));
    }
}
