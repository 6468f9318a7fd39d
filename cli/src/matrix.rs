//! `hostfit matrix`: what fits where, as a table of images, workloads or base images by hosts.

use std::collections::{BTreeMap, BTreeSet};

use clap::ValueEnum;
use clap::builder::FalseyValueParser;
use hostfit_crds::item::Item;
use hostfit_engine::fact::Fact;
use hostfit_engine::finding::{CellVerdict, plain};
use hostfit_engine::host::HostName;
use hostfit_engine::matrix::evaluate_on;
use hostfit_engine::verdict::{Judgement, Reason};
use hostfit_engine::workload::WorkloadImage;

use crate::document::{Kind, of_cell};
use crate::exit::{Exit, Trouble};
use crate::flags::{Common, Format};
use crate::out::say;
use crate::render;
use crate::style::{self, paint};
use crate::survey::Survey;
use crate::target::short;
use crate::workloads::{self, Place};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What stands in the rows.
    #[arg(long, value_enum, default_value_t = By::Image, env = "HOSTFIT_BY")]
    by: By,
    /// Show what fits everywhere, too.
    #[arg(short, long, env = "HOSTFIT_ALL", value_parser = FalseyValueParser::new())]
    all: bool,
    #[command(flatten)]
    place: Place,
}

/// What stands in the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    Image,
    Workload,
    Base,
}

/// The worst in each row on each host.
type Cells = BTreeMap<String, BTreeMap<HostName, CellVerdict>>;

pub(crate) async fn run(args: Args, common: &Common) -> Result<Exit, Trouble> {
    let known = [&[Format::Table, Format::Name], &render::FORMATS[..]].concat();
    let format = common.output.format.one_of(&known, "matrix")?;
    let survey = args.place.survey(common, &[]).await?;
    let judgements = survey.judge();
    match format {
        Format::Table => table(&survey, &cells(&survey, &judgements, args.by), &args),
        Format::Name => {
            let cells = cells(&survey, &judgements, args.by);
            let told = |on: &BTreeMap<_, _>| on.values().any(|it| *it != CellVerdict::Pass);
            for (row, _) in cells.iter().filter(|(_, on)| args.all || told(on)) {
                say!("{}", plain(row, 300));
            }
        }
        format => render::print(format, &survey.document(Kind::Check, &judgements))?,
    }
    let exit = workloads::exit(&survey, &judgements, common);
    style::unknown_beside(exit, workloads::unknown(&judgements));
    Ok(exit)
}

fn cells(survey: &Survey, judgements: &[Judgement], by: By) -> Cells {
    let mut cells = Cells::new();
    let mut judges = survey.judges();
    for (item, judgement) in survey.items.iter().zip(judgements) {
        add(survey, &mut cells, item, judgement, by);
        // A profile that is only planned takes no pods: it is judged for those that its baseline takes.
        for (profile, baseline) in survey.planned() {
            if survey.fleet.admits(&baseline, &item.workload.placement) {
                let judge = judges.of(&item.namespace);
                let exceptions = survey.exceptions(item);
                let knowledge = survey.knowledge(&survey.fleet, &judge, &exceptions);
                let then = evaluate_on(&item.workload, &survey.facts(item), profile, &knowledge);
                add(survey, &mut cells, item, &then, by);
            }
        }
    }
    cells
}

fn add(survey: &Survey, cells: &mut Cells, item: &Item, judgement: &Judgement, by: By) {
    let mut note = |row: String, host: &HostName, verdict: CellVerdict| {
        let worst = cells.entry(row).or_default().entry(host.clone());
        let worst = worst.or_insert(CellVerdict::Pass);
        *worst = verdict.max(*worst);
    };
    for (host, worst) in &judgement.by_host {
        if by == By::Workload {
            let target = short(&item.target.kind, &item.target.name);
            note(format!("{}/{target}", item.namespace), host, *worst);
            continue;
        }
        for image in &item.workload.images {
            let about = |reason: &&Reason| {
                let here = reason.hosts.is_empty() || reason.hosts.contains(host);
                let user = (image.role, image.name.clone());
                here && reason.users.contains(&user) && reason.finding.verdict <= *worst
            };
            let found = judgement.reasons.iter().filter(about);
            let verdict = found.map(|reason| reason.finding.verdict).max();
            let row = match by {
                By::Base => base(survey, image),
                By::Image | By::Workload => named(image),
            };
            note(row, host, verdict.unwrap_or(CellVerdict::Pass));
        }
    }
}

fn named(image: &WorkloadImage) -> String {
    match &image.reference {
        Ok(reference) => reference.to_string(),
        Err(_) => "(no reference)".to_owned(),
    }
}

fn base(survey: &Survey, image: &WorkloadImage) -> String {
    let known = || {
        let reference = image.reference.as_ref().ok()?;
        let facts = survey.images.get(reference)?;
        let platforms = &facts.value()?.platforms;
        let contents = platforms.iter().find_map(|it| match &it.contents {
            Fact::Known(contents, _) => Some(contents),
            Fact::Unknown(_) => None,
        })?;
        let lineage = survey.catalog.lineage(reference, contents);
        let distribution = lineage.distribution.value().map(ToString::to_string);
        lineage.base.or(distribution)
    };
    known().unwrap_or_else(|| "(not known)".to_owned())
}

fn table(survey: &Survey, cells: &Cells, args: &Args) {
    let (rows, fine): (Vec<_>, Vec<_>) = cells
        .iter()
        .partition(|(_, on)| args.all || on.values().any(|it| *it != CellVerdict::Pass));
    let used: BTreeSet<_> = cells.values().flat_map(|on| on.keys()).collect();
    let hosts: Vec<_> = survey
        .fleet
        .hosts()
        .iter()
        .filter(|it| used.contains(&it.name))
        .collect();
    // Long names stand in two lines, as people read them: amzn2 over k510.
    let heads: Vec<(String, String)> = hosts
        .iter()
        .map(|host| {
            let star = if host.nodes == 0 { " *" } else { "" };
            let name = plain(&host.name.0, 40);
            let name = name
                .strip_prefix("builtin/")
                .map(str::to_owned)
                .unwrap_or(name);
            match name.rsplit_once('-') {
                Some((first, rest)) => (first.to_owned(), format!("{rest}{star}")),
                None => (name, star.to_owned()),
            }
        })
        .collect();
    let wide = |(a, b): &(String, String)| a.chars().count().max(b.chars().count()).max(7);
    let widths: Vec<_> = heads.iter().map(wide).collect();
    let title = match args.by {
        By::Image => "IMAGE",
        By::Workload => "WORKLOAD",
        By::Base => "BASE IMAGE",
    };
    let shown = |row: &str| plain(row, 80);
    let first = rows.iter().map(|(row, _)| shown(row).chars().count()).max();
    let first = first.unwrap_or_default().max(title.len() + 8);
    let line = |left: &str, texts: Vec<String>| {
        let mut line = format!("{left:<first$}");
        for (text, width) in texts.iter().zip(&widths) {
            line.push_str(&format!("  {text:<width$}"));
        }
        say!("{}", line.trim_end());
    };
    line("", heads.iter().map(|it| it.0.clone()).collect());
    line("", heads.iter().map(|it| it.1.clone()).collect());
    let gap = first - title.len();
    let nodes = hosts.iter().map(|host| host.nodes.to_string()).collect();
    line(&format!("{title}{:>gap$}", "nodes"), nodes);
    for (row, on) in rows {
        let mut line = format!("{:<first$}", shown(row));
        for (host, width) in hosts.iter().zip(&widths) {
            let text = match on.get(&host.name) {
                None => format!("{:<width$}", "."),
                Some(verdict) => {
                    let word = match verdict {
                        CellVerdict::Pass => "ok",
                        CellVerdict::Warn => "warn",
                        CellVerdict::Unknown => "?",
                        CellVerdict::Fail => "FAIL",
                    };
                    paint(of_cell(*verdict), word, *width)
                }
            };
            line.push_str("  ");
            line.push_str(&text);
        }
        say!("{}", line.trim_end());
    }
    let noun = title.to_lowercase();
    let fine = match fine.len() {
        0 => String::new(),
        1 => format!("1 {noun} fits everywhere (-a shows it)     "),
        many => format!("{many} {noun}s fit everywhere (-a shows them)     "),
    };
    say!("{fine}. cannot land there   ? cannot tell   * no nodes");
    style::permissions(survey);
}
