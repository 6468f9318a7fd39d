//! TLS for the fake registry, signed by an authority of its own.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::certificate::Authority;

/// Accepts connections and shakes hands. Who breaks off is forgotten.
pub(super) struct Listener {
    pub(super) listener: TcpListener,
    pub(super) acceptor: TlsAcceptor,
}

impl axum::serve::Listener for Listener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            if let Ok((stream, address)) = self.listener.accept().await
                && let Ok(stream) = self.acceptor.accept(stream).await
            {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// An acceptor for the name `localhost`, and the PEM of the authority that signed it.
pub(super) fn localhost() -> (TlsAcceptor, String) {
    let authority = Authority::new();
    let leaf = authority.issue("localhost");
    let certificate = CertificateDer::from_pem_slice(leaf.certificate.as_bytes());
    let key = PrivateKeyDer::from_pem_slice(leaf.key.as_bytes());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider knows TLS 1.3")
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.expect("a certificate that was just made")],
            key.expect("a key that was just made"),
        )
        .expect("the key belongs to the certificate");
    (TlsAcceptor::from(Arc::new(config)), authority.pem())
}
