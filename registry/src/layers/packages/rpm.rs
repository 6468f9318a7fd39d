//! One header of rpm's database: an index of tags, and the store that they point into.

use super::At as _;

const NAME: u32 = 1000;
const VERSION: u32 = 1001;
const RELEASE: u32 = 1002;
const EPOCH: u32 = 1003;
/// Most tags of one header.
const TAGS: usize = 1 << 16;

/// Name, and `[epoch:]version-release`.
pub(super) fn package(header: &[u8]) -> Option<(String, String)> {
    let tags = header.be32(0)? as usize;
    let store = 8 + tags.checked_mul(16).filter(|_| tags <= TAGS)?;
    let (mut name, mut version, mut release, mut epoch) = (None, None, None, None);
    for tag in 0..tags {
        let entry = header.slice(8 + tag * 16, 16)?;
        let start = store.checked_add(entry.be32(8)? as usize)?;
        let text = || {
            let rest = header.get(start..)?;
            let end = rest.iter().take(256).position(|byte| *byte == 0)?;
            std::str::from_utf8(rest.get(..end)?).ok()
        };
        match entry.be32(0)? {
            NAME => name = text(),
            VERSION => version = text(),
            RELEASE => release = text(),
            EPOCH => epoch = header.be32(start),
            _ => {}
        }
    }
    let version = format!("{}-{}", version?, release?);
    let version = match epoch.filter(|epoch| *epoch > 0) {
        Some(epoch) => format!("{epoch}:{version}"),
        None => version,
    };
    Some((name?.to_owned(), version))
}
