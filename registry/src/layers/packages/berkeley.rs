//! Berkeley DB's hash format (RHEL 5 to 8, CentOS, Amazon Linux 2): `Packages`. The values of all hash pages.

use super::At as _;

const MAGIC: u32 = 0x0006_1561;
const HEAD: usize = 26;
const UNSORTED: u8 = 2;
const OVERFLOW: u8 = 7;
const HASH: u8 = 13;
const INLINE: u8 = 1;
const OFF_PAGE: u8 = 3;

struct File<'a> {
    bytes: &'a [u8],
    page: usize,
    is_big_endian: bool,
}

impl<'a> File<'a> {
    fn page(&self, number: usize) -> Option<&'a [u8]> {
        let start = number.checked_mul(self.page)?;
        self.bytes.get(start..start.checked_add(self.page)?)
    }

    fn word(&self, page: &[u8], offset: usize) -> Option<usize> {
        let word = match self.is_big_endian {
            true => page.be32(offset),
            false => page.le32(offset),
        };
        word.map(|word| word as usize)
    }

    fn half(&self, page: &[u8], offset: usize) -> Option<usize> {
        let half = match self.is_big_endian {
            true => page.be16(offset),
            false => page.le16(offset),
        };
        half.map(usize::from)
    }

    /// A value that takes pages of its own. Longer than the file it cannot be, so a circle ends.
    fn chain(&self, mut number: usize, length: usize) -> Option<Vec<u8>> {
        let mut value = Vec::with_capacity(length.min(self.bytes.len()));
        while value.len() < length {
            let page = self.page(number).filter(|_| number > 0)?;
            let used = self.half(page, 22)?;
            if page.get(25) != Some(&OVERFLOW) || used == 0 {
                return None;
            }
            value.extend_from_slice(page.get(HEAD..HEAD.checked_add(used)?)?);
            if value.len() > self.bytes.len() {
                return None;
            }
            number = self.word(page, 16)?;
        }
        Some(value)
    }
}

/// Calls `each` for every header. `None` if the file does not hold together.
pub(super) fn headers(bytes: &[u8], each: &mut dyn FnMut(&[u8])) -> Option<()> {
    let is_big_endian = match (bytes.le32(12)?, bytes.be32(12)?) {
        (MAGIC, _) => false,
        (_, MAGIC) => true,
        _ => return None,
    };
    let mut file = File {
        bytes,
        page: 0,
        is_big_endian,
    };
    file.page = file.word(bytes, 20)?;
    if !(512..=65_536).contains(&file.page) || !file.page.is_power_of_two() {
        return None;
    }
    let last = file.word(bytes, 32)?;
    for number in 1..=last {
        let page = file.page(number)?;
        if !matches!(page.get(25), Some(&(HASH | UNSORTED))) {
            continue;
        }
        // Keys and values take turns; each begins where the one after it ends.
        let items = file.half(page, 20)?;
        for item in (1..items).step_by(2) {
            let start = file.half(page, HEAD + item * 2)?;
            match *page.get(start)? {
                OFF_PAGE => {
                    let first = file.word(page, start + 4)?;
                    let length = file.word(page, start + 8)?;
                    each(&file.chain(first, length)?);
                }
                INLINE => {
                    let end = file.half(page, HEAD + (item - 1) * 2)?;
                    each(page.get(start + 1..end)?);
                }
                _ => {}
            }
        }
    }
    Some(())
}
