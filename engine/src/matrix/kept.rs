//! What outlives the reading of a config: all that lineage and rules look at, and nothing else. A variable or an
//! argument may hold a password, and what is kept lies in an object of the cluster.

use crate::image::{Contents, Start};
use crate::lineage;
use crate::matrix::{cgroups, cuda, java, limits, lsm, programs, rights};

/// Longest label, variable or step of the history that is kept, in bytes. Longer ones hold no version and no reference.
const LONGEST: usize = 512;

/// Variables that are kept. There are few names, but any number of NVIDIA's demands.
const MOST_VARIABLES: usize = 48;

impl Contents {
    /// The part of it by which it is judged: the same findings come of it as of the whole.
    ///
    /// Files are kept as they are.
    #[must_use]
    pub fn distilled(&self) -> Self {
        let is_short = |text: &String| text.len() <= LONGEST;
        let labels = self.labels.iter().filter(|(key, value)| {
            lineage::reads_label(key) && is_short(value) && key.len() <= LONGEST
        });
        let env = self
            .env
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), kept_variable(name, value)?)));
        let history = self.history.iter().filter(|step| is_short(step));
        let first = history.filter(|step| lineage::reads_step(step)).take(1);
        let start = &self.start;
        let ports = start.ports.iter().filter(|port| **port < rights::LOW_PORTS);
        Self {
            chain_ids: self.chain_ids.clone(),
            size: self.size,
            zstd: self.zstd,
            is_schema1: self.is_schema1,
            labels: labels.map(|(k, v)| (k.clone(), v.clone())).collect(),
            env: env.take(MOST_VARIABLES).collect(),
            history: first.cloned().collect(),
            start: Start {
                // A shell is given a whole line in one word.
                command: java_limits(start.command.iter().flat_map(|it| it.split_whitespace())),
                entrypoint: 0,
                path: None,
                folder: String::new(),
                user: start.user.chars().take(LONGEST).collect(),
                ports: ports.copied().min().into_iter().collect(),
            },
            files: self.files.clone(),
        }
    }
}

/// What is kept of a variable: of the options for a Java, only those that give it its memory.
fn kept_variable(name: &str, value: &str) -> Option<String> {
    const WHOLE: [&str; 7] = [
        java::VARIABLE,
        programs::MONGO,
        limits::MYSQL.0,
        cgroups::FORCE,
        cuda::DISABLE,
        cuda::CUDA_VERSION,
        cuda::COMPAT,
    ];
    if java::OPTIONS.contains(&name) {
        let options = java_limits(value.split_whitespace());
        return (!options.is_empty()).then(|| options.join(" "));
    }
    if name == lsm::TUNABLES {
        let is_kept = value.split(':').any(|it| it == lsm::ALLOW_STACKS);
        return is_kept.then(|| lsm::ALLOW_STACKS.to_owned());
    }
    // The demands of one CUDA list the drivers of a dozen products.
    let is_demand = name.starts_with(cuda::REQUIRE) && value.len() <= 4 * LONGEST;
    let is_read = WHOLE.contains(&name) || lineage::reads_variable(name, value);
    let is_kept = is_demand || (is_read && value.len() <= LONGEST);
    is_kept.then(|| value.to_owned())
}

fn java_limits<'a>(words: impl Iterator<Item = &'a str>) -> Vec<String> {
    let limits = words.filter(|word| java::limits(word) && word.len() <= LONGEST);
    limits.map(str::to_owned).take(8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> std::collections::BTreeMap<String, String> {
        let pairs = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        pairs.collect()
    }

    #[test]
    fn what_nobody_reads_is_not_kept() {
        let text = |words: &[&str]| words.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        let whole = Contents {
            labels: map(&[
                ("version", "9.4"),
                ("maintainer", "me"),
                ("name", &"x".repeat(513)),
            ]),
            env: map(&[
                ("JAVA_VERSION", "8u342"),
                ("JAVA_TOOL_OPTIONS", "-Dpassword=secret -Xmx1g"),
                ("JDK_JAVA_OPTIONS", "-Dpassword=secret"),
                ("NVIDIA_REQUIRE_CUDA", "cuda>=12.4"),
                ("TOKEN", "secret"),
            ]),
            history: text(&["RUN make", "ADD alpine-minirootfs-3.20.1-x86_64.tar.gz /"]),
            start: Start {
                command: text(&["sh", "-c", "java -Dpassword=secret -XX:MaxRAMPercentage=50"]),
                entrypoint: 3,
                path: Some("/bin".to_owned()),
                folder: "/app".to_owned(),
                user: "1001".to_owned(),
                ports: vec![8080, 443, 80],
            },
            ..Contents::default()
        };
        let kept = Contents {
            labels: map(&[("version", "9.4")]),
            env: map(&[
                ("JAVA_VERSION", "8u342"),
                ("JAVA_TOOL_OPTIONS", "-Xmx1g"),
                ("NVIDIA_REQUIRE_CUDA", "cuda>=12.4"),
            ]),
            history: text(&["ADD alpine-minirootfs-3.20.1-x86_64.tar.gz /"]),
            start: Start {
                command: text(&["-XX:MaxRAMPercentage=50"]),
                user: "1001".to_owned(),
                ports: vec![80],
                ..Start::default()
            },
            ..Contents::default()
        };
        assert_eq!(whole.distilled(), kept);
        assert_eq!(kept.distilled(), kept);
    }
}
