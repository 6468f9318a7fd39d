//! eBPF objects: whether they are fitted to the kernel's own types as they are loaded, and so need the kernel to tell them.

use object::read::elf::{FileHeader, SectionHeader as _};
use object::{Endianness, elf};

/// How a 64-bit little-endian eBPF object begins, also where it stands within the program that loads it: its class, its
/// order of bytes, and, at 16, that it is relocatable and for eBPF.
pub(super) const OBJECT: &[u8] = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x01\0\xf7\0";

/// So much of an object within a program is looked at.
const OBJECT_SIZE: usize = 4 << 20;

/// Programs that attach to functions and structures of the kernel, which only its types describe, by the names of their
/// sections (libbpf).
const ATTACHED: [&[u8]; 8] = [
    b"fentry",
    b"fexit",
    b"fmod_ret",
    b"freplace",
    b"iter",
    b"lsm",
    b"struct_ops",
    b"tp_btf",
];

/// Whether an object is fitted to the kernel's types. Its own types alone, which any compiler writes for people who look
/// for errors, need nothing of the kernel.
pub(super) fn needs_types<H: FileHeader<Endian = Endianness>>(
    header: &H,
    endian: Endianness,
    data: &[u8],
) -> bool {
    let Ok(sections) = header.sections(endian, data) else {
        return false;
    };
    let Some((_, types)) = sections.section_by_name(endian, b".BTF.ext") else {
        return false;
    };
    let is_attached = sections.iter().any(|section| {
        let name = sections.section_name(endian, section).unwrap_or_default();
        let kind = name.split(|byte| matches!(byte, b'/' | b'.')).next();
        kind.is_some_and(|kind| ATTACHED.contains(&kind))
    });
    is_attached || has_relocations(types.data(endian, data).unwrap_or_default()) != Some(false)
}

/// Whether the section `.BTF.ext` relocates anything by the kernel's types (CO-RE). `None` if it cannot be read.
fn has_relocations(section: &[u8]) -> Option<bool> {
    const MAGIC: [u8; 2] = [0x9f, 0xeb];
    let word = |offset: usize| {
        let bytes = section.get(offset..offset + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    };
    section.strip_prefix(&MAGIC)?;
    // The length of the header: older ones end before the relocations. Their own length is its last word.
    match word(4)? {
        length if length < 32 => Some(false),
        _ => Some(word(28)? > 0),
    }
}

/// Whether an object at the start of `bytes`, which go on after it, is fitted to the kernel's types.
pub(super) fn is_fitted(bytes: &[u8]) -> bool {
    let bytes = bytes.get(..bytes.len().min(OBJECT_SIZE)).unwrap_or(bytes);
    let header = elf::FileHeader64::<Endianness>::parse(bytes);
    header.is_ok_and(|header| needs_types(header, Endianness::Little, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An eBPF object with the sections `.BTF.ext`, of these bytes, and `program`.
    fn object(types: &[u8], program: &str) -> Vec<u8> {
        let names = format!("\0.BTF.ext\0{program}\0.shstrtab\0");
        let at = |name: &str| names.find(&format!("\0{name}\0")).unwrap() as u32 + 1;
        let mut bytes = OBJECT.to_vec();
        let sections = (64 + types.len() + names.len()) as u64;
        bytes.extend(1_u32.to_le_bytes());
        bytes.extend([0_u64, 0, sections].map(u64::to_le_bytes).concat());
        bytes.extend(0_u32.to_le_bytes());
        bytes.extend([64_u16, 0, 0, 64, 4, 3].map(u16::to_le_bytes).concat());
        bytes.extend(types);
        bytes.extend(names.as_bytes());
        let mut section = |name: u32, kind: u32, offset: usize, size: usize| {
            bytes.extend([name, kind].map(u32::to_le_bytes).concat());
            let words = [0, 0, offset as u64, size as u64, 0, 1, 0].map(u64::to_le_bytes);
            // Link and info share the place of one word.
            bytes.extend(words.concat());
        };
        section(0, 0, 0, 0);
        section(at(".BTF.ext"), 1, 64, types.len());
        section(at(program), 1, 64, 0);
        section(at(".shstrtab"), 3, 64 + types.len(), names.len());
        bytes
    }

    fn types(relocations: u32) -> Vec<u8> {
        let mut bytes = vec![0x9f, 0xeb, 1, 0];
        let words = [32, 0, 8, 8, 8, 16, relocations];
        bytes.extend(words.map(u32::to_le_bytes).concat());
        bytes
    }

    #[test]
    fn what_relocates_or_attaches_by_types_needs_them() {
        assert!(is_fitted(&object(&types(24), "kprobe/open")));
        assert!(!is_fitted(&object(&types(0), "kprobe/open")));
        assert!(is_fitted(&object(&types(0), "fentry/open")));
        assert!(is_fitted(&object(&types(0), "tp_btf")));
        // Of what cannot be read the worst is taken.
        assert!(is_fitted(&object(b"x", "xdp")));
        assert!(!is_fitted(&object(&types(24), "xdp")[..100]));
    }

    #[test]
    fn what_follows_an_object_does_not_matter() {
        let mut program = b"text before it".to_vec();
        program.extend(object(&types(8), "xdp"));
        program.extend(b"and after");
        let mut texts = super::super::elf::Texts::default();
        texts.look(&program);
        assert!(texts.holds_ebpf);
    }
}
