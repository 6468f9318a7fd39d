//! The laboratory: every case on its host, what was said of it, what became of it, and whether the two agree.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use tokio::runtime::Handle;

use crate::case::{Fate, Host, Image, Seen};
use crate::judge::Findings;
use crate::store::Store;

mod archive;
mod boot;
mod case;
mod filter;
mod judge;
mod store;
mod table;

/// Boots machines, runs images in them, and compares what happens with what Hostfit says.
#[derive(Debug, Parser)]
struct Args {
    /// The folder of the laboratory's scripts and cases.
    #[arg(long, default_value = "tests/lab")]
    lab: PathBuf,
    /// Where everything is made and kept.
    #[arg(long, default_value = "target/lab")]
    store: PathBuf,
    /// The hostfit command.
    #[arg(long)]
    hostfit: PathBuf,
    /// The first process of guests.
    #[arg(long)]
    guest: PathBuf,
    /// Where the table is written.
    #[arg(long)]
    table: Option<PathBuf>,
    /// Machines at once.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Only the fast cases.
    #[arg(long)]
    fast: bool,
    /// Only cases whose names begin so.
    only: Vec<String>,
}

/// A case, tried.
pub(crate) struct Row {
    pub(crate) image: Image,
    pub(crate) host: Host,
    pub(crate) findings: Findings,
    pub(crate) kernel: String,
    pub(crate) seen: Seen,
    pub(crate) fate: Fate,
    pub(crate) seconds: f64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let store = Store::new(&args.store, &args.lab)?;
    let mut cases = Vec::new();
    for (name, image) in case::read(&args.lab.join("cases"))? {
        for (index, host) in image.hosts.iter().enumerate() {
            let is_wanted = args.only.is_empty() || args.only.iter().any(|it| name.starts_with(it));
            if is_wanted && (host.fast || !args.fast) {
                cases.push((
                    format!("{name}.{}", index + 1),
                    name.clone(),
                    image.clone(),
                    host.clone(),
                ));
            }
        }
    }
    // What several cases are made of is made before machines run side by side.
    let began = Instant::now();
    for (_, file, image, host) in &cases {
        prepare(&store, file, image, host).with_context(|| format!("prepare {file}"))?;
    }
    let prepared = began.elapsed();
    let began = Instant::now();
    let next = AtomicUsize::new(0);
    let rows = Mutex::new(Vec::new());
    let troubles = Mutex::new(Vec::new());
    let runtime = Handle::current();
    let all = (&store, &args, &runtime);
    tokio::task::block_in_place(|| {
        std::thread::scope(|scope| {
            for _ in 0..args.jobs.max(1) {
                scope.spawn(|| {
                    while let Some((name, file, image, host)) =
                        cases.get(next.fetch_add(1, Ordering::Relaxed))
                    {
                        match one(all, name, file, image, host) {
                            Ok(row) => {
                                eprintln!("{}", table::line(name, &row));
                                lock(&rows).push((name.clone(), row));
                            }
                            Err(error) => {
                                eprintln!("{name}: {error:#}");
                                lock(&troubles).push(format!("{name}: {error:#}"));
                            }
                        }
                    }
                });
            }
        });
    });
    let mut rows = rows.into_inner().unwrap_or_else(PoisonError::into_inner);
    rows.sort_by_key(|(name, _)| natural(name));
    let rows: Vec<_> = rows.into_iter().map(|(_, row)| row).collect();
    let troubles = troubles
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    let wrong = rows.iter().filter(|row| !table::agrees(row)).count();
    let unexpected = rows
        .iter()
        .filter(|row| !table::agrees(row) && row.host.known.is_none())
        .count();
    eprintln!(
        "lab: {} cases, {} agree, {wrong} do not ({unexpected} of them unknown so far), {} could not be tried; \
         {:.0} s to prepare, {:.0} s to run",
        rows.len(),
        rows.len() - wrong,
        troubles.len(),
        prepared.as_secs_f64(),
        began.elapsed().as_secs_f64()
    );
    if let Some(path) = &args.table {
        table::write(path, &rows, prepared, began.elapsed())?;
    }
    if !troubles.is_empty() || unexpected > 0 {
        bail!("not everything is as it must be");
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `HF101-v3.10` after `HF101-v3.9`.
fn natural(name: &str) -> (String, usize) {
    let (file, index) = name.rsplit_once('.').unwrap_or((name, "0"));
    (file.to_owned(), index.parse().unwrap_or_default())
}

fn prepare(store: &Store, file: &str, image: &Image, host: &Host) -> Result<()> {
    store.image(file, image)?;
    match host.is_pretended() {
        true => store.root("uname").map(drop)?,
        false => {
            for disk in ["bare", "disk"] {
                store.disk(&host.kernel, disk)?;
            }
            store.root_archive(&image.root)?;
        }
    }
    if let Some(filter) = &host.filter {
        store.filter(filter)?;
    }
    Ok(())
}

fn one(
    (store, args, runtime): (&Store, &Args, &Handle),
    name: &str,
    file: &str,
    image: &Image,
    host: &Host,
) -> Result<Row> {
    let began = Instant::now();
    let observed = boot::observe(store, &args.guest, name, image, host)?;
    let seconds = began.elapsed().as_secs_f64();
    let seen = observed.seen;
    let fate = match (image.runs.is(&seen), image.breaks.is(&seen)) {
        (true, false) => Fate::Runs,
        (false, true) => Fate::Breaks,
        _ => bail!(
            "neither runs nor breaks as the case says: {}",
            table::happened(&seen)
        ),
    };
    if fate != host.then {
        bail!("should be {:?}, but: {}", host.then, table::happened(&seen));
    }
    let facts = judge::merged(&observed.facts, &host.reported())?;
    let layout = store.path(&format!("images/{file}"));
    let folder = store.path(&format!("runs/{name}"));
    let findings = match image.pod.is_empty() && image.container.is_empty() {
        true => judge::by_command(&args.hostfit, &folder, &layout, &facts)?,
        false => runtime.block_on(judge::by_pod(&layout, &facts, image))?,
    };
    Ok(Row {
        image: image.clone(),
        host: host.clone(),
        findings,
        kernel: facts.kernel.unwrap_or_default(),
        seen,
        fate,
        seconds,
    })
}
