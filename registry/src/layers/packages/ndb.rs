//! rpm's own format (SUSE): `Packages.db`. Slots of 16 bytes name the blobs, in blocks of 16 bytes.

use super::At as _;

const MAGIC: &[u8] = b"RpmP";
const SLOT: &[u8] = b"Slot";
const BLOB: &[u8] = b"BlbS";
const PAGE: usize = 4_096;
const BLOCK: usize = 16;
/// The header takes the place of the first two slots.
const FIRST_SLOT: usize = 2;

/// Calls `each` for every header. `None` if the file does not hold together.
pub(super) fn headers(file: &[u8], each: &mut dyn FnMut(&[u8])) -> Option<()> {
    if !file.starts_with(MAGIC) {
        return None;
    }
    let slots = (file.le32(12)? as usize).checked_mul(PAGE)? / BLOCK;
    if slots.checked_mul(BLOCK)? > file.len() {
        return None;
    }
    for slot in FIRST_SLOT..slots {
        let slot = file.slice(slot * BLOCK, BLOCK)?;
        if !slot.starts_with(SLOT) {
            return None;
        }
        let start = (slot.le32(8)? as usize).checked_mul(BLOCK)?;
        // A free slot points nowhere.
        if start == 0 {
            continue;
        }
        let head = file.slice(start, BLOCK)?;
        if !head.starts_with(BLOB) {
            return None;
        }
        each(file.slice(start + BLOCK, head.le32(12)? as usize)?);
    }
    Some(())
}
