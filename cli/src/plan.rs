//! `hostfit plan`: what breaks if other hosts take the place of these.

use anyhow::{anyhow, bail};
use clap::builder::FalseyValueParser;
use hostfit_engine::finding::plain;
use hostfit_engine::host::{Host, HostFacts};
use hostfit_engine::plan::{Difference, Fate, Move, Place, Plan, Planner};

use crate::exit::{Exit, FailOn, Trouble};
use crate::flags::{Common, Format};
use crate::hosts::HostArg;
use crate::out::say;
use crate::read::ReadArgs;
use crate::render;
use crate::style;
use crate::survey::{Question, Survey};
use crate::target::short;

mod documented;

use documented::documented;

/// Longest line of a finding.
const LINE: usize = 160;
/// Changes that the table proposes.
const PROPOSED: usize = 5;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// HostProfile whose nodes are replaced. If none is named: the baseline of the new one, or the only one there is.
    #[arg(long, value_name = "PROFILE", env = "HOSTFIT_FROM")]
    from: Option<String>,
    /// What comes: a HostProfile of the cluster, builtin/NAME, file:PATH or local.
    #[arg(
        long,
        value_name = "HOST",
        env = "HOSTFIT_TO",
        add = crate::completion::hosts(),
        required_unless_present = "file"
    )]
    to: Option<HostArg>,
    /// What comes: a file with one HostProfile. As --to file:PATH.
    #[arg(
        short = 'f',
        long = "filename",
        value_name = "FILE",
        conflicts_with = "to"
    )]
    file: Option<String>,
    /// The machines stay, only what runs on them is new: CPU level, architecture and GPU are those of now, whatever what
    /// comes says of them.
    #[arg(long, env = "HOSTFIT_SAME_MACHINES", value_parser = FalseyValueParser::new())]
    same_machines: bool,
    #[command(flatten)]
    reading: ReadArgs,
}

pub(crate) async fn run(args: Args, common: &Common) -> Result<Exit, Trouble> {
    let known = [&[Format::Table, Format::Name], &render::FORMATS[..]].concat();
    let format = common.output.format.one_of(&known, "plan")?;
    // Nodes have no namespace: whatever runs there is meant.
    let mut common = common.clone();
    common.cluster.all_namespaces |= common.cluster.namespace.is_none();
    let to = match (&args.to, args.file) {
        (Some(to), _) => to.clone(),
        (None, Some(file)) => HostArg::File(file),
        (None, None) => return Err(anyhow!("name what comes with --to").into()),
    };
    let mut survey = Survey::read(&Question {
        common: &common,
        reading: &args.reading,
        files: &[],
        hosts: &[],
        targets: &[],
    })
    .await
    .map_err(|error| match to.built_in_instead() {
        Some(instead) => error.context(format!(
            "--to {to} is a HostProfile of a cluster ({instead})"
        )),
        None => error,
    })?;
    let coming = survey.hosts(&to)?;
    survey.say_of(&to, &coming);
    let [coming] = &coming[..] else {
        return Err(anyhow!("--to names {} hosts: a plan has one", coming.len()).into());
    };
    let from = from(&survey, args.from.as_deref(), coming)?;
    if from.name == coming.name {
        return Err(anyhow!(
            "{} cannot take its own place: name what comes with --to",
            from.name
        )
        .into());
    }
    let mut coming = coming.clone();
    if args.same_machines {
        if let (Some(has), Some(needs)) = (from.facts.cpu_level, coming.facts.cpu_level)
            && has < needs
        {
            eprintln!(
                "{} needs CPU level x86-64-v{needs}, these machines have v{has}: it does not run on them at all",
                coming.name.0
            );
        }
        coming.facts = on_machines_of(&from.facts, coming.facts);
    }
    let coming = &coming;
    let change = Move {
        from: &from,
        to: coming,
    };
    let plan = plan(&survey, change);
    let mut again = match &to {
        HostArg::File(path) => format!(" -f {}", style::word(path)),
        other => format!(" --to {}", style::word(&other.to_string())),
    };
    if args.same_machines {
        again.push_str(" --same-machines");
    }
    for (flag, value) in [
        ("-n", &common.cluster.namespace),
        ("-l", &common.cluster.selector),
    ] {
        again.extend(
            value
                .iter()
                .map(|it| format!(" {flag} {}", style::word(it))),
        );
    }
    match format {
        Format::Table => table(&survey, change, &plan, &again, &common),
        Format::Name => {
            let breaks = plan.listed.iter().filter(|(_, it)| it.fate == Fate::Breaks);
            for (index, _) in breaks {
                say!("{}", named(&survey, *index));
            }
        }
        format => render::print(format, &documented(&survey, change, &plan, &to))?,
    }
    let of = |fate| plan.counts.of(fate) > 0;
    let exit = match common.output.fail_on {
        FailOn::Never => Exit::Fine,
        _ if of(Fate::Breaks) => Exit::Findings,
        FailOn::Warn | FailOn::Unknown if of(Fate::NewWarning) => Exit::Findings,
        FailOn::Unknown if of(Fate::Unknown) => Exit::Unknown,
        _ => Exit::Fine,
    };
    if format != Format::Table {
        style::unknown_beside(exit, plan.counts.of(Fate::Unknown));
    }
    Ok(exit)
}

/// What comes, on the machines of now.
fn on_machines_of(now: &HostFacts, coming: HostFacts) -> HostFacts {
    HostFacts {
        architecture: now.architecture.clone().or(coming.architecture),
        // That of a built-in host is what its system needs, not what these machines have.
        cpu_level: now.cpu_level,
        compute_capability: now.compute_capability.clone(),
        ..coming
    }
}

/// The host that is replaced.
fn from(survey: &Survey, named: Option<&str>, to: &Host) -> anyhow::Result<Host> {
    if let Some(name) = named {
        if name.contains(['/', ':']) {
            bail!(
                "--from {name}: write the name of a host profile that runs in {} ({} nodes shows them); what comes instead stands in --to",
                survey.from,
                crate::program()
            );
        }
        return survey.profile(name);
    }
    let mut profiles = survey.objects.host_profiles.iter();
    let declared = profiles.find(|it| it.metadata.name.as_deref() == Some(&to.name.0));
    if let Some(baseline) = declared.and_then(|it| it.spec.baseline_name.clone()) {
        return from(survey, Some(&baseline), to);
    }
    let all = survey.fleet.hosts().iter();
    let mut others = all.filter(|host| host.nodes > 0 && host.name != to.name);
    match (others.next(), others.next()) {
        (Some(only), None) => Ok(only.clone()),
        (None, _) => bail!("{} has no nodes that could be replaced", survey.from),
        (Some(one), Some(two)) => bail!(
            "name the nodes that are replaced: --from {}, --from {}, … ({} nodes shows them)",
            one.name.0,
            two.name.0,
            crate::program()
        ),
    }
}

/// What becomes of each item, by its index.
fn plan(survey: &Survey, change: Move<'_>) -> Plan<usize> {
    let mut judges = survey.judges();
    let mut planner = Planner::new(change);
    for (index, item) in survey.items.iter().enumerate() {
        let judge = judges.of(&item.namespace);
        let exceptions = survey.exceptions(item);
        let knowledge = survey.knowledge(&survey.fleet, &judge, &exceptions);
        planner.add(index, &item.workload, &survey.facts(item), &knowledge);
    }
    planner.finish()
}

fn named(survey: &Survey, index: usize) -> String {
    let Some(item) = survey.items.get(index) else {
        return String::new();
    };
    let target = short(&item.target.kind, &item.target.name);
    plain(&format!("{}/{target}", item.namespace), 120)
}

fn table(survey: &Survey, change: Move<'_>, plan: &Plan<usize>, again: &str, common: &Common) {
    let nodes = |host: &Host| match host.nodes {
        0 => String::new(),
        1 => " (1 node)".to_owned(),
        many => format!(" ({many} nodes)"),
    };
    let (from, to) = (&change.from.name.0, &change.to.name.0);
    let declared = match survey.is_declared(&change.to.name) {
        true => " (declared)".to_owned(),
        false => nodes(change.to),
    };
    say!(
        "replace {}{} by {}{declared}",
        plain(from, LINE),
        nodes(change.from),
        plain(to, LINE)
    );
    facts(change);
    counts(plan);
    let sections = [
        ("BREAKS", Fate::Breaks),
        ("STILL FAILS", Fate::StillFails),
        ("CANNOT TELL", Fate::Unknown),
        ("NEW WARNING", Fate::NewWarning),
        (
            "IN NO MATRIX (unsupported now; that nobody speaks of it then mends nothing)",
            Fate::Unspoken,
        ),
        ("FIXED", Fate::Fixed),
        ("GOES ELSEWHERE", Fate::Elsewhere),
    ];
    for (title, fate) in sections {
        section(survey, plan, title, fate);
    }
    order(survey, plan);
    style::unknown(plan.counts.of(Fate::Unknown));
    style::permissions(survey);
    if plan.counts.all() > 0 {
        let from = style::word(from);
        let file = "-o markdown --output-file plan.md";
        style::next(common, format_args!("plan --from {from}{again} {file}"));
    }
}

/// What changes, what stays, and what only one of the two hosts tells.
fn facts(change: Move<'_>) {
    let (mut changes, mut same, mut untold) = (Vec::new(), Vec::new(), Vec::new());
    for (fact, difference) in change.differences() {
        let name = fact.name();
        let short = |text: &str| plain(text, 60);
        match difference {
            Difference::Same(_) => same.push(name.to_owned()),
            Difference::Changes(from, to) => {
                changes.push(format!("{name} {} -> {}", short(&from), short(&to)));
            }
            Difference::Untold { to: Some(to), .. } => {
                changes.push(format!("{name} not known -> {}", short(&to)));
            }
            Difference::Untold { .. } => untold.push(name.to_owned()),
        }
    }
    let same = match same.is_empty() {
        true => String::new(),
        false => format!("    ({} same)", same.join(", ")),
    };
    say!("  changes   {}{same}", changes.join("    "));
    if !untold.is_empty() {
        say!("  not told of what comes: {}", untold.join(", "));
    }
}

fn counts(plan: &Plan<usize>) {
    let said = |fate, one: &str, many: &str| match plan.counts.of(fate) {
        0 => None,
        1 => Some(format!("1 {one}")),
        number => Some(format!("{number} {many}")),
    };
    let said: Vec<_> = [
        said(Fate::Fits, "stays ok", "stay ok"),
        said(Fate::Warns, "stays warn", "stay warn"),
        said(
            Fate::NewWarning,
            "is warned of newly",
            "are warned of newly",
        ),
        said(Fate::Breaks, "breaks", "break"),
        said(Fate::StillFails, "still fails", "still fail"),
        said(
            Fate::Unspoken,
            "is in no matrix then",
            "are in no matrix then",
        ),
        said(Fate::Fixed, "is fixed", "are fixed"),
        said(Fate::Unknown, "cannot be told", "cannot be told"),
        said(Fate::Elsewhere, "goes elsewhere", "go elsewhere"),
    ]
    .into_iter()
    .flatten()
    .collect();
    match plan.counts.all() {
        0 => say!("  no workload runs there"),
        1 => say!("  1 workload runs there: {}", said.join(", ")),
        all => say!("  {all} workloads run there: {}", said.join(", ")),
    }
}

fn section(survey: &Survey, plan: &Plan<usize>, title: &str, fate: Fate) {
    let listed = plan.listed.iter().filter(|(_, moved)| moved.fate == fate);
    let listed: Vec<_> = listed
        .map(|(index, moved)| (named(survey, *index), moved))
        .collect();
    let Some(width) = listed.iter().map(|(name, _)| name.chars().count()).max() else {
        return;
    };
    say!("{title}");
    for (name, moved) in listed {
        match moved.reasons.first() {
            Some(reason) => {
                let finding = &reason.finding;
                let message = finding.message();
                let what = message.strip_prefix("image ").unwrap_or(&message);
                say!("  {name:<width$}  {}  {}", finding.code, plain(what, LINE));
            }
            None => say!("  {name}"),
        }
    }
}

fn order(survey: &Survey, plan: &Plan<usize>) {
    let mends = plan.order.iter().filter(|it| !it.mends.is_empty());
    let mut mends = mends.take(PROPOSED).peekable();
    if mends.peek().is_none() {
        return;
    }
    say!("ORDER OF WORK");
    for (number, work) in mends.enumerate() {
        let place = match &work.place {
            Place::Base(base) => format!("base image {}", plain(base, LINE)),
            Place::Image(image) => format!("image {}", plain(&image.to_string(), LINE)),
        };
        let many = match work.mends.len() {
            1 => named(survey, work.mends.first().copied().unwrap_or_default()),
            many => format!("{many} workloads"),
        };
        say!("  {}  {place}: mends {many}", number + 1);
        for cause in &work.causes {
            say!("       {}  {}", cause.code, plain(&cause.fix, LINE));
        }
    }
}
