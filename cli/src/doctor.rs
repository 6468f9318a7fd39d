//! `hostfit doctor`: is the install fine, and if not, what is to be done. Reading is one thing (read.rs), saying what it means
//! another (checks.rs: pure).

mod certificate;
mod checks;
mod read;

use std::time::{Duration, Instant};

use anyhow::anyhow;
use clap::builder::FalseyValueParser;
use hostfit_engine::finding::plain;

use crate::cluster::Cluster;
use crate::exit::{Exit, Trouble};
use crate::flags::{Common, Format, Patience};
use crate::out;
use crate::render;
use checks::{Check, State};

/// How long to wait between two looks.
const PERIOD: Duration = Duration::from_secs(2);
/// Longest line of a check.
const LINE: usize = 300;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Before an install: may it be installed here, and by you?
    #[arg(long, env = "HOSTFIT_PRE", value_parser = FalseyValueParser::new())]
    pre: bool,
    /// Look again until there is no problem, for so long at most: 30s, 2m.
    #[arg(long, value_name = "DURATION", env = "HOSTFIT_WAIT")]
    wait: Option<Patience>,
}

pub(crate) async fn run(args: Args, common: &Common) -> Result<Exit, Trouble> {
    let known = [Format::Table, Format::Json, Format::Yaml];
    let format = common.output.format.one_of(&known, "doctor")?;
    if common.cluster.snapshot.is_some() {
        return Err(anyhow!(
            "doctor looks at an install that runs: its certificates, webhooks and rights are in no snapshot; leave out --snapshot ($HOSTFIT_SNAPSHOT)"
        )
        .into());
    }
    let cluster = Cluster::open(&common.cluster).await?;
    let until = args.wait.map(|it| Instant::now() + it.0);
    let checks = loop {
        let read = read::read(&cluster, args.pre).await?;
        let checks = match args.pre {
            true => checks::before(&read),
            false => checks::all(&read),
        };
        let is_sick = checks.iter().any(|it| it.state == State::Problem);
        match until {
            Some(until) if is_sick && Instant::now() + PERIOD < until => {
                tokio::time::sleep(PERIOD).await;
            }
            _ => break checks,
        }
    };
    match format {
        Format::Table => out::write(format_args!("{}", table(&checks, &Signs::of_locale()))),
        format => out::write(format_args!(
            "{}",
            render::object(format, &document(&checks))?
        )),
    }
    Ok(match checks.iter().any(|it| it.state == State::Problem) {
        true => Exit::Findings,
        false => Exit::Fine,
    })
}

/// Groups, a line a check, and what to do beneath.
fn table(checks: &[Check], signs: &Signs) -> String {
    let mut lines = Vec::new();
    let mut group = "";
    for check in checks {
        if check.group != group {
            group = check.group;
            lines.push(group.to_owned());
        }
        let says = plain(&check.says, LINE);
        lines.push(format!("{} {says}", signs.of(check.state)));
        if let Some(fix) = &check.fix {
            lines.push(format!("    {}", plain(fix, LINE)));
            lines.push(format!("    see {}", check.docs()));
        }
    }
    let count = |state| checks.iter().filter(|it| it.state == state).count();
    let counted = |number: usize, what: &str| match number {
        1 => format!("1 {what}"),
        many => format!("{many} {what}s"),
    };
    let unseen = match count(State::Unseen) {
        0 => String::new(),
        many => format!(", {} not made", counted(many, "check")),
    };
    lines.push(format!(
        "{}, {}{unseen}\n",
        counted(count(State::Problem), "problem"),
        counted(count(State::Warning), "warning")
    ));
    lines.join("\n")
}

fn document(checks: &[Check]) -> serde_json::Value {
    let check = |it: &Check| {
        serde_json::json!({
            "group": it.group,
            "state": it.state.name(),
            "says": it.says,
            "fix": it.fix,
            "docs": it.docs(),
        })
    };
    serde_json::json!({
        "apiVersion": crate::document::API_VERSION,
        "kind": "Doctor",
        "checks": checks.iter().map(check).collect::<Vec<_>>(),
    })
}

/// Signs that the terminal can show.
struct Signs {
    is_utf8: bool,
}

impl Signs {
    /// By the first variable that is set, as the C library looks.
    fn of_locale() -> Self {
        let set = |name| std::env::var(name).ok().filter(|it| !it.is_empty());
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set);
        let locale = locale.unwrap_or_default().to_lowercase();
        Self {
            is_utf8: locale.contains("utf-8") || locale.contains("utf8"),
        }
    }

    fn of(&self, state: State) -> &'static str {
        match (state, self.is_utf8) {
            (State::Fine, true) => "\x1b[32m√\x1b[0m",
            (State::Fine, false) => "ok",
            (State::Warning, true) => "\x1b[33m‼\x1b[0m",
            (State::Warning, false) => "! ",
            (State::Problem, true) => "\x1b[31m×\x1b[0m",
            (State::Problem, false) => "x ",
            (State::Unseen, true) => "\x1b[36m?\x1b[0m",
            (State::Unseen, false) => "? ",
        }
    }
}
