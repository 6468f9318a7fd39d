//! `hostfit catalog`: what is built in, and its date.

use anyhow::anyhow;
use clap::{Subcommand, ValueEnum};
use hostfit_crds::HostFacts;
use hostfit_engine::finding::{Code, nearest};
use hostfit_engine::host::{Host, builtin};
use hostfit_engine::tables::Table;
use hostfit_engine::{RULES_PUBLISHED, RULES_VERSION};
use serde_json::{Map, Value, json};

use crate::document::API_VERSION;
use crate::exit::{Exit, Trouble};
use crate::flags::{Common, Format};
use crate::out::say;
use crate::print;

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
        #[arg(add = crate::completion::catalog())]
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

pub(crate) fn run(args: &Args, common: &Common) -> Result<Exit, Trouble> {
    match &args.command {
        Command::List { what } => list(*what, common)?,
        Command::Show { name } => show(name, common)?,
    }
    Ok(Exit::Fine)
}

fn list(what: Option<What>, common: &Common) -> anyhow::Result<()> {
    let known = [Format::Table, Format::Name, Format::Json, Format::Yaml];
    let is_wanted = |one| what.is_none_or(|what| what == one);
    match common.output.format.one_of(&known, "catalog list")? {
        Format::Table => {
            table(is_wanted);
            Ok(())
        }
        Format::Name => {
            let codes = Code::ALL.iter().filter(|_| is_wanted(What::Codes));
            codes.for_each(|code| say!("{code}"));
            let hosts = builtin::hosts().iter().filter(|_| is_wanted(What::Hosts));
            hosts.for_each(|host| say!("builtin/{}", host.name.0));
            let tables = Table::ALL.iter().filter(|_| is_wanted(What::Tables));
            tables.for_each(|table| say!("{}", table.name));
            Ok(())
        }
        format => {
            let codes = Code::ALL.iter().map(|code| of_code_as_object(*code));
            let hosts = builtin::hosts()
                .iter()
                .map(|host| of_host(&host.name.0, host));
            let tables = Table::ALL.iter().map(|table| {
                let date = table.date().map(|it| it.to_string());
                json!({"name": table.name, "date": date, "rows": table.rows().count(), "about": table.about})
            });
            let mut document = object("Catalog");
            for (name, items, what) in [
                ("codes", codes.collect::<Vec<_>>(), What::Codes),
                ("hosts", hosts.collect(), What::Hosts),
                ("tables", tables.collect(), What::Tables),
            ] {
                if is_wanted(what) {
                    document.insert(name.to_owned(), items.into());
                }
            }
            print::machine(format, &document)
        }
    }
}

/// An object of this version, and of which rules it speaks.
fn object(kind: &str) -> Map<String, Value> {
    let fields = [
        ("apiVersion", API_VERSION),
        ("kind", kind),
        ("rules", RULES_VERSION),
        ("rules_published", RULES_PUBLISHED),
    ];
    let fields = fields.map(|(name, value)| (name.to_owned(), value.into()));
    fields.into_iter().collect()
}

fn of_code_as_object(code: Code) -> Value {
    let (verdict, pack) = of_code(code);
    let verdict = verdict.replace('`', "");
    json!({"code": code.as_str(), "title": code.title(), "verdict": verdict, "pack": pack, "docs": code.docs()})
}

fn of_host(name: &str, host: &Host) -> Value {
    let facts = HostFacts::from(&host.facts);
    json!({"name": format!("builtin/{name}"), "facts": facts, "source": builtin::source(name)})
}

fn table(is_wanted: impl Fn(What) -> bool) {
    say!("rules {RULES_VERSION} of {RULES_PUBLISHED}");
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
pub(crate) fn show(name: &str, common: &Common) -> anyhow::Result<()> {
    let known = [Format::Table, Format::Json, Format::Yaml];
    let format = common.output.format;
    let short = name.trim_start_matches("builtin/");
    let (text, kind, fields) = if let Some(code) = code(name) {
        let text = section(code);
        let mut fields = of_code_as_object(code);
        if let Some(fields) = fields.as_object_mut() {
            fields.insert("text".to_owned(), text.clone().into());
        }
        (text, "Code", fields)
    } else if let Some(host) = builtin::hosts().iter().find(|it| it.name.0 == short) {
        let facts = serde_saphyr::to_string(&HostFacts::from(&host.facts))?;
        let source = builtin::source(short).unwrap_or_default();
        let text = format!("builtin/{short}\n{}\nsource: {source}", facts.trim_end());
        (text, "Host", of_host(short, host))
    } else if let Some(table) = Table::ALL.iter().find(|table| table.name == short) {
        let rows = table.text.trim_end();
        let text = format!("{}: {}\n{rows}", table.name, of_table(table));
        let date = table.date().map(|it| it.to_string());
        let columns = table.columns();
        let rows: Vec<_> = table.rows().collect();
        let fields = json!({"name": table.name, "date": date, "about": table.about, "columns": columns, "rows": rows});
        (text, "Table", fields)
    } else {
        return Err(absent(short));
    };
    match format.one_of(&known, "catalog show")? {
        Format::Table => say!("{text}"),
        format => {
            let mut document = object(kind);
            let fields = fields.as_object().into_iter().flatten();
            document.extend(fields.map(|(name, value)| (name.clone(), value.clone())));
            print::machine(format, &document)?;
        }
    }
    Ok(())
}

/// The code of a name, in whatever letters.
pub(crate) fn code(name: &str) -> Option<Code> {
    let wanted = name.to_uppercase();
    let mut all = Code::ALL.iter();
    all.find(|code| code.as_str() == wanted).copied()
}

/// The pack that brings a code, by the name that a SupportMatrix gives it; nothing if none does.
pub(crate) fn pack(code: Code) -> Option<&'static str> {
    let (_, pack) = of_code(code);
    let is_none = matches!(pack, "always" | "your rows" | "policy");
    (!is_none).then_some(pack)
}

/// What people see where they did not heed the code, in a line; nothing where nothing is seen.
pub(crate) fn error_at_run_time(code: Code) -> Option<String> {
    let section = section(code);
    let (_, after) = section.split_once("\n- Error at run time: ")?;
    let text = after.split("\n- ").next()?;
    let words: Vec<_> = text.split_whitespace().collect();
    Some(words.join(" ").replace('`', "\""))
}

/// The section on a code, as a terminal shows it: links by their names, and no marks for what is bold.
fn section(code: Code) -> String {
    let (start, end) = (format!("## {code}"), "\n## ");
    let from = FINDINGS.find(&start);
    let section = from
        .and_then(|from| FINDINGS.get(from..))
        .unwrap_or_default();
    let length = section.get(1..).and_then(|rest| rest.find(end));
    let section = length
        .and_then(|length| section.get(..length + 1))
        .unwrap_or(section);
    unlinked(section.trim().trim_start_matches("## ")).replace("**", "")
}

/// Text with `name` in the place of `[name](page.md)`, and `name (https://…)` where the page is elsewhere.
fn unlinked(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    let link = |rest: &str| {
        let (before, after) = rest.split_once("](")?;
        let (before, name) = before.rsplit_once('[')?;
        let (page, after) = after.split_once(')')?;
        let page = match page.contains("://") {
            true => format!(" ({page})"),
            false => String::new(),
        };
        Some((format!("{before}{name}{page}"), after.len()))
    };
    while let Some((text, left)) = link(rest) {
        out.push_str(&text);
        rest = rest.get(rest.len() - left..).unwrap_or_default();
    }
    out + rest
}

fn absent(short: &str) -> anyhow::Error {
    let codes = Code::ALL.iter().map(|code| code.as_str());
    let names: Vec<_> = codes
        .chain(Table::ALL.iter().map(|table| table.name))
        .chain(builtin::hosts().iter().map(|it| it.name.0.as_str()))
        .collect();
    let near = nearest(short, &names).map(|near| format!(": did you mean {near}?"));
    anyhow!(
        "there is no code, host or table {short:?}{}",
        near.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_section_shows_marks_of_markdown() {
        for code in Code::ALL {
            let section = section(*code);
            assert!(section.starts_with(code.as_str()), "{section}");
            for mark in ["](", "**"] {
                assert!(!section.contains(mark), "{code}: {section}");
            }
        }
        let text = "a [b] [lab.md](lab.md), [c](https://x.y/z).";
        assert_eq!(unlinked(text), "a [b] lab.md, c (https://x.y/z).");
    }

    #[test]
    fn what_breaks_at_start_has_an_error_to_be_known_by() {
        let error = error_at_run_time(Code::HF101).unwrap();
        assert!(
            error.starts_with("\"Fatal glibc error: CPU does not support x86-64-v2\" (or"),
            "{error}"
        );
        let of_rules = |code: &&Code| **code < Code::HF501;
        let with = Code::ALL.iter().filter(of_rules);
        let with = with.filter(|code| error_at_run_time(**code).is_some());
        assert!(with.count() > 30);
    }

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
