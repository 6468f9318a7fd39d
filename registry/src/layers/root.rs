//! Layers merged as the runtime mounts them: upper over lower, whiteouts, links followed inside the root.

use std::collections::BTreeSet;
use std::ops::Deref;

use super::elf::Elf;
use super::scan::{Entry, Layer, Said};

/// Most links that are followed on the way to one file, as in Linux.
const LINKS: usize = 40;

/// A root file system.
pub(super) struct Root<'a> {
    /// Top first.
    layers: Vec<&'a Layer>,
}

/// A file of the root.
#[derive(Clone, Copy)]
pub(super) struct Found<'a> {
    said: Option<&'a Said>,
}

impl<'a> Root<'a> {
    /// The root made of `layers`, base first.
    pub(super) fn new<L: Deref<Target = Layer>>(layers: &'a [L]) -> Self {
        let layers = layers.iter().rev().map(|layer| &**layer).collect();
        Self { layers }
    }

    /// What stands at `path` itself, and in which layer; links are not followed.
    fn entry(&self, path: &str) -> Option<(usize, &'a Entry)> {
        for (depth, layer) in self.layers.iter().enumerate() {
            match layer.entries.get(path) {
                Some(Entry::Gone) => return None,
                Some(entry) => return Some((depth, entry)),
                None if hides_below(layer, path) => return None,
                None => {}
            }
        }
        None
    }

    /// The path that `path` leads to, all links on the way followed. A target that is absolute begins at the root, one
    /// that leads out of the root ends at it.
    pub(super) fn resolve(&self, path: &str) -> Option<String> {
        let mut left: Vec<String> = parts(path);
        let mut done: Vec<String> = Vec::new();
        let mut links = 0;
        while let Some(part) = left.pop() {
            if part == ".." {
                done.pop();
                continue;
            }
            done.push(part);
            let here = done.join("/");
            if let Some((_, Entry::Link(target))) = self.entry(&here) {
                links += 1;
                if links > LINKS {
                    return None;
                }
                done.pop();
                if target.starts_with('/') {
                    done.clear();
                }
                left.extend(parts(target));
            }
        }
        Some(done.join("/"))
    }

    /// The regular file at a path that holds no links.
    fn regular(&self, path: &str) -> Option<Found<'a>> {
        let mut path = path;
        // Hard links to hard links come from layers that were made so by hand; each leads further down.
        for _ in 0..=self.layers.len() {
            match self.entry(path)?.1 {
                Entry::File { said } => {
                    return Some(Found {
                        said: said.as_ref(),
                    });
                }
                Entry::HardLink(target) => path = target,
                Entry::Gone | Entry::Folder { .. } | Entry::Link(_) => return None,
            }
        }
        None
    }

    /// The file that `path` leads to, with its own path.
    pub(super) fn file(&self, path: &str) -> Option<(String, Found<'a>)> {
        let path = self.resolve(path)?;
        let found = self.regular(&path)?;
        Some((path, found))
    }

    /// The text of the file that `path` leads to, if it is one that is kept.
    pub(super) fn text(&self, path: &str) -> Option<&'a str> {
        self.file(path)?.1.text()
    }

    /// Every file of which something is known, in the order of their paths.
    pub(super) fn files(&self) -> impl Iterator<Item = (&'a str, Found<'a>)> + use<'a, '_> {
        let told = self.layers.iter().enumerate().flat_map(|(depth, layer)| {
            let paths = layer.entries.iter();
            paths.filter_map(move |(path, entry)| match entry {
                Entry::File { said: Some(_) } => Some((path.as_str(), depth)),
                _ => None,
            })
        });
        let told: BTreeSet<_> = told.collect();
        told.into_iter()
            .filter_map(|(path, depth)| match self.entry(path)? {
                // What another layer put above it is that layer's.
                (own, Entry::File { said }) if own == depth => Some((
                    path,
                    Found {
                        said: said.as_ref(),
                    },
                )),
                _ => None,
            })
    }
}

impl<'a> Found<'a> {
    pub(super) fn said(&self) -> Option<&'a Said> {
        self.said
    }

    pub(super) fn elf(&self) -> Option<&'a Elf> {
        match self.said? {
            Said::Elf(elf) => Some(elf),
            _ => None,
        }
    }

    pub(super) fn text(&self) -> Option<&'a str> {
        match self.said? {
            Said::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// Whether a layer that does not hold `path` itself hides what is there below it: by a whiteout of a folder on the way,
/// an opaque one, or something there that is no folder.
fn hides_below(layer: &Layer, path: &str) -> bool {
    let folders = path
        .match_indices('/')
        .filter_map(|(end, _)| path.get(..end));
    let hides = |folder: &str| match layer.entries.get(folder) {
        None | Some(Entry::Folder { is_opaque: false }) => false,
        Some(_) => true,
    };
    hides("") || folders.into_iter().any(hides)
}

/// The parts of a path, the first one last.
fn parts(path: &str) -> Vec<String> {
    let parts = path.split('/').filter(|part| !matches!(*part, "" | "."));
    parts.rev().map(str::to_owned).collect()
}
