//! Pure: the bytes of an ELF file into what rules ask for. The bytes are hostile: what does not hold together is left
//! out, and nothing is followed without a bound.

use std::ops::ControlFlow;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};
use hostfit_engine::files::{Go, NativeImage};
use hostfit_engine::version::{DottedVersion, KernelVersion};
use object::read::elf::{Dyn as _, FileHeader, NoteIterator, ProgramHeader as _};
use object::{Endianness, FileKind, elf};

use super::ebpf;

/// What an ELF file says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Elf {
    /// Architecture in Go's spelling, if it has one there.
    pub(crate) architecture: Option<&'static str>,
    /// The loader that it names.
    pub(crate) interpreter: Option<String>,
    /// Whether it is something to run or link, not an object of a build.
    pub(crate) is_loaded: bool,
    /// Highest bit of X86_ISA_1_NEEDED: 1 to 4.
    pub(crate) cpu_level: Option<u8>,
    /// The kernel of its ABI note.
    pub(crate) kernel: Option<KernelVersion>,
    /// Smallest alignment of its segments.
    pub(crate) alignment: Option<u64>,
    /// PT_GNU_STACK asks for an executable stack.
    pub(crate) executable_stack: bool,
    /// UPX has packed it: what it needs, its loader too, is seen only when it runs.
    pub(crate) is_packed: bool,
    /// Libraries that it needs, of those that rules ask for.
    pub(crate) needs: Vec<String>,
    /// Its file gives it the right to open low ports.
    pub(crate) binds_low_ports: bool,
    /// eBPF code that is fitted to the kernel when it is loaded.
    pub(crate) is_ebpf: bool,
    /// What stands in it as text.
    pub(crate) texts: Texts,
}

/// Findings by their text, whatever the structure of the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Texts {
    pub(crate) go: Option<Go>,
    pub(crate) native_image: Option<NativeImage>,
    pub(crate) jemalloc: bool,
    /// glibc's loader was built for x86-64-v2 or more.
    pub(crate) checks_cpu: bool,
    /// Of glibc, or linked in statically: compares the kernel with its note.
    pub(crate) checks_kernel: bool,
    pub(crate) glibc: Option<DottedVersion>,
    pub(crate) musl: Option<DottedVersion>,
    /// Kernel release of a module.
    pub(crate) vermagic: Option<String>,
    /// A module that ends in a signature.
    pub(crate) is_signed: bool,
    /// eBPF code that is fitted to the kernel stands within it.
    pub(crate) holds_ebpf: bool,
    /// An instruction takes the address of `time` in the old page of system calls.
    pub(crate) calls_vsyscall: bool,
}

/// Reads what the first bytes of a file say; all bytes, unless it is larger than what is kept of it.
pub(crate) fn read(data: &[u8]) -> Option<Elf> {
    match FileKind::parse(data).ok()? {
        FileKind::Elf32 => structure(elf::FileHeader32::<Endianness>::parse(data).ok()?, data),
        FileKind::Elf64 => structure(elf::FileHeader64::<Endianness>::parse(data).ok()?, data),
        _ => None,
    }
}

fn structure<H: FileHeader<Endian = Endianness>>(header: &H, data: &[u8]) -> Option<Elf> {
    let endian = header.endian().ok()?;
    let kind = header.e_type(endian);
    let machine = header.e_machine(endian);
    let mut found = Elf {
        architecture: architecture(machine, header.is_class_64(), header.is_little_endian()),
        is_loaded: matches!(kind, elf::ET_EXEC | elf::ET_DYN),
        is_packed: is_packed(data),
        ..Elf::default()
    };
    found.is_ebpf = machine == elf::EM_BPF && ebpf::needs_types(header, endian, data);
    let segments = header.program_headers(endian, data).unwrap_or_default();
    for segment in segments {
        match segment.p_type(endian) {
            elf::PT_INTERP => {
                let path = segment.interpreter(endian, data).ok().flatten();
                found.interpreter = path.map(|path| String::from_utf8_lossy(path).into_owned());
            }
            elf::PT_NOTE | elf::PT_GNU_PROPERTY => {
                if let Ok(Some(notes)) = segment.notes(endian, data) {
                    read_notes(notes, endian, machine, &mut found);
                }
            }
            elf::PT_GNU_STACK => {
                found.executable_stack = segment.p_flags(endian).0 & elf::PF_X.0 != 0;
            }
            elf::PT_LOAD => {
                let own: u64 = segment.p_align(endian).into();
                let least = found.alignment.map_or(own, |least| least.min(own));
                found.alignment = Some(least).filter(|align| *align > 1);
            }
            elf::PT_DYNAMIC => found.needs = needs::<H>(endian, segments, segment, data),
            _ => {}
        }
    }
    Some(found)
}

/// UPX writes its mark behind the headers of the program that unpacks.
fn is_packed(data: &[u8]) -> bool {
    const MARK: &[u8] = b"UPX!";
    let start = data.get(..data.len().min(1_024)).unwrap_or_default();
    start.windows(MARK.len()).any(|bytes| bytes == MARK)
}

fn architecture(machine: elf::Machine, is_64: bool, is_little: bool) -> Option<&'static str> {
    Some(match (machine, is_64, is_little) {
        (elf::EM_X86_64, ..) => "amd64",
        (elf::EM_386, ..) => "386",
        (elf::EM_AARCH64, ..) => "arm64",
        (elf::EM_ARM, ..) => "arm",
        (elf::EM_PPC64, _, true) => "ppc64le",
        (elf::EM_PPC64, _, false) => "ppc64",
        (elf::EM_S390, true, _) => "s390x",
        (elf::EM_RISCV, true, _) => "riscv64",
        (elf::EM_LOONGARCH, true, _) => "loong64",
        (elf::EM_MIPS, true, true) => "mips64le",
        _ => return None,
    })
}

fn read_notes<H: FileHeader<Endian = Endianness>>(
    mut notes: NoteIterator<'_, H>,
    endian: Endianness,
    machine: elf::Machine,
    found: &mut Elf,
) {
    while let Ok(Some(note)) = notes.next() {
        if note.name() != b"GNU" {
            continue;
        }
        if note.n_type(endian) == elf::NT_GNU_ABI_TAG {
            let word = |index: usize| {
                let bytes: [u8; 4] = note.desc().get(index * 4..index * 4 + 4)?.try_into().ok()?;
                Some(match endian {
                    Endianness::Little => u32::from_le_bytes(bytes),
                    Endianness::Big => u32::from_be_bytes(bytes),
                })
            };
            // The first word is the operating system: 0 is Linux.
            if let [Some(0), Some(major), Some(minor), Some(patch)] = [0, 1, 2, 3].map(word) {
                found.kernel = format!("{major}.{minor}.{patch}").parse().ok();
            }
        }
        if machine != elf::EM_X86_64 {
            continue;
        }
        let Some(mut properties) = note.gnu_properties(endian) else {
            continue;
        };
        while let Ok(Some(property)) = properties.next() {
            if property.pr_type() == elf::GNU_PROPERTY_X86_ISA_1_NEEDED
                && let Ok(bits) = property.data_u32(endian)
            {
                // `ld -z x86-64-v3` sets bits 0 and 2, a compiler's start files 0 to 2: the highest bit counts.
                let level = bits.checked_ilog2().map(|bit| bit as u8 + 1);
                found.cpu_level = found.cpu_level.max(level.filter(|level| *level <= 4));
            }
        }
    }
}

/// Names of libraries that rules ask for begin so.
const ASKED_FOR: [&str; 3] = ["libselinux.so.", "liburing.so.", "libcudart.so."];

fn needs<H: FileHeader<Endian = Endianness>>(
    endian: Endianness,
    segments: &[H::ProgramHeader],
    dynamic: &H::ProgramHeader,
    data: &[u8],
) -> Vec<String> {
    let Ok(Some(entries)) = dynamic.dynamic(endian, data) else {
        return Vec::new();
    };
    let mut table = None;
    let mut offsets = Vec::new();
    for entry in entries.iter().take(4_096) {
        let value: u64 = entry.d_val(endian).into();
        match entry.d_tag(endian) {
            elf::DT_STRTAB => table = Some(value),
            elf::DT_NEEDED => offsets.push(value),
            elf::DT_NULL => break,
            _ => {}
        }
    }
    // The table is given by its address in memory.
    let table = table.and_then(|address| {
        segments.iter().find_map(|segment| {
            let start: u64 = segment.p_vaddr(endian).into();
            let size: u64 = segment.p_filesz(endian).into();
            let offset: u64 = segment.p_offset(endian).into();
            let inside = address.checked_sub(start).filter(|inside| *inside < size)?;
            let is_load = segment.p_type(endian) == elf::PT_LOAD;
            is_load.then(|| offset.checked_add(inside)).flatten()
        })
    });
    let Some(table) = table else {
        return Vec::new();
    };
    let name = |offset: u64| {
        let start = usize::try_from(table.checked_add(offset)?).ok()?;
        let rest = data.get(start..)?;
        let rest = rest.get(..rest.len().min(256))?;
        let end = rest.iter().position(|byte| *byte == 0)?;
        std::str::from_utf8(rest.get(..end)?).ok()
    };
    let names = offsets.into_iter().filter_map(name);
    names
        .filter(|name| ASKED_FOR.iter().any(|start| name.starts_with(start)))
        .map(str::to_owned)
        .collect()
}

/// So many bytes after the start of a text are read with it: Go's list of modules stands before what it was built with.
pub(crate) const AFTER: usize = 256 << 10;

const PATTERNS: [&[u8]; 9] = [
    b"\xff Go buildinf:",
    b"The current machine does not support all of the following CPU features that are required by the image",
    b"<jemalloc>: Unsupported system page size",
    b"Fatal glibc error: CPU does not support x86-64-v",
    b"kernel too old",
    b"GNU C Library ",
    b"vermagic=",
    ebpf::OBJECT,
    VSYSCALL,
];

/// The end of `mov $0xffffffffff600400, %rax` and `call *%rax`, as `time` of glibc has it: in libraries before 2.14, linked in
/// statically before 2.15. How it begins is too common to be searched for.
const VSYSCALL: &[u8] = b"\x00\x04\x60\xff\xff\xd0";

static SEARCH: LazyLock<AhoCorasick> = LazyLock::new(|| {
    // Only this kind is searched for with vector instructions.
    let builder = AhoCorasick::builder()
        .match_kind(MatchKind::LeftmostFirst)
        .build(PATTERNS);
    builder.expect("nine short patterns make an automaton")
});

impl Texts {
    /// Looks through a part of the file. Of each text what follows it is there as well, unless the file ends.
    pub(crate) fn look(&mut self, part: &[u8]) {
        for found in SEARCH.find_iter(part) {
            let rest = part.get(found.start()..).unwrap_or_default();
            match found.pattern().as_usize() {
                0 => self.go = self.go.take().or_else(|| go(rest)),
                // A message that tells more is not hidden by one that tells nothing.
                1 => match native_image(rest) {
                    Some(asking) => self.native_image = Some(asking),
                    None => drop(self.native_image.get_or_insert_default()),
                },
                2 => self.jemalloc = true,
                3 => self.checks_cpu = true,
                4 => self.checks_kernel = true,
                5 => self.glibc = self.glibc.take().or_else(|| glibc(rest)),
                7 => self.holds_ebpf |= ebpf::is_fitted(rest),
                8 => self.calls_vsyscall = true,
                _ => {
                    let release = text_after(rest, b"vermagic=", 128);
                    let release = release.and_then(|text| text.split_whitespace().next());
                    self.vermagic = release.map(str::to_owned);
                }
            }
        }
    }

    /// Looks for musl's version in its loader: the first text of that form that a zero byte ends. What stands before it may
    /// be the last byte of a number.
    pub(crate) fn look_for_musl(&mut self, data: &[u8]) {
        let ends = data.split(|byte| *byte == 0);
        let version = ends
            .filter_map(|text| {
                let is_part = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
                let start = text.iter().rposition(|byte| !is_part(byte));
                std::str::from_utf8(text.get(start.map_or(0, |it| it + 1)..)?).ok()
            })
            .filter(|text| (5..=9).contains(&text.len()))
            .filter(|text| text.starts_with(['0', '1']) && text.split('.').count() == 3)
            .try_for_each(|text| match text.parse::<DottedVersion>() {
                Ok(version) => ControlFlow::Break(version),
                Err(_) => ControlFlow::Continue(()),
            });
        self.musl = version.break_value();
    }
}

fn text_after<'a>(data: &'a [u8], start: &[u8], most: usize) -> Option<&'a str> {
    let rest = data.get(start.len()..)?;
    let rest = rest.get(..rest.len().min(most))?;
    let end = rest.iter().position(|byte| *byte == 0)?;
    std::str::from_utf8(rest.get(..end)?).ok()
}

/// `GNU C Library (Debian GLIBC 2.36-9+deb12u14) stable release version 2.36.`; before 2.13 without what is in brackets.
fn glibc(data: &[u8]) -> Option<DottedVersion> {
    let line = data.get(..data.len().min(256))?;
    let line = line.split(|byte| matches!(byte, 0 | b'\n')).next()?;
    let line = std::str::from_utf8(line).ok()?;
    let version = line.split_once("release version ")?.1;
    let end = version.find(|c: char| !c.is_ascii_digit() && c != '.');
    let version = version.get(..end.unwrap_or(version.len()))?;
    version.trim_end_matches('.').parse().ok()
}

/// The message of a native image: `… required by the image: [CX8, CMOV, FXSR, MMX, SSE, SSE2].` `None` if it lists nothing.
fn native_image(data: &[u8]) -> Option<NativeImage> {
    let list = data.get(PATTERNS[1].len()..)?.strip_prefix(b": [")?;
    let end = list.iter().take(2_048).position(|byte| *byte == b']')?;
    let list = std::str::from_utf8(list.get(..end)?).ok()?;
    let is_name = |name: &&str| {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        (1..=32).contains(&name.len()) && name.bytes().all(is_part)
    };
    let names: Vec<_> = list.split(", ").collect();
    let asking = names
        .iter()
        .all(is_name)
        .then(|| NativeImage::asking_for(names))?;
    asking.cpu_level.is_some().then_some(asking)
}

/// Build information of Go 1.18 and newer: magic, pointer size, flags, and at 32 two strings with their lengths before
/// them. The second begins and ends with 16 bytes of marks.
fn go(data: &[u8]) -> Option<Go> {
    const INLINE: u8 = 2;
    if data.get(15)? & INLINE == 0 {
        return None;
    }
    let (version, rest) = counted(data.get(32..)?)?;
    let version = std::str::from_utf8(version).ok()?;
    if !version.starts_with("go") && !version.starts_with("devel") {
        return None;
    }
    let modules = counted(rest).map(|(text, _)| text).unwrap_or_default();
    let modules = modules.get(16..modules.len().saturating_sub(16));
    let settings = String::from_utf8_lossy(modules.unwrap_or_default());
    let level = settings
        .lines()
        .find_map(|line| line.strip_prefix("build\tGOAMD64=v")?.parse().ok());
    Some(Go {
        version: version
            .split_whitespace()
            .next()
            .unwrap_or(version)
            .to_owned(),
        amd64: level.filter(|level| (1..=4).contains(level)).unwrap_or(1),
    })
}

/// A string after its length (a varint), and what follows it.
fn counted(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut length = 0_u64;
    let end = data.iter().take(9).position(|byte| byte & 0x80 == 0)?;
    for byte in data.get(..=end)?.iter().rev() {
        length = length << 7 | u64::from(byte & 0x7f);
    }
    let rest = data.get(end + 1..)?;
    rest.split_at_checked(usize::try_from(length).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_native_image_tells_what_it_asks_of_the_cpu() {
        let asking = |list: &str| {
            let message = String::from_utf8_lossy(PATTERNS[1]);
            let mut texts = Texts::default();
            texts.look(format!("\0{message}{list}\0").as_bytes());
            let asking = texts.native_image.expect("the message is there");
            (asking.cpu_level, asking.beyond.join(" "))
        };
        let (level, beyond) = asking(": [CX8, CMOV, FXSR, MMX, SSE, SSE2].");
        assert_eq!((level, beyond.as_str()), (Some(1), ""));
        let (level, beyond) = asking(": [CX8, SSE2, SSE4_2, AVX2, AES, FMA].\nPlease rebuild");
        assert_eq!((level, beyond.as_str()), (Some(3), "AES"));
        for silent in ["", ": ", ": [", ": []", ": [CX8; rm -rf]", ": [FP, ASIMD]."] {
            assert_eq!(asking(silent), (None, String::new()), "{silent}");
        }
    }

    #[test]
    fn musl_tells_its_version_whatever_stands_before_it() {
        let version = |data: &[u8]| {
            let mut texts = Texts::default();
            texts.look_for_musl(data);
            texts.musl.map(|version| version.to_string())
        };
        assert_eq!(version(b"\0x.y\x001.2.5\0").as_deref(), Some("1.2.5"));
        assert_eq!(version(b"\0\0\x80=1.2.3\0").as_deref(), Some("1.2.3"));
        assert_eq!(version(b"\x001.2\x00127.0.0.1\0 2.3.4\0"), None);
    }

    #[test]
    fn glibc_tells_its_version_with_brackets_and_without() {
        let version = |banner: &str| {
            let mut texts = Texts::default();
            texts.look(format!("\0{banner}\n\0").as_bytes());
            texts.glibc.map(|version| version.to_string())
        };
        for (banner, expected) in [
            (
                "GNU C Library (Debian GLIBC 2.36-9) stable release version 2.36.",
                Some("2.36"),
            ),
            (
                "GNU C Library stable release version 2.12, by Roland McGrath et al.",
                Some("2.12"),
            ),
            ("GNU C Library is free software", None),
        ] {
            assert_eq!(version(banner).as_deref(), expected, "{banner}");
        }
    }
}
