//! The layers of a registry are read once, whoever asks: a thousand images on one base read the base once.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use hostfit_engine::image::Digest;
use moka::future::Cache;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinError;

use super::Layer;
use crate::error::Failure;
use crate::parse::Descriptor;

/// Layers that are unpacked at a time: each takes a core, and memory for its largest file.
const AT_ONCE: usize = 2;
/// Pieces of a layer on their way from the network to the one who unpacks it.
const PIECES: usize = 16;

/// Where a layer was read, and which. What one registry sent is not given to images of another one, which may only
/// name it; and who lies about its size gets nothing that is kept under the right one.
type Key = (String, Digest, u64);

/// What layers say.
pub(crate) struct Layers {
    known: Cache<Key, Arc<Layer>>,
    readers: Semaphore,
}

impl Layers {
    /// Keeps so many bytes of what they say.
    pub(crate) fn new(bytes: u64) -> Self {
        let weigh = |_: &Key, layer: &Arc<Layer>| u32::try_from(layer.weight()).unwrap_or(u32::MAX);
        Self {
            known: Cache::builder().max_capacity(bytes).weigher(weigh).build(),
            readers: Semaphore::new(AT_ONCE),
        }
    }

    /// What a layer of `registry` says. If nobody knows it yet, `send` has to send its bytes; else `is_there` has to show
    /// that the image's own repository has it.
    pub(crate) async fn get<F, G>(
        &self,
        registry: &str,
        descriptor: &Descriptor,
        is_there: impl FnOnce() -> G + Send,
        send: impl Fn(mpsc::Sender<Bytes>) -> F + Send + Sync,
    ) -> Result<Arc<Layer>, Failure>
    where
        F: Future<Output = Result<(), Failure>> + Send,
        G: Future<Output = Result<(), Failure>> + Send,
    {
        let key = (
            registry.to_owned(),
            descriptor.digest.clone(),
            descriptor.size,
        );
        let read = || async {
            let _permit = self.readers.acquire().await;
            let (sink, pieces) = mpsc::channel(PIECES);
            let wanted = descriptor.clone();
            let reader = tokio::task::spawn_blocking(move || {
                super::read(&wanted, Pieces(pieces, Bytes::new())).map(Arc::new)
            });
            let (sent, read) = tokio::join!(send(sink), reader);
            // Why the bytes did not come is better to know than that they ended.
            sent?;
            finished(read)
        };
        let entry = self.known.entry(key).or_try_insert_with(read()).await;
        let entry = entry.map_err(|failure: Arc<Failure>| (*failure).clone())?;
        if entry.is_fresh() {
            return Ok(entry.into_value());
        }
        // Read before, or for another image at the same time.
        match is_there().await {
            Ok(()) => Ok(entry.into_value()),
            Err(Failure::NotFound) => Err(Failure::NotFound),
            // A registry that leads to a storage may not tell it by a HEAD.
            Err(_) => read().await,
        }
    }
}

/// A reader that broke off, for example because the process ends, tells nothing of the layer.
fn finished<T>(read: Result<Result<T, Failure>, JoinError>) -> Result<T, Failure> {
    read.unwrap_or(Err(Failure::Broken("reading a layer of it broke off")))
}

/// Pieces from another task, as a reader that waits for them.
struct Pieces(mpsc::Receiver<Bytes>, Bytes);

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.1.is_empty() {
            match self.0.blocking_recv() {
                Some(piece) => self.1 = piece,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.1.len());
        let (Some(into), Some(from)) = (buffer.get_mut(..count), self.1.get(..count)) else {
            return Ok(0);
        };
        into.copy_from_slice(from);
        self.1.advance(count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reader_that_breaks_off_says_nothing_lasting_of_the_layer() {
        let broken = tokio::spawn(std::future::pending::<Result<(), Failure>>());
        broken.abort();
        let failure = finished(broken.await).unwrap_err();
        assert!(!failure.is_lasting(), "{failure}");
    }
}
