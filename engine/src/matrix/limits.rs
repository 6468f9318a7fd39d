//! Limits of the host that programs count on: HF240 (`vm.max_map_count`), HF241 (`LimitNOFILE=infinity`).

use crate::fact::{Evidence, Strength};
use crate::finding::{Code, Severity};
use crate::host::HostFact;
use crate::matrix::said::REBUILDS;
use crate::matrix::{Cell, Outcome, Said};
use crate::version::DottedVersion;

const MAPS: &str = "vm.max_map_count";
const ENOUGH_MAPS: u64 = 262_144;

/// Programs that check the limit as they start, by the names of their repositories, and their first version that does.
const CHECK_MAPS: [(&str, &str, Option<&str>); 3] = [
    ("elasticsearch", "Elasticsearch", Some("5")),
    ("opensearch", "OpenSearch", None),
    ("sonarqube", "SonarQube", None),
];

/// HF240: `max virtual memory areas vm.max_map_count [65530] is too low, increase to at least [262144]`.
pub(super) fn maps(cell: &Cell<'_>) -> Outcome {
    let repository = cell.image.repository();
    let last = repository.rsplit('/').next().unwrap_or(repository);
    let Some((_, name, first)) = CHECK_MAPS.iter().find(|(it, ..)| *it == last) else {
        return Outcome::Compatible;
    };
    let version = cell.image.tag().and_then(numbers);
    let is_older = |first| version.is_some_and(|version| !version.is_at_least(first));
    if first.is_some_and(is_older) {
        return Outcome::Compatible;
    }
    let Some(own) = cell.number(MAPS) else {
        return Outcome::missing(HostFact::Sysctls);
    };
    if own >= ENOUGH_MAPS {
        return Outcome::Compatible;
    }
    cell.says(Said {
        code: Code::HF240,
        severity: Severity::BreaksAtStart,
        image: format!("holds {name} by its name, which wants {MAPS} {ENOUGH_MAPS}"),
        host: format!("has {own}"),
        fix: format!("set {MAPS}={ENOUGH_MAPS} on the nodes"),
        evidence: Some(Evidence::new(Strength::Hint, "name of the image")),
        doubt: Some("a single node for development only warns: try it there"),
    })
}

const OPEN_FILES: &str = "fs.nr_open";
/// What systemd 240 and newer raise the limit to: "infinity" of the runtime's unit is this.
const INFINITY: u64 = 1_073_741_816;
/// The first containerd whose unit no longer sets the limit.
const SETS_NONE: &str = "2.0.0";
/// Programs that walk through all descriptors that they may have.
const WALKERS: [&str; 3] = ["slapd", "cupsd", "sssd"];
/// Those that are known to do so in RHEL 6 and 7 and what is built from their sources: yum is a script of the Python there.
const OLD_WALKERS: [&str; 6] = ["python", "python2", "python2.6", "python2.7", "rpm", "yum"];
const OLD_RELEASES: [u64; 2] = [6, 7];
/// MySQL makes a table of them: 5.7 is known to.
pub(super) const MYSQL: (&str, (u64, u64)) = ("MYSQL_VERSION", (5, 7));

/// HF241: killed for want of memory as it starts, or busy for minutes.
pub(super) fn open_files(cell: &Cell<'_>) -> Outcome {
    let Some((what, evidence)) = walker(cell) else {
        return Outcome::Compatible;
    };
    let Some(runtime) = &cell.host.facts.runtime else {
        return Outcome::missing(HostFact::Runtime);
    };
    let sets_none = match runtime.name.as_str() {
        "containerd" => runtime
            .version
            .as_ref()
            .is_some_and(|version| version.is_at_least(SETS_NONE)),
        "docker" => false,
        // Nothing is known against the units of other runtimes.
        _ => true,
    };
    if sets_none {
        return Outcome::Compatible;
    }
    let Some(limit) = cell.number(OPEN_FILES) else {
        return Outcome::missing(HostFact::Sysctls);
    };
    if limit < INFINITY {
        return Outcome::Compatible;
    }
    cell.says(Said {
        code: Code::HF241,
        severity: Severity::Degraded,
        image: format!("{what} goes through all file descriptors that it may have"),
        host: format!("has {OPEN_FILES} {limit} and runs {runtime}"),
        fix: "set LimitNOFILE=1048576 in the runtime's unit, or use nodes with containerd 2.0 or newer"
            .to_owned(),
        evidence: Some(evidence),
        doubt: Some("whether the runtime's unit says LimitNOFILE=infinity cannot be read"),
    })
}

fn walker(cell: &Cell<'_>) -> Option<(String, Evidence)> {
    let program = cell.program().and_then(|program| {
        let name = program.path.rsplit('/').next()?;
        let is_one = WALKERS.contains(&name) || (OLD_WALKERS.contains(&name) && is_old(cell));
        is_one.then_some((name, program))
    });
    if let Some((name, program)) = program {
        return Some((format!("starts {name}, which"), program.evidence()));
    }
    let version = numbers(cell.contents.env.get(MYSQL.0)?)?;
    let from = format!("{} of the environment", MYSQL.0);
    (version.branch() == MYSQL.1).then(|| {
        let what = format!("holds MySQL {version}, which");
        (what, Evidence::new(Strength::Stated, from))
    })
}

/// Whether the image's files are those of RHEL 6 or 7, or of a rebuild.
fn is_old(cell: &Cell<'_>) -> bool {
    let distribution = cell.files().and_then(|files| files.distribution.as_ref());
    let own = distribution.map(|seen| &seen.value);
    let own = own.filter(|it| REBUILDS.contains(&it.id()));
    let release = own.and_then(|it| it.dotted());
    release.is_some_and(|release| OLD_RELEASES.contains(&release.major()))
}

/// The numbers that a text begins with: `7.17.1-amd64` is 7.17.1.
fn numbers(text: &str) -> Option<DottedVersion> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    text.get(..end.unwrap_or(text.len()))?.parse().ok()
}

impl Cell<'_> {
    /// A setting of the host's kernel that is a number.
    fn number(&self, sysctl: &str) -> Option<u64> {
        self.host.facts.sysctls.get(sysctl)?.trim().parse().ok()
    }
}
