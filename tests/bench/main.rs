//! The measurements of `make bench`. Each prints rows: what, ours, floor, ratio, goal. Floors are measured in the same
//! run, in alternating rounds: hosts drift, ratios less so. A goal that is missed is said, and is no error.
#![expect(clippy::print_stdout, reason = "the rows are the product")]

use std::net::Ipv4Addr;
use std::path::PathBuf;

use clap::Parser;

mod admission;
mod cold;
mod evaluate;
mod fleet;
mod floor;
mod layers;
mod load;
mod plan;
mod profiles;
mod reports;
mod rows;
mod server;
mod world;

// As in the programs that are measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
enum Command {
    /// Admission beside an echo floor, first evaluations, and what 1,000 equal pods ask of the registry.
    Admission(admission::Args),
    /// A cold image beside two raw round trips.
    Cold(cold::Args),
    /// All rules on one pod.
    Evaluate,
    /// The plan of an upgrade over ten thousand workloads.
    Plan,
    /// Ten thousand workloads judged again.
    Reports,
    /// Ten thousand ImageProfiles.
    Profiles,
    /// Facts of a layer beside unpacking and hashing it.
    Layers(layers::Args),
    /// The floor: the webhook's TLS, HTTP loop and parse, and a fixed answer.
    Floor(floor::Args),
    /// Load on one URL; prints one line of JSON.
    Load(load::Args),
    /// A row of what others measured, from stdin: a line for each pair of ours and the floor's, or one number.
    Row(rows::Args),
    /// The names of the columns.
    Header,
}

/// What the measurements of one process share.
#[derive(clap::Args)]
struct Lab {
    /// Folder for certificates and other files of this run.
    #[arg(long)]
    scratch: PathBuf,
    /// An address of this machine that is not loopback: the webhook refuses registries there.
    #[arg(long)]
    address: Ipv4Addr,
    /// Rounds of each measurement.
    #[arg(long, default_value_t = 8)]
    rounds: usize,
    /// Seconds of each half of a round.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
}

fn main() -> anyhow::Result<()> {
    hostfit_process::log::install_crypto();
    let command = Command::parse();
    let mut runtime = match command {
        // One thread, so that the load takes no more than its own CPU.
        Command::Load(_) => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    runtime.enable_all().build()?.block_on(async {
        match command {
            Command::Admission(args) => admission::run(args).await,
            Command::Cold(args) => cold::run(args).await,
            Command::Evaluate => evaluate::run(),
            Command::Plan => plan::run(),
            Command::Reports => reports::run(),
            Command::Profiles => profiles::run(),
            Command::Layers(args) => layers::run(args).await,
            Command::Floor(args) => floor::run(args).await,
            Command::Load(args) => load::run(args).await,
            Command::Row(args) => rows::run(args),
            Command::Header => {
                rows::header();
                Ok(())
            }
        }
    })
}
