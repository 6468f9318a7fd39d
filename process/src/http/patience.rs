//! A stream whose peer must send headers, and read answers, within a time.
//!
//! hyper has one timer for headers, which also runs while a connection idles between requests;
//! we allow long idling, and yet little time once a request has begun. It has none for writing.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use super::Limits;

/// Counts the requests of one connection, so that its stream knows what it is reading.
#[derive(Clone, Debug, Default)]
pub(super) struct Requests(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    begun: AtomicUsize,
    answered: AtomicUsize,
}

impl Requests {
    /// The headers of a request have arrived.
    pub(super) fn begin(&self) {
        self.0.begun.fetch_add(1, Ordering::Relaxed);
    }

    /// Its answer is ready.
    pub(super) fn answer(&self) {
        self.0.answered.fetch_add(1, Ordering::Relaxed);
    }

    fn begun(&self) -> usize {
        self.0.begun.load(Ordering::Relaxed)
    }

    fn is_idle(&self) -> bool {
        self.begun() == self.0.answered.load(Ordering::Relaxed)
    }
}

pub(super) struct Patience<S> {
    stream: S,
    requests: Requests,
    /// How many requests had begun at the last read.
    seen: usize,
    header: Timer,
    write: Timer,
}

impl<S> Patience<S> {
    pub(super) fn new(stream: S, requests: Requests, limits: &Limits) -> Self {
        let mut header = Timer::new(limits.header_read, "headers did not arrive in time");
        // Who connects has something to say.
        header.start();
        Self {
            stream,
            requests,
            seen: 0,
            header,
            write: Timer::new(limits.write, "answer was not read in time"),
        }
    }

    /// The time for an answer runs from the first write that must wait, until all is flushed.
    fn written<T>(
        &mut self,
        cx: &mut Context<'_>,
        result: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if result.is_pending() {
            self.write.start();
            return self.write.poll(cx);
        }
        result
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patience<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let begun = this.requests.begun();
        if this.seen != begun {
            this.seen = begun;
            this.header.stop();
        }
        let result = Pin::new(&mut this.stream).poll_read(cx, buffer);
        if result.is_pending() {
            return this.header.poll(cx);
        }
        if this.requests.is_idle() {
            // The first bytes of the next request.
            this.header.start();
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patience<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.written(cx, result)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_write_vectored(cx, slices);
        this.written(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_flush(cx);
        if result.is_ready() {
            this.write.stop();
        }
        this.written(cx, result)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = Pin::new(&mut this.stream).poll_shutdown(cx);
        this.written(cx, result)
    }
}

/// Fails when it has run for too long.
struct Timer {
    limit: Duration,
    message: &'static str,
    running: Option<Pin<Box<Sleep>>>,
}

impl Timer {
    fn new(limit: Duration, message: &'static str) -> Self {
        Self {
            limit,
            message,
            running: None,
        }
    }

    /// Starts it, unless it runs already.
    fn start(&mut self) {
        self.running
            .get_or_insert_with(|| Box::pin(sleep(self.limit)));
    }

    fn stop(&mut self) {
        self.running = None;
    }

    fn poll<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        match &mut self.running {
            Some(sleep) => sleep
                .as_mut()
                .poll(cx)
                .map(|()| Err(io::Error::new(io::ErrorKind::TimedOut, self.message))),
            None => Poll::Pending,
        }
    }
}
