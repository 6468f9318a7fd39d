//! Packet filters: HF320 (`ip_tables` or a table of it is not there), HF321 (`nf_tables` is not there, or the host's own
//! rules are in the other tables). Only for who may change them.

use crate::files::{Iptables, Seen};
use crate::finding::{Code, Severity};
use crate::host::HostFact;
use crate::matrix::{Cell, Outcome, Said};

/// HF320: `can't initialize iptables table: Table does not exist (do you need to insmod?)`.
pub(super) fn legacy(cell: &Cell<'_>) -> Outcome {
    match check(cell, Iptables::Legacy, Code::HF320, "ip_tables") {
        Outcome::Compatible => tables(cell),
        outcome => outcome,
    }
}

/// Modules of its two tables that rules are mostly written to, and the names of these.
const TABLES: [(&str, &str); 2] = [("iptable_filter", "filter"), ("iptable_nat", "nat")];

/// HF320 again: ``can't initialize iptables table `nat'``, since `ip_tables` is there and the table is not.
fn tables(cell: &Cell<'_>) -> Outcome {
    let iptables = iptables(cell).filter(|seen| seen.value == Iptables::Legacy);
    let (Some(iptables), Some(modules)) = (iptables, &cell.host.facts.modules) else {
        return Outcome::Compatible;
    };
    let mut missing = TABLES
        .iter()
        .filter(|(module, _)| !modules.contains(*module));
    let (module, host, doubt) = match (missing.next(), missing.next()) {
        (None, _) => return Outcome::Compatible,
        (Some((module, table)), None) => (
            *module,
            format!("neither has nor can load {module}, so it has no table {table}"),
            Some("whether it writes that table cannot be read"),
        ),
        (Some((one, _)), Some((other, _))) => (
            *other,
            format!("has ip_tables, and neither has nor can load {one} or {other}"),
            None,
        ),
    };
    cell.says(Said {
        code: Code::HF320,
        severity: Severity::BreaksFeature,
        image: "writes packet filters through ip_tables".to_owned(),
        host,
        fix: fix(module),
        evidence: Some(iptables.evidence()),
        doubt: cell.other_kernel().or(doubt),
    })
}

/// HF321: `Could not fetch rule set generation id`.
pub(super) fn nft(cell: &Cell<'_>) -> Outcome {
    check(cell, Iptables::Nft, Code::HF321, "nf_tables")
}

/// HF321 again: the rules of the host itself are in the tables of the other kind, and it is those that the container
/// would change. Rules in both go past each other.
pub(super) fn mixed(cell: &Cell<'_>) -> Outcome {
    // In a network of its own a container finds no rules but its own.
    if !cell.uses.security.host_network {
        return Outcome::Compatible;
    }
    let Some(own) = iptables(cell) else {
        return Outcome::Compatible;
    };
    match cell.host.facts.iptables {
        Some(host) if host != own.value => cell.says(Said {
            code: Code::HF321,
            severity: Severity::BreaksFeature,
            image: format!(
                "writes packet filters of the host with iptables-{}",
                own.value
            ),
            host: format!("has its own rules in those of iptables-{host}"),
            fix: "use an image that picks its variant at run time (iptables-wrappers)".to_owned(),
            evidence: Some(own.evidence()),
            doubt: cell
                .other_kernel()
                .or(Some("whether it picks its variant itself cannot be read")),
        }),
        // Most hosts have one kind, and images that reach into them pick it.
        _ => Outcome::Compatible,
    }
}

/// Which tables the image writes, if its container may.
fn iptables<'a>(cell: &Cell<'a>) -> Option<&'a Seen<Iptables>> {
    let iptables = cell.files().and_then(|files| files.iptables.as_ref());
    iptables.filter(|_| cell.uses.security.may("NET_ADMIN"))
}

fn check(cell: &Cell<'_>, variant: Iptables, code: Code, module: &str) -> Outcome {
    let Some(iptables) = iptables(cell).filter(|seen| seen.value == variant) else {
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
        fix: fix(module),
        evidence: Some(iptables.evidence()),
        doubt: cell.other_kernel(),
    })
}

fn fix(module: &str) -> String {
    format!(
        "use an image that picks its variant at run time (iptables-wrappers), or load {module} on the nodes"
    )
}
