//! The level of x86-64, and features of CPUs that rules ask for, from the flags that the kernel shows.

use std::collections::BTreeSet;

use hostfit_engine::host::CPU_FEATURES;

/// Flags that each level wants beyond the one before, in the kernel's names (x86-64 psABI).
const LEVELS: [(u8, &[&str]); 3] = [
    (
        2,
        &[
            "cx16", "lahf_lm", "popcnt", "pni", "ssse3", "sse4_1", "sse4_2",
        ],
    ),
    (
        3,
        &[
            "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave",
        ],
    ),
    (
        4,
        &["avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"],
    ),
];

/// The level that every CPU in `/proc/cpuinfo` has. `None` if it shows no flags.
pub(crate) fn level(cpuinfo: &str) -> Option<u8> {
    flags(cpuinfo, "flags").map(of_one).min()
}

/// Those of the features that rules ask for which every CPU in `/proc/cpuinfo` has. `None` if it shows none of them.
pub(crate) fn features(cpuinfo: &str) -> Option<BTreeSet<String>> {
    let of_arm = flags(cpuinfo, "Features");
    let mut all = flags(cpuinfo, "flags").chain(of_arm).map(asked_for);
    let first = all.next()?;
    Some(all.fold(first, |common, own| &common & &own))
}

fn asked_for(flags: &str) -> BTreeSet<String> {
    let asked = flags
        .split_whitespace()
        .filter(|flag| CPU_FEATURES.contains(flag));
    asked.map(str::to_owned).collect()
}

/// What stands behind a name, for each CPU.
fn flags<'a>(cpuinfo: &'a str, wanted: &'static str) -> impl Iterator<Item = &'a str> {
    cpuinfo.lines().filter_map(move |line| {
        let (name, flags) = line.split_once(':')?;
        (name.trim() == wanted).then_some(flags)
    })
}

fn of_one(flags: &str) -> u8 {
    let has = |wanted: &str| flags.split_whitespace().any(|flag| flag == wanted);
    let reached = LEVELS
        .iter()
        .take_while(|(_, flags)| flags.iter().all(|flag| has(flag)));
    reached.last().map_or(1, |(level, _)| *level)
}

#[cfg(test)]
mod tests {
    use super::*;

    const V2: &str = "sse2 cx16 lahf_lm popcnt pni ssse3 sse4_1 sse4_2";
    const V3: &str = "avx avx2 bmi1 bmi2 f16c fma abm movbe xsave";

    #[test]
    fn a_level_has_all_its_flags_and_all_below() {
        let level = |flags: &str| level(&format!("processor : 0\nflags\t\t: {flags}\n\n"));
        assert_eq!(level("fpu sse2"), Some(1));
        assert_eq!(level(V2), Some(2));
        assert_eq!(level(&format!("{V2} {V3}")), Some(3));
        assert_eq!(level(&format!("{V2} {}", V3.replace("movbe", ""))), Some(2));
        assert_eq!(level(V3), Some(1));
    }

    #[test]
    fn features_are_those_of_every_cpu() {
        let features = |text: &str| {
            let features = features(text)?;
            Some(features.into_iter().collect::<Vec<_>>().join(" "))
        };
        assert_eq!(features("flags : sse2 avx avx2\n").as_deref(), Some("avx"));
        assert_eq!(features("flags : sse2\n").as_deref(), Some(""));
        let arm = "Features\t: fp asimd fphp dcpop\nFeatures\t: fp asimd fphp\n";
        assert_eq!(features(arm).as_deref(), Some("fphp"));
        assert_eq!(features("processor : 0\n"), None);
    }

    #[test]
    fn the_weakest_cpu_counts() {
        let two = format!("flags : {V2} {V3}\n\nflags : {V2}\n");
        assert_eq!(level(&two), Some(2));
        assert_eq!(level("processor : 0\n"), None);
    }
}
