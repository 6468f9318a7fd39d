//! `hostfit except TYPE/NAME CODE`: a CompatException, printed, or made with `--apply`. The only write of the command line.

use anyhow::{anyhow, bail};
use clap::builder::FalseyValueParser;
use hostfit_crds::compat_exception::{CompatException, CompatExceptionSpec};
use hostfit_crds::{Selector, names};
use hostfit_engine::finding::{Code, nearest};
use hostfit_engine::verdict::Judgement;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Api;
use kube::api::{Patch, PatchParams};

use crate::cluster::{Cluster, Refusal};
use crate::exit::{Exit, Trouble};
use crate::flags::{Common, Format};
use crate::out;
use crate::render;
use crate::survey::Survey;
use crate::target::{Target, short};
use crate::workloads::Place;

/// Characters of a reason that the API server takes.
const REASON: std::ops::RangeInclusive<usize> = 10..=500;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The workload: TYPE/NAME.
    #[arg(value_name = "TYPE/NAME")]
    target: Target,
    /// The finding that is accepted: HF101.
    #[arg(value_name = "CODE")]
    code: String,
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
    let code = code(&args.code)?;
    let survey = args
        .place
        .survey(common, std::slice::from_ref(&args.target))
        .await?;
    let judgements = survey.judge();
    let exception = exception(&survey, &judgements, code, until, &args)?;
    if args.apply {
        let made = apply(&exception, common).await?;
        out::write(format_args!("{made}\n"));
        return Ok(Exit::Fine);
    }
    let format = match format {
        Format::Json => Format::Json,
        _ => Format::Yaml,
    };
    out::write(format_args!("{}", render::object(format, &exception)?));
    Ok(Exit::Fine)
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

fn exception(
    survey: &Survey,
    judgements: &[Judgement],
    code: Code,
    until: Timestamp,
    args: &Args,
) -> anyhow::Result<CompatException> {
    let (Some(item), Some(judgement)) = (survey.items.first(), judgements.first()) else {
        bail!("there is no workload {}", args.target);
    };
    let target = short(&item.target.kind, &item.target.name);
    let found = judgement.reasons.iter().map(|reason| reason.finding.code);
    if !found.clone().any(|it| it == code) {
        let mut found: Vec<_> = found.map(|code| code.as_str()).collect();
        found.dedup();
        let found = match found.is_empty() {
            true => "nothing is found of it".to_owned(),
            false => format!("it has {}", found.join(", ")),
        };
        bail!("{code} is not found of {target}: {found}");
    }
    let judge = survey.judges().of(&item.namespace);
    if !judge.policy.rules.exceptable.contains(&code) {
        bail!(
            "no exception may name {code} in {}: exceptionCodes of its SupportMatrix says so",
            item.namespace
        );
    }
    let labels = item.labels.clone();
    // Without labels nothing but its images tells the workload from others.
    let images = item.workload.images.iter();
    let images = images.filter_map(|image| image.reference.as_ref().ok());
    let images = match labels.is_empty() {
        true => images.map(ToString::to_string).collect(),
        false => Vec::new(),
    };
    let spec = CompatExceptionSpec {
        codes: vec![code.to_string()],
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
    let name = names::report(&item.target.kind, &format!("{}-{code}", item.target.name));
    let mut exception = CompatException::new(&name.to_lowercase(), spec);
    exception.metadata.namespace = Some(item.namespace.clone());
    Ok(exception)
}

/// Makes the exception, or changes the one that this command made before.
async fn apply(exception: &CompatException, common: &Common) -> anyhow::Result<String> {
    if common.cluster.snapshot.is_some() {
        bail!("--apply needs a cluster: a snapshot is not changed");
    }
    let cluster = Cluster::open(&common.cluster).await?;
    let (name, namespace) = (&exception.metadata.name, &exception.metadata.namespace);
    let name = name.as_deref().unwrap_or_default();
    let namespace = namespace.as_deref().unwrap_or_default();
    let api: Api<CompatException> = Api::namespaced(cluster.client.clone(), namespace);
    let params = PatchParams::apply(names::CLI_MANAGER);
    let place = format!("compatexception.hostfit.dev/{name} in {namespace}");
    match cluster
        .ask(api.patch(name, &params, &Patch::Apply(exception)))
        .await
    {
        Ok(_) => Ok(format!("{place} applied")),
        Err(Refusal::Forbidden(why)) => bail!("{place} is not made: {why}; give it to whoever may"),
        Err(Refusal::Absent) => bail!(
            "{place} is not made: the cluster has no CompatExceptions; install hostfit, or print it without --apply"
        ),
        Err(Refusal::Trouble(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
