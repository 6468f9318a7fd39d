//! What user space expects of the kernel's interfaces: HF202 (notes of libraries), HF203 (vsyscall), HF204 (systemd's
//! baseline), HF205 (BTF), HF206 (modules).

use crate::finding::{Code, Severity};
use crate::host::{HostFact, Vsyscall};
use crate::matrix::kernel::compares;
use crate::matrix::{Cell, Outcome, Said};
use crate::version::KernelVersion;

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
    let libc = cell.libc().and_then(|libc| Some((libc.glibc()?, libc)));
    let Some((glibc, libc)) = libc.filter(|(glibc, _)| !glibc.is_at_least(NO_VSYSCALL)) else {
        return Outcome::Compatible;
    };
    let is_debian = cell.files().is_some_and(|files| {
        let distribution = files.distribution.as_ref();
        distribution.is_some_and(|seen| seen.value.id() == "debian")
    });
    match cell.host.facts.vsyscall {
        None => Outcome::missing(HostFact::Vsyscall),
        Some(Vsyscall::Emulate | Vsyscall::Xonly) => Outcome::Compatible,
        Some(Vsyscall::None) => cell.says(Said {
            code: Code::HF203,
            severity: Severity::BreaksAtStart,
            image: format!("calls the old vsyscall page (glibc {glibc})"),
            host: "does not map it".to_owned(),
            fix: "boot the nodes with vsyscall=emulate, or use a newer base image".to_owned(),
            evidence: Some(libc.evidence()),
            doubt: cell
                .other_kernel()
                .or(is_debian.then_some("Debian 7 was seen to work: try it there")),
        }),
    }
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
    let Some(object) = cell.files().and_then(|files| files.ebpf.as_ref()) else {
        return Outcome::Compatible;
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
            evidence: Some(object.evidence()),
            doubt: cell.other_kernel(),
        }),
    }
}

/// HF206: `Invalid module format`. Only who may insert modules is asked.
pub(super) fn module(cell: &Cell<'_>) -> Outcome {
    let security = &cell.uses.security;
    if !security.privileged && !security.capabilities.contains("SYS_MODULE") {
        return Outcome::Compatible;
    }
    let Some(module) = cell.files().and_then(|files| files.kernel_module.as_ref()) else {
        return Outcome::Compatible;
    };
    let Some(kernel) = &cell.host.facts.kernel else {
        return Outcome::missing(HostFact::Kernel);
    };
    if kernel.release() == module.value {
        return Outcome::Compatible;
    }
    cell.says(Said {
        code: Code::HF206,
        severity: Severity::BreaksFeature,
        image: format!("holds a kernel module for {}", module.value),
        host: format!("has {kernel}"),
        fix: "build the module for each kernel (KMM, DKMS), or use nodes with that kernel"
            .to_owned(),
        evidence: Some(module.evidence()),
        doubt: Some("whether it is the module that is inserted cannot be read"),
    })
}
