//! A bounded HTTP/1.1 server, for the TLS webhook port and for the plain admin port.
//!
//! Everything that a peer can hold has a limit: connections, handshakes, headers, bodies, slow
//! reading, idling. kube-apiserver speaks HTTP/1.1 to webhooks, so there is no HTTP/2 here, and
//! the protocol-guessing server of hyper-util is avoided because it lets silent peers stay.

use std::{convert::Infallible, io, panic::AssertUnwindSafe, pin::pin, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    response::{IntoResponse, Response},
};
use futures::FutureExt;
use hyper::{
    Request, StatusCode,
    body::Incoming,
    header::{CONNECTION, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;
use tracing::{debug, error, warn};

use crate::{Shutdown, tasks::panic_message};

mod arriving;
mod patience;

use arriving::Arriving;
use patience::{Patience, Requests};

/// What a peer may hold, and for how long.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Open connections; more are accepted and closed at once.
    pub connections: usize,
    /// From TCP connect to the end of the TLS handshake.
    pub handshake: Duration,
    /// From the first byte of a request, or from the start of the connection, to the end of the
    /// request's headers. The connection is closed.
    pub header_read: Duration,
    /// All headers of a request together; more is answered with 431.
    pub header_bytes: usize,
    /// From the end of the headers to the end of the request's body; then 408 is answered.
    pub body_read: Duration,
    /// How long a peer may take to read an answer that does not fit into the socket's buffer.
    pub write: Duration,
    /// Between two requests. More than the 90 s after which the API server drops idle
    /// connections, so that we never close one that it is about to use.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            handshake: Duration::from_secs(2),
            header_read: Duration::from_secs(5),
            header_bytes: 16 * 1024,
            body_read: Duration::from_secs(10),
            write: Duration::from_secs(5),
            idle: Duration::from_secs(120),
        }
    }
}

/// How a server ends: it goes on accepting and answering for a while, with `Connection: close`,
/// because peers learn late that it leaves; then it finishes what is in flight.
#[derive(Clone, Debug)]
pub struct Drain {
    /// When to begin.
    pub shutdown: Shutdown,
    /// How long to go on as a lame duck.
    pub lame_duck: Duration,
    /// How long requests in flight may take after that.
    pub finish: Duration,
}

impl Drain {
    /// Ten seconds as a lame duck, then five for requests in flight.
    #[must_use]
    pub fn new(shutdown: Shutdown) -> Self {
        Self {
            shutdown,
            lame_duck: Duration::from_secs(10),
            finish: Duration::from_secs(5),
        }
    }
}

/// The read and write buffer of a connection.
const BUFFER: usize = 64 * 1024;
/// How long to wait when no connection can be accepted, usually for lack of file descriptors.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);
/// How often to say that there are too many connections.
const WARN_AGAIN: Duration = Duration::from_secs(10);

struct Server {
    tls: Option<TlsAcceptor>,
    router: Router,
    limits: Limits,
    /// Set off when answers carry `Connection: close`.
    lame_duck: Shutdown,
    /// Set off when connections are to end.
    closing: Shutdown,
}

/// Serves until `drain` is through. A panic in a handler is answered with 500.
///
/// Readiness must turn off when the drain begins; [`crate::Health`] does so by itself.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    router: Router,
    limits: Limits,
    drain: Drain,
) {
    let (close, closing) = Shutdown::pair();
    let slots = Arc::new(Semaphore::new(limits.connections));
    let server = Arc::new(Server {
        tls: tls.map(TlsAcceptor::from),
        router,
        limits,
        lame_duck: drain.shutdown.clone(),
        closing,
    });
    let mut connections = JoinSet::new();
    let mut warned: Option<Instant> = None;
    let mut end = pin!(async {
        drain.shutdown.cancelled().await;
        sleep(drain.lame_duck).await;
    });
    loop {
        let stream = tokio::select! {
            () = &mut end => break,
            Some(ended) = connections.join_next() => {
                if let Err(error) = ended {
                    error!(%error, "connection ended badly");
                }
                continue;
            }
            stream = accept(&listener) => stream,
        };
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
            if warned.is_none_or(|at| at.elapsed() > WARN_AGAIN) {
                warned = Some(Instant::now());
                warn!(
                    limit = server.limits.connections,
                    "too many connections: closing new ones"
                );
            }
            continue;
        };
        let server = Arc::clone(&server);
        connections.spawn(async move {
            server.connection(stream).await;
            drop(slot);
        });
    }
    drop(listener);
    close.now();
    // Those that take longer are aborted with the set.
    let all_ended = async { while connections.join_next().await.is_some() {} };
    if timeout(drain.finish, all_ended).await.is_err() {
        warn!("requests were still in flight at the end");
    }
}

/// The next connection. Errors are not ours to end on: we wait a little and try again.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) if is_of_one_connection(&error) => debug!(%error, "connection lost"),
            Err(error) => {
                warn!(%error, "cannot accept connections");
                sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

/// Answers leave at once, and peers that vanished are noticed within half a minute.
fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(15))
        .with_interval(Duration::from_secs(5));
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(Duration::from_secs(10)))?;
    Ok(())
}

impl Server {
    async fn connection(self: Arc<Self>, stream: TcpStream) {
        if let Err(error) = tune(&stream) {
            debug!(%error, "cannot set options of a connection");
        }
        let Some(tls) = &self.tls else {
            return self.http(stream).await;
        };
        match timeout(self.limits.handshake, tls.accept(stream)).await {
            Ok(Ok(stream)) => self.http(stream).await,
            Ok(Err(error)) => debug!(%error, "TLS handshake failed"),
            Err(_) => debug!("TLS handshake took too long"),
        }
    }

    async fn http(&self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let requests = Requests::default();
        let stream = Patience::new(stream, requests.clone(), &self.limits);
        let service = service_fn(async |request| {
            requests.begin();
            let response = self.answer(request).await;
            requests.answer();
            Ok::<_, Infallible>(response)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            // It runs from the end of the request before; `Patience` is stricter.
            .header_read_timeout(self.limits.idle)
            .max_header_size(self.limits.header_bytes)
            .max_buf_size(BUFFER.max(self.limits.header_bytes))
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        let result = tokio::select! {
            result = connection.as_mut() => result,
            () = self.closing.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = result {
            debug!(%error, cause = ?std::error::Error::source(&error), "connection closed");
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response {
        let (parts, body) = request.into_parts();
        let (body, complete) = Arriving::new(body);
        let late = async {
            if timeout(self.limits.body_read, complete).await.is_ok() {
                std::future::pending().await
            }
        };
        let request = Request::from_parts(parts, Body::new(body));
        let handled = AssertUnwindSafe(self.router.clone().oneshot(request)).catch_unwind();
        let mut response = tokio::select! {
            biased;
            handled = handled => match handled {
                Ok(Ok(response)) => response,
                Ok(Err(never)) => match never {},
                Err(panic) => {
                    error!(panic = panic_message(panic.as_ref()), "a handler panicked");
                    (StatusCode::INTERNAL_SERVER_ERROR, "internal error\n").into_response()
                }
            },
            () = late => closing((StatusCode::REQUEST_TIMEOUT, "body timeout\n").into_response()),
        };
        if self.lame_duck.is_cancelled() {
            response = closing(response);
        }
        response
    }
}

fn closing(mut response: Response) -> Response {
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(CONNECTION, close);
    response
}

#[cfg(test)]
mod tests;
