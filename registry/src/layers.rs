//! A layer stream → the few things in its files that matter, with hard caps.
//!
//! ```text
//! bytes ─stream─▶ tar ─scan─▶ Layer (what it says, learned once) ─root─▶ merged as the runtime mounts them ─facts─▶ Files
//! ```

mod blocks;
mod command;
mod ebpf;
mod elf;
mod facts;
mod libc;
mod once;
mod packages;
mod pax;
mod root;
mod scan;
mod script;
mod stream;

use std::io::{self, Read};

use hostfit_engine::os_release;
use sha2::{Digest as _, Sha256, Sha512};

pub(crate) use self::facts::files;
pub(crate) use self::once::Layers;
pub(crate) use self::scan::Layer;
use self::stream::Unpacked;
use crate::digest;
use crate::error::Failure;
use crate::parse::Descriptor;

/// What is wrong with a layer, as users read it. It stays so for ever.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Refused(&'static str);

impl From<Refused> for io::Error {
    fn from(refused: Refused) -> Self {
        Self::other(refused)
    }
}

/// Why a layer could not be scanned.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScanError {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Read(io::Error),
}

impl From<io::Error> for ScanError {
    fn from(error: io::Error) -> Self {
        let refused = error.get_ref().and_then(|inner| inner.downcast_ref());
        match refused {
            Some(refused) => Self::Refused(*refused),
            None => Self::Read(error),
        }
    }
}

/// The last part of a path.
fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The crypto policy of RHEL 8 and newer, and the mark of a system in FIPS mode of older ones.
const CRYPTO_POLICY: [&str; 2] = ["etc/crypto-policies/config", "etc/system-fips"];

/// Largest text that is kept as it is.
const TEXT: usize = 64 << 10;

/// How much of the file at `path` is kept whole, if it matters by its name.
fn wanted(path: &str) -> Option<usize> {
    let is_text = os_release::PATHS.contains(&path)
        || CRYPTO_POLICY.contains(&path)
        // Every Java runtime has one in its home, wherever that is.
        || path.ends_with("/release");
    match is_text {
        true => Some(TEXT),
        false => packages::wanted(path),
    }
}

/// Reads a layer whole, checks that it is the one that its descriptor names, and tells what it says.
///
/// Trust rests on the digest of the compressed bytes: whatever the tar stream in them holds, what follows it is read as
/// well.
pub(crate) fn read(descriptor: &Descriptor, reader: impl Read) -> Result<Layer, Failure> {
    let mut verified = Verified {
        // One byte more than it may have tells that it is longer.
        reader: reader.take(descriptor.size + 1),
        hash: match descriptor.digest.parts().0 {
            "sha512" => Hash::Sha512(Sha512::new()),
            _ => Hash::Sha256(Sha256::new()),
        },
        count: 0,
    };
    let scanned = Unpacked::new(&mut verified)
        .map_err(ScanError::from)
        .and_then(scan::scan);
    // A stream that broke, or a lie: what comes of it is known only at its end.
    let rest = io::copy(&mut verified, &mut io::sink());
    let hash = match verified.hash {
        Hash::Sha256(hash) => digest::hex(&hash.finalize()),
        Hash::Sha512(hash) => digest::hex(&hash.finalize()),
    };
    if verified.count > descriptor.size {
        return Err(Failure::Broken("a layer of it is longer than it should be"));
    }
    if let Err(error) = rest {
        return Err(Failure::NoAnswer(error.to_string()));
    }
    if verified.count < descriptor.size {
        return Err(Failure::Broken(
            "a layer of it is shorter than it should be",
        ));
    }
    if hash != descriptor.digest.parts().1 {
        return Err(Failure::Broken(
            "a layer of it does not have the digest that it should have",
        ));
    }
    match scanned {
        Ok(layer) => Ok(layer),
        Err(ScanError::Refused(Refused(what))) => Err(Failure::Invalid(what)),
        Err(ScanError::Read(_)) => Err(Failure::Invalid("a layer of it cannot be unpacked")),
    }
}

enum Hash {
    Sha256(Sha256),
    Sha512(Sha512),
}

struct Verified<R> {
    reader: io::Take<R>,
    hash: Hash,
    count: u64,
}

impl<R: Read> Read for Verified<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        let bytes = buffer.get(..read).unwrap_or_default();
        match &mut self.hash {
            Hash::Sha256(hash) => hash.update(bytes),
            Hash::Sha512(hash) => hash.update(bytes),
        }
        self.count += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
