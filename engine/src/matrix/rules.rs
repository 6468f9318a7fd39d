//! The built-in rules: which pack brings each, and how often it has to be asked.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use crate::finding::Code;
use crate::host::{Host, HostFacts, HostName};
use crate::matrix::{
    Cell, Outcome, cgroups, cpu_level, cuda, end_of_life, fips, interfaces, java, kernel, limits,
    lsm, packets, programs, rights, schema1, seccomp, vendor, windows, zstd,
};
use crate::policy::Rules;

/// A rule of one of the packs.
pub(super) type Check = fn(&Cell<'_>) -> Outcome;

/// A rule on the kernel.
pub(super) type KernelRule = (Code, Check);

/// How often a rule has to be asked. A pod has few images and may have many hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Each {
    /// It each at the image first, then at what that needs of the host: what it has not to say of a host of which nothing
    /// is known, it has not to say of any host. One question tells whether an image concerns it at all.
    Image,
    /// What is not known of the host it takes for harmless, so it is asked of each image on each host.
    Pair,
    /// It each at the host alone.
    Host,
}

use Pack::{EndOfLife, Recommended, VendorSupport};

const RULES: &[(Pack, Each, Check)] = &[
    (Recommended, Each::Image, cpu_level::check),
    (Recommended, Each::Image, programs::library),
    (Recommended, Each::Image, programs::go),
    (Recommended, Each::Image, programs::graalvm),
    (Recommended, Each::Image, programs::features),
    (Recommended, Each::Pair, programs::mislabelled),
    (Recommended, Each::Image, seccomp::clone3),
    (Recommended, Each::Image, seccomp::faccessat2),
    (Recommended, Each::Image, seccomp::statx),
    (Recommended, Each::Image, seccomp::clock_gettime64),
    (Recommended, Each::Image, seccomp::fchmodat2),
    (Recommended, Each::Image, lsm::libselinux),
    (Recommended, Each::Image, lsm::apparmor),
    (Recommended, Each::Image, lsm::selinux_options),
    (Recommended, Each::Image, lsm::executable_stack),
    (Recommended, Each::Image, rights::own_users),
    (Recommended, Each::Image, rights::own_namespaces),
    (Recommended, Each::Image, rights::low_ports),
    (Recommended, Each::Image, java::cgroup_v2),
    (Recommended, Each::Image, cgroups::systemd_on_v2),
    (Recommended, Each::Image, cgroups::systemd_on_v1),
    (Recommended, Each::Image, limits::open_files),
    (Recommended, Each::Image, windows::check),
    (Recommended, Each::Image, schema1::check),
    (Recommended, Each::Image, zstd::check),
    (Recommended, Each::Pair, cuda::required),
    (Recommended, Each::Pair, cuda::minimum_driver),
    (VendorSupport, Each::Image, vendor::check),
    (VendorSupport, Each::Host, cgroups::kubelet),
    (VendorSupport, Each::Pair, vendor::privileged),
    (VendorSupport, Each::Pair, fips::check),
    (EndOfLife, Each::Image, end_of_life::image),
    (EndOfLife, Each::Host, end_of_life::host),
];

/// Rules of the pack `recommended` on the kernel that the image gets, each with the code under which it speaks. In a sandbox
/// that is not the node's.
const KERNEL_RULES: &[(Each, KernelRule)] = &[
    (Each::Pair, (Code::HF111, programs::small)),
    (Each::Image, (Code::HF113, programs::pages)),
    (Each::Image, (Code::HF201, kernel::check)),
    (Each::Image, (Code::HF202, interfaces::library)),
    (Each::Image, (Code::HF203, interfaces::vsyscall)),
    (Each::Image, (Code::HF204, interfaces::systemd)),
    (Each::Image, (Code::HF204, interfaces::go)),
    (Each::Image, (Code::HF205, interfaces::btf)),
    (Each::Image, (Code::HF206, interfaces::module)),
    (Each::Image, (Code::HF215, seccomp::io_uring)),
    (Each::Image, (Code::HF240, limits::maps)),
    (Each::Image, (Code::HF302, java::proc_cgroups)),
    (Each::Image, (Code::HF320, packets::legacy)),
    (Each::Image, (Code::HF321, packets::nft)),
    (Each::Pair, (Code::HF321, packets::mixed)),
];

/// How many rules and rows are active.
pub fn count(rules: &Rules) -> usize {
    let built_in = RULES
        .iter()
        .filter(|(pack, ..)| rules.packs.contains(pack))
        .count();
    let of_kernel = match rules.packs.contains(&Recommended) {
        true => KERNEL_RULES.len(),
        false => 0,
    };
    built_in + of_kernel + rules.rows.len()
}

/// Sets of rules that can be switched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Pack {
    /// What breaks.
    Recommended,
    /// What the vendors' published matrices say.
    VendorSupport,
    /// What is past its end of support.
    EndOfLife,
    /// Makes findings of the other packs refuse where they would only warn.
    Strict,
}

impl Pack {
    /// Every pack.
    pub const ALL: [Self; 4] = [
        Self::Recommended,
        Self::VendorSupport,
        Self::EndOfLife,
        Self::Strict,
    ];

    /// The name in objects and values.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Recommended => "recommended",
            Self::VendorSupport => "vendor-support",
            Self::EndOfLife => "eol",
            Self::Strict => "strict",
        }
    }
}

/// The rules of the active packs, by how often they are asked.
pub(super) struct Active {
    of_images: Vec<Check>,
    of_pairs: Vec<Check>,
    of_kernel: &'static [(Each, KernelRule)],
    /// To be asked of any cell of a host.
    pub(super) of_hosts: Vec<Check>,
}

/// The rules that have to be asked of an image on each host.
pub(super) struct Concerned {
    pub(super) rules: Vec<Check>,
    /// Those on the kernel.
    pub(super) of_kernel: Vec<KernelRule>,
}

impl Active {
    pub(super) fn of(rules: &Rules) -> Self {
        let active = RULES.iter().filter(|(pack, ..)| rules.packs.contains(pack));
        let asked = |wanted| {
            let active = active.clone().filter(move |(_, each, _)| *each == wanted);
            active.map(|(_, _, check)| *check).collect()
        };
        Self {
            of_images: asked(Each::Image),
            of_pairs: asked(Each::Pair),
            of_kernel: match rules.packs.contains(&Recommended) {
                true => KERNEL_RULES,
                false => &[],
            },
            of_hosts: asked(Each::Host),
        }
    }

    /// The rules that an image concerns. The cell's own host does not matter.
    pub(super) fn concerned(&self, cell: &Cell<'_>) -> Concerned {
        let cell = Cell {
            host: &NOTHING_KNOWN,
            ..*cell
        };
        let speaks = |check: &Check| check(&cell) != Outcome::Compatible;
        let of_images = self.of_images.iter().filter(|check| speaks(check));
        let is_asked =
            |(each, (_, check)): &&(Each, KernelRule)| *each == Each::Pair || speaks(check);
        let of_kernel = self.of_kernel.iter().filter(is_asked);
        Concerned {
            rules: of_images.chain(&self.of_pairs).copied().collect(),
            of_kernel: of_kernel.map(|(_, rule)| *rule).collect(),
        }
    }

    /// Whether these rules say of a cell all that there is to say, as `Each::Image` promises.
    pub(super) fn are_all_said(&self, concerned: &Concerned, cell: &Cell<'_>) -> bool {
        let speaking = |rules: &mut dyn Iterator<Item = &Check>| {
            rules
                .filter(|check| check(cell) != Outcome::Compatible)
                .count()
        };
        let of_kernel = concerned.of_kernel.iter().map(|(_, check)| check);
        let all_of_kernel = self.of_kernel.iter().map(|(_, (_, check))| check);
        let all = self.of_images.iter().chain(&self.of_pairs);
        speaking(&mut concerned.rules.iter().chain(of_kernel))
            == speaking(&mut all.chain(all_of_kernel))
    }
}

/// A host of which nothing is known but that its runtime filters system calls, which is the worst.
static NOTHING_KNOWN: LazyLock<Host> = LazyLock::new(|| Host {
    name: HostName(String::new()),
    nodes: 0,
    facts: HostFacts {
        seccomp_default: Some(true),
        ..HostFacts::default()
    },
    claimed: BTreeSet::new(),
});
