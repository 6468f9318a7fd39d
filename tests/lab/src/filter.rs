//! The default seccomp profile of a containerd, from its source, as the instructions that its runc would install.
//!
//! Conditions on arguments are left out (such a call is allowed), and so are the calls that come with capabilities which
//! containers do not have by default.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};

/// An instruction of a filter: code, jump if true, jump if false, value.
pub(crate) type Instruction = (u16, u8, u8, u32);

/// What a profile knows.
#[derive(Debug, Default)]
pub(crate) struct Profile {
    allowed: BTreeSet<String>,
    /// Those that it says are not there.
    absent: BTreeSet<String>,
}

/// Calls and their numbers.
pub(crate) type Numbers = BTreeMap<String, u32>;

impl Profile {
    /// From the text of `seccomp_default.go`.
    pub(crate) fn parse(source: &str) -> Result<Self> {
        let (_, body) = source
            .split_once("func DefaultProfile(")
            .context("no DefaultProfile")?;
        let mut profile = Self::default();
        let (always, later) = body
            .split_once("DefaultAction:")
            .context("no DefaultAction")?;
        profile.allowed.extend(quoted(always).map(str::to_owned));
        // What comes with every amd64, and with the capabilities of an ordinary container.
        let extra = ["arch_prctl", "modify_ldt", "chroot", "clone"];
        profile.allowed.extend(extra.map(str::to_owned));
        if let Some((_, kernel)) = later.split_once("include by kernel version") {
            let (kernel, _) = kernel
                .split_once("include by arch")
                .context("no end of it")?;
            profile.allowed.extend(quoted(kernel).map(str::to_owned));
        }
        if let Some((before, _)) = later.split_once("ErrnoRet:") {
            let (_, names) = before
                .rsplit_once("Names:")
                .context("an error without calls")?;
            profile.absent.extend(quoted(names).map(str::to_owned));
        }
        ensure!(profile.allowed.len() > 250, "this is no profile");
        Ok(profile)
    }

    /// The filter for programs of 64 and of 32 bits.
    pub(crate) fn filter(&self, wide: &Numbers, narrow: &Numbers, stub: bool) -> Vec<Instruction> {
        let wide = self.calls(wide, stub);
        let narrow = self.calls(narrow, stub);
        let mut all = vec![(LOAD, 0, 0, ARCHITECTURE_AT)];
        all.push((EQUAL, 1, 0, X86_64));
        // The way to the calls of 32 bits is too far for a conditional jump.
        all.push((JUMP, 0, 0, u32::try_from(wide.len()).unwrap_or(u32::MAX)));
        all.extend(wide);
        all.push((EQUAL, 1, 0, I386));
        all.push((RETURN, 0, 0, KILL));
        all.extend(narrow);
        all
    }

    fn calls(&self, numbers: &Numbers, stub: bool) -> Vec<Instruction> {
        let known = |names: &BTreeSet<String>| -> BTreeSet<u32> {
            names
                .iter()
                .filter_map(|name| numbers.get(name).copied())
                .collect()
        };
        let (allowed, absent) = (known(&self.allowed), known(&self.absent));
        let mut all = vec![(LOAD, 0, 0, NUMBER_AT)];
        let mut answer = |number: u32, answer: u32| {
            all.push((EQUAL, 0, 1, number));
            all.push((RETURN, 0, 0, answer));
        };
        for number in &absent {
            answer(*number, ERROR | ENOSYS);
        }
        for number in &allowed {
            answer(*number, ALLOW);
        }
        if let Some(last) = allowed.union(&absent).max().filter(|_| stub) {
            all.push((GREATER, 0, 1, *last));
            all.push((RETURN, 0, 0, ERROR | ENOSYS));
        }
        all.push((RETURN, 0, 0, ERROR | EPERM));
        all
    }
}

/// The text between quotes that could be names of calls.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('"').skip(1).step_by(2)
}

/// From a kernel's `unistd_64.h`: `#define __NR_read 0`.
pub(crate) fn numbers(header: &str) -> Numbers {
    let line = |line: &str| {
        let mut words = line.strip_prefix("#define __NR_")?.split_whitespace();
        Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
    };
    header.lines().filter_map(line).collect()
}

const LOAD: u16 = 0x20;
const JUMP: u16 = 0x05;
const EQUAL: u16 = 0x15;
const GREATER: u16 = 0x25;
const RETURN: u16 = 0x06;
const NUMBER_AT: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;
const X86_64: u32 = 0xc000_003e;
const I386: u32 = 0x4000_0003;
const ALLOW: u32 = 0x7fff_0000;
const ERROR: u32 = 0x0005_0000;
const KILL: u32 = 0x8000_0000;
const EPERM: u32 = 1;
const ENOSYS: u32 = 38;

#[cfg(test)]
mod tests {
    use super::*;

    fn profile() -> Profile {
        let name = |name: &str| name.to_owned();
        Profile {
            allowed: ["read", "write", "futex_waitv"].map(name).into(),
            absent: ["clone3"].map(name).into(),
        }
    }

    /// What a filter answers: the machine that kernels have for it, as far as these filters go.
    fn answer(filter: &[Instruction], architecture: u32, number: u32) -> u32 {
        let (mut at, mut loaded) = (0, 0);
        loop {
            let (code, yes, no, value) = filter[at];
            at += 1;
            match code {
                LOAD if value == NUMBER_AT => loaded = number,
                LOAD => loaded = architecture,
                JUMP => at += value as usize,
                EQUAL => at += usize::from(if loaded == value { yes } else { no }),
                GREATER => at += usize::from(if loaded > value { yes } else { no }),
                _ => return value,
            }
        }
    }

    #[test]
    fn a_filter_answers_as_its_profile_says() {
        let wide =
            numbers("#define __NR_read 0\n#define __NR_futex_waitv 449\n#define __NR_clone3 435\n");
        let narrow = numbers("#define __NR_read 3\n");
        let strict = profile().filter(&wide, &narrow, false);
        let kind = profile().filter(&wide, &narrow, true);
        for filter in [&strict, &kind] {
            assert_eq!(answer(filter, X86_64, 0), ALLOW);
            assert_eq!(answer(filter, X86_64, 435), ERROR | ENOSYS);
            assert_eq!(answer(filter, X86_64, 3), ERROR | EPERM);
            assert_eq!(answer(filter, I386, 3), ALLOW);
            assert_eq!(answer(filter, I386, 0), ERROR | EPERM);
            assert_eq!(answer(filter, 7, 0), KILL);
        }
        assert_eq!(answer(&strict, X86_64, 452), ERROR | EPERM);
        assert_eq!(answer(&kind, X86_64, 452), ERROR | ENOSYS);
    }
}
