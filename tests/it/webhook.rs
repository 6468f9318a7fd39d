//! The webhook as it is shipped, but that it may ask registries on loopback. It ends when who started it does.

use std::io::Read as _;

use clap::Parser as _;

// As in the program that is shipped.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let mut args = hostfit_webhook::Args::parse();
    args.registry.registry_allow_loopback = true;
    hostfit_webhook::run(args).await
}
