//! The blocks of a tar stream.

use std::io::{self, Read};

use tar::Header;

use super::ScanError;

pub(super) const BLOCK: usize = 512;

/// The checksum counts the bytes of the header with its own eight as spaces.
pub(super) fn has_checksum(block: &[u8; BLOCK], header: &Header) -> bool {
    let sum = |range: std::ops::Range<usize>| {
        let bytes = block.get(range).unwrap_or_default();
        bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>()
    };
    header.cksum().ok() == Some(sum(0..148) + 8 * 32 + sum(156..BLOCK))
}

/// The stream ends where it should go on.
fn cut() -> ScanError {
    io::Error::from(io::ErrorKind::UnexpectedEof).into()
}

/// Fills a block. False if the stream ends before it begins: some writers leave out the zeros at the end.
pub(super) fn fill(tar: &mut impl Read, block: &mut [u8; BLOCK]) -> Result<bool, ScanError> {
    let mut filled = 0;
    while let Some(rest) = block.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match tar.read(rest)? {
            0 if filled == 0 => return Ok(false),
            0 => return Err(cut()),
            read => filled += read,
        }
    }
    Ok(true)
}

/// The data of one entry.
pub(super) struct Data<'a, R> {
    tar: &'a mut R,
    /// Bytes that are not read yet.
    pub(super) left: u64,
    padding: u64,
}

impl<'a, R: Read> Data<'a, R> {
    pub(super) fn new(tar: &'a mut R, size: u64) -> Self {
        let padding = (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64;
        Self {
            tar,
            left: size,
            padding,
        }
    }

    /// So many bytes, or all that is left.
    pub(super) fn read_up_to(&mut self, most: usize) -> Result<Vec<u8>, ScanError> {
        let mut bytes = Vec::new();
        self.append_up_to(most, &mut bytes)?;
        Ok(bytes)
    }

    /// So many bytes, or all that is left, after those of a buffer, which never grows far beyond what comes.
    pub(super) fn append_up_to(
        &mut self,
        most: usize,
        buffer: &mut Vec<u8>,
    ) -> Result<(), ScanError> {
        /// What a header claims is believed so far at once; beyond it as it comes.
        const BELIEVED: u64 = 1 << 20;
        let count = self.left.min(most as u64);
        let mut open = count;
        while open > 0 {
            let part = open.min(BELIEVED);
            buffer.reserve_exact(part as usize);
            let read = (&mut self.tar).take(part).read_to_end(buffer)? as u64;
            self.left -= read;
            open -= read;
            if read < part {
                return Err(cut());
            }
        }
        Ok(())
    }

    pub(super) fn skip(&mut self) -> Result<(), ScanError> {
        let count = self.left + self.padding;
        let skipped = io::copy(&mut (&mut self.tar).take(count), &mut io::sink())?;
        (self.left, self.padding) = (0, 0);
        match skipped == count {
            true => Ok(()),
            false => Err(cut()),
        }
    }
}
