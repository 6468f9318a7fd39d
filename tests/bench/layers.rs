//! Facts of a layer beside the floor: unpacking and hashing the same bytes with the same libraries.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;
use flate2::bufread::MultiGzDecoder;
use hostfit_engine::fact::Fact;
use hostfit_registry::local;
use sha2::{Digest as _, Sha256};

use crate::rows::{Goal, compared, counted};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// An OCI image layout with one layer that is compressed with gzip.
    #[arg(long)]
    layout: PathBuf,
    /// Rounds.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

const MIB: f64 = (1 << 20) as f64;

pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let layer = largest(&args.layout.join("blobs/sha256"))?;
    let size = layer.metadata()?.len() as f64 / MIB;
    let idle = status("VmRSS")?;
    let mut pairs = Vec::new();
    let mut most: f64 = 0.0;
    for _ in 0..args.rounds {
        let began = Instant::now();
        let facts = local::layout(&args.layout, None).await?;
        let ours = began.elapsed().as_secs_f64();
        let Fact::Known(facts, _) = &*facts else {
            anyhow::bail!("the layout cannot be read");
        };
        let contents = facts.platforms.first().and_then(|it| it.contents.value());
        let files = contents.and_then(|contents| contents.files());
        files.context("its files were not read")?;
        most = most.max(status("VmHWM")?);
        let began = Instant::now();
        floor(&layer)?;
        pairs.push((size / ours, size / began.elapsed().as_secs_f64()));
    }
    let name = format!("facts of a layer of {size:.0} MiB (gzip), compressed");
    compared(&name, "MiB/s", &pairs, &Goal::AtLeast(0.8));
    counted(
        "reading a layer: memory above idle",
        most - idle,
        "MiB",
        &Goal::AtMost(64.0),
    );
    Ok(())
}

/// Unpacks, and hashes what is packed.
fn floor(mut layer: &File) -> io::Result<()> {
    struct Hashed<'a>(&'a File, Sha256);
    impl Read for Hashed<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let read = self.0.read(buffer)?;
            self.1.update(buffer.get(..read).unwrap_or_default());
            Ok(read)
        }
    }
    io::Seek::rewind(&mut layer)?;
    let hashed = Hashed(layer, Sha256::new());
    let mut unpacked = MultiGzDecoder::new(io::BufReader::with_capacity(64 << 10, hashed));
    io::copy(&mut unpacked, &mut io::sink())?;
    std::hint::black_box(unpacked.into_inner().into_inner().1.finalize());
    Ok(())
}

fn largest(folder: &Path) -> anyhow::Result<File> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        files.push((entry.metadata()?.len(), entry.path()));
    }
    let (_, path) = files.into_iter().max().context("the layout has no blobs")?;
    Ok(File::open(path)?)
}

/// A line of this process's status, in MiB.
fn status(name: &str) -> anyhow::Result<f64> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kib = line
        .and_then(|line| line.split_whitespace().nth(1))
        .context("no such line")?;
    Ok(kib.parse::<f64>()? / 1024.0)
}
