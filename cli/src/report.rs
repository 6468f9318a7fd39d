//! `hostfit report [TYPE/NAME]`: everything that is known and judged, for people who were not there and for other programs.

use crate::document::Kind;
use crate::exit::{Exit, Trouble};
use crate::flags::Common;
use crate::render;
use crate::target::Target;
use crate::workloads::{self, Place};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Workloads: TYPE/NAME, or NAMESPACE/TYPE/NAME. All of the namespace, if none is named.
    #[arg(value_name = "TYPE/NAME")]
    targets: Vec<Target>,
    #[command(flatten)]
    place: Place,
}

pub(crate) async fn run(args: Args, common: &Common) -> Result<Exit, Trouble> {
    let format = common.output.format.one_of(&render::FORMATS, "report")?;
    let survey = args.place.survey(common, &args.targets).await?;
    let judgements = survey.judge();
    render::print(format, &survey.document(Kind::Report, &judgements))?;
    Ok(workloads::exit(&survey, &judgements, common))
}
