//! `hostfit report [TYPE/NAME]`: everything that is known and judged, for people who were not there and for other programs.

use std::ffi::OsStr;
use std::path::Path;

use anyhow::bail;

use crate::document::Kind;
use crate::exit::{Exit, Trouble};
use crate::flags::{Common, Format, OutputArgs};
use crate::render;
use crate::style;
use crate::target::targets;
use crate::workloads::{self, Place};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Workloads: TYPE/NAME, NAMESPACE/TYPE/NAME, or TYPE NAME. All of the namespace, if none is named.
    #[arg(value_name = "TYPE/NAME")]
    targets: Vec<String>,
    #[command(flatten)]
    place: Place,
}

pub(crate) async fn run(args: Args, common: &Common) -> Result<Exit, Trouble> {
    let format = format(&common.output)?;
    let survey = args.place.survey(common, &targets(&args.targets)?).await?;
    let judgements = survey.judge();
    render::print(format, &survey.document(Kind::Report, &judgements))?;
    let exit = workloads::exit(&survey, &judgements, common);
    style::unknown_beside(exit, workloads::unknown(&judgements));
    Ok(exit)
}

/// The format that is asked for, else the one that the name of the file tells. There is no default: of a page for people and a
/// file for a program neither is the usual one.
fn format(output: &OutputArgs) -> anyhow::Result<Format> {
    if output.format != Format::Table {
        return output.format.one_of(&render::FORMATS, "report");
    }
    let file = output.output_file.as_deref();
    let extension = file.and_then(Path::extension).and_then(OsStr::to_str);
    Ok(match extension {
        Some("html" | "htm") => Format::Html,
        Some("md" | "markdown") => Format::Markdown,
        Some("json") => Format::Json,
        Some("yaml" | "yml") => Format::Yaml,
        Some("csv") => Format::Csv,
        Some("sarif") => Format::Sarif,
        Some("xml") => Format::Junit,
        _ => bail!(
            "say who reads the report: -o html (people), -o markdown (merge requests), -o sarif (code scanning), -o junit (tests of CI systems), -o csv, -o json or -o yaml; or name a file that tells it, --output-file report.html"
        ),
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        output: OutputArgs,
    }

    #[test]
    fn the_name_of_the_file_tells_the_format_and_a_flag_wins() {
        let read = |words: &[&str]| {
            let line = Line::parse_from([&["x"], words].concat());
            match format(&line.output) {
                Ok(format) => format.name(),
                Err(error) => error.to_string(),
            }
        };
        for (file, expected) in [
            ("a.html", "html"),
            ("a.md", "markdown"),
            ("a.sarif", "sarif"),
            ("a.xml", "junit"),
            ("a.yml", "yaml"),
        ] {
            assert_eq!(read(&["--output-file", file]), expected);
        }
        assert_eq!(read(&["--output-file", "a.html", "-o", "json"]), "json");
        for words in [&[][..], &["--output-file", "report"]] {
            assert!(read(words).starts_with("say who reads the report: -o html"));
        }
        assert!(read(&["-o", "name"]).contains("hostfit report has no format name"));
    }
}
