//! Flags → what the agent runs with. Flag = environment variable = Helm value.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use hostfit_process::duration;

/// Reads the facts of its node and writes them into the NodeProfile of that node, when they change.
#[derive(Debug, Clone, Parser)]
#[command(name = "hostfit-agent", version)]
pub struct Args {
    /// Name of the node that this runs on.
    #[arg(
        long,
        env = "HOSTFIT_NODE_NAME",
        required_unless_present = "print",
        value_parser = clap::builder::NonEmptyStringValueParser::new()
    )]
    pub node_name: Option<String>,

    /// Where the files of the node are mounted; nothing below it has to be there.
    #[arg(long, env = "HOSTFIT_HOST_ROOT", default_value = "/")]
    pub host_root: PathBuf,

    /// How often to look whether something has changed.
    #[arg(long, env = "HOSTFIT_INTERVAL", default_value = "5m", value_parser = duration)]
    pub interval: Duration,

    /// Print the facts as a HostProfile and exit; no cluster is needed.
    #[arg(long)]
    pub print: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(flags: &[&str]) -> Result<Args, String> {
        let all = ["hostfit-agent"].iter().chain(flags);
        Args::try_parse_from(all).map_err(|error| error.to_string())
    }

    #[test]
    fn a_node_has_a_name_unless_its_facts_are_only_printed() {
        assert!(parse(&["--node-name=n"]).is_ok());
        assert!(parse(&["--print"]).is_ok());
        for (flags, words) in [
            (&[][..], "--node-name"),
            (&["--node-name="], "--node-name"),
            (
                &["--node-name=n", "--interval=soon"],
                "write for example 90s",
            ),
        ] {
            let error = parse(flags).unwrap_err();
            assert!(error.contains(words), "{flags:?}: {error}");
        }
    }
}
