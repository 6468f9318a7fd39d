//! What a container may do: HF230 (own users), HF231 (own namespaces), HF232 (low ports).

use crate::fact::{Evidence, Strength};
use crate::finding::{Code, Severity};
use crate::host::HostFact;
use crate::matrix::{Cell, Outcome, Said};

const MOST_NAMESPACES: &str = "user.max_user_namespaces";

fn sysctl(cell: &Cell<'_>, name: &str) -> Option<String> {
    let value = cell.host.facts.sysctls.get(name)?;
    Some(value.trim().to_owned())
}

/// HF230: `failed to set MOUNT_ATTR_IDMAP`.
pub(super) fn own_users(cell: &Cell<'_>) -> Outcome {
    if !cell.uses.security.own_users {
        return Outcome::Compatible;
    }
    const BREAKS: Severity = Severity::BreaksAtStart;
    let facts = &cell.host.facts;
    let said = |severity, host: String| {
        cell.says(Said {
            code: Code::HF230,
            severity,
            image: "is to run with users of its own (hostUsers: false)".to_owned(),
            host,
            fix: "use nodes with kernel 6.3 and containerd 2.0 or newer, or take hostUsers away"
                .to_owned(),
            evidence: None,
            doubt: None,
        })
    };
    if sysctl(cell, MOST_NAMESPACES).as_deref() == Some("0") {
        return said(BREAKS, format!("has {MOST_NAMESPACES} at 0"));
    }
    let Some(runtime) = &facts.runtime else {
        return Outcome::missing(HostFact::Runtime);
    };
    let is_old = runtime
        .version
        .as_ref()
        .is_some_and(|version| !version.is_at_least("2.0.0"));
    if runtime.name == "containerd" && is_old {
        let version = runtime.version.as_ref();
        let refuses = version.is_some_and(|version| version.is_at_least("1.7"));
        return match refuses {
            true => said(BREAKS, format!("runs {runtime}, which cannot do that")),
            // The pod starts, with the users of the host.
            false => said(
                Severity::Degraded,
                format!("runs {runtime}, which passes over it"),
            ),
        };
    }
    let Some(kernel) = &facts.kernel else {
        return Outcome::missing(HostFact::Kernel);
    };
    // Red Hat's kernels carry the feature back: their number says nothing.
    let is_told = cell.carried_back().is_none();
    match is_told && !kernel.dotted().is_at_least("6.3") {
        true => said(BREAKS, format!("has {kernel}")),
        false => Outcome::Compatible,
    }
}

/// Settings that forbid user namespaces to those without rights, and the value that does.
const FORBID: [(&str, &str); 3] = [
    ("kernel.unprivileged_userns_clone", "0"),
    ("kernel.apparmor_restrict_unprivileged_userns", "1"),
    (MOST_NAMESPACES, "0"),
];

/// HF231: `No usable sandbox!`, `unshare: Operation not permitted`.
pub(super) fn own_namespaces(cell: &Cell<'_>) -> Outcome {
    let program = cell.files().and_then(|files| files.own_namespaces.as_ref());
    let security = &cell.uses.security;
    let Some(program) = program.filter(|_| !security.may("SYS_ADMIN")) else {
        return Outcome::Compatible;
    };
    let forbids = |(name, value): &&(&str, &str)| sysctl(cell, name).as_deref() == Some(*value);
    if let Some((name, value)) = FORBID.iter().find(forbids) {
        return cell.says(Said {
            code: Code::HF231,
            severity: Severity::BreaksFeature,
            image: "holds a program that makes user namespaces".to_owned(),
            host: format!("forbids them ({name}={value})"),
            fix: format!("change {name} on the nodes, or run the program without its sandbox"),
            evidence: Some(program.evidence()),
            doubt: Some("whether that program is used cannot be read"),
        });
    }
    // Which of them a kernel has differs; one of them that is told speaks for the rest.
    let is_told = |(name, _): &(&str, &str)| cell.host.facts.sysctls.contains_key(*name);
    match FORBID.iter().any(is_told) {
        true => Outcome::Compatible,
        false => Outcome::missing(HostFact::Sysctls),
    }
}

pub(super) const LOW_PORTS: u16 = 1024;

/// HF232: `bind() to 0.0.0.0:80 failed (13: Permission denied)`.
pub(super) fn low_ports(cell: &Cell<'_>) -> Outcome {
    let (start, security) = (&cell.contents.start, &cell.uses.security);
    let port = start
        .ports
        .iter()
        .copied()
        .filter(|port| (1..LOW_PORTS).contains(port))
        .min();
    let user = start.user.split(':').next().unwrap_or_default();
    let is_root = match security.user {
        Some(user) => user == 0,
        None => matches!(user, "" | "0" | "root"),
    };
    let Some(port) = port.filter(|_| !is_root) else {
        return Outcome::Compatible;
    };
    let may_bind = security.may("NET_BIND_SERVICE") || security.host_network;
    if may_bind || security.first_port.is_some_and(|first| first <= port) {
        return Outcome::Compatible;
    }
    // A capability of the file counts, unless the pod takes it away.
    let program = cell.program().filter(|program| program.binds_low_ports);
    let takes_away = match security {
        it if it.no_new_privileges => Some("allowPrivilegeEscalation: false"),
        it if it.drops_low_ports => Some("capabilities.drop"),
        _ => None,
    };
    if program.is_some() && takes_away.is_none() {
        return Outcome::Compatible;
    }
    let Some(runtime) = &cell.host.facts.runtime else {
        return Outcome::missing(HostFact::Runtime);
    };
    let version = runtime.version.as_ref();
    let opens = match runtime.name.as_str() {
        "containerd" => version.is_none_or(|it| it.is_at_least("2.0.0")),
        "cri-o" => false,
        "docker" => version.is_none_or(|it| it.is_at_least("20.10")),
        _ => true,
    };
    if opens {
        return Outcome::Compatible;
    }
    let stated = || Evidence::new(Strength::Stated, "User and ExposedPorts of the config");
    let taken = program.zip(takes_away);
    let (what, evidence) = match taken {
        Some((program, by)) => (
            format!(", and {by} takes its program's capability away"),
            program.evidence(),
        ),
        None => (String::new(), stated()),
    };
    cell.says(Said {
        code: Code::HF232,
        severity: Severity::BreaksFeature,
        image: format!("exposes port {port} and does not run as root{what}"),
        host: format!("runs {runtime}, which by default opens ports from 1024 on"),
        fix: "set the pod's sysctl net.ipv4.ip_unprivileged_port_start to 0, or use a higher port"
            .to_owned(),
        evidence: Some(evidence),
        doubt: Some("whether it listens there, or its program may bind low ports, cannot be read"),
    })
}
