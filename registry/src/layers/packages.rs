//! Databases of installed packages: what is in them of the packages that rules ask for.

use std::collections::BTreeMap;

use hostfit_engine::package::{Family, PackageVersion};

mod berkeley;
mod ndb;
mod rpm;
mod sqlite;

/// The packages of one database, by name.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Packages {
    pub(crate) by_name: BTreeMap<String, PackageVersion>,
    /// The database cannot be read to its end.
    pub(crate) is_broken: bool,
}

/// Names that rules ask for: whole, or up to the `*`.
const ASKED_FOR: &[&str] = &[
    "coreutils",
    "coreutils-single",
    "cuda-compat-*",
    "glibc",
    "libc6",
    "libselinux",
    "libselinux1",
    "musl",
    "openssl-fips-provider*",
    "systemd",
];

fn is_asked_for(name: &str) -> bool {
    ASKED_FOR.iter().any(|asked| match asked.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == *asked,
    })
}

const MIB: usize = 1 << 20;

/// How much of the file at `path` is read at most, if it is such a database.
pub(crate) fn wanted(path: &str) -> Option<usize> {
    match path {
        "var/lib/dpkg/status" | "lib/apk/db/installed" | "usr/lib/apk/db/installed" => {
            Some(24 * MIB)
        }
        _ if path.starts_with("var/lib/dpkg/status.d/") && !path.ends_with(".md5sums") => Some(MIB),
        _ => rpm_file(path).map(|_| 40 * MIB),
    }
}

/// Calls back for every header in a file. `None` if the file does not hold together.
type Headers = fn(&[u8], &mut dyn FnMut(&[u8])) -> Option<()>;

/// The folders of rpm's database, and how each of its files is laid out.
fn rpm_file(path: &str) -> Option<Headers> {
    let name = ["var/lib/rpm/", "usr/lib/sysimage/rpm/"]
        .iter()
        .find_map(|folder| path.strip_prefix(folder))?;
    match name {
        "Packages" => Some(berkeley::headers),
        "Packages.db" => Some(ndb::headers),
        "rpmdb.sqlite" => Some(sqlite::headers),
        _ => None,
    }
}

/// The packages in the file at `path`. `None` if that is no database.
pub(crate) fn read(path: &str, bytes: &[u8]) -> Option<Packages> {
    wanted(path)?;
    let mut packages = Packages::default();
    let mut add = |name: &str, version: PackageVersion| {
        if is_asked_for(name) {
            packages.by_name.insert(name.to_owned(), version);
        }
    };
    if let Some(headers) = rpm_file(path) {
        let complete = headers(bytes, &mut |header| {
            if let Some((name, version)) = rpm::package(header) {
                add(&name, PackageVersion::new(Family::Rpm, version));
            }
        });
        packages.is_broken = complete.is_none();
        return Some(packages);
    }
    let text = String::from_utf8_lossy(bytes);
    if path.ends_with("installed") {
        for paragraph in text.split("\n\n") {
            let field = |key: &str| paragraph.lines().find_map(|line| line.strip_prefix(key));
            if let (Some(name), Some(version)) = (field("P:"), field("V:")) {
                add(name, PackageVersion::new(Family::Apk, version));
            }
        }
    } else {
        for paragraph in text.split("\n\n") {
            let field = |key: &str| paragraph.lines().find_map(|line| line.strip_prefix(key));
            // What was removed with its configuration left behind is listed as well. Distroless has no status at all.
            let is_there = field("Status: ").is_none_or(|status| status.ends_with(" installed"));
            if let (Some(name), Some(version), true) =
                (field("Package: "), field("Version: "), is_there)
            {
                add(name, PackageVersion::new(Family::Dpkg, version));
            }
        }
    }
    Some(packages)
}

/// Numbers at an offset, of whatever may be too short.
trait At {
    fn be16(&self, offset: usize) -> Option<u16>;
    fn be32(&self, offset: usize) -> Option<u32>;
    fn le16(&self, offset: usize) -> Option<u16>;
    fn le32(&self, offset: usize) -> Option<u32>;
    /// `length` bytes from `offset` on.
    fn slice(&self, offset: usize, length: usize) -> Option<&[u8]>;
}

impl At for [u8] {
    fn be16(&self, offset: usize) -> Option<u16> {
        Some(u16::from_be_bytes(self.slice(offset, 2)?.try_into().ok()?))
    }
    fn be32(&self, offset: usize) -> Option<u32> {
        Some(u32::from_be_bytes(self.slice(offset, 4)?.try_into().ok()?))
    }
    fn le16(&self, offset: usize) -> Option<u16> {
        self.be16(offset).map(u16::swap_bytes)
    }
    fn le32(&self, offset: usize) -> Option<u32> {
        self.be32(offset).map(u32::swap_bytes)
    }
    fn slice(&self, offset: usize, length: usize) -> Option<&[u8]> {
        self.get(offset..offset.checked_add(length)?)
    }
}
