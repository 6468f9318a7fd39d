//! `hostfit snapshot`: all that decides, in a file, to be judged elsewhere or later.

use clap::builder::FalseyValueParser;

use crate::cluster::Cluster;
use crate::exit::{Exit, Trouble};
use crate::flags::{Common, Format};
use crate::out;
use crate::read::ReadArgs;
use crate::survey::Question;
use crate::survey::Survey;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Take names out: of namespaces, workloads, nodes and private images, and what people wrote.
    #[arg(long, env = "HOSTFIT_REDACT", value_parser = FalseyValueParser::new())]
    redact: bool,
    #[command(flatten)]
    reading: ReadArgs,
}

pub(crate) async fn run(args: Args, common: &Common) -> Result<Exit, Trouble> {
    common
        .output
        .format
        .one_of(&[Format::Table, Format::Json], "snapshot")?;
    let survey = Survey::read(&Question {
        common,
        reading: &args.reading,
        files: &[],
        hosts: &[],
        targets: &[],
    })
    .await?;
    if survey.items.is_empty() {
        eprintln!(
            "the snapshot has no workload: {}",
            nothing(&survey, common).await?
        );
    }
    out::write(format_args!("{}\n", survey.snapshot(args.redact)?));
    Ok(Exit::Fine)
}

/// Where none was found, and how to see more.
async fn nothing(survey: &Survey, common: &Common) -> anyhow::Result<String> {
    let from = &survey.from;
    if common.cluster.snapshot.is_none()
        && let Some(namespace) = Cluster::open(&common.cluster).await?.namespace
    {
        let selected = match &common.cluster.selector {
            Some(labels) => format!(" with labels {labels}"),
            None => String::new(),
        };
        return Ok(format!(
            "none{selected} was found in namespace {namespace} of {from}; -A takes all namespaces"
        ));
    }
    Ok(format!(
        "{from} has none that is asked for (-n, -A and -l select)"
    ))
}
