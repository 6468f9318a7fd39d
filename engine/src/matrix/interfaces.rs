//! What user space expects of the kernel's interfaces: HF202 (notes of libraries), HF203 (vsyscall), HF204 (systemd's
//! baseline), HF205 (BTF), HF206 (modules).

use crate::fact::Evidence;
use crate::files::LibcKind;
use crate::finding::{Code, Severity};
use crate::host::{HostFact, Vsyscall};
use crate::lineage::author::{self, StatedLibc};
use crate::matrix::kernel::compares;
use crate::matrix::{Cell, Outcome, Said};
use crate::version::{DottedVersion, KernelVersion};

/// HF202: `cannot open shared object file: No such file or directory`, though it is there.
pub(super) fn library(cell: &Cell<'_>) -> Outcome {
    let libc = cell
        .libc()
        .filter(|libc| libc.glibc().is_some_and(compares));
    let object = cell.files().and_then(|files| files.object_kernel.as_ref());
    let (Some(libc), Some(object)) = (libc, object) else {
        return Outcome::Compatible;
    };
    // What libc asks for itself, as its own parts do, HF201 says.
    let is_more = |own: &KernelVersion| own.older_than(&object.value);
    if !libc.kernel.as_ref().is_none_or(is_more) {
        return Outcome::Compatible;
    }
    cell.needs_kernel(&object.value, || Said {
        code: Code::HF202,
        severity: Severity::BreaksFeature,
        image: format!(
            "has a library that its loader takes from kernel {} on",
            object.value
        ),
        host: String::new(),
        fix: "use a newer kernel, or strip the note: strip --remove-section=.note.ABI-tag"
            .to_owned(),
        evidence: Some(object.evidence()),
        doubt: None,
    })
}

/// The first glibc whose dynamic programs no longer call the page (commit c738465a4c).
const NO_VSYSCALL: &str = "2.14";

/// HF203: exit code 139 without a word; `vsyscall attempted with vsyscall=none` in the kernel's log.
pub(super) fn vsyscall(cell: &Cell<'_>) -> Outcome {
    if cell.platform.architecture != "amd64" {
        return Outcome::Compatible;
    }
    let Some((what, evidence, doubt)) = calls_vsyscall(cell) else {
        return Outcome::Compatible;
    };
    match cell.host.facts.vsyscall {
        None => Outcome::missing(HostFact::Vsyscall),
        Some(Vsyscall::Emulate | Vsyscall::Xonly) => Outcome::Compatible,
        Some(Vsyscall::None) => cell.says(Said {
            code: Code::HF203,
            severity: Severity::BreaksAtStart,
            image: format!("calls the old vsyscall page ({what})"),
            host: "does not map it".to_owned(),
            fix: "boot the nodes with vsyscall=emulate, or use a newer base image".to_owned(),
            evidence: Some(evidence),
            doubt: cell.other_kernel().or(doubt),
        }),
    }
}

/// What of an image calls the page, and what speaks against being sure.
fn calls_vsyscall(cell: &Cell<'_>) -> Option<(String, Evidence, Option<&'static str>)> {
    if let Some(program) = cell.static_program().filter(|it| it.calls_vsyscall) {
        let what = "its program is linked with an old glibc".to_owned();
        let doubt = "whether it asks for the time so is not known: try it there";
        return Some((what, program.evidence(), Some(doubt)));
    }
    let is_old = |glibc: &DottedVersion| !glibc.is_at_least(NO_VSYSCALL);
    let seen = cell
        .libc()
        .and_then(|libc| Some((libc, libc.glibc().filter(|it| is_old(it))?)));
    let Some((libc, glibc)) = seen else {
        let libc = author::libc(cell.contents)?;
        let is_one = libc.kind == LibcKind::Glibc && is_old(&libc.version);
        return is_one.then(|| (libc.words(), libc.evidence(), Some(StatedLibc::DOUBT)));
    };
    let distribution = cell.files().and_then(|files| files.distribution.as_ref());
    let is_debian = distribution.is_some_and(|seen| seen.value.id() == "debian");
    // Debian 6 has 2.11.
    let is_debian_7 = is_debian && glibc.is_at_least("2.13");
    let name = cell.program().and_then(|it| it.path.rsplit('/').next());
    let doubt = match name {
        _ if is_debian_7 => Some("Debian 7 was seen to work: try it there"),
        Some("dash") => Some("dash was seen to work, and not bash: try it there"),
        _ => None,
    };
    Some((format!("glibc {glibc}"), libc.evidence(), doubt))
}

/// Oldest kernels of systemd (NEWS of 251 and 258), newest first. systemd itself compares these numbers.
const BASELINES: [(&str, &str); 2] = [("258", "5.4"), ("251", "4.15")];

/// HF204
pub(super) fn systemd(cell: &Cell<'_>) -> Outcome {
    let Some((version, evidence)) = cell.systemd() else {
        return Outcome::Compatible;
    };
    let baseline = BASELINES
        .iter()
        .find(|(first, _)| version.is_at_least(first));
    let needed = baseline.and_then(|(_, kernel)| kernel.parse::<KernelVersion>().ok());
    let Some(needed) = needed else {
        return Outcome::Compatible;
    };
    cell.needs_kernel(&needed, || Said {
        code: Code::HF204,
        severity: Severity::BreaksFeature,
        image: format!("runs systemd {version}, which expects kernel {needed}"),
        host: String::new(),
        fix: format!("use nodes with kernel {needed} or newer, or an older base image"),
        evidence: Some(evidence),
        doubt: None,
    })
}

/// HF205: `libbpf: failed to find valid kernel BTF`.
pub(super) fn btf(cell: &Cell<'_>) -> Outcome {
    let object = cell.files().and_then(|files| files.ebpf.as_ref());
    // systemd has some, which it does without.
    let within = cell
        .program()
        .filter(|program| program.holds_ebpf && !program.is_systemd);
    let (evidence, doubt) = match (object, within) {
        (Some(object), _) => (object.evidence(), None),
        (None, Some(program)) => (
            program.evidence(),
            Some("whether its program does without it cannot be read"),
        ),
        (None, None) => return Outcome::Compatible,
    };
    match cell.host.facts.btf {
        None => Outcome::missing(HostFact::Btf),
        Some(true) => Outcome::Compatible,
        Some(false) => cell.says(Said {
            code: Code::HF205,
            severity: Severity::BreaksAtStart,
            image: "holds eBPF code that is fitted to the kernel's types".to_owned(),
            host: "does not tell them (/sys/kernel/btf/vmlinux)".to_owned(),
            fix: "use a kernel with CONFIG_DEBUG_INFO_BTF, or bring the types along (BTFHub)"
                .to_owned(),
            evidence: Some(evidence),
            doubt: cell.other_kernel().or(unable(cell)).or(doubt),
        }),
    }
}

/// The doubt where a container may not load what its image holds: it may do without, or nobody meant it to.
fn unable(cell: &Cell<'_>) -> Option<&'static str> {
    let may = |capability| cell.uses.security.may(capability);
    let may_load = may("BPF") || may("SYS_ADMIN");
    (!may_load).then_some(
        "its container may load none (it has neither BPF nor SYS_ADMIN), so it may need none",
    )
}

/// Systems whose kernels take signed modules only (`incompatibilities.yaml`, kernel-module-image).
const SIGNED_ONLY: [&str; 2] = ["bottlerocket", "talos"];

/// HF206: `Invalid module format`, `Key was rejected by service`. Only who may insert modules is asked.
pub(super) fn module(cell: &Cell<'_>) -> Outcome {
    if !cell.uses.security.may("SYS_MODULE") {
        return Outcome::Compatible;
    }
    let modules = cell.files().map(|files| &files.kernel_modules);
    let Some(modules) = modules.filter(|modules| !modules.is_empty()) else {
        return Outcome::Compatible;
    };
    let facts = &cell.host.facts;
    let Some(kernel) = &facts.kernel else {
        return Outcome::missing(HostFact::Kernel);
    };
    let said = |image, host, fix: &str, evidence| {
        cell.says(Said {
            code: Code::HF206,
            severity: Severity::BreaksFeature,
            image,
            host,
            fix: fix.to_owned(),
            evidence: Some(evidence),
            doubt: Some("whether it is the module that is inserted cannot be read"),
        })
    };
    let Some(module) = modules.get(kernel.release()) else {
        let (first, others) = (modules.iter().next(), modules.len() - 1);
        let Some((release, module)) = first else {
            return Outcome::Compatible;
        };
        let more = match others {
            0 => String::new(),
            others => format!(" and {others} more"),
        };
        return said(
            format!("holds a kernel module for {release}{more}"),
            format!("has {kernel}"),
            "build the module for each kernel (KMM, DKMS), or use nodes with that kernel",
            module.evidence(),
        );
    };
    // Whose signatures a kernel trusts cannot be told; that there is none can. A host that does not tell counts as one that
    // asks for none, as most do.
    let os = facts.os.as_ref().map(|os| os.id());
    let is_known = os.is_some_and(|id| SIGNED_ONLY.contains(&id));
    if module.is_signed == Some(false) && facts.signed_modules.unwrap_or(is_known) {
        return said(
            "holds a kernel module without a signature".to_owned(),
            "takes signed ones only".to_owned(),
            "sign the module with a key that the nodes trust",
            module.evidence(),
        );
    }
    Outcome::Compatible
}

/// The first Go whose programs need kernel 3.2 (release notes of 1.24).
const GO_NEEDS: (&str, &str) = ("1.24", "3.2");

/// HF204 again: what the programs of newer Go call older kernels do not have.
pub(super) fn go(cell: &Cell<'_>) -> Outcome {
    let Some((program, go)) = cell.program().and_then(|it| Some((it, it.go.as_ref()?))) else {
        return Outcome::Compatible;
    };
    let numbers = go.version.trim_start_matches("go");
    let end = numbers.find(|c: char| !c.is_ascii_digit() && c != '.');
    let version = numbers.get(..end.unwrap_or(numbers.len()));
    let version = version.and_then(|it| it.parse::<DottedVersion>().ok());
    let Some(version) = version.filter(|version| version.is_at_least(GO_NEEDS.0)) else {
        return Outcome::Compatible;
    };
    let Ok(needed) = GO_NEEDS.1.parse::<KernelVersion>() else {
        return Outcome::Compatible;
    };
    cell.needs_kernel(&needed, || Said {
        code: Code::HF204,
        severity: Severity::BreaksFeature,
        image: format!("is a program of Go {version}, which needs kernel {needed}"),
        host: String::new(),
        fix: format!("use nodes with kernel {needed} or newer, or an older Go"),
        evidence: Some(program.evidence()),
        doubt: Some("nothing compares the numbers, and vendors carry features back: try it there"),
    })
}
