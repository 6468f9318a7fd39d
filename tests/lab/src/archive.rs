//! Initial file systems: cpio archives in the "newc" form, which kernels unpack one after another.

use std::fs;
use std::io::{BufWriter, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};

/// Folders and files, written in the order in which they are added.
pub(crate) struct Archive<W: Write> {
    to: BufWriter<W>,
    number: u32,
}

const FOLDER: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;

impl<W: Write> Archive<W> {
    pub(crate) fn new(to: W) -> Self {
        let to = BufWriter::new(to);
        Self { to, number: 0 }
    }

    /// A file that anybody may run.
    pub(crate) fn file(&mut self, name: &str, data: &[u8]) -> Result<()> {
        self.entry(name, PROGRAM, 0, data)
    }

    pub(crate) fn folder(&mut self, name: &str) -> Result<()> {
        self.entry(name, FOLDER, 0, &[])
    }

    /// Everything below a folder, under another name.
    pub(crate) fn tree(&mut self, from: &Path, name: &str) -> Result<()> {
        let about = fs::symlink_metadata(from)?;
        if about.is_symlink() {
            let to = fs::read_link(from)?;
            return self.entry(
                name,
                about.mode(),
                about.uid(),
                to.as_os_str().as_encoded_bytes(),
            );
        }
        if about.is_file() {
            let data = fs::read(from).with_context(|| format!("read {}", from.display()))?;
            return self.entry(name, about.mode(), about.uid(), &data);
        }
        if !about.is_dir() {
            return Ok(());
        }
        self.entry(name, about.mode(), about.uid(), &[])?;
        let mut names: Vec<_> = fs::read_dir(from)?
            .map(|it| Ok(it?.file_name()))
            .collect::<Result<_>>()?;
        names.sort();
        for own in names {
            self.tree(
                &from.join(&own),
                &format!("{name}/{}", own.to_string_lossy()),
            )?;
        }
        Ok(())
    }

    fn entry(&mut self, name: &str, mode: u32, user: u32, data: &[u8]) -> Result<()> {
        self.number += 1;
        let size = u32::try_from(data.len()).context("a file of 4 GiB")?;
        let name_size = u32::try_from(name.len() + 1)?;
        let links = 1;
        let fields = [
            self.number,
            mode,
            user,
            user,
            links,
            0,
            size,
            0,
            0,
            0,
            0,
            name_size,
            0,
        ];
        let mut head = "070701".to_owned();
        for field in fields {
            head.push_str(&format!("{field:08x}"));
        }
        head.push_str(name);
        head.push('\0');
        self.padded(head.as_bytes())?;
        self.padded(data)
    }

    fn padded(&mut self, data: &[u8]) -> Result<()> {
        self.to.write_all(data)?;
        let rest = data.len().next_multiple_of(4) - data.len();
        self.to.write_all(&vec![0; rest])?;
        Ok(())
    }

    pub(crate) fn end(mut self) -> Result<()> {
        self.entry("TRAILER!!!", 0, 0, &[])?;
        self.to.flush()?;
        Ok(())
    }
}
