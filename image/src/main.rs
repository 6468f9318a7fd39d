//! The one program of the image. Which it is, its name says: `hostfit-webhook`, `hostfit-operator`, `hostfit-agent`; `hostfit`
//! by any other. All that they share is in the image once, so that the command line fits beside the servers.

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use tokio::runtime::Builder;

// musl's allocator is slow under many small allocations.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let called = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&called).file_name().unwrap_or_default();
    let threads = Builder::new_multi_thread;
    match name.to_str() {
        Some("hostfit-webhook") => serve(threads(), hostfit_webhook::run(Parser::parse())),
        Some("hostfit-operator") => serve(threads(), hostfit_operator::run(Parser::parse())),
        // It sleeps, and there is one on each node.
        Some("hostfit-agent") => serve(
            Builder::new_current_thread(),
            hostfit_agent::run(Parser::parse()),
        ),
        _ => hostfit_cli::main(),
    }
}

/// Runs a server to its end.
fn serve(mut runtime: Builder, run: impl Future<Output = anyhow::Result<()>>) -> ExitCode {
    let ended = runtime
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|it| it.block_on(run));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error:?}");
            ExitCode::FAILURE
        }
    }
}
