//! `hostfit catalog`: what is built in, and its date.

use anyhow::anyhow;
use clap::{Subcommand, ValueEnum};
use hostfit_crds::HostFacts;
use hostfit_engine::finding::{Code, nearest};
use hostfit_engine::host::builtin;
use hostfit_engine::tables::Table;
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
    /// List codes, hosts and tables.
    List {
        /// Only these.
        #[arg(value_enum)]
        what: Option<What>,
    },
    /// Show a code (HF101), a host (debian-12) or a table (support).
    Show {
        /// Its name.
        name: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    Codes,
    Hosts,
    Tables,
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
    let is_wanted = |one| what.is_none_or(|what| what == one);
    if is_wanted(What::Codes) {
        say!("\ncodes");
        for code in Code::ALL {
            let (verdict, pack) = of_code(*code);
            let verdict = verdict.replace('`', "");
            say!("  {code}  {verdict:<20} {pack:<15} {}", code.title());
        }
    }
    if is_wanted(What::Hosts) {
        say!("\nhosts (--host builtin/NAME)");
        for host in builtin::hosts() {
            say!(
                "  {:<18} {}",
                host.name.0,
                line(&HostFacts::from(&host.facts))
            );
        }
    }
    if is_wanted(What::Tables) {
        say!("\ntables");
        for table in Table::ALL {
            say!("  {:<14} {}", table.name, of_table(&table));
        }
    }
}

/// What a code makes of a pair and which pack brings it, as the document's table of codes says.
fn of_code(code: Code) -> (&'static str, &'static str) {
    let row = FINDINGS.lines().find_map(|line| {
        let (first, rest) = line.strip_prefix("| ")?.split_once(" | ")?;
        (first == code.as_str()).then_some(rest)
    });
    let mut fields = row
        .into_iter()
        .flat_map(|row| row.split('|').map(str::trim));
    match (fields.nth(1), fields.next()) {
        (Some(verdict), Some(pack)) => (verdict, pack),
        // What could not be told stands in one row.
        _ => ("Unknown", "policy"),
    }
}

fn of_table(table: &Table) -> String {
    let date = table.date().map(|date| format!("{date}, "));
    format!(
        "{}{} rows: {}",
        date.unwrap_or_default(),
        table.rows().count(),
        table.about
    )
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

/// Shows a code, a host or a table.
///
/// # Errors
///
/// If there is none of that name.
pub(crate) fn show(name: &str) -> anyhow::Result<()> {
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
    if let Some(table) = Table::ALL.iter().find(|table| table.name == short) {
        say!(
            "{}: {}\n{}",
            table.name,
            of_table(table),
            table.text.trim_end()
        );
        return Ok(());
    }
    let codes = Code::ALL.iter().map(|code| code.as_str());
    let names: Vec<_> = codes
        .chain(Table::ALL.iter().map(|table| table.name))
        .chain(builtin::hosts().iter().map(|it| it.name.0.as_str()))
        .collect();
    let near = nearest(short, &names).map(|near| format!(": did you mean {near}?"));
    Err(anyhow!(
        "there is no code, host or table {name:?}{}",
        near.unwrap_or_default()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_of_a_finding_has_a_row_in_the_documents_table() {
        for code in Code::ALL {
            let could_not_tell = *code >= Code::HF901;
            assert_eq!(
                of_code(*code) == ("Unknown", "policy"),
                could_not_tell,
                "{code}"
            );
        }
    }
}
