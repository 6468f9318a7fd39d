//! Which platforms of an image a short list of them has, so that it tells nearly every host what the whole would.

use std::collections::HashSet;

use super::preference;
use crate::host::{LINUX, WINDOWS};
use crate::image::Platform;

/// As many as a short list has.
const LONGEST: usize = 32;

/// The architectures of Linux whose hosts it always tells: those of Go, in which the kubelet is written.
const ARCHITECTURES: [&str; 13] = [
    "386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64",
    "ppc64le", "riscv64", "s390x",
];

/// At most 32 of these platforms, by their positions and in their order, and how many others there are.
///
/// First come those that hosts of Linux choose, one for each architecture; then Windows, of which each host may choose
/// another one; then the rest. Of several that are the same no host chooses but the first: it stands for all.
pub fn listed(all: &[&Platform]) -> (Vec<usize>, usize) {
    if all.len() <= LONGEST {
        return ((0..all.len()).collect(), 0);
    }
    let mut seen = HashSet::new();
    let different: Vec<_> = all
        .iter()
        .enumerate()
        .filter(|(_, platform)| seen.insert(**platform))
        .collect();
    let of_linux = || different.iter().filter(|(_, it)| it.os == LINUX);
    let chosen = ARCHITECTURES.iter().filter_map(|host| {
        let ranked = of_linux().filter_map(|(index, it)| Some((preference(it, host)?, *index)));
        ranked.min().map(|(_, index)| index)
    });
    // That there is something for Linux is told as well, whatever it is.
    let any = of_linux().map(|(index, _)| *index).next();
    let first: HashSet<_> = chosen.chain(any).collect();
    let place = |index: &usize, it: &Platform| match () {
        () if first.contains(index) => 0,
        () if it.os == WINDOWS => 1,
        () => 2,
    };
    let mut order: Vec<_> = different
        .iter()
        .map(|(index, it)| (place(index, it), *index))
        .collect();
    order.sort_unstable();
    let left_out = order.len().saturating_sub(LONGEST);
    order.truncate(LONGEST);
    let mut listed: Vec<_> = order.into_iter().map(|(_, index)| index).collect();
    listed.sort_unstable();
    (listed, left_out)
}

/// Whether a short list from which some were left out tells such a host the same as the whole.
pub fn tells<'a>(short: impl Iterator<Item = &'a Platform>, os: &str, architecture: &str) -> bool {
    match os {
        LINUX => ARCHITECTURES.contains(&architecture),
        // As long as there was room for more of Windows, none of it is missing.
        WINDOWS => {
            let of_windows = short.filter(|it| it.os == WINDOWS);
            of_windows.count() < LONGEST - ARCHITECTURES.len() - 1
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::select;
    use super::*;
    use crate::distribution::Distribution;
    use crate::fact::Gap;
    use crate::host::HostFacts;
    use crate::matrix::Outcome;

    /// Numbers that look random and are the same each time.
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self, sides: usize) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005);
            self.0 = self.0.wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(self.0 >> 33).unwrap() % sides
        }

        fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
            of[self.roll(of.len())]
        }
    }

    const SYSTEMS: [&str; 4] = ["linux", "linux", "windows", "plan9"];
    const CPUS: [&str; 7] = ["amd64", "386", "arm64", "arm", "s390x", "vax", "made-up"];
    const BUILDS: [&str; 4] = ["10.0.14393", "10.0.17763", "10.0.20348", "10.0.26100"];

    fn image(dice: &mut Dice) -> Vec<Platform> {
        // Some have few kinds of platforms, so that some are missing.
        let (systems, cpus) = (1 + dice.roll(SYSTEMS.len()), 1 + dice.roll(CPUS.len()));
        let one = |dice: &mut Dice| {
            let os = SYSTEMS[SYSTEMS.len() - 1 - dice.roll(systems)];
            let mut platform = Platform::new(os, dice.one(&CPUS[..cpus]));
            let variant = dice.one(&["", "", "v1", "v3", "v5", "v6", "v7", "v8", "v9"]);
            platform.variant = (!variant.is_empty()).then(|| variant.to_owned());
            platform.os_version = (os == "windows").then(|| {
                let revision = dice.roll(40);
                format!("{}.{revision}", dice.one(&BUILDS))
            });
            platform
        };
        let size = 1 + dice.roll(300);
        (0..size).map(|_| one(dice)).collect()
    }

    fn hosts() -> Vec<HostFacts> {
        let host = |os: Option<(&str, &str)>, architecture: Option<&str>| HostFacts {
            os: os.map(|(id, version)| Distribution::new(id, version)),
            architecture: architecture.map(str::to_owned),
            ..HostFacts::default()
        };
        let mut hosts = Vec::new();
        for architecture in CPUS.into_iter().map(Some).chain([None]) {
            hosts.push(host(None, architecture));
            hosts.push(host(Some(("debian", "13")), architecture));
            let builds = BUILDS.iter();
            hosts.extend(builds.map(|build| host(Some(("windows", build)), architecture)));
        }
        hosts
    }

    #[test]
    fn a_short_list_tells_a_host_the_same_as_the_whole_or_nothing() {
        let mut dice = Dice(17);
        let (mut same, mut untold) = (0, 0);
        for _ in 0..100 {
            let image = image(&mut dice);
            let whole: Vec<_> = image.iter().collect();
            let (positions, left_out) = listed(&whole);
            assert!(positions.len() <= LONGEST);
            let short: Vec<_> = positions.iter().map(|index| whole[*index]).collect();
            for host in hosts() {
                let expected = select(&whole, 0, &host).map(|index| whole[index]);
                let got = select(&short, left_out, &host).map(|index| short[index]);
                if got == expected {
                    same += 1;
                    continue;
                }
                // Of a system or an architecture that is not told, or one that was left out, it says nothing.
                let Err(Outcome::Unknown(gap)) = &got else {
                    panic!(
                        "{os:?} {architecture:?}: {got:?} and not {expected:?}",
                        os = host.os,
                        architecture = host.architecture
                    );
                };
                assert!(left_out > 0);
                untold += 1;
                let is_linux = host.os_family() == Some(LINUX);
                let is_known = |it: &String| ARCHITECTURES.contains(&it.as_str());
                let of_linux = is_linux && host.architecture.as_ref().is_some_and(is_known);
                assert!(!of_linux, "each host of Linux is told");
                let is_expected = *gap == Gap::NotFetchedInTime || host.os.is_none();
                assert!(is_expected, "{gap:?}");
            }
        }
        assert!(untold > 100 && same > untold, "{same} and {untold}");
    }

    #[test]
    fn what_a_list_repeats_leaves_room() {
        let all = vec![Platform::new("linux", "amd64"); 1_000];
        let all: Vec<_> = all.iter().collect();
        assert_eq!(listed(&all), (vec![0], 0));
    }
}
