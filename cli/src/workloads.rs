//! `hostfit check [TYPE/NAME | -f FILE|DIR|-]`: the verdict on workloads of a cluster, a snapshot or manifests.

use std::sync::Arc;

use clap::builder::FalseyValueParser;
use hostfit_engine::finding::{CellVerdict, nearest, plain};
use hostfit_engine::policy::HostPolicy;
use hostfit_engine::verdict::{Judgement, Verdict};

use crate::document::{Document, Finding, Kind, WorkloadEntry};
use crate::exit::{Exit, FailOn, Trouble};
use crate::flags::{Common, Format};
use crate::hosts::HostArg;
use crate::out::say;
use crate::read::ReadArgs;
use crate::render;
use crate::style::{self, painted};
use crate::survey::{Question, Survey};
use crate::target::{Target, short, targets};

/// Doubts about what people declared that are told beside what is judged.
const DOUBTS: usize = 5;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Workloads: TYPE/NAME, NAMESPACE/TYPE/NAME, or TYPE NAME. All of the namespace, if none is named.
    #[arg(value_name = "TYPE/NAME")]
    targets: Vec<String>,
    #[command(flatten)]
    pub(crate) place: Place,
}

/// Where workloads and hosts come from.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Place {
    /// Manifests instead of a cluster: a file, a folder, or - for stdin. Wants --host.
    #[arg(
        short,
        long = "filename",
        value_name = "FILE|DIR|-",
        env = "HOSTFIT_FILENAME",
        help_heading = "Cluster"
    )]
    pub(crate) files: Vec<String>,
    /// Judge what can be read of the manifests, and do not end with 2 for what cannot.
    #[arg(long, env = "HOSTFIT_KEEP_GOING", value_parser = FalseyValueParser::new(), help_heading = "Cluster")]
    pub(crate) keep_going: bool,
    /// Hosts instead of those of the cluster: builtin/NAME, file:PATH, local, or a HostProfile. Everything is judged on each.
    #[arg(
        long,
        value_name = "HOST",
        env = "HOSTFIT_HOST",
        value_delimiter = ',', add = crate::completion::hosts(),
        help_heading = "Cluster"
    )]
    pub(crate) host: Vec<HostArg>,
    #[command(flatten)]
    pub(crate) reading: ReadArgs,
}

impl Place {
    /// Whether manifests came by a pipe.
    fn is_stdin(&self) -> bool {
        self.files.iter().any(|it| it == "-")
    }

    /// The flags by which another command looks at the same place.
    pub(crate) fn again(&self) -> String {
        let files = self.files.iter().map(|it| ("-f", it.clone()));
        let hosts = self.host.iter().map(|it| ("--host", it.to_string()));
        let flags = files.chain(hosts);
        flags
            .map(|(flag, value)| format!(" {flag} {}", style::word(&value)))
            .collect()
    }

    /// Reads everything there.
    ///
    /// # Errors
    ///
    /// As [`Survey::read`].
    pub(crate) async fn survey(
        &self,
        common: &Common,
        targets: &[Target],
    ) -> anyhow::Result<Survey> {
        let mut common = common.clone();
        // One that names its namespace is looked for there.
        let mut named = targets.iter().map(|it| it.namespace.as_ref());
        if let Some(Some(first)) = named.next() {
            match named.all(|it| it == Some(first)) {
                true => {
                    common.cluster.namespace = Some(first.clone());
                    common.cluster.all_namespaces = false;
                }
                false => common.cluster.all_namespaces = true,
            }
        }
        let mut survey = Survey::read(&Question {
            common: &common,
            reading: &self.reading,
            files: &self.files,
            hosts: &self.host,
            targets,
        })
        .await?;
        for broken in &survey.broken {
            // YAML's errors show the place.
            let broken = broken.to_string();
            let lines: Vec<_> = broken.lines().take(12).map(|it| plain(it, 600)).collect();
            eprintln!("error: {}", lines.join("\n"));
        }
        survey.is_broken = !survey.broken.is_empty() && !self.keep_going;
        if !survey.not_judged.is_empty() {
            let all: Vec<_> = survey
                .not_judged
                .iter()
                .map(|it| plain(&it.why, 200))
                .collect();
            eprintln!("not judged, and may make pods: {}", all.join("; "));
        }
        let doubts = survey.doubts();
        for doubt in doubts.iter().take(DOUBTS).filter(|_| !common.output.quiet) {
            eprintln!("note: {}", plain(doubt, 300));
        }
        Ok(survey)
    }
}

pub(crate) async fn run(args: Args, common: &Common) -> Result<Exit, Trouble> {
    let own = [Format::Table, Format::Wide, Format::Name];
    let known = [&own, &render::FORMATS[..]].concat();
    let format = common.output.format.one_of(&known, "check")?;
    let survey = args.place.survey(common, &targets(&args.targets)?).await?;
    let judgements = survey.judge();
    let document = survey.document(Kind::Check, &judgements);
    match format {
        Format::Table | Format::Wide => {
            table(&survey, &document, &args.place, common, format);
        }
        Format::Name => names(&document),
        format => render::print(format, &document)?,
    }
    let exit = exit(&survey, &judgements, common);
    if !matches!(format, Format::Table | Format::Wide) {
        style::unknown_beside(exit, document.summary.unknown);
    }
    Ok(exit)
}

/// How many workloads could not be told.
pub(crate) fn unknown(judgements: &[Judgement]) -> usize {
    let verdicts = judgements.iter().map(|it| it.verdict);
    verdicts.filter(|it| *it == Verdict::Unknown).count()
}

/// How a command ends that judged a survey.
pub(crate) fn exit(survey: &Survey, judgements: &[Judgement], common: &Common) -> Exit {
    // It must not look like what fits.
    if survey.items.is_empty() && survey.broken.is_empty() {
        let namespaces = survey.objects.namespaces.keys();
        let namespaces: Vec<_> = namespaces.map(String::as_str).collect();
        let named = common.cluster.namespace.as_deref();
        let named = named.filter(|it| !namespaces.contains(it));
        let near = named.and_then(|it| nearest(it, &namespaces));
        let near = near.map(|it| format!("; did you mean -n {it}?"));
        eprintln!(
            "nothing is judged: {} has no workload that is asked for (-n, -A and -l select){}",
            survey.from,
            near.unwrap_or_default()
        );
        if matches!(common.output.fail_on, FailOn::Unknown) {
            return Exit::Unknown;
        }
    }
    let hidden = survey.permissions.lacked.iter();
    let hidden = hidden
        .filter(|it| it.hides_workloads)
        .map(|_| Verdict::Unknown);
    let not_judged = survey.not_judged.iter().map(|_| Verdict::Unknown);
    let mut judges = survey.judges();
    let verdicts = survey
        .items
        .iter()
        .zip(judgements)
        .map(|(item, judgement)| {
            let policy = &judges.of(&item.namespace).policy;
            match (judgement.verdict, policy.host_policy) {
                (Verdict::Partial, HostPolicy::AllReachable) => Verdict::Fail,
                (verdict, _) => verdict,
            }
        });
    let verdicts: Vec<_> = verdicts.chain(hidden).chain(not_judged).collect();
    match survey.is_broken {
        true => Exit::Trouble,
        false => common.output.fail_on.exit(verdicts.into_iter()),
    }
}

/// One line a workload that does not simply fit, worst first, and the counts.
fn table(survey: &Survey, document: &Document, place: &Place, common: &Common, format: Format) {
    let scope = render::scope(document);
    let rules = style::rules(survey.now);
    say!("{scope:<60} {rules}");
    let rows = document.workloads.iter();
    let rows: Vec<_> = rows.filter(|it| it.verdict != Verdict::Pass).collect();
    let name = |entry: &WorkloadEntry| plain(&named(entry), 120);
    let width = rows.iter().map(|it| name(it).chars().count()).max();
    let width = width.unwrap_or_default();
    for entry in &rows {
        let verdict = painted(entry.verdict, 8);
        // What fails on one host does not say why the whole cannot be told.
        let says = |it: &&Arc<Finding>| {
            (entry.verdict == Verdict::Unknown) == (it.verdict == CellVerdict::Unknown)
        };
        let top = entry.findings.iter().find(says).or(entry.findings.first());
        let (code, what) = match top {
            Some(finding) => (finding.code, style::in_short(document, entry, finding)),
            None => ("", String::new()),
        };
        let hosts = match format {
            Format::Wide => format!("{:<6} ", entry.hosts),
            _ => String::new(),
        };
        say!("{verdict} {:<width$}  {hosts}{code}  {what}", name(entry));
        if let (Format::Wide, Some(shown)) = (format, top) {
            let others = entry.findings.iter().filter(|it| !Arc::ptr_eq(it, shown));
            for finding in others {
                let what = style::in_short(document, entry, finding);
                say!(
                    "{:<8} {:<width$}  {:<6} {}  {what}",
                    "",
                    "",
                    "",
                    finding.code
                );
            }
        }
    }
    let summary = &document.summary;
    say!(
        "{} pass, {} warn, {} partial, {} fail, {} unknown",
        summary.pass,
        summary.warn,
        summary.partial,
        summary.fail,
        summary.unknown
    );
    style::unknown(summary.unknown);
    style::excepted(document);
    style::permissions(survey);
    let Some(worst) = rows.first() else { return };
    match place.is_stdin() {
        // It cannot be asked again: what the code means needs nothing.
        true => {
            if let Some(finding) = worst.findings.first() {
                style::next(common, format_args!("explain {}", finding.code));
            }
        }
        false => {
            let namespace = worst.target.namespace.iter();
            let namespace: String = namespace.map(|it| format!(" -n {it}")).collect();
            let target = short(&worst.target.kind, &worst.target.name);
            let place = place.again();
            style::next(common, format_args!("explain{namespace} {target}{place}"));
        }
    }
}

/// `shop/deploy/search`
fn named(entry: &WorkloadEntry) -> String {
    let target = short(&entry.target.kind, &entry.target.name);
    match &entry.target.namespace {
        Some(namespace) => format!("{namespace}/{target}"),
        None => target,
    }
}

fn names(document: &Document) {
    let rows = document.workloads.iter();
    for entry in rows.filter(|it| it.verdict != Verdict::Pass) {
        say!("{}", plain(&named(entry), 400));
    }
}
