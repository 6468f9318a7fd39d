//! The command line as it is shipped, where tests of this crate find it.

use std::process::ExitCode;

// As in the program that is shipped.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    hostfit_cli::main()
}
