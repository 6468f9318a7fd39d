use std::net::SocketAddr;

use axum::{
    body::Bytes,
    routing::{get, post},
};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{PrivateKeyDer, ServerName},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};

use tokio_rustls::TlsConnector;

use super::*;
use crate::tasks::Stop;

const MS: Duration = Duration::from_millis(1);
/// More than any wait of these tests; nothing sleeps for it.
const LONG: Duration = Duration::from_secs(20);
const GET: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";

/// Everything long, so that each test shortens the one limit that it is about.
fn limits() -> Limits {
    Limits {
        connections: 10,
        handshake: LONG,
        header_read: LONG,
        header_bytes: 16 * 1024,
        body_read: LONG,
        write: LONG,
        idle: LONG,
    }
}

struct Running {
    address: SocketAddr,
    stop: Stop,
    server: JoinHandle<()>,
}

async fn start(limits: Limits) -> Running {
    start_with(limits, None, Duration::ZERO).await
}

async fn start_with(
    limits: Limits,
    tls: Option<Arc<ServerConfig>>,
    lame_duck: Duration,
) -> Running {
    let router = Router::new()
        .route("/", get(|| async { "ok" }))
        .route(
            "/length",
            post(|body: Bytes| async move { body.len().to_string() }),
        )
        .route("/large", get(|| async { vec![b'x'; 64 << 20] }))
        .route("/slow", get(|| sleep(500 * MS)))
        .route(
            "/panic",
            get(|| async {
                if true {
                    panic!("bug")
                }
            }),
        );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, shutdown) = Shutdown::pair();
    let drain = Drain {
        shutdown,
        lame_duck,
        finish: LONG,
    };
    let server = tokio::spawn(serve(listener, tls, router, limits, drain));
    Running {
        address,
        stop,
        server,
    }
}

async fn connect(running: &Running) -> TcpStream {
    TcpStream::connect(running.address).await.unwrap()
}

/// All that comes until the server closes.
async fn rest(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut answer = Vec::new();
    let read = timeout(LONG, stream.read_to_end(&mut answer)).await;
    // A reset is as good as an end.
    let _ = read.expect("the connection is closed");
    String::from_utf8(answer).unwrap()
}

/// Sends something and reads until the end of a short answer, which leaves the connection open.
async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let read = timeout(LONG, stream.read(&mut answer))
        .await
        .unwrap()
        .unwrap();
    String::from_utf8(answer[..read].to_vec()).unwrap()
}

#[track_caller]
fn check_status(answer: &str, expected: &str) {
    let status = answer.strip_prefix("HTTP/1.1 ").unwrap_or(answer);
    assert!(status.starts_with(expected), "{expected} is not {answer:?}");
}

#[tokio::test]
async fn a_peer_that_does_not_finish_its_headers_is_dropped() {
    for sent in ["", "GET", "GET / HTTP/1.1\r\nhost: x\r\n"] {
        let running = start(Limits {
            header_read: 50 * MS,
            ..limits()
        })
        .await;
        let mut stream = connect(&running).await;
        stream.write_all(sent.as_bytes()).await.unwrap();
        assert_eq!(rest(&mut stream).await, "", "after {sent:?}");
    }
}

#[tokio::test]
async fn headers_of_later_requests_have_a_limit_too_but_idling_does_not_count() {
    let running = start(Limits {
        header_read: 300 * MS,
        ..limits()
    })
    .await;
    let mut stream = connect(&running).await;
    check_status(&ask(&mut stream, GET).await, "200");
    sleep(400 * MS).await;
    check_status(&ask(&mut stream, GET).await, "200");
    sleep(400 * MS).await;
    // Byte by byte does not help: the time runs from the first one.
    for byte in "GET / HTTP".bytes() {
        let _ = stream.write_all(&[byte]).await;
        sleep(50 * MS).await;
    }
    assert_eq!(rest(&mut stream).await, "");
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_the_end() {
    let running = start(Limits {
        idle: 300 * MS,
        ..limits()
    })
    .await;
    let mut stream = connect(&running).await;
    check_status(&ask(&mut stream, GET).await, "200");
    assert_eq!(rest(&mut stream).await, "");
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_answered_with_408() {
    let running = start(Limits {
        body_read: 50 * MS,
        ..limits()
    })
    .await;
    for encoding in ["content-length: 10", "transfer-encoding: chunked"] {
        let mut stream = connect(&running).await;
        let request = format!("POST /length HTTP/1.1\r\nhost: x\r\n{encoding}\r\n\r\n3");
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = rest(&mut stream).await;
        check_status(&answer, "408");
        assert!(answer.contains("connection: close"), "{answer}");
    }
    // The time for bodies is not for handlers.
    let mut stream = connect(&running).await;
    check_status(
        &ask(&mut stream, "GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await,
        "200",
    );
}

#[tokio::test]
async fn a_slow_body_has_its_own_time() {
    let running = start(Limits {
        header_read: 250 * MS,
        ..limits()
    })
    .await;
    let mut stream = connect(&running).await;
    let head = "POST /length HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    for byte in b"abc" {
        sleep(100 * MS).await;
        stream.write_all(&[*byte]).await.unwrap();
    }
    let answer = ask(&mut stream, "d").await;
    check_status(&answer, "200");
    assert!(answer.ends_with("\r\n\r\n4"), "{answer}");
    sleep(300 * MS).await;
    check_status(&ask(&mut stream, GET).await, "200");
}

#[tokio::test]
async fn too_large_headers_are_refused() {
    let running = start(limits()).await;
    let mut stream = connect(&running).await;
    let request = format!(
        "GET / HTTP/1.1\r\nhost: x\r\nlong: {}",
        "x".repeat(17 * 1024)
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    check_status(&rest(&mut stream).await, "431");
}

#[tokio::test]
async fn connections_above_the_limit_are_closed_at_once_until_one_ends() {
    let running = start(Limits {
        connections: 1,
        ..limits()
    })
    .await;
    let mut first = connect(&running).await;
    check_status(&ask(&mut first, GET).await, "200");
    let mut second = connect(&running).await;
    assert_eq!(rest(&mut second).await, "");
    check_status(&ask(&mut first, GET).await, "200");
    drop(first);
    wait_for_a_slot(&running).await;
}

/// Only a peer can see that a slot is free.
async fn wait_for_a_slot(running: &Running) {
    let served = async {
        loop {
            let mut stream = connect(running).await;
            let mut byte = [0];
            let sent = stream.write_all(GET.as_bytes()).await;
            if sent.is_ok() && stream.read(&mut byte).await.is_ok_and(|read| read == 1) {
                return;
            }
            sleep(5 * MS).await;
        }
    };
    // TCP itself gives up on a peer that does not read after ten seconds; that is not meant here.
    let served = timeout(LONG / 4, served).await;
    served.expect("a slot becomes free");
}

#[tokio::test]
async fn a_peer_that_does_not_read_its_answer_loses_its_slot() {
    let limits = Limits {
        connections: 1,
        write: 50 * MS,
        ..limits()
    };
    let running = start(limits).await;
    let mut lazy = connect(&running).await;
    let request = "GET /large HTTP/1.1\r\nhost: x\r\n\r\n";
    lazy.write_all(request.as_bytes()).await.unwrap();
    lazy.read_u8().await.unwrap();
    wait_for_a_slot(&running).await;
}

#[tokio::test]
async fn a_panic_is_answered_with_500_and_the_connection_lives() {
    let running = start(limits()).await;
    let mut stream = connect(&running).await;
    let answer = ask(&mut stream, "GET /panic HTTP/1.1\r\nhost: x\r\n\r\n").await;
    check_status(&answer, "500");
    check_status(&ask(&mut stream, GET).await, "200");
}

#[tokio::test]
async fn a_lame_duck_answers_with_connection_close_and_then_leaves() {
    let running = start_with(limits(), None, 800 * MS).await;
    let mut old = connect(&running).await;
    let mut idle = connect(&running).await;
    for stream in [&mut old, &mut idle] {
        let answer = ask(stream, GET).await;
        check_status(&answer, "200");
        assert!(!answer.contains("connection: close"), "{answer}");
    }
    running.stop.now();
    let mut new = connect(&running).await;
    for stream in [&mut old, &mut new] {
        stream.write_all(GET.as_bytes()).await.unwrap();
        let answer = rest(stream).await;
        check_status(&answer, "200");
        assert!(answer.contains("connection: close"), "{answer}");
    }
    let mut busy = connect(&running).await;
    sleep(500 * MS).await;
    let request = "GET /slow HTTP/1.1\r\nhost: x\r\n\r\n";
    busy.write_all(request.as_bytes()).await.unwrap();
    assert_eq!(rest(&mut idle).await, "");
    check_status(&rest(&mut busy).await, "200");
    timeout(LONG, running.server).await.unwrap().unwrap();
    assert!(TcpStream::connect(running.address).await.is_err());
}

#[tokio::test]
async fn a_drain_does_not_wait_for_ever() {
    let router = Router::new().route("/", get(|| sleep(LONG)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut stream = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (stop, shutdown) = Shutdown::pair();
    let drain = Drain {
        shutdown,
        lame_duck: 50 * MS,
        finish: 50 * MS,
    };
    stream.write_all(GET.as_bytes()).await.unwrap();
    stop.now();
    let served = serve(listener, None, router, limits(), drain);
    timeout(LONG / 2, served).await.unwrap();
    assert_eq!(rest(&mut stream).await, "");
}

/// A server's settings, and those of a client that trusts it.
fn tls() -> (Arc<ServerConfig>, TlsConnector) {
    crate::log::install_crypto();
    let key = KeyPair::generate().unwrap();
    let mut leaf = CertificateParams::new(["localhost".to_owned()]).unwrap();
    leaf.not_after = date_time_ymd(2100, 1, 1);
    let leaf = leaf.self_signed(&key).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let server = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key);
    let mut roots = RootCertStore::empty();
    roots.add(leaf.der().clone()).unwrap();
    let client = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (
        Arc::new(server.unwrap()),
        TlsConnector::from(Arc::new(client)),
    )
}

#[tokio::test]
async fn a_peer_must_finish_its_handshake_and_then_its_headers() {
    let limits = Limits {
        handshake: 300 * MS,
        header_read: 300 * MS,
        ..limits()
    };
    let (server, client) = tls();
    let running = start_with(limits, Some(server), Duration::ZERO).await;
    let mut stream = connect(&running).await;
    assert_eq!(rest(&mut stream).await, "");

    let localhost = || ServerName::try_from("localhost").unwrap();
    let stream = connect(&running).await;
    let mut stream = client.connect(localhost(), stream).await.unwrap();
    assert_eq!(rest(&mut stream).await, "");

    let stream = connect(&running).await;
    let mut stream = client.connect(localhost(), stream).await.unwrap();
    check_status(&ask(&mut stream, GET).await, "200");
}
