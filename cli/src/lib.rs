//! The `hostfit` command. The judge is the engine's, the same as in admission and reports; what it needs comes from a cluster
//! (by the user's own rights), a snapshot or manifests, from registries and folders, and from what is built in.
//!
//! ```text
//! cluster, snapshot, manifests ─survey─▶ hosts, workloads, policies, images ┐             ┌▶ tables, each command its own
//! check image REF… --host …    ─read───▶ hosts, images                      ┴─evaluate──▶ ┴▶ document ─render─▶ json, html, sarif, …
//! catalog, explain CODE        what is built in
//! except --apply               the only write
//! ```

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::OnceLock;

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

mod advice;
mod cache;
pub mod cases;
mod catalog;
mod check;
mod cluster;
mod completion;
mod doctor;
mod document;
mod except;
mod exit;
mod explain;
mod flags;
mod hosts;
mod images;
mod matrix;
mod nodes;
mod out;
mod plan;
mod print;
mod progress;
mod read;
mod render;
mod report;
mod snapshot;
mod style;
mod survey;
mod target;
mod test;
mod workloads;

use exit::{Exit, Trouble};
use flags::{Common, Format};
use out::say;

/// Does this image fit the host it will land on, and will anyone support it there?
#[derive(Debug, Parser)]
#[command(name = "hostfit", version)]
struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Judge the workloads of a cluster, a snapshot or manifests, or images.
    #[command(args_conflicts_with_subcommands = true)]
    Check(Box<Check>),
    /// Tell why a workload has its verdict, on what evidence, and what to do; or what a code means.
    #[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
    Explain(Box<explain::Args>),
    /// Show what fits where: images, workloads or base images by hosts.
    Matrix(Box<matrix::Args>),
    /// Tell what breaks if other hosts take the place of these.
    Plan(plan::Args),
    /// Tell what hosts offer, who told it, and what nobody tells.
    Nodes(nodes::Args),
    /// Tell what is known of images, and from where.
    Images(images::Args),
    /// Everything that is judged, as a page for people (-o html) or for other programs.
    Report(report::Args),
    /// Accept a finding of a workload until a date: prints a CompatException, or makes it.
    Except(Box<except::Args>),
    /// Judge cases of a matrix in a folder, before it is applied: is what is refused what you expect?
    Test(test::Args),
    /// Is the install fine? What is not, and what to do about it.
    Doctor(doctor::Args),
    /// Keep all that decides in a file, to be judged elsewhere or later with --snapshot.
    Snapshot(snapshot::Args),
    /// The rules, hosts and tables that are built in.
    Catalog(catalog::Args),
    /// A script that completes commands and flags.
    Completion(completion::Args),
    /// The version of the program and of its rules.
    Version,
}

#[derive(Debug, clap::Args)]
struct Check {
    #[command(subcommand)]
    command: Option<OfImages>,
    #[command(flatten)]
    workloads: workloads::Args,
}

#[derive(Debug, Subcommand)]
enum OfImages {
    /// Judge images on hosts.
    Image(check::Args),
}

/// What the program is called: as a plugin of kubectl, people write two words.
pub(crate) fn program() -> &'static str {
    static NAME: OnceLock<&str> = OnceLock::new();
    NAME.get_or_init(|| {
        let called = std::env::args_os().next().map(PathBuf::from);
        let called = called.as_deref().and_then(Path::file_stem);
        match called.is_some_and(|name| name == "kubectl-hostfit") {
            true => "kubectl hostfit",
            false => "hostfit",
        }
    })
}

/// What every `--help` ends with.
const AT_LAST: &str = "\
Each flag of Cluster and Output has a variable: HOSTFIT_FAIL_ON for --fail-on. A flag wins.

Exit codes:
  0  nothing at or above --fail-on
  1  findings; of doctor problems, of test differences
  2  wrong usage, input that cannot be read, or a cluster that cannot be asked
  3  something could not be told, with --fail-on unknown only
Trouble with an image or its registry is no error: it is Unknown.";

/// The command as help, completion and parsing see it.
fn described() -> clap::Command {
    fn told_of(arg: clap::Arg) -> clap::Arg {
        // By their rule they are known; on each flag they make its line too long for a terminal.
        let is_rare = arg.get_long().is_some_and(|it| it.starts_with("registry-"));
        let arg = arg.hide_env(true).hide_short_help(is_rare);
        let value = arg.get_env().and_then(std::env::var_os);
        // An empty variable is none: so CI systems write what nobody has set.
        match value.is_some_and(|it| it.is_empty()) {
            true => arg.env(Resettable::Reset),
            false => arg,
        }
    }
    fn told(command: clap::Command) -> clap::Command {
        let command = command.after_help(AT_LAST).mut_args(told_of);
        command.mut_subcommands(told)
    }
    told(Args::command())
}

/// An error of usage, with what else may have been meant.
fn advised(mut error: clap::Error) -> clap::Error {
    let of = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.as_str(),
        _ => "",
    };
    let value = of(ContextKind::InvalidValue);
    let flag = of(ContextKind::InvalidArg);
    let flag = flag.split([' ', '.']).next().unwrap_or_default();
    let variable = flag
        .trim_start_matches('-')
        .to_uppercase()
        .replace('-', "_");
    let variable = format!("HOSTFIT_{variable}");
    let is_typed = std::env::args().any(|it| it == value || it.ends_with(&format!("={value}")));
    // Elsewhere -o names a file.
    let tip = if of(ContextKind::InvalidSubcommand) == "update" {
        format!(
            "rules and tables are a part of the program, so a newer one brings newer ones; {} version tells their age",
            program()
        )
    } else if flag == "--output" && value.contains(['.', '/']) {
        format!("to write to a file, use --output-file {value}")
    } else if !is_typed && std::env::var(&variable).is_ok_and(|it| it == value) {
        format!("it stands in the variable {variable}")
    } else {
        return error;
    };
    let tips = ContextValue::StyledStrs(vec![tip.into()]);
    error.insert(ContextKind::Suggested, tips);
    error
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    if words.next().is_some_and(|it| it == completion::COMPLETE) {
        return match completion::complete(described(), words.collect()) {
            Ok(()) => Exit::Fine.into(),
            Err(_) => Exit::Trouble.into(),
        };
    }
    let command = described().name(program()).bin_name(program());
    let parsed = command
        .try_get_matches()
        .and_then(|matches| Args::from_arg_matches(&matches));
    let args = match parsed {
        Ok(args) => args,
        Err(error) => {
            let error = advised(error);
            let _ = error.print();
            // Help is no error.
            return match error.use_stderr() {
                true => Exit::Trouble.into(),
                false => Exit::Fine.into(),
            };
        }
    };
    let output = &args.common.output;
    anstream::ColorChoice::from(output.color).write_global();
    if let Some(path) = &output.output_file {
        out::to_file(path.clone());
    }
    log(output.verbose);
    // A process-wide default; the only failure is that there is one already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let instead = without_cluster(&args.command);
    let ended = run(args).and_then(|exit| {
        out::finish()?;
        Ok(exit)
    });
    match ended {
        Ok(exit) => exit.into(),
        Err(Trouble(error)) => {
            let is_lost = error.chain().any(|it| it.is::<cluster::NoKubeconfig>());
            let instead = instead.filter(|_| is_lost);
            let instead =
                instead.map(|it| format!(", or do without a cluster: {} {it}", program()));
            eprintln!("error: {error:#}{}", instead.unwrap_or_default());
            Exit::Trouble.into()
        }
    }
}

/// The same command where there is no cluster; nothing where it says itself what to do, or where nothing else serves.
fn without_cluster(command: &Command) -> Option<&'static str> {
    match command {
        Command::Check(check) if check.command.is_none() => {
            Some("check -f DIR --host builtin/NAME")
        }
        Command::Report(_) => Some("report -f DIR --host builtin/NAME"),
        Command::Matrix(_) => Some("matrix -f DIR --host builtin/NAME"),
        Command::Explain(args) if !args.is_of_images() => {
            Some("explain -f DIR --host builtin/NAME TYPE/NAME")
        }
        Command::Images(_) => Some("images IMAGE"),
        Command::Nodes(_) => Some("catalog list hosts"),
        Command::Plan(_) => Some("plan --snapshot FILE"),
        Command::Except(args) if !args.is_applied() => Some("except --snapshot FILE"),
        Command::Check(_)
        | Command::Explain(_)
        | Command::Except(_)
        | Command::Test(_)
        | Command::Doctor(_)
        | Command::Snapshot(_)
        | Command::Catalog(_)
        | Command::Completion(_)
        | Command::Version => None,
    }
}

/// What the program does, on stderr: by `-v`, or as `HOSTFIT_LOG` filters it.
fn log(verbose: u8) {
    let level = match verbose {
        0 => None,
        1 => Some("info"),
        2 => Some("debug"),
        _ => Some("trace"),
    };
    let filter = match (std::env::var("HOSTFIT_LOG"), level) {
        (Ok(filter), None) => filter,
        (_, Some(level)) => level.to_owned(),
        (Err(_), None) => return,
    };
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(filter))
        .with_writer(std::io::stderr)
        .init();
}

fn run(Args { command, common }: Args) -> Result<Exit, Trouble> {
    match command {
        Command::Check(check) => match check.command {
            Some(OfImages::Image(args)) => blocking(check::run(args, &common, false)),
            None => blocking(workloads::run(check.workloads, &common)),
        },
        Command::Explain(args) => blocking(explain::run(*args, &common)),
        Command::Matrix(args) => blocking(matrix::run(*args, &common)),
        Command::Plan(args) => blocking(plan::run(args, &common)),
        Command::Nodes(args) => blocking(nodes::run(args, &common)),
        Command::Images(args) => blocking(images::run(args, &common)),
        Command::Report(args) => blocking(report::run(args, &common)),
        Command::Except(args) => blocking(except::run(*args, &common)),
        Command::Test(args) => blocking(test::run(args, &common)),
        Command::Doctor(args) => blocking(doctor::run(args, &common)),
        Command::Snapshot(args) => blocking(snapshot::run(args, &common)),
        Command::Catalog(args) => catalog::run(&args, &common),
        Command::Completion(args) => {
            common
                .output
                .format
                .one_of(&[Format::Table], "completion")?;
            completion::run(&args, described())
        }
        Command::Version => version(&common),
    }
}

fn version(common: &Common) -> Result<Exit, Trouble> {
    let (version, rules) = (env!("CARGO_PKG_VERSION"), hostfit_engine::RULES_VERSION);
    let published = hostfit_engine::RULES_PUBLISHED;
    let known = [Format::Table, Format::Json, Format::Yaml];
    match common.output.format.one_of(&known, "version")? {
        Format::Table => {
            let age = style::age_of_rules(common.now());
            let age = age.map(|age| format!(" ({age})")).unwrap_or_default();
            say!("hostfit {version}, rules {rules} of {published}{age}");
        }
        format => {
            let document = serde_json::json!({
                "apiVersion": document::API_VERSION, "kind": "Version",
                "version": version, "rules": rules, "rules_published": published,
            });
            print::machine(format, &document)?;
        }
    }
    Ok(Exit::Fine)
}

fn blocking(run: impl Future<Output = Result<Exit, Trouble>>) -> Result<Exit, Trouble> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)?;
    runtime.block_on(run)
}
