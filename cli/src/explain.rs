//! `hostfit explain TYPE/NAME | image REF… | CODE`: why, on what evidence, and what to do.

mod hosts;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::anyhow;
use hostfit_crds::item::Item;
use hostfit_crds::names;
use hostfit_engine::fact::Fact;
use hostfit_engine::finding::{CellVerdict, Code, Finding, nearest, plain};
use hostfit_engine::host::HostName;
use hostfit_engine::verdict::{Judgement, Reason};
use hostfit_engine::workload::WorkloadImage;
use hosts::Sources;

use crate::catalog;
use crate::check;
use crate::document::Kind;
use crate::exit::{Exit, Trouble};
use crate::flags::{Common, Format};
use crate::out::say;
use crate::print;
use crate::render;
use crate::style::{self, painted};
use crate::survey::Survey;
use crate::target::{is_type, short, targets};
use crate::workloads::{self, Place};

/// Longest text in a line.
const LINE: usize = 200;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A workload (TYPE/NAME, or TYPE NAME) or a code (HF101, which needs no cluster).
    #[arg(required = true, value_name = "TYPE/NAME|CODE", add = crate::completion::codes())]
    subject: Vec<String>,
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Option<OfImages>,
}

impl Args {
    /// Whether images are explained, which needs no cluster.
    pub(crate) fn is_of_images(&self) -> bool {
        self.command.is_some()
    }
}

#[derive(Debug, clap::Subcommand)]
enum OfImages {
    /// Tell what is known of images, from where, and what it means on hosts.
    Image(check::Args),
}

pub(crate) async fn run(args: Args, common: &Common) -> Result<Exit, Trouble> {
    let known = [&[Format::Table, Format::Name], &render::FORMATS[..]].concat();
    let format = common.output.format.one_of(&known, "explain")?;
    if let Some(OfImages::Image(args)) = args.command {
        return check::run(args, common, true).await;
    }
    if let [word] = &args.subject[..]
        && !word.contains(['/', ':'])
        && !is_type(word)
    {
        if catalog::code(word).is_none() {
            let codes: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
            let near = nearest(word, &codes).map(|near| format!("did you mean {near}?"));
            let near =
                near.unwrap_or_else(|| format!("write deploy/{word}, sts/{word}, … or HF101"));
            return Err(anyhow!("{word:?} is neither TYPE/NAME nor a code: {near}").into());
        }
        catalog::show(word, common)?;
        return Ok(Exit::Fine);
    }
    if args.subject.iter().all(|it| catalog::code(it).is_some()) {
        return Err(anyhow!(
            "one code at a time: {} explain {}",
            crate::program(),
            args.subject.first().map_or("HF101", String::as_str)
        )
        .into());
    }
    let survey = args.place.survey(common, &targets(&args.subject)?).await?;
    let judgements = survey.judge();
    let again = args.place.again() + &style::same(common);
    match format {
        Format::Table => {
            let sources = Sources::of(&survey);
            for (item, judgement) in survey.items.iter().zip(&judgements) {
                workload(&survey, &sources, item, judgement, &again);
            }
            style::permissions(&survey);
        }
        Format::Name => {
            for item in &survey.items {
                let target = short(&item.target.kind, &item.target.name);
                say!("{}/{target}", plain(&item.namespace, LINE));
            }
        }
        format => render::print(format, &survey.document(Kind::Check, &judgements))?,
    }
    let exit = workloads::exit(&survey, &judgements, common);
    style::unknown_beside(exit, workloads::unknown(&judgements));
    Ok(exit)
}

fn workload(survey: &Survey, sources: &Sources, item: &Item, judgement: &Judgement, again: &str) {
    let nodes = |names: &mut dyn Iterator<Item = &HostName>| -> u32 {
        names.map(|name| survey.nodes(name)).sum()
    };
    let fits =
        |it: &&(HostName, CellVerdict)| matches!(it.1, CellVerdict::Pass | CellVerdict::Warn);
    let landing = nodes(&mut judgement.by_host.iter().map(|(name, _)| name));
    let fitting = nodes(&mut judgement.by_host.iter().filter(fits).map(|(name, _)| name));
    let of_nodes = match landing {
        0 => String::new(),
        _ if judgement.fitting.is_none() => String::new(),
        all => format!(" ({fitting} of {all} nodes)"),
    };
    let hosts = judgement.hosts().replace('/', " of ");
    say!(
        "{}/{}/{}    {}    fits {hosts} host profiles{of_nodes}",
        plain(&item.namespace, LINE),
        plain(&item.target.kind, LINE),
        plain(&item.target.name, LINE),
        painted(judgement.verdict, 0)
    );
    for image in &item.workload.images {
        container(survey, image);
    }
    for (reasons, code) in grouped(judgement) {
        say!("");
        finding(survey, sources, item, judgement, &reasons, code, again);
    }
    for accepted in &judgement.excepted {
        let finding = &accepted.reason.finding;
        say!("");
        say!(
            "{} accepted until {} by exception {}: {}",
            finding.code,
            accepted.expires,
            plain(&accepted.exception, LINE),
            plain(&finding.message(), LINE)
        );
    }
}

/// A container, its image, and what is known of it.
fn container(survey: &Survey, image: &WorkloadImage) {
    let role = match image.role.field() {
        "containers" => "container",
        "initContainers" => "init container",
        "ephemeralContainers" => "ephemeral container",
        _ => "volume",
    };
    let reference = match &image.reference {
        Ok(reference) => reference,
        Err(error) => {
            say!("{role} {}   {error}", plain(&image.name, LINE));
            return;
        }
    };
    let facts = survey.images.get(reference);
    let known = match facts.map(|it| &**it) {
        Some(Fact::Known(known, _)) => known,
        Some(Fact::Unknown(gap)) => {
            let text = plain(&gap.finding().image, LINE);
            say!("{role} {}   {reference}   {text}", plain(&image.name, LINE));
            return;
        }
        None => {
            say!("{role} {}   {reference}", plain(&image.name, LINE));
            return;
        }
    };
    let name = plain(&image.name, LINE);
    say!("{role} {name}   {reference}   {}", known.digest);
    for platform in &known.platforms {
        let Fact::Known(contents, _) = &platform.contents else {
            continue;
        };
        let lineage = survey.catalog.lineage(reference, contents);
        let known = print::known(&lineage, contents);
        let told = |name: &str| {
            let known = known.iter().find(|it| it.name == name)?;
            let text = known.value.as_str().map(str::to_owned);
            Some(plain(&text.unwrap_or_else(|| known.value.to_string()), 60))
        };
        let pair = |one: &str, other: &str| {
            Some(match told(other) {
                Some(other) => format!("{} {other}", told(one)?),
                None => told(one)?,
            })
        };
        let parts = [
            pair("distro", "distro_version"),
            pair("libc", "libc_version"),
            told("cpu_level").map(|it| format!("x86-64-v{it}")),
            told("base_image").map(|it| format!("base {it}")),
            told("java").map(|it| format!("java {it}")),
        ];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        let evidence = known.first().map(|it| format!("    {}", it.evidence));
        let what = match parts.is_empty() {
            true => "nothing tells what it stands on".to_owned(),
            false => parts.join(", "),
        };
        say!(
            "  {}   {what}{}",
            platform.platform,
            evidence.unwrap_or_default()
        );
    }
}

/// The reasons that are one to people: the same of the image, on different hosts.
fn grouped(judgement: &Judgement) -> Vec<(Vec<&Reason>, Code)> {
    let mut groups: Vec<(Vec<&Reason>, Code)> = Vec::new();
    for reason in &judgement.reasons {
        let code = reason.finding.code;
        let same = |(others, _): &&mut (Vec<&Reason>, Code)| {
            others.first().is_some_and(|other| {
                other.finding.code == code
                    && other.finding.image == reason.finding.image
                    && other.users == reason.users
            })
        };
        match groups.iter_mut().find(same) {
            Some((group, _)) => group.push(reason),
            None => groups.push((vec![reason], code)),
        }
    }
    groups
}

fn finding(
    survey: &Survey,
    sources: &Sources,
    item: &Item,
    judgement: &Judgement,
    reasons: &[&Reason],
    code: Code,
    again: &str,
) {
    let Some(first) = reasons.first() else { return };
    let Finding {
        severity,
        image,
        evidence,
        ..
    } = &first.finding;
    say!(
        "{code} {}   image {}",
        severity.as_str(),
        plain(image, LINE)
    );
    let users: Vec<_> = first
        .users
        .iter()
        .map(|(_, name)| plain(name, 60))
        .collect();
    let evidence = evidence.as_ref().map(|it| format!("    {it}"));
    say!(
        "  image   {}{}",
        users.join(", "),
        evidence.unwrap_or_default()
    );
    let mut on: BTreeMap<&HostName, (CellVerdict, Option<&str>)> = BTreeMap::new();
    for reason in reasons {
        for host in &reason.hosts {
            let finding = &reason.finding;
            on.insert(host, (finding.verdict, finding.host.as_deref()));
        }
    }
    if !on.is_empty() {
        hosts::lines(survey, sources, judgement, code, &on);
    }
    if first.finding.verdict != CellVerdict::Unknown {
        if let Some(error) = catalog::error_at_run_time(code) {
            say!("  then    {}", plain(&error, LINE));
        }
        if let Some(pack) = catalog::pack(code) {
            say!("  rule    of pack {pack}");
        }
    }
    let fixes: BTreeSet<_> = reasons.iter().map(|it| survey.fix(it)).collect();
    let mut number = 0;
    let mut fix = |lines: &[String]| {
        number += 1;
        let title = if number == 1 { "fix" } else { "" };
        for (index, line) in lines.iter().enumerate() {
            match index {
                0 => say!("  {title:<7} {number}  {line}"),
                _ => say!("             {line}"),
            }
        }
    };
    for text in fixes {
        fix(&[text]);
    }
    let failing = on
        .iter()
        .filter(|(_, (verdict, _))| *verdict == CellVerdict::Fail);
    // Only what the operator made bears its name on its nodes.
    let labelled = |name: &&str| {
        let mut profiles = survey.objects.host_profiles.iter();
        profiles.any(|it| it.metadata.name.as_deref() == Some(*name))
    };
    let failing = failing.map(|(name, _)| name.0.as_str());
    let failing: Vec<_> = failing.filter(labelled).collect();
    let fits_somewhere = judgement.fitting.is_some_and(|it| it > 0);
    if survey.objects.has_operator() && fits_somewhere && !failing.is_empty() {
        fix(&[
            "keep it off these nodes, in the pod's spec:".to_owned(),
            "affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [".to_owned(),
            format!(
                "  {{matchExpressions: [{{key: {}, operator: NotIn, values: [{}]}}]}}]}}}}}}",
                names::HOST_PROFILE,
                failing.join(", ")
            ),
        ]);
    }
    if survey.is_of_cluster() && first.finding.verdict != CellVerdict::Unknown {
        let target = short(&item.target.kind, &item.target.name);
        let place = format!("-n {} {target}", item.namespace);
        fix(&[
            "accept it until a date:".to_owned(),
            format!(
                "{} except {place} {code}{again} --until +30d --reason \"...\"",
                crate::program()
            ),
        ]);
    }
    say!(
        "  docs    {}   ({} explain {code})",
        code.docs(),
        crate::program()
    );
}
