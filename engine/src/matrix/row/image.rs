//! The facts of images that rows select on, and whether a cell's image has them.

use crate::fact::{Fact, Gap};
use crate::files::Files;
use crate::image::architecture;
use crate::matrix::{Cell, cpu_level, java, kernel};
use crate::package;
use crate::version::{DottedVersion, VersionRange};

use super::{Pattern, any_range, any_text};

/// A fact of an image, as rows name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ImageFact {
    Distro,
    DistroVersion,
    Architecture,
    Repository,
    BaseImage,
    Libc,
    LibcVersion,
    CpuLevel,
    MinKernel,
    Java,
    Systemd,
    Libselinux,
    Package(&'static str),
}

use ImageFact::*;

const NAMED: [(&str, ImageFact); 12] = [
    ("distro", Distro),
    ("distroVersion", DistroVersion),
    ("architecture", Architecture),
    ("repository", Repository),
    ("baseImage", BaseImage),
    ("libc", Libc),
    ("libcVersion", LibcVersion),
    ("cpuLevel", CpuLevel),
    ("minKernel", MinKernel),
    ("runtimes.java", Java),
    ("systemd", Systemd),
    ("libselinux", Libselinux),
];

/// Packages are selected by their names: `packages.coreutils`.
const PACKAGES: &str = "packages.";

impl ImageFact {
    pub(super) fn find(written: &str) -> Option<Self> {
        if let Some(name) = written.strip_prefix(PACKAGES) {
            let known = package::READ.iter().find(|known| **known == name);
            return known.map(|name| Package(name));
        }
        let found = NAMED.iter().find(|(name, _)| *name == written);
        found.map(|(_, fact)| *fact)
    }

    /// Every name, for who wrote another one.
    pub(super) fn names() -> Vec<String> {
        let packages = package::READ.iter().map(|name| format!("{PACKAGES}{name}"));
        let named = NAMED.iter().map(|(name, _)| (*name).to_owned());
        named.chain(packages).collect()
    }

    pub(super) fn pattern(self, written: &str) -> Result<Pattern, crate::version::RangeError> {
        match self {
            Architecture => Ok(Pattern::Text(architecture(written).to_owned())),
            Distro | Repository | BaseImage | Libc => Ok(Pattern::Text(written.to_owned())),
            Java => VersionRange::read(written, java::parse).map(Pattern::Range),
            DistroVersion | LibcVersion | CpuLevel | MinKernel | Systemd | Libselinux
            | Package(_) => written.parse().map(Pattern::Range),
        }
    }

    /// Whether what is known of it may come from what the image stands on, and is as sure as that.
    pub(super) fn rests_on_distribution(self, cell: &Cell<'_>) -> bool {
        match self {
            Distro | DistroVersion => true,
            Libc | LibcVersion | CpuLevel | MinKernel => cell.files().is_none(),
            Architecture | Repository | BaseImage | Java | Systemd | Libselinux | Package(_) => {
                false
            }
        }
    }

    /// The name in messages.
    fn name(self) -> &'static str {
        let named = NAMED.iter().find(|(_, fact)| *fact == self);
        match self {
            Package(name) => name,
            _ => named.map_or("facts", |(name, _)| name),
        }
    }

    /// Whether the image of a cell has the fact in one of these values; the gap if nothing tells.
    pub(super) fn matches(self, any: &[Pattern], cell: &Cell<'_>) -> Result<bool, Gap> {
        let text = |value: Option<&str>| Ok(value.is_some_and(|value| any_text(any, value)));
        let range = |value: Option<DottedVersion>| {
            Ok(value.is_some_and(|version| any_range(any, &version)))
        };
        let distribution = || match &cell.lineage.distribution {
            Fact::Known(distribution, _) => Ok(distribution),
            Fact::Unknown(gap) => Err(gap.clone()),
        };
        let package = |names| {
            let found = cell.files().and_then(|files| files.package(names));
            let version = found.and_then(|package| package.value.upstream());
            self.told(version, cell.files().is_some_and(is_whole))
        };
        match self {
            Distro => text(Some(distribution()?.id())),
            DistroVersion => range(distribution()?.dotted()),
            Architecture => text(Some(&cell.platform.architecture)),
            Repository => text(Some(&cell.image.name())),
            BaseImage => text(cell.lineage.base.as_deref()),
            Libc => text(self.told(libc(cell), is_known(cell))?.map(|(kind, _)| kind)),
            LibcVersion => {
                let version = libc(cell).and_then(|(_, version)| version);
                range(self.told(version, is_known(cell))?)
            }
            // What has no mark runs on every CPU of its architecture.
            CpuLevel if cell.platform.architecture == "amd64" => {
                let level = cpu_level::needed(cell).unwrap_or(1);
                let level = DottedVersion::from_numbers(std::iter::once(level.into()));
                range(self.told(level.filter(|_| is_known(cell)), false)?)
            }
            CpuLevel => Ok(false),
            MinKernel => {
                let kernel = kernel::needed(cell).map(|kernel| kernel.dotted());
                range(self.told(kernel, is_known(cell))?)
            }
            Java => range(self.told(java::version(cell), cell.files().is_some_and(is_whole))?),
            Systemd => range(package(&["systemd"])?),
            Libselinux => range(package(&["libselinux", "libselinux1"])?),
            Package(name) => range(package(&[name])?),
        }
    }

    /// The value, or its absence where it would be known if it were there.
    fn told<T>(self, value: Option<T>, would_be_known: bool) -> Result<Option<T>, Gap> {
        match value {
            None if !would_be_known => Err(Gap::ImageFactMissing { fact: self.name() }),
            value => Ok(value),
        }
    }
}

/// Whether what is not in the files is not in the image.
fn is_whole(files: &Files) -> bool {
    files.unread.is_empty()
}

/// Whether the files tell of the C library and what it needs, or the table of its distribution does.
fn is_known(cell: &Cell<'_>) -> bool {
    let distribution = cell.lineage.distribution.value();
    let by_table = || distribution.is_some_and(|distribution| distribution.release().is_some());
    cell.files().is_some() || by_table()
}

/// The C library that the image's program uses, and its version.
fn libc(cell: &Cell<'_>) -> Option<(&'static str, Option<DottedVersion>)> {
    if cell.files().is_some() {
        let libc = cell.libc()?;
        return Some((libc.kind.as_str(), libc.version.clone()));
    }
    let release = cell.lineage.distribution.value()?.release()?;
    release
        .glibc
        .clone()
        .map(|version| ("glibc", Some(version)))
}
