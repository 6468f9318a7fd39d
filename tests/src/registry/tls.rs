//! TLS for the fake registry, signed by an authority of its own.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::PrivateKeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

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
    let key = || KeyPair::generate().expect("keys can be made");
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.distinguished_name
        .push(DnType::CommonName, "hostfit test authority");
    let ca = CertifiedIssuer::self_signed(ca, key()).expect("the parameters are valid");
    let leaf_key = key();
    let mut leaf = CertificateParams::new(["localhost".to_owned()]).expect("a valid name");
    leaf.distinguished_name
        .push(DnType::CommonName, "localhost");
    let leaf = leaf
        .signed_by(&leaf_key, &ca)
        .expect("the authority can sign");
    let leaf_key =
        PrivateKeyDer::try_from(leaf_key.serialize_der()).expect("a key that was just made");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider knows TLS 1.3")
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], leaf_key)
        .expect("the key belongs to the certificate");
    (TlsAcceptor::from(Arc::new(config)), ca.pem())
}
