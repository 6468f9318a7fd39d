//! What the author of an image says that it needs, by labels of its config or annotations of its manifest.
//!
//! Nobody has signed them, so they only add to what was found: a distribution is believed where a vendor's labels tell
//! none, a level or a kernel where the image was found to need less, and a C library that its files do not show.

use crate::distribution::Distribution;
use crate::fact::{Evidence, Strength};
use crate::files::LibcKind;
use crate::image::Contents;
use crate::version::{DottedVersion, KernelVersion};

/// The distribution that the image stands on: `debian-12`, `alpine-3.20.1`, `arch`.
pub(crate) const DISTRO: &str = "hostfit.dev/distro";
/// The level of x86-64 that its programs need: `x86-64-v3`, `v3` or `3`.
pub(crate) const CPU_LEVEL: &str = "hostfit.dev/cpu-level";
/// The kernel that its programs need: `5.10`.
pub(crate) const MIN_KERNEL: &str = "hostfit.dev/min-kernel";

/// The C library that its programs bring along, where no file tells: `glibc-2.39`, `musl-1.2`.
const LIBC: &str = "hostfit.dev/libc";

/// Whether an author may say something by a label of this key.
pub(super) fn reads_label(key: &str) -> bool {
    [DISTRO, CPU_LEVEL, MIN_KERNEL, LIBC].contains(&key)
}

/// What the author says that the image stands on.
pub(super) fn distribution(contents: &Contents) -> Option<Distribution> {
    let written = contents.labels.get(DISTRO)?.trim();
    // An ID has dashes, too: opensuse-leap-15.6.
    let (id, version) = match written.rsplit_once(['-', ':', ' ']) {
        Some((id, version)) if version.starts_with(|c: char| c.is_ascii_digit()) => (id, version),
        _ => (written, ""),
    };
    let is_name = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
    };
    (!id.is_empty() && is_name(id) && is_name(version)).then(|| Distribution::new(id, version))
}

/// The level of x86-64 that the author says it needs, 1 to 4.
pub(crate) fn cpu_level(contents: &Contents) -> Option<u8> {
    let written = contents.labels.get(CPU_LEVEL)?.trim();
    let level = written.strip_prefix("x86-64-").unwrap_or(written);
    let level = level.strip_prefix('v').unwrap_or(level);
    level.parse().ok().filter(|level| (1..=4).contains(level))
}

/// The kernel that the author says it needs.
pub(crate) fn min_kernel(contents: &Contents) -> Option<KernelVersion> {
    contents.labels.get(MIN_KERNEL)?.parse().ok()
}

/// A C library that an author names. Nobody has seen it, so what follows of it is possible at most.
pub(crate) struct StatedLibc {
    pub(crate) kind: LibcKind,
    pub(crate) version: DottedVersion,
}

impl StatedLibc {
    /// Why nothing is sure that follows of it.
    pub(crate) const DOUBT: &str = "only its author names that libc: try it there";

    /// It in words.
    pub(crate) fn words(&self) -> String {
        format!("{} {}, as its author says", self.kind, self.version)
    }

    /// The label as evidence.
    pub(crate) fn evidence(&self) -> Evidence {
        Evidence::new(Strength::Stated, format!("label {LIBC}"))
    }
}

/// The C library that the author says its programs bring along.
pub(crate) fn libc(contents: &Contents) -> Option<StatedLibc> {
    let written = contents.labels.get(LIBC)?.trim();
    let (name, version) = written.rsplit_once(['-', ':', ' '])?;
    let mut kinds = [LibcKind::Glibc, LibcKind::Musl].into_iter();
    Some(StatedLibc {
        kind: kinds.find(|kind| kind.as_str() == name)?,
        version: version.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labelled(key: &str, value: &str) -> Contents {
        Contents {
            labels: [(key.to_owned(), value.to_owned())].into(),
            ..Contents::default()
        }
    }

    #[test]
    fn distributions_are_read_as_they_are_written_elsewhere() {
        for (written, expected) in [
            ("debian-12", "debian 12"),
            ("rhel 9.4", "rhel 9.4"),
            ("alpine:3.20.1", "alpine 3.20.1"),
            ("opensuse-leap-15.6", "opensuse-leap 15.6"),
            ("arch", "arch"),
        ] {
            let told = distribution(&labelled(DISTRO, written));
            assert_eq!(told.unwrap().to_string(), expected);
        }
        for written in ["", "-12", "Debian-12", "debian\n-12", "<b>-1"] {
            assert_eq!(distribution(&labelled(DISTRO, written)), None, "{written}");
        }
    }

    #[test]
    fn a_libc_is_a_name_and_a_version() {
        for (written, expected) in [
            ("glibc-2.39", "glibc 2.39, as its author says"),
            ("musl:1.2.5", "musl 1.2.5, as its author says"),
            (" glibc 2.4 ", "glibc 2.4, as its author says"),
        ] {
            assert_eq!(libc(&labelled(LIBC, written)).unwrap().words(), expected);
        }
        for written in [
            "",
            "glibc",
            "2.39",
            "glibc-",
            "glibc-new",
            "bionic-2.39",
            "GLIBC-2.39",
            "glibc-2.39-1",
        ] {
            assert!(libc(&labelled(LIBC, written)).is_none(), "{written}");
        }
    }

    #[test]
    fn levels_are_one_to_four() {
        for written in ["x86-64-v3", "v3", "3", " 3 "] {
            assert_eq!(cpu_level(&labelled(CPU_LEVEL, written)), Some(3));
        }
        for written in ["", "v", "0", "5", "avx2", "x86-64", "-1"] {
            assert_eq!(cpu_level(&labelled(CPU_LEVEL, written)), None, "{written}");
        }
    }
}
