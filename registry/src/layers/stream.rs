//! A layer's bytes as they come, into the tar stream in them: gzip (of any number of members), zstd (of any number of
//! frames) or neither, told by the first bytes as the runtimes tell it. Bounded against bombs.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::Refused;

/// Most bytes that one layer may unpack to.
const UNPACKED: u64 = 32 << 30;
/// Up to here a layer may be compressed as well as it likes …
const FREE: u64 = 512 << 20;
/// … beyond it at most so many times.
const RATIO: u64 = 100;
/// Largest window of zstd. `zstd -19` uses 8 MiB; beyond that is only `--ultra` and `--long`.
const WINDOW: u64 = 32 << 20;
const BUFFER: usize = 64 << 10;

/// Counts what is read through it.
struct Counted<R> {
    inner: R,
    count: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count += read as u64;
        Ok(read)
    }
}

type Source<R> = BufReader<Counted<R>>;

/// The tar stream of a layer.
pub(super) struct Unpacked<R: Read> {
    kind: Kind<R>,
    count: u64,
}

enum Kind<R: Read> {
    Plain(Source<R>),
    Gzip(Box<MultiGzDecoder<Source<R>>>),
    Zstd(Box<Zstd<R>>),
}

struct Zstd<R: Read> {
    source: Source<R>,
    decoder: FrameDecoder,
    is_open: bool,
}

impl<R: Read> Unpacked<R> {
    /// The tar stream in `reader`.
    pub(super) fn new(reader: R) -> io::Result<Self> {
        let counted = Counted {
            inner: reader,
            count: 0,
        };
        let mut source = BufReader::with_capacity(BUFFER, counted);
        let kind = match source.fill_buf()? {
            [0x1f, 0x8b, ..] => Kind::Gzip(Box::new(MultiGzDecoder::new(source))),
            // A frame, or one of those that decoders skip (zstd:chunked begins or ends with such).
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
                let mut decoder = FrameDecoder::new();
                decoder.set_max_window_size(WINDOW);
                let is_open = false;
                Kind::Zstd(Box::new(Zstd {
                    source,
                    decoder,
                    is_open,
                }))
            }
            _ => Kind::Plain(source),
        };
        Ok(Self { kind, count: 0 })
    }

    fn compressed(&self) -> u64 {
        let source = match &self.kind {
            Kind::Plain(source) => source,
            Kind::Gzip(decoder) => decoder.get_ref(),
            Kind::Zstd(zstd) => &zstd.source,
        };
        source.get_ref().count
    }
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match &mut self.kind {
            Kind::Plain(source) => source.read(buffer)?,
            Kind::Gzip(decoder) => decoder.read(buffer)?,
            Kind::Zstd(zstd) => zstd.read(buffer)?,
        };
        self.count += read as u64;
        if self.count > UNPACKED {
            return Err(Refused("a layer of it unpacks to more than 32 GiB").into());
        }
        if self.count > FREE && self.count / RATIO > self.compressed() {
            return Err(Refused("a layer of it is compressed more than 100 times").into());
        }
        Ok(read)
    }
}

impl<R: Read> Zstd<R> {
    /// Opens the next frame. False at the end of the stream.
    fn open(&mut self) -> io::Result<bool> {
        loop {
            if self.source.fill_buf()?.is_empty() {
                return Ok(false);
            }
            match self.decoder.reset(&mut self.source) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let mut skipped = (&mut self.source).take(length.into());
                    if io::copy(&mut skipped, &mut io::sink())? < length.into() {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(FrameDecoderError::WindowSizeTooBig { .. }) => {
                    return Err(Refused("a layer of it needs a zstd window above 32 MiB").into());
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
    }
}

impl<R: Read> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.is_open {
                if !self.open()? {
                    return Ok(0);
                }
                self.is_open = true;
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                let blocks = BlockDecodingStrategy::UptoBlocks(1);
                let decoded = self.decoder.decode_blocks(&mut self.source, blocks);
                decoded.map_err(io::Error::other)?;
            }
            let read = self.decoder.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            self.is_open = false;
        }
    }
}
