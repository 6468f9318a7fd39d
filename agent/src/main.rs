//! The node agent's process.

use clap::Parser;

// One thread, and the system's allocator: it sleeps, and there is one on each node.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    hostfit_agent::run(hostfit_agent::Args::parse()).await
}
