//! One layer's tar stream into what rules ask of it. Every length in it is somebody else's claim.

use std::collections::HashMap;
use std::io::Read;

use tar::{EntryType, Header};

use super::blocks::{BLOCK, Data, fill, has_checksum};
use super::elf::{self, AFTER, Elf, Texts};
use super::packages::{self, Packages};
use super::pax;
use super::script::Script;
use super::{Refused, ScanError, name_of, wanted};

/// Most entries of one layer.
const ENTRIES: usize = 500_000;
/// Most bytes of all paths of one layer.
const PATHS: usize = 48 << 20;
/// Longest path, as Linux has it.
const PATH: usize = 4_096;
/// Most bytes of the headers that extend one entry.
const EXTENSION: u64 = 1 << 20;
/// Of a larger program only the start is kept for its structure; its texts are looked for to the end.
const STRUCTURE: usize = 16 << 20;
/// How much of a program is looked through at a time.
const PART: usize = 1 << 20;
/// A larger script is not looked into; only who interprets it is told.
const SCRIPT: usize = 64 << 10;

/// What one layer does to the files below it.
#[derive(Debug, Default)]
pub(crate) struct Layer {
    pub(crate) entries: HashMap<String, Entry>,
}

impl Layer {
    /// Bytes that it takes, near enough.
    pub(crate) fn weight(&self) -> usize {
        const ENTRY: usize = 96;
        let entries = self.entries.iter().map(|(path, entry)| {
            let more = match entry {
                Entry::Link(target) | Entry::HardLink(target) => target.len(),
                Entry::File { said: Some(said) } => match said {
                    Said::Text(text) => ENTRY + text.len(),
                    Said::Script(script) => ENTRY + script.size(),
                    _ => 4 * ENTRY,
                },
                _ => 0,
            };
            ENTRY + path.len() + more
        });
        entries.sum()
    }
}

/// What stands at a path.
#[derive(Debug)]
pub(crate) enum Entry {
    /// A whiteout: what was there below is gone.
    Gone,
    /// A folder, and whether everything that was in it below is gone.
    Folder { is_opaque: bool },
    /// A symbolic link, and where it leads.
    Link(String),
    /// Another name of a file of this layer or one below.
    HardLink(String),
    /// A regular file.
    File { said: Option<Said> },
}

/// What is kept of a file.
#[derive(Debug)]
pub(crate) enum Said {
    /// A program or library.
    Elf(Box<Elf>),
    /// A script.
    Script(Script),
    /// A short text that is kept as it is.
    Text(String),
    /// A kernel module that is compressed: what stands in it is not read.
    PackedModule,
    /// A database of packages.
    Packages(Packages),
    /// It should be read and is larger than is read.
    TooLarge,
}

/// Headers that come before an entry and change it.
#[derive(Default)]
struct Extension {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    binds_low_ports: bool,
}

/// Reads a layer to the end of its tar stream.
pub(crate) fn scan(mut tar: impl Read) -> Result<Layer, ScanError> {
    let mut layer = Layer::default();
    let mut paths = 0;
    let mut entries = 0;
    let mut extension = Extension::default();
    let mut zeros = 0;
    // Programs are looked into here, one after the other.
    let mut bytes = Vec::new();
    loop {
        let mut block = [0; BLOCK];
        if !fill(&mut tar, &mut block)? {
            break;
        }
        if block.iter().all(|byte| *byte == 0) {
            zeros += 1;
            if zeros == 2 {
                break;
            }
            continue;
        }
        zeros = 0;
        let header = Header::from_byte_slice(&block);
        if !has_checksum(&block, header) {
            return Err(Refused("a layer of it is no tar archive").into());
        }
        let kind = header.entry_type();
        let size = header
            .entry_size()
            .map_err(|_| Refused("a layer of it holds a file of an impossible size"))?;
        // Where there can be no data, none follows, whatever the size says: so read Go, and the runtimes.
        let has_data = !matches!(
            kind,
            EntryType::Link
                | EntryType::Symlink
                | EntryType::Char
                | EntryType::Block
                | EntryType::Directory
                | EntryType::Fifo
        );
        let size = match extension.size {
            _ if !has_data => 0,
            // It speaks of the entry, not of another header before it.
            Some(size) if !is_extension(kind) => size,
            _ => size,
        };
        let data = &mut Data::new(&mut tar, size);
        if is_extension(kind) {
            extend(&mut extension, kind, size, data)?;
            data.skip()?;
            continue;
        }
        entries += 1;
        if entries > ENTRIES {
            return Err(Refused("a layer of it has more than 500,000 entries").into());
        }
        let Extension {
            path,
            link,
            binds_low_ports,
            ..
        } = std::mem::take(&mut extension);
        let path = path.unwrap_or_else(|| header.path_bytes().into_owned());
        let link = link.or_else(|| header.link_name_bytes().map(|name| name.into_owned()));
        let path = clean(&path)?;
        paths += path.len() + link.as_ref().map_or(0, Vec::len);
        if paths > PATHS {
            return Err(Refused("the paths of a layer of it take more than 48 MiB").into());
        }
        let mode = header.mode().unwrap_or_default();
        enter(&mut layer, &path, kind, link, mode, data, &mut bytes)?;
        if let Some(Entry::File {
            said: Some(Said::Elf(elf)),
        }) = layer.entries.get_mut(&path)
        {
            elf.binds_low_ports = binds_low_ports;
        }
        data.skip()?;
    }
    // A runtime reads to the end as well, and fails if there is none.
    std::io::copy(&mut tar, &mut std::io::sink())?;
    Ok(layer)
}

fn is_extension(kind: EntryType) -> bool {
    kind.is_gnu_longname()
        || kind.is_gnu_longlink()
        || kind.is_pax_local_extensions()
        || kind.is_pax_global_extensions()
}

fn extend(
    extension: &mut Extension,
    kind: EntryType,
    size: u64,
    data: &mut Data<'_, impl Read>,
) -> Result<(), ScanError> {
    if size > EXTENSION {
        return Err(Refused("a layer of it has an extended header of more than 1 MiB").into());
    }
    if kind.is_pax_global_extensions() {
        return Ok(());
    }
    let bytes = data.read_up_to(EXTENSION as usize)?;
    let name = |bytes: &[u8]| {
        let end = bytes.iter().position(|byte| *byte == 0);
        bytes.get(..end.unwrap_or(bytes.len())).map(<[u8]>::to_vec)
    };
    if kind.is_gnu_longname() {
        extension.path = name(&bytes);
    } else if kind.is_gnu_longlink() {
        extension.link = name(&bytes);
    } else {
        for record in pax::records(&bytes) {
            let (key, value) = record?;
            match key {
                b"path" => extension.path = Some(value.to_vec()),
                b"linkpath" => extension.link = Some(value.to_vec()),
                b"size" => {
                    let size = std::str::from_utf8(value)
                        .ok()
                        .and_then(|it| it.parse().ok());
                    let wrong = Refused("a layer of it holds a file of an impossible size");
                    extension.size = Some(size.ok_or(wrong)?);
                }
                pax::CAPABILITIES => extension.binds_low_ports = pax::binds_low_ports(value),
                _ => {}
            }
        }
    }
    Ok(())
}

fn enter(
    layer: &mut Layer,
    path: &str,
    kind: EntryType,
    link: Option<Vec<u8>>,
    mode: u32,
    data: &mut Data<'_, impl Read>,
    bytes: &mut Vec<u8>,
) -> Result<(), ScanError> {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    if name == ".wh..wh..opq" {
        let folder = folder.to_owned();
        layer
            .entries
            .insert(folder, Entry::Folder { is_opaque: true });
        return Ok(());
    }
    if let Some(hidden) = name.strip_prefix(".wh.") {
        // Other names that begin so are marks of old storage drivers.
        if !hidden.starts_with(".wh.") && !hidden.is_empty() {
            let path = join(folder, hidden);
            // What the layer itself puts there stays, in whatever order the two come.
            layer.entries.entry(path).or_insert(Entry::Gone);
        }
        return Ok(());
    }
    let target = || {
        let link = link.unwrap_or_default();
        (link.len() <= PATH)
            .then(|| String::from_utf8_lossy(&link).into_owned())
            .ok_or(LONG)
    };
    let entry = match kind {
        EntryType::Directory => {
            let was = layer.entries.get(path);
            let is_opaque = matches!(was, Some(Entry::Folder { is_opaque: true }));
            Entry::Folder { is_opaque }
        }
        EntryType::Symlink => Entry::Link(target()?),
        EntryType::Link => Entry::HardLink(clean(target()?.as_bytes())?),
        EntryType::Regular | EntryType::Continuous => Entry::File {
            said: look_into(path, mode, data, bytes)?,
        },
        EntryType::GNUSparse => {
            return Err(Refused("a layer of it holds a sparse file, which no image has").into());
        }
        // Devices and pipes hide what is below as well.
        _ => Entry::File { said: None },
    };
    layer.entries.insert(path.to_owned(), entry);
    Ok(())
}

/// What a file says, if it may say something that rules ask for.
fn look_into(
    path: &str,
    mode: u32,
    data: &mut Data<'_, impl Read>,
    bytes: &mut Vec<u8>,
) -> Result<Option<Said>, ScanError> {
    if let Some(most) = wanted(path) {
        if data.left > most as u64 {
            return Ok(Some(Said::TooLarge));
        }
        let bytes = data.read_up_to(most)?;
        return Ok(match packages::read(path, &bytes) {
            Some(packages) => Some(Said::Packages(packages)),
            None => Some(Said::Text(String::from_utf8_lossy(&bytes).into_owned())),
        });
    }
    let name = name_of(path);
    if PACKED.iter().any(|end| name.ends_with(end)) {
        return Ok(Some(Said::PackedModule));
    }
    let may_be_program = mode & 0o111 != 0 || name.contains(".so") || is_object(name);
    if !may_be_program || data.left < 4 {
        return Ok(None);
    }
    bytes.clear();
    data.append_up_to(4, bytes)?;
    if bytes.starts_with(b"#!") {
        data.append_up_to(SCRIPT, bytes)?;
        let text = String::from_utf8_lossy(bytes.get(2..).unwrap_or_default());
        // Of one that is longer only its interpreter is told.
        let text = match data.left {
            0 => &*text,
            _ => text.lines().next().unwrap_or_default(),
        };
        return Ok(Some(Said::Script(Script::of(text))));
    }
    if *bytes != *b"\x7fELF" {
        return Ok(None);
    }
    let mut texts = Texts::default();
    data.append_up_to(STRUCTURE - 4, bytes)?;
    texts.look(bytes);
    if name.starts_with("ld-musl-") || name == "libc.so" {
        texts.look_for_musl(bytes);
    }
    let elf = elf::read(bytes);
    while data.left > 0 {
        // What follows a text may stand in the next part.
        bytes.drain(..bytes.len().saturating_sub(AFTER));
        data.append_up_to(PART, bytes)?;
        texts.look(bytes);
    }
    texts.is_signed = bytes.ends_with(SIGNATURE);
    Ok(elf.map(|elf| Said::Elf(Box::new(Elf { texts, ..elf }))))
}

/// How a kernel module ends that is signed.
const SIGNATURE: &[u8] = b"~Module signature appended~\n";
/// How the names of compressed kernel modules end.
const PACKED: [&str; 3] = [".ko.gz", ".ko.xz", ".ko.zst"];

/// Objects that are never executable and are asked for nevertheless.
fn is_object(name: &str) -> bool {
    [".ko", ".o", ".bpf"].iter().any(|end| name.ends_with(end))
}

const LONG: Refused = Refused("a layer of it holds a path of more than 4,096 bytes");

/// A path without a leading slash, `.` and empty parts. One that leads out of the root is refused, as runtimes do.
fn clean(path: &[u8]) -> Result<String, ScanError> {
    if path.len() > PATH {
        return Err(LONG.into());
    }
    let path = String::from_utf8_lossy(path);
    let mut clean = String::with_capacity(path.len());
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => return Err(Refused("a path in a layer of it leads out of the image").into()),
            part => {
                if !clean.is_empty() {
                    clean.push('/');
                }
                clean.push_str(part);
            }
        }
    }
    Ok(clean)
}

fn join(folder: &str, name: &str) -> String {
    match folder {
        "" => name.to_owned(),
        folder => format!("{folder}/{name}"),
    }
}
