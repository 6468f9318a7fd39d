//! Databases of installed packages: what is in them of the packages that rules ask for.

use std::collections::BTreeMap;

use hostfit_engine::package::{self, Family, PackageVersion};

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
        if package::READ.contains(&name) {
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

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn unpack(gzip: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut decoder = flate2::read::GzDecoder::new(gzip);
        decoder.read_to_end(&mut bytes).unwrap();
        bytes
    }

    const SQLITE: &[u8] = include_bytes!("packages/testdata/rpmdb.sqlite.gz");
    const BERKELEY: &[u8] = include_bytes!("packages/testdata/Packages.gz");
    const BIG_ENDIAN: &[u8] = include_bytes!("packages/testdata/Packages-big-endian.gz");

    #[track_caller]
    fn check(path: &str, bytes: &[u8]) {
        let packages = read(path, bytes).unwrap();
        let found = packages.by_name.iter();
        let found: Vec<_> = found
            .map(|(name, version)| format!("{name} {version}"))
            .collect();
        let expected = [
            "coreutils 2:8.4-3.el6",
            "glibc 2.12-1.el6",
            "libselinux 2.0.94-5.3.el6",
        ];
        assert_eq!(found, expected);
        assert!(!packages.is_broken);
    }

    #[test]
    fn rpm_writes_its_headers_in_three_formats() {
        check("usr/lib/sysimage/rpm/rpmdb.sqlite", &unpack(SQLITE));
        check("var/lib/rpm/Packages", &unpack(BERKELEY));
        check("var/lib/rpm/Packages", &unpack(BIG_ENDIAN));
        check("usr/lib/sysimage/rpm/Packages.db", &ndb());
    }

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// The same headers as rpm's own format holds them: `lib/backend/ndb/rpmpkg.c`.
    fn ndb() -> Vec<u8> {
        let mut headers = Vec::new();
        sqlite::headers(&unpack(SQLITE), &mut |header| headers.push(header.to_vec())).unwrap();
        let (mut slots, mut blobs) = (Vec::new(), Vec::new());
        for (index, header) in headers.iter().enumerate() {
            let start = (4_096 + blobs.len()) / 16;
            let length = header.len() as u32;
            let begin = blobs.len();
            blobs.extend(b"BlbS");
            blobs.extend(words(&[index as u32 + 1, 1, length]));
            blobs.extend(header);
            blobs.resize((blobs.len() + 12).next_multiple_of(16) - 12, 0);
            blobs.extend(words(&[0, length]));
            blobs.extend(b"BlbE");
            slots.extend(b"Slot");
            let count = (blobs.len() - begin) / 16;
            slots.extend(words(&[index as u32 + 1, start as u32, count as u32]));
        }
        let mut file = b"RpmP".to_vec();
        file.extend(words(&[0, 1, 1, 5, 0, 0, 0]));
        file.extend(slots);
        while file.len() < 4_096 {
            file.extend(b"Slot\0\0\0\0\0\0\0\0\0\0\0\0");
        }
        file.extend(blobs);
        file
    }

    #[test]
    fn a_damaged_database_ends_where_it_is_damaged_and_says_so() {
        let whole = [
            ("var/lib/rpm/rpmdb.sqlite", unpack(SQLITE)),
            ("var/lib/rpm/Packages", unpack(BERKELEY)),
            ("var/lib/rpm/Packages.db", ndb()),
        ];
        for (path, bytes) in whole {
            let cut = read(path, &bytes[..bytes.len() / 3]).unwrap();
            assert!(cut.is_broken, "{path}");
            assert!(read(path, b"something else").unwrap().is_broken, "{path}");
            // Nothing that a byte may be makes it panic, or go on for ever.
            for position in (0..bytes.len()).step_by(bytes.len() / 400) {
                let mut changed = bytes.clone();
                changed[position] ^= 0xff;
                read(path, &changed);
            }
        }
    }

    #[test]
    fn a_record_longer_than_a_page_goes_on_elsewhere() {
        // Every header of these is longer than a page of 512 bytes.
        let bytes = unpack(BIG_ENDIAN);
        assert_eq!(bytes.as_slice().be32(20), Some(512));
        check("var/lib/rpm/Packages", &bytes);
    }

    #[test]
    fn other_files_are_no_databases() {
        for path in [
            "var/lib/rpm/Name",
            "etc/Packages",
            "var/lib/dpkg/status.d/x.md5sums",
        ] {
            assert_eq!(read(path, b""), None, "{path}");
        }
    }
}
