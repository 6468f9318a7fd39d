//! `hostfit except TYPE/NAME… CODE…`: a CompatException for each workload, printed, or made with `--apply`. The only write of
//! the command line.

use std::collections::BTreeSet;

use anyhow::{anyhow, bail};
use clap::builder::FalseyValueParser;
use hostfit_crds::compat_exception::{CompatException, CompatExceptionSpec};
use hostfit_crds::item::Item;
use hostfit_crds::{Selector, names};
use hostfit_engine::finding::{Code, nearest, plain};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::cluster::{Cluster, Refusal};
use crate::exit::{Exit, Trouble};
use crate::flags::{Common, Format};
use crate::out::{self, say};
use crate::render;
use crate::survey::Survey;
use crate::target::{Target, short, targets};
use crate::workloads::Place;

/// Characters of a reason that the API server takes.
pub(crate) const REASON: std::ops::RangeInclusive<usize> = 10..=500;

/// Characters of what an API server says.
const WHY: usize = 600;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Workloads, and the findings of them that are accepted: deploy/search HF101, or deploy search HF101.
    #[arg(required = true, value_name = "TYPE/NAME… CODE", add = crate::completion::codes())]
    words: Vec<String>,
    /// Until when: YYYY-MM-DD (its first second, UTC), or +30d.
    #[arg(long, value_name = "DATE|+DAYS")]
    until: String,
    /// Why, for the one who reads it in a year: 10 to 500 characters.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Where it is written down.
    #[arg(long, value_name = "URL")]
    ticket: Option<String>,
    /// Make it in the cluster, instead of printing it.
    #[arg(long, env = "HOSTFIT_APPLY", value_parser = FalseyValueParser::new())]
    apply: bool,
    #[command(flatten)]
    place: Place,
}

impl Args {
    /// Whether a cluster is written to.
    pub(crate) fn is_applied(&self) -> bool {
        self.apply
    }
}

pub(crate) async fn run(args: Args, common: &Common) -> Result<Exit, Trouble> {
    let known = [Format::Table, Format::Yaml, Format::Json];
    let format = common.output.format.one_of(&known, "except")?;
    let until = until(&args.until, common.now())?;
    let length = args.reason.chars().count();
    if !REASON.contains(&length) {
        return Err(anyhow!(
            "--reason has {length} characters: write 10 to 500, for the one who reads it in a year"
        )
        .into());
    }
    let is_url = |it: &String| it.starts_with("https://") || it.starts_with("http://");
    if let Some(ticket) = args.ticket.as_ref().filter(|it| !is_url(it)) {
        return Err(anyhow!("--ticket {ticket}: write its URL, https://…").into());
    }
    let (targets, codes) = meant(&args.words)?;
    let survey = args.place.survey(common, &targets).await?;
    let exceptions = exceptions(&survey, &codes, until, &args)?;
    if args.apply {
        return apply_all(&exceptions, common).await;
    }
    out::write(format_args!("{}", written(format, &exceptions)?));
    Ok(Exit::Fine)
}

/// The exceptions as `kubectl apply` takes them.
fn written(format: Format, exceptions: &[CompatException]) -> anyhow::Result<String> {
    match (format, exceptions) {
        (Format::Json, [one]) => render::object(format, one),
        (Format::Json, many) => {
            let list = json!({"apiVersion": "v1", "kind": "List", "items": many});
            render::object(format, &list)
        }
        (_, all) => {
            let all = all.iter().map(|it| render::object(Format::Yaml, it));
            Ok(all.collect::<anyhow::Result<Vec<_>>>()?.join("---\n"))
        }
    }
}

/// The workloads and the codes that words mean.
///
/// # Errors
///
/// If they mean none. It says what they look like.
fn meant(words: &[String]) -> anyhow::Result<(Vec<Target>, Vec<Code>)> {
    let is_of_images = words.first().is_some_and(|it| it == "image");
    if is_of_images || words.iter().any(|it| it.contains(':')) {
        bail!(
            "an exception is for workloads: write TYPE/NAME, for example deploy/search; for an image wherever it runs, put it into spec.images of what is printed, in the place of spec.selector"
        );
    }
    let has_slash = words.iter().any(|it| it.contains('/'));
    let is_code = |word: &String| match has_slash {
        true => !word.contains('/'),
        false => looks_like_code(word),
    };
    let (codes, workloads): (Vec<_>, Vec<_>) = words.iter().cloned().partition(is_code);
    if workloads.is_empty() {
        bail!("name the workload: TYPE/NAME, for example deploy/search");
    }
    let targets = targets(&workloads)?;
    if let Some(kind) = targets.iter().find(|it| !it.is_one()) {
        bail!("name the workload: {kind}/NAME; an exception is for one at a time");
    }
    if codes.is_empty() {
        bail!(
            "name the finding that is accepted, for example HF101: {} explain {} shows what is found",
            crate::program(),
            workloads.join(" ")
        );
    }
    let mut codes = codes
        .iter()
        .map(|it| code(it))
        .collect::<Result<Vec<_>, _>>()?;
    codes.sort_unstable();
    codes.dedup();
    Ok((targets, codes))
}

/// Whether a word is meant for a code, be there one or not.
fn looks_like_code(word: &str) -> bool {
    let word = word.to_uppercase();
    let digits = word.strip_prefix("HF");
    digits.is_some_and(|it| it.starts_with(|c: char| c.is_ascii_digit()))
}

fn code(written: &str) -> anyhow::Result<Code> {
    let wanted = written.to_uppercase();
    let found = Code::ALL.iter().find(|code| code.as_str() == wanted);
    found.copied().ok_or_else(|| {
        let all: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        let near = nearest(&wanted, &all).map(|near| format!("; did you mean {near}?"));
        anyhow!(
            "there is no finding {written:?}{}",
            near.unwrap_or_default()
        )
    })
}

/// The second from which on nothing is accepted any more.
fn until(written: &str, now: Timestamp) -> anyhow::Result<Timestamp> {
    let wrong = || anyhow!("--until {written}: write YYYY-MM-DD, or +30d");
    let end = match written.strip_prefix('+') {
        Some(days) => {
            let days = days.strip_suffix('d').ok_or_else(wrong)?;
            let days: i64 = days.parse().map_err(|_| wrong())?;
            let day = SignedDuration::from_hours(24);
            let days = i32::try_from(days)
                .ok()
                .and_then(|days| day.checked_mul(days));
            let end = now
                .checked_add(days.ok_or_else(wrong)?)
                .map_err(|_| wrong())?;
            // To the day, as a date would be.
            let end = end.to_zoned(TimeZone::UTC).date();
            end.to_zoned(TimeZone::UTC)?.timestamp()
        }
        None => {
            let date: Date = written.parse().map_err(|_| wrong())?;
            date.to_zoned(TimeZone::UTC)?.timestamp()
        }
    };
    if end <= now {
        bail!("--until {written} is over already: an exception ends in the future");
    }
    Ok(end)
}

/// An exception for each workload, of those of the codes that are found of it.
///
/// # Errors
///
/// If a code is found of none, none of a workload, or no exception may name it there.
fn exceptions(
    survey: &Survey,
    codes: &[Code],
    until: Timestamp,
    args: &Args,
) -> anyhow::Result<Vec<CompatException>> {
    let judgements = survey.judge();
    let all = survey.items.iter().zip(&judgements);
    let all: Vec<_> = all
        .map(|(item, judgement)| {
            // What is accepted already may be accepted for longer.
            let accepted = judgement.excepted.iter().map(|it| &it.reason);
            let reasons = judgement.reasons.iter().chain(accepted);
            let found: BTreeSet<_> = reasons.map(|it| it.finding.code).collect();
            (item, found)
        })
        .collect();
    let mut exceptions = Vec::new();
    for (item, found) in &all {
        let accepted: Vec<_> = codes.iter().filter(|it| found.contains(it)).collect();
        let is_elsewhere = |code: &&Code| all.iter().any(|(_, found)| found.contains(code));
        let nowhere = codes.iter().find(|it| !is_elsewhere(it));
        let lacked = nowhere.or(codes.first().filter(|_| accepted.is_empty()));
        if let Some(code) = lacked {
            let target = short(&item.target.kind, &item.target.name);
            let found: Vec<_> = found.iter().map(|code| code.as_str()).collect();
            let found = match found.is_empty() {
                true => "nothing is found of it".to_owned(),
                false => format!("it has {}", found.join(", ")),
            };
            bail!("{code} is not found of {target}: {found}");
        }
        let judge = survey.judges().of(&item.namespace);
        let exceptable = &judge.policy.rules.exceptable;
        if let Some(code) = accepted.iter().find(|it| !exceptable.contains(it)) {
            bail!(
                "no exception may name {code} in {}: exceptionCodes of its SupportMatrix says so",
                item.namespace
            );
        }
        exceptions.push(exception(item, &accepted, until, args));
    }
    Ok(exceptions)
}

fn exception(item: &Item, codes: &[&Code], until: Timestamp, args: &Args) -> CompatException {
    let mut labels = item.labels.clone();
    // The API server gives them to the pods of each Job anew.
    labels.retain(|key, _| !key.ends_with("controller-uid"));
    // Without labels nothing but its images tells the workload from others.
    let images = item.workload.images.iter();
    let images = images.filter_map(|image| image.reference.as_ref().ok());
    let images = match labels.is_empty() {
        true => images.map(ToString::to_string).collect(),
        false => Vec::new(),
    };
    let spec = CompatExceptionSpec {
        codes: codes.iter().map(ToString::to_string).collect(),
        selector: (!labels.is_empty()).then(|| Selector {
            match_labels: labels,
            ..Selector::default()
        }),
        images,
        host_profiles: Vec::new(),
        reason: args.reason.clone(),
        expiration_time: Time(until),
        ticket_url: args.ticket.clone(),
    };
    let codes: Vec<_> = codes.iter().map(|it| it.as_str()).collect();
    let name = format!("{}-{}", item.target.name, codes.join("-"));
    let name = names::report(&item.target.kind, &name);
    let mut exception = CompatException::new(&name.to_lowercase(), spec);
    exception.metadata.namespace = Some(item.namespace.clone());
    exception
}

/// Makes each, whatever becomes of the others: what cannot be made is named.
async fn apply_all(exceptions: &[CompatException], common: &Common) -> Result<Exit, Trouble> {
    if common.cluster.snapshot.is_some() {
        return Err(anyhow!("--apply needs a cluster: a snapshot is not changed").into());
    }
    let cluster = Cluster::open(&common.cluster).await?;
    let mut exit = Exit::Fine;
    for exception in exceptions {
        match apply(exception, &cluster).await? {
            Ok(made) => say!("{made}"),
            Err(why) => {
                eprintln!("error: {why}");
                exit = Exit::Trouble;
            }
        }
    }
    Ok(exit)
}

/// Makes the exception, or changes the one that this command made before; or says why it is not made.
///
/// # Errors
///
/// If the cluster cannot be asked: it cannot be asked for the next one either.
async fn apply(
    exception: &CompatException,
    cluster: &Cluster,
) -> anyhow::Result<Result<String, String>> {
    let (name, namespace) = (&exception.metadata.name, &exception.metadata.namespace);
    let name = name.as_deref().unwrap_or_default();
    let namespace = namespace.as_deref().unwrap_or_default();
    let api: Api<CompatException> = Api::namespaced(cluster.client.clone(), namespace);
    let params = PatchParams::apply(names::CLI_MANAGER);
    let place = format!("compatexception.hostfit.dev/{name} in {namespace}");
    let patch = Patch::Apply(exception);
    let call = async {
        match api.patch(name, &params, &patch).await {
            Err(kube::Error::Api(status)) if matches!(status.code, 409 | 422) => Ok(Err(status)),
            answer => answer.map(Ok),
        }
    };
    let why = match cluster.ask(call).await {
        Ok(Ok(_)) => return Ok(Ok(format!("{place} applied"))),
        Ok(Err(status)) if status.code == 409 => format!(
            "somebody else wrote it ({}); change it where it was written, or delete it first",
            status.message
        ),
        Ok(Err(status)) => format!(
            "the API server does not take it ({}); print it without --apply, and correct it",
            status.message
        ),
        Err(Refusal::Forbidden(why)) => {
            format!("{why}; print it without --apply, and give it to whoever may")
        }
        Err(Refusal::Absent) => {
            "the cluster has no CompatExceptions; install hostfit, or print it without --apply"
                .to_owned()
        }
        Err(Refusal::Trouble(error)) => return Err(error),
    };
    let why = plain(&why, WHY);
    Ok(Err(format!("{place} is not made: {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_mean_workloads_and_codes() {
        let read = |words: &str| {
            let words: Vec<_> = words.split(' ').map(str::to_owned).collect();
            match meant(&words) {
                Ok((targets, codes)) => {
                    let targets = targets.iter().map(ToString::to_string);
                    let codes = codes.iter().map(ToString::to_string);
                    targets.chain(codes).collect::<Vec<_>>().join(" ")
                }
                Err(error) => error.to_string(),
            }
        };
        for (words, expected) in [
            ("deploy/a HF101", "deploy/a HF101"),
            ("deploy a hf101", "deploy/a HF101"),
            (
                "deploy/a sts/b HF501 HF101 HF501",
                "deploy/a sts/b HF101 HF501",
            ),
            ("deploy hf HF101", "deploy/hf HF101"),
            ("deploy image HF101", "deploy/image HF101"),
        ] {
            assert_eq!(read(words), expected);
        }
        for (words, says) in [
            (
                "deploy/a HF10l",
                "no finding \"HF10l\"; did you mean HF101?",
            ),
            (
                "deploy a HF10l",
                "no finding \"HF10l\"; did you mean HF101?",
            ),
            ("deploy/a", "hostfit explain deploy/a shows what is found"),
            ("HF101", "name the workload"),
            ("deploy HF101", "name the workload: deploy/NAME"),
            ("deploy/a *", "no finding \"*\""),
            ("image x.example/a:1 HF101", "an exception is for workloads"),
            ("search HF101", "write TYPE/NAME"),
        ] {
            assert!(read(words).contains(says), "{words}: {}", read(words));
        }
    }

    #[test]
    fn an_end_is_a_day_to_come() {
        let now: Timestamp = "2026-11-25T10:00:00Z".parse().unwrap();
        let read = |text: &str| match until(text, now) {
            Ok(end) => end.to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(read("2026-12-31"), "2026-12-31T00:00:00Z");
        assert_eq!(read("+30d"), "2026-12-25T00:00:00Z");
        for over in ["2026-11-25", "+0d", "+-3d", "2020-01-01"] {
            assert!(
                read(over).contains("is over already"),
                "{over}: {}",
                read(over)
            );
        }
        for wrong in ["tomorrow", "30d", "+30", "+99999999999d", "2026-13-01", ""] {
            assert!(
                read(wrong).contains("write YYYY-MM-DD"),
                "{wrong}: {}",
                read(wrong)
            );
        }
    }
}
