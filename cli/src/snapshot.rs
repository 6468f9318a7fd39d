//! `hostfit snapshot`: all that decides, in a file, to be judged elsewhere or later.

use crate::exit::{Exit, Trouble};
use crate::flags::{Common, Format};
use crate::out;
use crate::read::ReadArgs;
use crate::survey::Question;
use crate::survey::Survey;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
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
    out::write(format_args!("{}\n", survey.snapshot()?));
    Ok(Exit::Fine)
}
