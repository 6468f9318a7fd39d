//! SQLite's format (RHEL 9, Fedora 33, Amazon Linux 2023 and newer): the table `Packages` of `rpmdb.sqlite`.
//!
//! Only what that takes of the format: table B-trees with overflow pages. <https://www.sqlite.org/fileformat.html>

use super::At as _;

const MAGIC: &[u8] = b"SQLite format 3\0";
const LEAF: u8 = 13;
const INNER: u8 = 5;
/// Deeper trees than this do not fit in a file.
const DEPTH: usize = 20;

struct File<'a> {
    bytes: &'a [u8],
    page: usize,
    usable: usize,
}

/// Calls `each` for every header. `None` if the file does not hold together.
pub(super) fn headers(bytes: &[u8], each: &mut dyn FnMut(&[u8])) -> Option<()> {
    if !bytes.starts_with(MAGIC) {
        return None;
    }
    let page = match bytes.be16(16)? {
        1 => 65_536,
        size => usize::from(size),
    };
    let usable = page.checked_sub(usize::from(*bytes.get(20)?))?;
    if !page.is_power_of_two() || usable < 480 {
        return None;
    }
    let file = File {
        bytes,
        page,
        usable,
    };
    let mut root = None;
    let mut left = file.pages();
    file.rows(1, DEPTH, &mut left, &mut |row| {
        // type, name, tbl_name, rootpage, sql
        if let Some([b"table", b"Packages", _, page]) = columns::<4>(row) {
            root = page
                .iter()
                .try_fold(0_usize, |number, byte| {
                    number.checked_mul(256)?.checked_add(usize::from(*byte))
                })
                .filter(|page| *page > 1);
        }
    })?;
    let mut left = file.pages();
    file.rows(root?, DEPTH, &mut left, &mut |row| {
        if let Some([_, blob]) = columns::<2>(row) {
            each(blob);
        }
    })
}

/// The first columns of a record, as their bytes.
fn columns<const N: usize>(record: &[u8]) -> Option<[&[u8]; N]> {
    let (header, mut at) = varint(record)?;
    let mut data = usize::try_from(header).ok()?;
    let mut columns: [&[u8]; N] = [&[]; N];
    for column in &mut columns {
        if at as u64 >= header {
            return None;
        }
        let (kind, length) = varint(record.get(at..)?)?;
        at += length;
        let length = match kind {
            0 | 8 | 9 => 0,
            1..=4 => kind,
            5 => 6,
            6 | 7 => 8,
            10 | 11 => return None,
            // Blobs are even, texts odd.
            kind => (kind - 12) / 2,
        };
        let length = usize::try_from(length).ok()?;
        *column = record.slice(data, length)?;
        data += length;
    }
    Some(columns)
}

/// A number of up to nine bytes, and how many they are.
fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut number = 0;
    for (index, byte) in bytes.iter().take(9).enumerate() {
        if index == 8 {
            return Some((number << 8 | u64::from(*byte), 9));
        }
        number = number << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((number, index + 1));
        }
    }
    None
}

impl<'a> File<'a> {
    fn pages(&self) -> usize {
        self.bytes.len() / self.page
    }

    fn page(&self, number: usize) -> Option<&'a [u8]> {
        let start = number.checked_sub(1)?.checked_mul(self.page)?;
        self.bytes.get(start..start.checked_add(self.page)?)
    }

    /// Every record of the tree below a page. `left` bounds how many pages are visited: no page twice, in a file that
    /// holds together.
    fn rows(
        &self,
        number: usize,
        depth: usize,
        left: &mut usize,
        each: &mut dyn FnMut(&[u8]),
    ) -> Option<()> {
        *left = left.checked_sub(1)?;
        let depth = depth.checked_sub(1)?;
        let page = self.page(number)?;
        // The first page begins with the header of the file.
        let head = if number == 1 { 100 } else { 0 };
        let cells = usize::from(page.be16(head + 3)?);
        let kind = *page.get(head)?;
        let pointers = head
            + match kind {
                LEAF => 8,
                INNER => 12,
                _ => return None,
            };
        for cell in 0..cells {
            let start = usize::from(page.be16(pointers + cell * 2)?);
            if kind == INNER {
                self.rows(page.be32(start)? as usize, depth, left, each)?;
                continue;
            }
            let (length, bytes) = varint(page.get(start..)?)?;
            let (_, more) = varint(page.get(start + bytes..)?)?;
            let start = start + bytes + more;
            let length = usize::try_from(length).ok()?;
            if length > self.bytes.len() {
                return None;
            }
            let local = self.local(length);
            let mut record = page.slice(start, local)?.to_vec();
            if local < length {
                self.overflow(page.be32(start + local)? as usize, length, &mut record)?;
            }
            each(&record);
        }
        match kind {
            INNER => self.rows(page.be32(head + 8)? as usize, depth, left, each),
            _ => Some(()),
        }
    }

    /// How much of a record stands in the leaf itself.
    fn local(&self, length: usize) -> usize {
        let most = self.usable - 35;
        if length <= most {
            return length;
        }
        let least = (self.usable - 12) * 32 / 255 - 23;
        let fitting = least + (length - least) % (self.usable - 4);
        if fitting <= most { fitting } else { least }
    }

    fn overflow(&self, mut number: usize, length: usize, record: &mut Vec<u8>) -> Option<()> {
        while record.len() < length {
            let page = self.page(number)?;
            let count = (length - record.len()).min(self.usable - 4);
            record.extend_from_slice(page.slice(4, count)?);
            number = page.be32(0)? as usize;
        }
        Some(())
    }
}
