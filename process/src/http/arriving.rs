//! A request body that tells when it has arrived.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use tokio::sync::oneshot;

/// A request body; its receiver resolves when all of it was read, or nobody will read on.
pub(super) struct Arriving {
    body: Incoming,
    incomplete: Option<oneshot::Sender<()>>,
}

impl Arriving {
    pub(super) fn new(body: Incoming) -> (Self, oneshot::Receiver<()>) {
        let (sender, receiver) = oneshot::channel();
        let incomplete = (!body.is_end_stream()).then_some(sender);
        (Self { body, incomplete }, receiver)
    }
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(frame, Poll::Ready(None | Some(Err(_)))) || self.body.is_end_stream() {
            self.incomplete = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
