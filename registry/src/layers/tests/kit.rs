//! Layers and programs made by hand.

use tar::{Builder, EntryType, Header};

use super::super::scan::{self, Layer};

/// A layer made by hand.
pub(super) struct Tar(Builder<Vec<u8>>);

impl Tar {
    pub(super) fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    pub(super) fn entry(mut self, path: &str, kind: EntryType, mode: u32, data: &[u8]) -> Self {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(data.len() as u64);
        self.0.append_data(&mut header, path, data).unwrap();
        self
    }

    pub(super) fn file(self, path: &str, data: impl AsRef<[u8]>) -> Self {
        self.entry(path, EntryType::Regular, 0o644, data.as_ref())
    }

    pub(super) fn program(self, path: &str, data: impl AsRef<[u8]>) -> Self {
        self.entry(path, EntryType::Regular, 0o755, data.as_ref())
    }

    /// A program whose file has capabilities, as a PAX header tells them.
    pub(super) fn capable(mut self, path: &str, capabilities: &[u8], data: &[u8]) -> Self {
        let key = "SCHILY.xattr.security.capability";
        self.0.append_pax_extensions([(key, capabilities)]).unwrap();
        self.program(path, data)
    }

    pub(super) fn folder(self, path: &str) -> Self {
        self.entry(path, EntryType::Directory, 0o755, b"")
    }

    pub(super) fn link(mut self, path: &str, target: &str, kind: EntryType) -> Self {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        self.0.append_link(&mut header, path, target).unwrap();
        self
    }

    pub(super) fn symlink(self, path: &str, target: &str) -> Self {
        self.link(path, target, EntryType::Symlink)
    }

    pub(super) fn bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }

    pub(super) fn layer(self) -> Box<Layer> {
        Box::new(scan::scan(self.bytes().as_slice()).unwrap())
    }
}

/// A 64-bit program or library with notes, and a loader if it is dynamic.
pub(super) fn elf(loader: Option<&str>, notes: &[Vec<u8>], text: &[u8]) -> Vec<u8> {
    let mut segments: Vec<(u32, u64, Vec<u8>)> = Vec::new();
    if let Some(loader) = loader {
        segments.push((3, 1, [loader.as_bytes(), b"\0"].concat()));
    }
    segments.extend(notes.iter().map(|note| (4, 8, note.clone())));
    segments.push((1, 0x1000, text.to_vec()));
    let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    bytes.extend([3, 0, 62, 0, 1, 0, 0, 0]);
    bytes.extend(0_u64.to_le_bytes());
    bytes.extend(64_u64.to_le_bytes());
    bytes.extend(0_u64.to_le_bytes());
    bytes.extend([0, 0, 0, 0, 64, 0, 56, 0]);
    bytes.extend((segments.len() as u16).to_le_bytes());
    bytes.extend([64, 0, 0, 0, 0, 0]);
    let mut offset = 64 + 56 * segments.len() as u64;
    for (kind, align, data) in &segments {
        bytes.extend(kind.to_le_bytes());
        bytes.extend(4_u32.to_le_bytes());
        let size = data.len() as u64;
        for word in [offset, offset, offset, size, size, *align] {
            bytes.extend(word.to_le_bytes());
        }
        offset += size;
    }
    for (_, _, data) in segments {
        bytes.extend(data);
    }
    bytes
}

fn note(kind: u32, desc: &[u8]) -> Vec<u8> {
    let mut note = 4_u32.to_le_bytes().to_vec();
    note.extend((desc.len() as u32).to_le_bytes());
    note.extend(kind.to_le_bytes());
    note.extend(b"GNU\0");
    note.extend(desc);
    note
}

pub(super) fn abi(kernel: [u32; 3]) -> Vec<u8> {
    let words = [0, kernel[0], kernel[1], kernel[2]];
    note(1, &words.map(u32::to_le_bytes).concat())
}

pub(super) fn isa(bits: u32) -> Vec<u8> {
    note(5, &[0xc000_8002, 4, bits, 0].map(u32::to_le_bytes).concat())
}

pub(super) fn libc(version: &str, kernel: [u32; 3], level: u32) -> Vec<u8> {
    let text = format!("GNU C Library (Test GLIBC) stable release version {version}.\n\0");
    elf(None, &[abi(kernel), isa(level)], text.as_bytes())
}
