//! Layers are read once, whoever asks: a thousand images on one base read the base once.

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

/// What layers say, by their digests.
pub(crate) struct Layers {
    known: Cache<Digest, Arc<Layer>>,
    readers: Semaphore,
}

impl Layers {
    /// Keeps so many bytes of what they say.
    pub(crate) fn new(bytes: u64) -> Self {
        let weigh =
            |_: &Digest, layer: &Arc<Layer>| u32::try_from(layer.weight()).unwrap_or(u32::MAX);
        Self {
            known: Cache::builder().max_capacity(bytes).weigher(weigh).build(),
            readers: Semaphore::new(AT_ONCE),
        }
    }

    /// What a layer says. If nobody knows it yet, `send` has to send its bytes.
    pub(crate) async fn get<F>(
        &self,
        descriptor: &Descriptor,
        send: impl FnOnce(mpsc::Sender<Bytes>) -> F + Send,
    ) -> Result<Arc<Layer>, Failure>
    where
        F: Future<Output = Result<(), Failure>> + Send,
    {
        let read = async {
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
        let known = self.known.try_get_with(descriptor.digest.clone(), read);
        known
            .await
            .map_err(|failure: Arc<Failure>| (*failure).clone())
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
