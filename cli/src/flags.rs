//! The flags that every command takes, each with its variable `HOSTFIT_…`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::bail;
use clap::ValueEnum;
use clap::builder::FalseyValueParser;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::exit::FailOn;

/// What every command takes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Common {
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    /// Judge as on that day, YYYY-MM-DD, or at that second, YYYY-MM-DDTHH:MM:SSZ: ends of support and of exceptions count
    /// from then.
    #[arg(long, global = true, value_name = "DATE", env = "HOSTFIT_AS_OF")]
    pub(crate) as_of: Option<AsOf>,
}

impl Common {
    /// The moment as of which is judged.
    pub(crate) fn now(&self) -> Timestamp {
        self.as_of.map_or_else(Timestamp::now, |it| it.0)
    }
}

/// Which cluster, and what of it.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Cluster")]
pub(crate) struct ClusterArgs {
    /// Context of the kubeconfig.
    #[arg(long, global = true, value_name = "NAME", env = "HOSTFIT_CONTEXT")]
    pub(crate) context: Option<String>,
    /// Kubeconfig; else $KUBECONFIG, else ~/.kube/config.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "HOSTFIT_KUBECONFIG",
        hide_env_values = true
    )]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// User to impersonate.
    #[arg(long = "as", global = true, value_name = "USER", env = "HOSTFIT_AS")]
    pub(crate) as_user: Option<String>,
    /// Namespace; else that of the context.
    #[arg(
        short,
        long,
        global = true,
        value_name = "NAME",
        env = "HOSTFIT_NAMESPACE"
    )]
    pub(crate) namespace: Option<String>,
    /// All namespaces.
    #[arg(short = 'A', long, global = true, env = "HOSTFIT_ALL_NAMESPACES", value_parser = FalseyValueParser::new())]
    pub(crate) all_namespaces: bool,
    /// Only workloads with these labels: app=search,tier!=test.
    #[arg(
        short = 'l',
        long,
        global = true,
        value_name = "LABELS",
        env = "HOSTFIT_SELECTOR"
    )]
    pub(crate) selector: Option<String>,
    /// File of `hostfit snapshot`, to be asked instead of a cluster.
    #[arg(long, global = true, value_name = "FILE", env = "HOSTFIT_SNAPSHOT")]
    pub(crate) snapshot: Option<PathBuf>,
    /// How long one answer of the API server may take: 30s, 2m.
    #[arg(
        long,
        global = true,
        value_name = "DURATION",
        default_value = "30s",
        env = "HOSTFIT_REQUEST_TIMEOUT"
    )]
    pub(crate) request_timeout: Patience,
}

/// How the result is written.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    /// How the result is written. Not every command knows every format.
    #[arg(
        short = 'o',
        long = "output",
        global = true,
        value_enum,
        default_value_t = Format::Table,
        value_name = "FORMAT",
        env = "HOSTFIT_OUTPUT"
    )]
    pub(crate) format: Format,
    /// File for the result, instead of stdout.
    #[arg(long, global = true, value_name = "FILE", env = "HOSTFIT_OUTPUT_FILE")]
    pub(crate) output_file: Option<PathBuf>,
    /// From which verdict on the exit code is 1 (3 for unknown).
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t = FailOn::Fail,
        value_name = "VERDICT",
        env = "HOSTFIT_FAIL_ON"
    )]
    pub(crate) fail_on: FailOn,
    /// Only the result: no hints, no progress.
    #[arg(short, long, global = true, env = "HOSTFIT_QUIET", value_parser = FalseyValueParser::new())]
    pub(crate) quiet: bool,
    /// Tell what is done, on stderr; -vv tells more.
    #[arg(short, long, global = true, action = clap::ArgAction::Count, env = "HOSTFIT_VERBOSE")]
    pub(crate) verbose: u8,
    /// Colours. auto: on a terminal, unless $NO_COLOR is set.
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t = Color::Auto,
        value_name = "WHEN",
        env = "HOSTFIT_COLOR"
    )]
    pub(crate) color: Color,
    /// No progress on stderr, not even on a terminal.
    #[arg(long, global = true, env = "HOSTFIT_NO_PROGRESS", value_parser = FalseyValueParser::new())]
    pub(crate) no_progress: bool,
}

/// Formats of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// The table, with more columns.
    Wide,
    /// One object, `cli.hostfit.dev/v1`.
    Json,
    /// The same in YAML.
    Yaml,
    /// TYPE/NAME, a line each.
    Name,
    /// For merge requests and step summaries.
    Markdown,
    /// For spreadsheets.
    Csv,
    /// For code scanning.
    Sarif,
    /// For test reports of CI systems.
    Junit,
    /// One page, for browsers and printers.
    Html,
}

impl Format {
    /// As it is written after `-o`.
    pub(crate) fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// The format, if it is one of those that `command` knows. A table without more columns is its own wide one.
    ///
    /// # Errors
    ///
    /// Else it says which there are.
    pub(crate) fn one_of(self, known: &[Self], command: &str) -> anyhow::Result<Self> {
        if known.contains(&self) {
            return Ok(self);
        }
        if self == Self::Wide && known.contains(&Self::Table) {
            return Ok(Self::Table);
        }
        let names: Vec<_> = known.iter().map(|format| format.name()).collect();
        bail!(
            "{} {command} has no format {}: write -o {}",
            crate::program(),
            self.name(),
            names.join(", -o ")
        )
    }
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

impl From<Color> for anstream::ColorChoice {
    fn from(color: Color) -> Self {
        match color {
            Color::Auto => Self::Auto,
            Color::Always => Self::Always,
            Color::Never => Self::Never,
        }
    }
}

/// A day, which is its first second (UTC), or a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AsOf(Timestamp);

impl FromStr for AsOf {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let of_day = || {
            let day: jiff::civil::Date = text.parse().ok()?;
            let day = day.to_zoned(TimeZone::UTC).ok()?;
            Some(day.timestamp())
        };
        // To jiff, hours without a zone are a day as well.
        let moment = match text.contains(['T', ' ']) {
            true => text.parse().ok(),
            false => of_day(),
        };
        moment
            .map(Self)
            .ok_or_else(|| "write YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ".to_owned())
    }
}

impl fmt::Display for AsOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = self.0.to_zoned(TimeZone::UTC);
        match time.time() == jiff::civil::Time::midnight() {
            true => time.date().fmt(f),
            false => self.0.fmt(f),
        }
    }
}

/// A duration as people write it: 30s, 2m.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Patience(pub(crate) Duration);

impl Default for Patience {
    fn default() -> Self {
        Self(Duration::from_secs(30))
    }
}

impl FromStr for Patience {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let written: jiff::SignedDuration = text
            .parse()
            .map_err(|_| "write a number and its unit: 30s, 2m".to_owned())?;
        let duration = Duration::try_from(written).ok();
        let duration = duration.filter(|it| !it.is_zero());
        duration
            .map(Self)
            .ok_or_else(|| "it must be more than nothing: 30s, 2m".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        let read = |text: &str| text.parse::<Patience>().map(|it| it.0.as_secs());
        assert_eq!(read("30s"), Ok(30));
        assert_eq!(read("2m"), Ok(120));
        assert!(read("30").unwrap_err().contains("unit"));
        assert!(read("0s").unwrap_err().contains("more than nothing"));
        assert!(read("-3s").is_err());
    }

    #[test]
    fn it_is_judged_as_of_a_day_or_a_second() {
        let read = |text: &str| {
            text.parse::<AsOf>()
                .map(|it| (it.0.to_string(), it.to_string()))
        };
        let both = |time: &str, shown: &str| Ok((time.to_owned(), shown.to_owned()));
        let day = read("2026-11-25");
        assert_eq!(day, both("2026-11-25T00:00:00Z", "2026-11-25"));
        let second = "2026-11-25T10:00:01Z";
        assert_eq!(read(second), both(second, second));
        assert_eq!(
            read("2026-11-25T10:00:01+01:00"),
            both("2026-11-25T09:00:01Z", "2026-11-25T09:00:01Z")
        );
        for wrong in ["tomorrow", "2026-13-01", "2026-11-25T10:00", ""] {
            assert!(read(wrong).unwrap_err().contains("YYYY-MM-DD"), "{wrong}");
        }
    }

    #[test]
    fn every_flag_has_its_variable() {
        let command = <Common as clap::Args>::augment_args(clap::Command::new("x"));
        let mut flags = 0;
        for flag in command.get_arguments() {
            let name = flag.get_long().unwrap_or_default();
            let variable = format!("HOSTFIT_{}", name.to_uppercase().replace('-', "_"));
            let env = flag.get_env().map(|env| env.to_string_lossy().into_owned());
            assert_eq!(env, Some(variable), "--{name}");
            assert!(flag.is_global_set(), "--{name}");
            flags += 1;
        }
        assert!(flags > 10, "{flags}");
    }

    #[test]
    fn a_format_that_a_command_lacks_is_answered_with_those_that_it_has() {
        let known = [Format::Table, Format::Json];
        assert_eq!(
            Format::Json.one_of(&known, "nodes").ok(),
            Some(Format::Json)
        );
        let wide = Format::Wide.one_of(&known, "nodes");
        assert_eq!(wide.ok(), Some(Format::Table));
        let error = Format::Sarif.one_of(&known, "nodes").unwrap_err();
        assert_eq!(
            error.to_string(),
            "hostfit nodes has no format sarif: write -o table, -o json"
        );
    }
}
