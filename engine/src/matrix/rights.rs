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
    let facts = &cell.host.facts;
    let said = |host: String| {
        cell.says(Said {
            code: Code::HF230,
            severity: Severity::BreaksAtStart,
            image: "is to run with users of its own (hostUsers: false)".to_owned(),
            host,
            fix: "use nodes with kernel 6.3 and containerd 2.0 or newer, or take hostUsers away"
                .to_owned(),
            evidence: None,
            doubt: None,
        })
    };
    if sysctl(cell, MOST_NAMESPACES).as_deref() == Some("0") {
        return said(format!("has {MOST_NAMESPACES} at 0"));
    }
    let Some(runtime) = &facts.runtime else {
        return Outcome::missing(HostFact::Runtime);
    };
    let is_old = runtime
        .version
        .as_ref()
        .is_some_and(|version| !version.is_at_least("2.0.0"));
    if runtime.name == "containerd" && is_old {
        return said(format!("runs {runtime}, which cannot do that"));
    }
    let Some(kernel) = &facts.kernel else {
        return Outcome::missing(HostFact::Kernel);
    };
    // Red Hat's kernels carry the feature back: their number says nothing.
    let is_told = kernel.enterprise_linux().is_none();
    match is_told && !kernel.dotted().is_at_least("6.3") {
        true => said(format!("has {kernel}")),
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
    let Some(program) = program.filter(|_| !cell.uses.security.privileged) else {
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
    // Which of them a kernel has differs; one that is told speaks for the rest.
    match cell.host.facts.sysctls.is_empty() {
        true => Outcome::missing(HostFact::Sysctls),
        false => Outcome::Compatible,
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
    let Some(port) = port.filter(|_| !is_root && !security.privileged) else {
        return Outcome::Compatible;
    };
    let may_bind = security.capabilities.contains("NET_BIND_SERVICE") || security.host_network;
    if may_bind || security.first_port.is_some_and(|first| first <= port) {
        return Outcome::Compatible;
    }
    let Some(runtime) = &cell.host.facts.runtime else {
        return Outcome::missing(HostFact::Runtime);
    };
    let version = runtime.version.as_ref();
    let opens = match runtime.name.as_str() {
        "containerd" => version.is_none_or(|it| it.is_at_least("2.0.0")),
        "cri-o" => false,
        _ => true,
    };
    if opens {
        return Outcome::Compatible;
    }
    cell.says(Said {
        code: Code::HF232,
        severity: Severity::BreaksFeature,
        image: format!("exposes port {port} and does not run as root"),
        host: format!("runs {runtime}, which by default opens ports from 1024 on"),
        fix: "set the pod's sysctl net.ipv4.ip_unprivileged_port_start to 0, or use a higher port"
            .to_owned(),
        evidence: Some(Evidence::new(
            Strength::Stated,
            "User and ExposedPorts of the config",
        )),
        doubt: Some("whether it listens there, or its program may bind low ports, cannot be read"),
    })
}
