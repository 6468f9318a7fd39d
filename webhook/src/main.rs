//! The webhook's process.

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    hostfit_webhook::run(hostfit_webhook::Args::parse()).await
}
