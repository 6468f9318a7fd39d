//! Distributions and what the published tables say of each release.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use crate::tables;
use crate::version::{Date, DottedVersion, KernelVersion};

/// A distribution release, by the `ID` and `VERSION_ID` of os-release: `rhel 9.4`, `debian 12`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Distribution {
    id: String,
    version: String,
}

impl Distribution {
    /// The distribution `id` in its release `version`, which is empty where there is none.
    pub fn new(id: impl Into<String>, version: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            version: version.into(),
        }
    }

    /// `ID` of os-release: `rhel`, `debian`, `amzn`, …
    pub fn id(&self) -> &str {
        &self.id
    }

    /// `VERSION_ID` of os-release, or empty.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Whether this is a distribution that has releases, and which one it is was not told.
    pub fn is_incomplete(&self) -> bool {
        self.version.is_empty()
            && self.release().is_none()
            && RELEASES.contains_key(self.id.as_str())
    }

    /// The version as numbers, if it is made of numbers.
    pub fn dotted(&self) -> Option<DottedVersion> {
        self.version.parse().ok()
    }

    /// What the tables know of this release. A point release is looked up under its parents: 9.4, then 9.
    pub fn release(&self) -> Option<&'static Release> {
        let rows = RELEASES.get(self.id.as_str())?;
        let named = |version: &str| rows.iter().find(|row| row.version == version);
        if let Some(row) = named(ROLLING).or_else(|| named(&self.version)) {
            return Some(row);
        }
        let mut version = self.dotted()?;
        loop {
            let row = rows
                .iter()
                .find(|row| row.dotted.as_ref() == Some(&version));
            if row.is_some() {
                return row;
            }
            let parent = version.parent()?;
            // Where the table tells point releases (SLES 15.1 to 15.7), the row of the parent is one of them.
            let told = |row: &Release| {
                let release = row.dotted.as_ref();
                release.is_some_and(|it| it.starts_with(&parent) && *it != parent)
            };
            if rows.iter().any(told) {
                return None;
            }
            version = parent;
        }
    }

    /// The distribution whose row of a vendor's matrix speaks for this host: Red Hat's CoreOS is the RHEL that its kernel names.
    pub fn in_vendor_matrix(&self, kernel: Option<&KernelVersion>) -> Self {
        match (
            self.id.as_str(),
            kernel.and_then(KernelVersion::enterprise_linux),
        ) {
            ("rhcos", Some(release)) => Self::new("rhel", release.to_string()),
            _ => self.clone(),
        }
    }
}

/// The ids of the distributions that the tables know.
pub fn ids() -> impl Iterator<Item = &'static str> + Clone {
    RELEASES.keys().copied()
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)?;
        if !self.version.is_empty() {
            write!(f, " {}", self.version)?;
        }
        Ok(())
    }
}

/// How certain a row of the tables is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certainty {
    /// Measured on the package, or read in a public source.
    Sourced,
    /// General knowledge that nobody has verified: never enough to refuse a pod.
    Unverified,
}

/// One release of a distribution, with what its packages need and until when it is supported.
#[derive(Debug)]
pub struct Release {
    id: &'static str,
    version: &'static str,
    /// The version as numbers, if it is made of numbers.
    dotted: Option<DottedVersion>,
    /// glibc, where the C library is glibc.
    pub glibc: Option<DottedVersion>,
    /// Whether this glibc still compares its ABI note with the kernel (glibc before 2.36), and how certain the note is.
    abi_notes: Vec<(&'static str, KernelVersion)>,
    /// Certainty of the kernel numbers.
    pub kernel_certainty: Certainty,
    /// Whether ld.so aborts on a kernel older than its note.
    pub kernel_check: bool,
    /// Level of x86-64 that its amd64 packages are built for, 1 to 4.
    pub cpu_level: Option<u8>,
    /// Certainty of the level.
    pub cpu_certainty: Certainty,
    /// Last day of the vendor's standard support.
    pub end_of_support: Option<Date>,
    /// Last day of paid or community long-term support, if there is any.
    pub end_of_extended_support: Option<Date>,
    /// Where the row comes from.
    pub source: &'static str,
}

impl Release {
    /// The kernel that libc's ABI note asks for on an architecture (Go's spelling).
    pub fn minimum_kernel(&self, architecture: &str) -> Option<&KernelVersion> {
        let row = match architecture {
            "amd64" | "386" => "x86_64",
            "arm64" => "aarch64",
            other => other,
        };
        self.abi_notes
            .iter()
            .find(|(architecture, _)| *architecture == row)
            .map(|(_, kernel)| kernel)
    }
}

/// The version of a row that stands for every release of a rolling distribution.
const ROLLING: &str = "*";

/// The releases of each distribution, by its ID.
static RELEASES: LazyLock<HashMap<&'static str, Vec<Release>>> = LazyLock::new(|| {
    let mut releases: HashMap<_, Vec<_>> = HashMap::new();
    for row in tables::DISTRIBUTIONS.rows() {
        if let Some(release) = release(&row) {
            releases.entry(release.id).or_default().push(release);
        }
    }
    releases
});

fn release(row: &[&'static str]) -> Option<Release> {
    let &[
        id,
        version,
        _role,
        libc,
        libc_version,
        libc_certainty,
        kernel,
        other_kernels,
        kernel_certainty,
        kernel_check,
        cpu_level,
        cpu_certainty,
        end_of_support,
        end_of_extended_support,
        source,
    ] = row
    else {
        return None;
    };
    let certainty = |letters: &[&str]| match letters.contains(&"K") {
        true => Certainty::Unverified,
        false => Certainty::Sourced,
    };
    let others = other_kernels.split(';').filter_map(|pair| {
        let (architecture, kernel) = pair.split_once('=')?;
        Some((architecture, kernel.parse().ok()?))
    });
    let x86 = kernel.parse().ok().map(|kernel| ("x86_64", kernel));
    Some(Release {
        id,
        version,
        dotted: version.parse().ok(),
        glibc: (libc == "glibc")
            .then(|| libc_version.parse().ok())
            .flatten(),
        abi_notes: x86.into_iter().chain(others).collect(),
        kernel_certainty: certainty(&[libc_certainty, kernel_certainty]),
        kernel_check: kernel_check == "yes",
        cpu_level: cpu_level.parse().ok(),
        cpu_certainty: certainty(&[cpu_certainty]),
        end_of_support: Date::from_str(end_of_support).ok(),
        end_of_extended_support: Date::from_str(end_of_extended_support).ok(),
        source,
    })
}

/// Debian's names of releases, as they stand in tags and in the history of its images.
pub(crate) fn debian_release(codename: &str) -> Option<&'static str> {
    Some(match codename {
        "wheezy" => "7",
        "jessie" => "8",
        "stretch" => "9",
        "buster" => "10",
        "bullseye" => "11",
        "bookworm" => "12",
        "trixie" => "13",
        "sid" | "unstable" => "sid",
        _ => return None,
    })
}

/// Ubuntu's names of releases, as they stand in tags.
pub(crate) fn ubuntu_release(codename: &str) -> Option<&'static str> {
    Some(match codename {
        "precise" => "12.04",
        "trusty" => "14.04",
        "xenial" => "16.04",
        "bionic" => "18.04",
        "focal" => "20.04",
        "jammy" => "22.04",
        "noble" => "24.04",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(id: &str, version: &str) -> Option<&'static Release> {
        Distribution::new(id, version).release()
    }

    #[test]
    fn every_row_of_the_table_can_be_read() {
        let rows: Vec<_> = tables::DISTRIBUTIONS.rows().collect();
        let releases = || RELEASES.values().flatten();
        assert_eq!(rows.len(), releases().count());
        for release in releases() {
            assert!(
                !release.source.is_empty(),
                "{} {}",
                release.id,
                release.version
            );
            assert!(
                !release.kernel_check || release.glibc.is_some(),
                "{} {} checks the kernel without glibc",
                release.id,
                release.version
            );
        }
    }

    #[test]
    fn point_releases_are_found_under_their_parents() {
        assert_eq!(find("rhel", "9.4").unwrap().version, "9");
        assert_eq!(find("alpine", "3.19.1").unwrap().version, "3.19");
        assert_eq!(find("debian", "12.5").unwrap().version, "12");
        assert_eq!(find("sles", "15.5").unwrap().version, "15.5");
        assert_eq!(find("wolfi", "20230201").unwrap().version, ROLLING);
        assert_eq!(find("debian", "sid").unwrap().version, "sid");
        assert!(find("ubuntu", "99.04").is_none());
        assert!(find("sles", "15.8").is_none());
        assert_eq!(find("sles", "15").unwrap().version, "15");
        assert!(find("rhel", "").is_none());
        assert!(find("unheard-of", "1").is_none());
    }

    #[test]
    fn the_note_of_libc_depends_on_the_architecture() {
        let rhel9 = find("rhel", "9").unwrap();
        assert_eq!(rhel9.minimum_kernel("amd64").unwrap().release(), "3.2.0");
        assert_eq!(rhel9.minimum_kernel("arm64").unwrap().release(), "3.7.0");
        assert!(rhel9.minimum_kernel("s390x").is_none());
        assert!(
            find("alpine", "3.20")
                .unwrap()
                .minimum_kernel("amd64")
                .is_none()
        );
    }

    #[test]
    fn core_os_counts_as_the_rhel_that_its_kernel_names() {
        let kernel = "5.14.0-427.26.1.el9_4.x86_64".parse().unwrap();
        let host = Distribution::new("rhcos", "4.16");
        assert_eq!(host.in_vendor_matrix(Some(&kernel)).to_string(), "rhel 9.4");
        assert_eq!(host.in_vendor_matrix(None), host);
        let rocky = Distribution::new("rocky", "9.4");
        assert_eq!(rocky.in_vendor_matrix(Some(&kernel)), rocky);
    }
}
