//! `hostfit catalog`: what is built in, and its date.

use anyhow::anyhow;
use clap::{Subcommand, ValueEnum};
use hostfit_crds::HostFacts;
use hostfit_engine::finding::{Code, nearest};
use hostfit_engine::host::builtin;
use hostfit_engine::{RULES_PUBLISHED, RULES_VERSION};

use crate::exit::{Exit, Trouble};
use crate::out::say;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List codes and hosts.
    List {
        /// Only these.
        #[arg(value_enum)]
        what: Option<What>,
    },
    /// Show a code (HF101) or a host (debian-12).
    Show {
        /// Its name.
        name: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    Codes,
    Hosts,
}

/// Sections of the document that explains the codes to people.
const FINDINGS: &str = include_str!("../../docs/findings.md");

pub(crate) fn run(args: &Args) -> Result<Exit, Trouble> {
    match &args.command {
        Command::List { what } => list(*what),
        Command::Show { name } => show(name)?,
    }
    Ok(Exit::Fine)
}

fn list(what: Option<What>) {
    say!("rules {RULES_VERSION} of {RULES_PUBLISHED}");
    if what != Some(What::Hosts) {
        say!("\ncodes");
        for code in Code::ALL {
            say!("  {code}  {}", code.title());
        }
    }
    if what != Some(What::Codes) {
        say!("\nhosts (--host builtin/NAME)");
        for host in builtin::hosts() {
            say!(
                "  {:<18} {}",
                host.name.0,
                line(&HostFacts::from(&host.facts))
            );
        }
    }
}

fn line(facts: &HostFacts) -> String {
    let written = serde_json::to_value(facts).unwrap_or_default();
    let fields = written.as_object().into_iter().flatten();
    let fields = fields.map(|(name, value)| match value {
        serde_json::Value::String(text) => format!("{name} {text}"),
        value => format!("{name} {value}"),
    });
    fields.collect::<Vec<_>>().join(", ")
}

fn show(name: &str) -> anyhow::Result<()> {
    let wanted = name.to_uppercase();
    if let Some(code) = Code::ALL.iter().find(|code| code.as_str() == wanted) {
        let (start, end) = (format!("## {code}"), "\n## ");
        let from = FINDINGS.find(&start);
        let section = from
            .and_then(|from| FINDINGS.get(from..))
            .unwrap_or_default();
        let length = section.get(1..).and_then(|rest| rest.find(end));
        let section = length
            .and_then(|length| section.get(..length + 1))
            .unwrap_or(section);
        say!("{}", section.trim().trim_start_matches("## "));
        return Ok(());
    }
    let short = name.trim_start_matches("builtin/");
    if let Some(host) = builtin::hosts().iter().find(|host| host.name.0 == short) {
        let facts = serde_saphyr::to_string(&HostFacts::from(&host.facts))?;
        say!("builtin/{short}\n{}", facts.trim_end());
        say!("source: {}", builtin::source(short).unwrap_or_default());
        return Ok(());
    }
    let codes = Code::ALL.iter().map(|code| code.as_str());
    let names: Vec<_> = codes
        .chain(builtin::hosts().iter().map(|it| it.name.0.as_str()))
        .collect();
    let near = nearest(short, &names).map(|near| format!(": did you mean {near}?"));
    Err(anyhow!(
        "there is no code and no host {name:?}{}",
        near.unwrap_or_default()
    ))
}
