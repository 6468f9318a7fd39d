//! `hostfit`: does this image fit that host?

use std::process::ExitCode;

// musl's allocator is slow under many small allocations.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    hostfit_cli::main()
}
