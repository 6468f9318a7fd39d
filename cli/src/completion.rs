//! `hostfit completion SHELL`: scripts that complete commands and flags; for kubectl, the program that it asks.

use std::ffi::OsString;
use std::path::Path;

use clap::{Command, ValueEnum};
use clap_complete::Shell as Static;
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use hostfit_engine::finding::Code;
use hostfit_engine::host::builtin;
use hostfit_engine::tables::Table;

use crate::exit::{Exit, Trouble};
use crate::out;

/// The first word of the command by which kubectl's script asks.
pub(crate) const COMPLETE: &str = "__complete";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell; kubectl: the file kubectl_complete-hostfit, to be put on the PATH.
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
    Powershell,
    Kubectl,
}

/// kubectl looks for this program and asks it as cobra's programs are asked.
const KUBECTL: &str = "#!/usr/bin/env sh
# kubectl runs this to complete `kubectl hostfit …`. Put it on the PATH, executable, as kubectl_complete-hostfit.
exec kubectl-hostfit __complete \"$@\"
";

pub(crate) fn run(args: &Args, mut command: Command) -> Result<Exit, Trouble> {
    let shell = match args.shell {
        Shell::Bash => Static::Bash,
        Shell::Zsh => Static::Zsh,
        Shell::Fish => Static::Fish,
        Shell::Powershell => Static::PowerShell,
        Shell::Kubectl => {
            out::write(format_args!("{KUBECTL}"));
            return Ok(Exit::Fine);
        }
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "hostfit", &mut script);
    out::write(format_args!("{}", String::from_utf8_lossy(&script)));
    Ok(Exit::Fine)
}

/// What may stand after `--host`: a part of what is built in, and this machine.
pub(crate) fn hosts() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let host = |name: &str| CompletionCandidate::new(format!("builtin/{name}"));
        let hosts = builtin::hosts().iter().map(|it| host(&it.name.0));
        let local = CompletionCandidate::new("local").help(Some("this machine".into()));
        hosts.chain([local]).collect()
    })
}

/// Every code of a finding, with what it means.
pub(crate) fn codes() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let code =
            |code: &Code| CompletionCandidate::new(code.as_str()).help(Some(code.title().into()));
        Code::ALL.iter().map(code).collect()
    })
}

/// What the catalog can show.
pub(crate) fn catalog() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let hosts = builtin::hosts().iter().map(|it| it.name.0.as_str());
        let tables = Table::ALL.iter().map(|it| it.name);
        let codes = Code::ALL.iter().map(|it| it.as_str());
        let all = codes.chain(tables).chain(hosts);
        all.map(CompletionCandidate::new).collect()
    })
}

/// Prints what may stand in the place of the last of these words, as cobra's programs do: a word and what it means a line, and
/// at last what the shell is to make of them.
pub(crate) fn complete(mut command: Command, words: Vec<OsString>) -> anyhow::Result<()> {
    let index = words.len();
    let words = std::iter::once(OsString::from("hostfit")).chain(words);
    let here = std::env::current_dir().ok();
    let here = here.as_deref().map(|it: &Path| it);
    let candidates = clap_complete::engine::complete(&mut command, words.collect(), index, here)?;
    for candidate in &candidates {
        if candidate.is_hide_set() {
            continue;
        }
        let word = candidate.get_value().to_string_lossy();
        match candidate.get_help().map(|it| it.to_string()) {
            Some(help) => {
                let help = help.lines().next().unwrap_or_default().to_owned();
                out::write(format_args!("{word}\t{help}\n"));
            }
            None => out::write(format_args!("{word}\n")),
        }
    }
    // No names of files, unless there is nothing else.
    let directive = match candidates.is_empty() {
        true => 0,
        false => 4,
    };
    out::write(format_args!(":{directive}\n"));
    Ok(())
}
