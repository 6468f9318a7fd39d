//! The `hostfit` command. The judge is the engine's, the same as in admission and reports; what it needs comes from
//! registries and folders, hosts from the built-in list and from files. No cluster is asked.
//!
//! ```text
//! check image REF… --host …   images ─read─▶ facts ┐
//!                             hosts  ─read─▶ facts ┴─evaluate─▶ verdicts ─print─▶ table, json, yaml
//! images REF…                 what is known of an image, with its evidence
//! catalog list|show           rules, hosts and tables that are built in
//! ```

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod advice;
mod catalog;
mod check;
mod exit;
mod hosts;
mod images;
mod out;
mod print;
mod read;

use exit::{Exit, Trouble};
use out::say;

/// Does this image fit the host it will land on, and will anyone support it there?
#[derive(Debug, Parser)]
#[command(name = "hostfit", version, disable_version_flag = true)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Judge images on hosts.
    #[command(subcommand)]
    Check(Check),
    /// Tell what is known of images, and from where.
    Images(images::Args),
    /// The rules, hosts and tables that are built in.
    Catalog(catalog::Args),
    /// The version of the program and of its rules.
    Version,
}

#[derive(Debug, Subcommand)]
enum Check {
    /// Judge images on hosts.
    Image(check::Args),
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            let _ = error.print();
            // Help is no error.
            return match error.use_stderr() {
                true => Exit::Trouble.into(),
                false => Exit::Fine.into(),
            };
        }
    };
    // A process-wide default; the only failure is that there is one already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    if std::env::var_os("HOSTFIT_LOG").is_some() {
        let filter = tracing_subscriber::EnvFilter::from_env("HOSTFIT_LOG");
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .init();
    }
    match run(args.command) {
        Ok(exit) => exit.into(),
        Err(Trouble(error)) => {
            eprintln!("error: {error:#}");
            Exit::Trouble.into()
        }
    }
}

fn run(command: Command) -> Result<Exit, Trouble> {
    match command {
        Command::Check(Check::Image(args)) => blocking(check::run(args)),
        Command::Images(args) => blocking(images::run(args)),
        Command::Catalog(args) => catalog::run(&args),
        Command::Version => {
            say!(
                "hostfit {}, rules {} of {}",
                env!("CARGO_PKG_VERSION"),
                hostfit_engine::RULES_VERSION,
                hostfit_engine::RULES_PUBLISHED
            );
            Ok(Exit::Fine)
        }
    }
}

fn blocking(run: impl Future<Output = Result<Exit, Trouble>>) -> Result<Exit, Trouble> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)?;
    runtime.block_on(run)
}
