//! Every incompatibility that we can name: its code, its severity, its sentence, its remedy.

use std::fmt;
use std::hash::{Hash, Hasher};

use crate::fact::Evidence;

mod gap;

macro_rules! codes {
    ($($(#[$doc:meta])* $code:ident: $title:literal,)*) => {
        /// Stable, public codes. Each has a section in `docs/findings.md`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $($(#[$doc])* $code,)*
        }

        impl Code {
            /// Every code, in order.
            pub const ALL: &[Self] = &[$(Self::$code),*];

            /// The code as it is written everywhere.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$code => stringify!($code),)*
                }
            }

            /// What it means, in a few words.
            pub fn title(self) -> &'static str {
                match self {
                    $(Self::$code => $title,)*
                }
            }
        }
    };
}

codes! {
    /// The image is built for a newer CPU.
    HF101: "the image needs a newer CPU",
    /// A library is built for a newer CPU.
    HF102: "a library of the image needs a newer CPU",
    /// A Go program is built for a newer CPU.
    HF103: "the image's Go program needs a newer CPU",
    /// A native image of GraalVM checks the CPU.
    HF104: "the image's native Java program needs a newer CPU",
    /// An application needs AVX.
    HF105: "the application needs a newer CPU",
    /// No platform of the image is for this architecture.
    HF110: "the image is built for another architecture",
    /// A 32-bit program on a kernel without them.
    HF111: "the host runs no 32-bit programs",
    /// No platform of the image is for this operating system.
    HF112: "the image is built for another operating system",
    /// Pages of the host are larger than the program's.
    HF113: "the image is built for smaller memory pages",
    /// glibc refuses the kernel.
    HF201: "the kernel is too old for the image's glibc",
    /// The loader refuses a library on this kernel.
    HF202: "the kernel is too old for a library of the image",
    /// The page of old system calls is not there.
    HF203: "the image calls the vsyscall page, and the host has none",
    /// systemd expects a newer kernel.
    HF204: "the kernel is too old for what the image starts",
    /// eBPF code without the kernel's types.
    HF205: "the image's eBPF code needs the kernel's types (BTF)",
    /// A kernel module for another kernel.
    HF206: "the image's kernel module is for another kernel",
    /// clone3 is answered with EPERM.
    HF210: "the seccomp profile does not know clone3",
    /// faccessat2 is answered with EPERM.
    HF211: "the seccomp profile does not know faccessat2",
    /// statx is answered with EPERM.
    HF212: "the seccomp profile does not know statx",
    /// 64-bit time is answered with EPERM.
    HF213: "the seccomp profile does not know 64-bit time on 32 bits",
    /// fchmodat2 is answered with EPERM.
    HF214: "the seccomp profile does not know fchmodat2",
    /// io_uring is blocked.
    HF215: "io_uring is blocked",
    /// libselinux takes the host's SELinux for its own.
    HF220: "the image's libselinux takes the host's SELinux for its own",
    /// AppArmor is demanded where there is none.
    HF221: "the pod demands AppArmor, and the host has none",
    /// SELinux options where there is no SELinux.
    HF222: "the pod sets SELinux options, and the host has no SELinux",
    /// glibc refuses an executable stack.
    HF223: "a library of the image wants an executable stack",
    /// Users of its own where the host has none.
    HF230: "the host cannot give the pod users of its own",
    /// Own namespaces are forbidden.
    HF231: "the host forbids the user namespaces that the image makes",
    /// Low ports are closed.
    HF232: "the image's user may not open its port",
    /// Too few areas of memory.
    HF240: "the host allows fewer areas of memory than the image wants",
    /// All descriptors are gone through.
    HF241: "the image goes through all file descriptors, and the runtime may allow any number",
    /// A sandbox has a kernel of its own.
    HF250: "a sandbox runs the image on a kernel of its own",
    /// A JVM does not see cgroup v2.
    HF301: "the image's Java does not see the limits of cgroup v2",
    /// A JVM misses controllers in /proc/cgroups.
    HF302: "the image's Java misses controllers in /proc/cgroups",
    /// systemd does not know cgroup v2.
    HF303: "the image's systemd does not know cgroup v2",
    /// systemd refuses cgroup v1.
    HF304: "the image's systemd refuses cgroup v1",
    /// The kubelet refuses cgroup v1.
    HF305: "the host's kubelet refuses cgroup v1",
    /// A manifest of schema 1, and a runtime that has given it up.
    HF310: "the runtime no longer takes the image's manifest (schema 1)",
    /// Layers compressed with zstd, and an old runtime.
    HF311: "the runtime cannot unpack the image's zstd layers",
    /// Layers compressed with zstd under Docker's media type.
    HF312: "the runtime does not take zstd layers under Docker's media type",
    /// ip_tables is not there.
    HF320: "the image writes packet filters through ip_tables, and the host has none",
    /// nf_tables is not there.
    HF321: "the image writes packet filters that the host does not have",
    /// The driver does not satisfy what the image demands.
    HF401: "the NVIDIA driver is not what the image demands",
    /// The image's CUDA needs a newer driver.
    HF402: "the NVIDIA driver is too old for the image's CUDA",
    /// The distribution under the image is past its end of support.
    HF501: "the image's distribution is past its end of support",
    /// A vendor's published matrix says unsupported.
    HF502: "the vendor does not support this image on this host",
    /// A vendor's published matrix says limited.
    HF503: "the vendor's support for this image on this host is limited",
    /// Privileges across major releases.
    HF504: "the vendor does not support privileges across major releases",
    /// A host in FIPS mode, and an image without validated cryptography.
    HF505: "the host is in FIPS mode, and the image shows no validated cryptography",
    /// A row of a SupportMatrix speaks against the pair.
    HF506: "a row of the SupportMatrix speaks against this pair",
    /// The distribution of the host is past its end of support.
    HF507: "the host's distribution is past its end of support",
    /// No row of any active matrix speaks of the pair.
    HF508: "no support matrix speaks of this pair",
    /// A Windows image is of another build than the host.
    HF601: "the image is built for another build of Windows",
    /// Registry refused.
    HF901: "the registry refused access to the image",
    /// Registry limits our rate.
    HF902: "the registry limits our rate",
    /// Nothing in the image tells.
    HF903: "nothing in the image tells what it stands on",
    /// A host fact is missing.
    HF904: "a fact of the host is missing",
    /// Not inspected yet.
    HF905: "the image is not inspected yet",
    /// No such image.
    HF906: "the registry has no such image",
    /// Registry unreachable.
    HF907: "the registry cannot be reached",
    /// Malformed answer or reference.
    HF908: "the image or the registry's answer is malformed",
    /// No host profile takes the pod.
    HF909: "no host can take the pod as it is constrained",
}

impl Code {
    /// Where the code is explained.
    pub fn docs(self) -> String {
        format!("https://hostfit.dev/c/{self}")
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How bad a finding is, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// The container does not start.
    BreaksAtStart,
    /// A part of it does not work.
    BreaksFeature,
    /// It runs, but worse.
    Degraded,
    /// Nobody supports it.
    Unsupported,
    /// Supported with limits, or on a lower tier.
    Limited,
    /// Past the end of support.
    EndOfLife,
    /// We could not tell.
    Unknown,
}

impl Severity {
    /// The name in objects.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BreaksAtStart => "BreaksAtStart",
            Self::BreaksFeature => "BreaksFeature",
            Self::Degraded => "Degraded",
            Self::Unsupported => "Unsupported",
            Self::Limited => "Limited",
            Self::EndOfLife => "EndOfLife",
            Self::Unknown => "Unknown",
        }
    }
}

/// The verdict on one image platform on one host profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CellVerdict {
    /// Fits.
    Pass,
    /// Runs, but unsupported, past its end of life or degraded.
    Warn,
    /// We could not tell.
    Unknown,
    /// Will not run, or is outside a support matrix.
    Fail,
}

impl CellVerdict {
    /// The name in objects.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "Pass",
            Self::Warn => "Warn",
            Self::Unknown => "Unknown",
            Self::Fail => "Fail",
        }
    }
}

/// One reason why an image does not fit, may not fit, or cannot be judged on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its code.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// What it makes of the cell. Never Pass.
    pub verdict: CellVerdict,
    /// What the image does, as a predicate: `needs CPU level x86-64-v3`.
    pub image: String,
    /// What the host does, as a predicate: `has v2`. Absent where the host does not matter.
    pub host: Option<String>,
    /// What to do about it.
    pub fix: String,
    /// What the image's side rests on.
    pub evidence: Option<Evidence>,
}

/// By what nearly always tells findings apart: the same one is looked up for each image on each host.
impl Hash for Finding {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.code, &self.image, &self.host).hash(state);
    }
}

/// What stands in a fix before the label of the nodes that would do.
const SELECT: &str = ", or select nodes with ";
/// The same where no label tells them.
const SELECT_OTHERS: &str = ", or select other nodes";

impl Finding {
    /// The label, `KEY=VALUE`, by which the fix selects nodes.
    pub fn selects(&self) -> Option<&str> {
        Some(self.fix.split_once(SELECT)?.1)
    }

    /// The fix where no nodes can be selected: a host is no node of a cluster, or no node bears the label.
    pub fn fix_without_selection(&self) -> String {
        let Some((fix, label)) = self.fix.split_once(SELECT) else {
            return self.fix.replace(SELECT_OTHERS, ", or use other hosts");
        };
        let value = label.rsplit('=').next().unwrap_or_default();
        match self.code {
            Code::HF101 => format!("{fix}, or newer CPUs"),
            Code::HF601 => format!("{fix}, or use hosts of build {value}"),
            _ => format!("{fix}, or use {value} hosts"),
        }
    }

    /// One sentence without code and fix.
    pub fn message(&self) -> String {
        match &self.host {
            Some(host) => format!("image {}, host {host}", self.image),
            None => format!("image {}", self.image),
        }
    }
}

/// Text for people, without what terminals, logs and browsers obey: control characters and marks that turn the
/// direction of writing. At most `max` characters; a longer one is [`cut`].
pub fn plain(text: &str, max: usize) -> String {
    let harmless = |c: &char| {
        !c.is_control()
            && !matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    cut(text.chars().filter(harmless).take(max + 1).collect(), max)
}

/// The longest word that is left out whole. Of a longer one, such as a reference, the beginning says more than nothing.
const WORD: usize = 40;

/// At most `max` characters of a text: as many whole words as fit, and `…`. Half a date would be another date.
pub fn cut(text: String, max: usize) -> String {
    let at = |count| text.char_indices().nth(count).map(|(at, _)| at);
    if at(max).is_none() {
        return text;
    }
    let end = at(max.saturating_sub(1)).unwrap_or_default();
    let (kept, left) = text.split_at_checked(end).unwrap_or_default();
    let of_number = |it: char| it.is_ascii_digit() || ".:-".contains(it);
    let whole = match kept.rsplit_once(char::is_whitespace) {
        _ if left.starts_with(char::is_whitespace) => kept,
        Some((words, word)) if word.chars().count() <= WORD => words,
        _ if left.starts_with(of_number) => kept.trim_end_matches(of_number),
        _ => kept,
    };
    let whole = whole.trim_end_matches(|it: char| it.is_whitespace() || "(,;:".contains(it));
    match whole.is_empty() {
        true => format!("{kept}…"),
        false => format!("{whole}…"),
    }
}

/// The name with the fewest edits, if they are few and leave most of what was written.
pub fn nearest<'a>(written: &str, names: &[&'a str]) -> Option<&'a str> {
    let best = names.iter().min_by_key(|name| edits(written, name))?;
    let edits = edits(written, best);
    let length = written.chars().count().max(best.chars().count());
    (edits <= 3 && edits * 2 <= length + 1).then_some(best)
}

/// Whether a name was hardly meant otherwise: one letter is another, missing or too many, or the same letters stand in
/// another order.
pub(crate) fn is_typo(written: &str, name: &str) -> bool {
    let letters = |text: &str| {
        let mut letters: Vec<_> = text.to_lowercase().chars().collect();
        letters.sort_unstable();
        letters
    };
    edits(written, name) <= 1 || letters(written) == letters(name)
}

/// How many letters have to change, go or come.
fn edits(written: &str, name: &str) -> usize {
    let (a, b) = (written.to_lowercase(), name.to_lowercase());
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for ((y, above), diagonal) in b.chars().zip(row.iter().skip(1)).zip(&row) {
            let left = next.last().copied().unwrap_or_default();
            let replaced = diagonal + usize::from(x != y);
            next.push(replaced.min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_ends_in_a_whole_word() {
        let check = |text: &str, max, expected: &str| {
            let shown = plain(text, max);
            assert_eq!(shown, expected);
            assert!(shown.chars().count() <= max, "{shown}");
        };
        let ended = "stands on debian 10, past its end of support (2024-06-30)";
        check(ended, 57, ended);
        for max in 45..=56 {
            check(ended, max, "stands on debian 10, past its end of support…");
        }
        check(ended, 44, "stands on debian 10, past its end of…");
        check(ended, 22, "stands on debian 10…");
        check(ended, 20, "stands on debian…");
        // Nothing but a long word, and one at the end: its beginning stays, and no number of it is cut.
        let reference = "registry.example/shop/search-2024-06-30@sha256:0123456789";
        check(reference, 36, "registry.example/shop/search…");
        check(
            &format!("image {reference}"),
            51,
            "image registry.example/shop/search-2024-06-30@sha…",
        );
        check("rhel94-k514", 9, "rhel94-k…");
        check("20240630", 5, "2024…");
        check("Grüße\u{202e}\n an alle", 8, "Grüße…");
        check("Grüße\u{202e}\n an", 8, "Grüße an");
    }

    #[test]
    fn what_no_node_can_be_selected_by_is_said_in_other_words() {
        let check = |code, fix: &str, label: Option<&str>, without: &str| {
            let finding = Finding {
                code,
                severity: Severity::BreaksAtStart,
                verdict: CellVerdict::Fail,
                image: "is built for linux/arm64".to_owned(),
                host: Some("is linux/amd64".to_owned()),
                fix: fix.to_owned(),
                evidence: None,
            };
            assert_eq!(finding.selects(), label);
            assert_eq!(finding.fix_without_selection(), without);
        };
        check(
            Code::HF101,
            "use a base image for x86-64-v2, or select nodes with cpu.X86_64_V3=true",
            Some("cpu.X86_64_V3=true"),
            "use a base image for x86-64-v2, or newer CPUs",
        );
        check(
            Code::HF110,
            "build the image for linux/amd64 too, or select nodes with kubernetes.io/arch=arm64",
            Some("kubernetes.io/arch=arm64"),
            "build the image for linux/amd64 too, or use arm64 hosts",
        );
        check(
            Code::HF601,
            "build the image for Windows 20348, or select nodes with windows-build=10.0.17763",
            Some("windows-build=10.0.17763"),
            "build the image for Windows 20348, or use hosts of build 10.0.17763",
        );
        check(
            Code::HF502,
            "rebuild it, or select other nodes (source)",
            None,
            "rebuild it, or use other hosts (source)",
        );
        check(
            Code::HF301,
            "use 8u372 or newer",
            None,
            "use 8u372 or newer",
        );
    }
}
