//! The hosts of a finding, a line each: what it makes of them, what they offer that decides, and who says so.

use std::collections::BTreeMap;

use hostfit_crds::names;
use hostfit_engine::finding::{CellVerdict, Code, plain};
use hostfit_engine::host::{HostFact, HostFacts, HostName};
use hostfit_engine::verdict::{Judgement, Verdict};
use kube::ResourceExt as _;

use crate::document::of_cell;
use crate::out::say;
use crate::style::{paint, painted};
use crate::survey::Survey;

/// Longest text in a line.
const LINE: usize = 200;

/// Who told the facts of each class of nodes, by the names of host and fact.
pub(super) struct Sources(BTreeMap<String, BTreeMap<String, String>>);

impl Sources {
    /// As the operator says it of its profiles; else as the first node of each class does.
    pub(super) fn of(survey: &Survey) -> Self {
        let objects = &survey.objects;
        if objects.has_operator() {
            let profiles = objects.host_profiles.iter();
            let told = profiles
                .filter_map(|it| Some((it.name_any(), it.status.as_ref()?.sources.clone())));
            return Self(told.collect());
        }
        let seen = objects.seen();
        let mut told = BTreeMap::new();
        for (node, labels) in &seen.plan.labels {
            let profile = labels.get(names::HOST_PROFILE);
            let (Some(profile), Some(observed)) = (profile, seen.observed.get(node)) else {
                continue;
            };
            told.entry(profile.clone()).or_insert_with(|| {
                let sources = observed.sources.iter();
                sources
                    .map(|(fact, source)| (fact.name().to_owned(), source.to_string()))
                    .collect()
            });
        }
        Self(told)
    }

    fn source(&self, host: &HostName, fact: HostFact) -> Option<&str> {
        let source = self.0.get(&host.0)?.get(fact.name())?;
        Some(source)
    }
}

/// The facts of a host of which the first that is told mostly decides about a code, where there are such.
fn decisive(code: Code) -> &'static [HostFact] {
    match code {
        Code::HF101 | Code::HF102 | Code::HF103 | Code::HF104 => &[HostFact::CpuLevel],
        // What the CPU offers decides before its level does.
        Code::HF105 => &[HostFact::CpuFeatures, HostFact::CpuLevel],
        Code::HF110 => &[HostFact::Architecture],
        // Each is told of the CPUs of one family only.
        Code::HF111 => &[HostFact::Ia32, HostFact::Aarch32],
        Code::HF113 => &[HostFact::PageSize],
        Code::HF201 | Code::HF202 | Code::HF204 | Code::HF206 => &[HostFact::Kernel],
        Code::HF203 => &[HostFact::Vsyscall],
        Code::HF205 => &[HostFact::Btf],
        Code::HF220 | Code::HF222 | Code::HF223 => &[HostFact::Selinux],
        Code::HF221 => &[HostFact::Apparmor],
        Code::HF301 | Code::HF303 | Code::HF304 | Code::HF305 => &[HostFact::Cgroup],
        Code::HF302 => &[HostFact::ProcCgroups],
        Code::HF310 | Code::HF311 | Code::HF312 => &[HostFact::Runtime],
        Code::HF401 | Code::HF402 => &[HostFact::NvidiaDriver],
        Code::HF502 | Code::HF503 | Code::HF504 | Code::HF507 | Code::HF508 => &[HostFact::Os],
        Code::HF505 => &[HostFact::Fips],
        Code::HF601 => &[HostFact::OsVersion],
        _ => &[],
    }
}

/// `cpuLevel 3`
fn shown(code: Code, facts: &HostFacts) -> Option<String> {
    let told = |fact: &HostFact| Some((*fact, facts.show(*fact)?));
    let (fact, value) = decisive(code).iter().find_map(told)?;
    let release = facts.show(HostFact::OsVersion);
    let release = release.filter(|_| fact == HostFact::Os);
    let release = release.map(|it| format!(" {it}")).unwrap_or_default();
    Some(format!("{} {value}{release}", fact.name()))
}

/// A line for each host that the workload may land on; `on` has those that the finding is about.
pub(super) fn lines(
    survey: &Survey,
    sources: &Sources,
    judgement: &Judgement,
    code: Code,
    on: &BTreeMap<&HostName, (CellVerdict, Option<&str>)>,
) {
    let names = judgement.by_host.iter().map(|(name, _)| name);
    let widths = names.clone().map(|it| it.0.chars().count());
    let width = widths.max().unwrap_or_default();
    for (index, name) in names.enumerate() {
        let title = if index == 0 { "hosts" } else { "" };
        let nodes = match survey.nodes(name) {
            0 => "no nodes".to_owned(),
            1 => "1 node".to_owned(),
            many => format!("{many} nodes"),
        };
        let mut facts = decisive(code).iter();
        let from = facts.find_map(|fact| sources.source(name, *fact));
        let from = from.map(|it| format!("   from {it}")).unwrap_or_default();
        let (word, what) = match on.get(name) {
            Some((verdict, what)) => (
                painted(of_cell(*verdict), 4),
                what.map(|it| format!("{it}{from}")),
            ),
            None => {
                let host = survey.fleet.host(name);
                let what = host.and_then(|host| shown(code, &host.facts));
                (
                    paint(Verdict::Pass, "ok", 4),
                    what.map(|it| format!("{it}{from}")),
                )
            }
        };
        let what = what.map(|it| format!("   {}", plain(&it, LINE)));
        let line = format!(
            "  {title:<7} {:<width$}  {nodes:<9} {word}{}",
            plain(&name.0, 60),
            what.unwrap_or_default()
        );
        say!("{}", line.trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_host_the_fact_is_shown_that_decides() {
        let facts = HostFacts {
            cpu_level: Some(2),
            ia32: Some(false),
            ..HostFacts::default()
        };
        let with_features = HostFacts {
            cpu_features: Some(["avx".to_owned()].into()),
            ..facts.clone()
        };
        let arm = HostFacts {
            aarch32: Some(true),
            ..HostFacts::default()
        };
        for (code, facts, expected) in [
            (Code::HF104, &with_features, Some("cpuLevel 2")),
            (Code::HF105, &with_features, Some("cpuFeatures avx")),
            (Code::HF105, &facts, Some("cpuLevel 2")),
            (Code::HF111, &facts, Some("ia32 false")),
            (Code::HF111, &arm, Some("aarch32 true")),
            (Code::HF101, &arm, None),
        ] {
            assert_eq!(shown(code, facts).as_deref(), expected, "{code}");
        }
    }
}
