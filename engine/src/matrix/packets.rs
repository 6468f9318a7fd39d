//! Packet filters: HF320 (`ip_tables` is not there), HF321 (`nf_tables` is not there). Only for who may change them.

use crate::files::Iptables;
use crate::finding::{Code, Severity};
use crate::host::HostFact;
use crate::matrix::{Cell, Outcome, Said};

/// HF320: `can't initialize iptables table: Table does not exist (do you need to insmod?)`.
pub(super) fn legacy(cell: &Cell<'_>) -> Outcome {
    check(cell, Iptables::Legacy, Code::HF320, "ip_tables")
}

/// HF321: `Could not fetch rule set generation id`.
pub(super) fn nft(cell: &Cell<'_>) -> Outcome {
    check(cell, Iptables::Nft, Code::HF321, "nf_tables")
}

fn check(cell: &Cell<'_>, variant: Iptables, code: Code, module: &str) -> Outcome {
    let security = &cell.uses.security;
    let may_change = security.privileged || security.capabilities.contains("NET_ADMIN");
    let iptables = cell.files().and_then(|files| files.iptables.as_ref());
    let Some(iptables) = iptables.filter(|seen| may_change && seen.value == variant) else {
        return Outcome::Compatible;
    };
    let Some(modules) = &cell.host.facts.modules else {
        return Outcome::missing(HostFact::Modules);
    };
    if modules.contains(module) {
        return Outcome::Compatible;
    }
    cell.says(Said {
        code,
        severity: Severity::BreaksFeature,
        image: format!("writes packet filters through {module}"),
        host: format!("neither has nor can load {module}"),
        fix: format!("use an image that picks its variant at run time (iptables-wrappers), or load {module} on the nodes"),
        evidence: Some(iptables.evidence()),
        doubt: cell.other_kernel(),
    })
}
