//! The level of x86-64 from the flags that the kernel shows.

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
    let flags = cpuinfo.lines().filter_map(|line| {
        let (name, flags) = line.split_once(':')?;
        (name.trim() == "flags").then_some(flags)
    });
    flags.map(of_one).min()
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
    fn the_weakest_cpu_counts() {
        let two = format!("flags : {V2} {V3}\n\nflags : {V2}\n");
        assert_eq!(level(&two), Some(2));
        assert_eq!(level("processor : 0\n"), None);
    }
}
