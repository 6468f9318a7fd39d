//! Security modules of the host: HF220 (libselinux), HF221 (AppArmor), HF222 (SELinux options), HF223 (executable stack).

use std::cmp::Ordering;

use crate::finding::{Code, Severity};
use crate::host::{HostFact, Selinux};
use crate::matrix::{Cell, Outcome, Said};
use crate::package::{Family, PackageVersion};

/// Fixed upstream in 2.1.1 (commit e3cab998).
const FIXED: &str = "2.1.1";
/// RHEL 6 has the fix with a release of its own (BZ 1112748): the last that is known to be broken, the first that is
/// known to be good. Those between are not verified.
const RHEL_6: (&str, &str) = ("2.0.94-5.3.el6_4.1", "2.0.94-5.8.el6");

/// What is known of a libselinux.
enum Detection {
    Right,
    Broken,
    Unverified,
}

fn detection(version: &PackageVersion) -> Detection {
    let upstream = version.upstream();
    if upstream.is_none_or(|upstream| upstream.is_at_least(FIXED)) {
        return Detection::Right;
    }
    if version.family() != Family::Rpm || !version.as_str().contains(".el6") {
        return Detection::Broken;
    }
    let compare = |bound: &str| version.compare(&PackageVersion::new(Family::Rpm, bound));
    match (compare(RHEL_6.0), compare(RHEL_6.1)) {
        (_, Some(Ordering::Equal | Ordering::Greater)) => Detection::Right,
        (Some(Ordering::Equal | Ordering::Less), _) => Detection::Broken,
        _ => Detection::Unverified,
    }
}

/// HF220: `useradd: failure while writing changes to /etc/passwd`. The library takes the host's SELinux for its own.
pub(super) fn libselinux(cell: &Cell<'_>) -> Outcome {
    let package = cell
        .files()
        .and_then(|files| files.package(&["libselinux", "libselinux1"]));
    let Some(package) = package.filter(|_| cell.static_program().is_none()) else {
        return Outcome::Compatible;
    };
    let doubt = match detection(&package.value) {
        Detection::Right => return Outcome::Compatible,
        Detection::Broken => None,
        Detection::Unverified => {
            Some("whether this build has the fix is not verified: try useradd there")
        }
    };
    match cell.host.facts.selinux {
        None => Outcome::missing(HostFact::Selinux),
        Some(Selinux::Disabled) => Outcome::Compatible,
        Some(state) => cell.says(Said {
            code: Code::HF220,
            severity: Severity::BreaksFeature,
            image: format!("takes the host's SELinux for its own (libselinux {})", package.value),
            host: format!("has SELinux {state}"),
            fix: "update libselinux in the image (2.1.1, on RHEL 6 2.0.94-5.8.el6), or use nodes without SELinux".to_owned(),
            evidence: Some(package.evidence()),
            doubt,
        }),
    }
}

/// HF221: `Cannot enforce AppArmor: AppArmor is not enabled on the host`.
pub(super) fn apparmor(cell: &Cell<'_>) -> Outcome {
    if !cell.uses.security.app_armor {
        return Outcome::Compatible;
    }
    match cell.host.facts.apparmor {
        None => Outcome::missing(HostFact::Apparmor),
        Some(true) => Outcome::Compatible,
        Some(false) => cell.says(Said {
            code: Code::HF221,
            severity: Severity::BreaksAtStart,
            image: "is to run under an AppArmor profile".to_owned(),
            host: "has no AppArmor".to_owned(),
            fix:
                "use nodes with AppArmor (Ubuntu, Debian, SUSE, COS), or take appArmorProfile (or its old annotation) away"
                    .to_owned(),
            evidence: None,
            doubt: None,
        }),
    }
}

/// HF222: the label is ignored.
pub(super) fn selinux_options(cell: &Cell<'_>) -> Outcome {
    if !cell.uses.security.selinux_options {
        return Outcome::Compatible;
    }
    match cell.host.facts.selinux {
        None => Outcome::missing(HostFact::Selinux),
        Some(Selinux::Disabled) => cell.says(Said {
            code: Code::HF222,
            severity: Severity::Degraded,
            image: "is to run with SELinux options".to_owned(),
            host: "has no SELinux, so they do nothing".to_owned(),
            fix: "use nodes with SELinux, or take seLinuxOptions away".to_owned(),
            evidence: None,
            doubt: None,
        }),
        Some(_) => Outcome::Compatible,
    }
}

/// The first glibc that refuses such a library (NEWS of 2.41).
const REFUSES_STACKS: &str = "2.41";

/// The variable that tunes glibc.
pub(super) const TUNABLES: &str = "GLIBC_TUNABLES";

/// Whether its value lets libraries have an executable stack.
fn allows_stacks(tunables: &str) -> bool {
    tunables.split(':').any(|it| it == ALLOW_STACKS)
}

/// What allows it, and all of the variable that is kept.
pub(super) const ALLOW_STACKS: &str = "glibc.rtld.execstack=2";

/// HF223: `cannot enable executable stack as shared object requires`.
pub(super) fn executable_stack(cell: &Cell<'_>) -> Outcome {
    let glibc = cell.libc().and_then(|libc| libc.glibc());
    let object = cell
        .files()
        .and_then(|files| files.executable_stack.as_ref());
    let (Some(glibc), Some(object)) = (glibc, object) else {
        return Outcome::Compatible;
    };
    let own = cell.uses.env.get(TUNABLES);
    let tunables = own.or_else(|| cell.contents.env.get(TUNABLES));
    let is_allowed = tunables.is_some_and(|it| allows_stacks(it));
    if is_allowed || !glibc.is_at_least(REFUSES_STACKS) {
        return Outcome::Compatible;
    }
    cell.says(Said {
        code: Code::HF223,
        severity: Severity::BreaksFeature,
        image: format!(
            "holds a library that wants an executable stack, which glibc {glibc} refuses"
        ),
        host: String::new(),
        fix: "patchelf --clear-execstack, or GLIBC_TUNABLES=glibc.rtld.execstack=2".to_owned(),
        evidence: Some(object.evidence()),
        doubt: Some("whether anything loads it at run time cannot be read"),
    })
}
