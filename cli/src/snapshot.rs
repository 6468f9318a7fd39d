//! `hostfit snapshot`: all that decides, in a file, to be judged elsewhere or later.

use clap::builder::FalseyValueParser;

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
    out::write(format_args!("{}\n", survey.snapshot(args.redact)?));
    Ok(Exit::Fine)
}
