//! The certificate of the webhook port: read from files, and read again when they change.
//!
//! Files that are missing or bad at the start are an error. Later, when a Secret is being
//! rewritten, the last good certificate goes on being served.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicI64},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use arc_swap::ArcSwap;
use hostfit_process::Condition;
use prometheus_client::metrics::gauge::Gauge;
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};
use tokio::time::sleep;
use tracing::{info, warn};
use x509_parser::{parse_x509_certificate, time::ASN1Time};

/// Polling, because a Secret's files are links that are swapped, and reading two small files is
/// cheaper than to get notifications right.
const POLL: Duration = Duration::from_secs(2);

/// Why files cannot be served as a certificate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("read {path}: mount the Secret with tls.crt and tls.key in this directory")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file does not hold PEM certificates.
    #[error("read {path}: write the certificate there in PEM, then those of its issuers")]
    Certificates {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: pem::Error,
    },
    /// The first certificate is malformed.
    #[error("the first certificate in {path} is not X.509: write the server's certificate first")]
    Leaf {
        /// The file.
        path: PathBuf,
    },
    /// A file does not hold a private key. There is no source, which might quote the key.
    #[error("no private key in {path}: write the key of tls.crt there, in PEM and not encrypted")]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// The key is of no use, or that of another certificate.
    #[error("use the key in {path} for tls.crt: write both files from the same issue")]
    Key {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: rustls::Error,
    },
}

/// The certificate in a directory, kept up to date by [`Certificate::follow`].
#[derive(Debug)]
pub struct Certificate {
    directory: PathBuf,
    /// What was read last, good or bad.
    files: Option<Files>,
    /// What is wrong with the files now.
    trouble: Option<String>,
    served: Arc<Served>,
    expiry: Gauge<i64, AtomicI64>,
}

#[derive(Debug)]
struct Served(ArcSwap<Leaf>);

#[derive(Debug)]
struct Leaf {
    key: Arc<CertifiedKey>,
    not_after: ASN1Time,
}

#[derive(PartialEq)]
struct Files {
    certificates: Vec<u8>,
    key: Vec<u8>,
}

impl Certificate {
    /// Reads `tls.crt` and `tls.key`.
    ///
    /// # Errors
    /// If a file is missing or bad, or if they do not belong together.
    pub async fn load(directory: impl Into<PathBuf>) -> Result<Self, Error> {
        let directory = directory.into();
        let files = Files::read(&directory).await?;
        let leaf = files.parse(&directory)?;
        let expiry = Gauge::default();
        expiry.set(leaf.not_after.timestamp());
        Ok(Self {
            directory,
            files: Some(files),
            trouble: None,
            served: Arc::new(Served(ArcSwap::from_pointee(leaf))),
            expiry,
        })
    }

    /// A server that serves the current certificate to each new connection: TLS 1.2 or 1.3, and
    /// HTTP/1.1 inside.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13, &TLS12])
            .expect("aws-lc-rs has cipher suites for both versions")
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&self.served) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Arc::new(config)
    }

    /// When the served certificate ends, in seconds of Unix time: register it as
    /// `hostfit_webhook_certificate_expiry_timestamp_seconds`. Clones are one gauge.
    #[must_use]
    pub fn expiry(&self) -> Gauge<i64, AtomicI64> {
        self.expiry.clone()
    }

    /// Looks at the files every two seconds; `ready` holds unless the served certificate has
    /// expired. Run it as a background task: it never ends.
    pub async fn follow(mut self, ready: Condition) {
        loop {
            self.refresh().await;
            match self.expired(SystemTime::now()) {
                Some(reason) => ready.set_unready(reason),
                None => match &self.trouble {
                    Some(trouble) => ready.set_degraded(trouble),
                    None => ready.set_ready(),
                },
            }
            sleep(POLL).await;
        }
    }

    /// Reads the files again, and serves what they hold if it is good. What is wrong is logged
    /// once.
    async fn refresh(&mut self) {
        let result = match Files::read(&self.directory).await {
            Ok(files) if self.files.as_ref() == Some(&files) => return,
            Ok(files) => {
                let leaf = files.parse(&self.directory);
                self.files = Some(files);
                leaf
            }
            Err(error) => {
                self.files = None;
                Err(error)
            }
        };
        match result {
            Ok(leaf) => {
                info!(not_after = %leaf.not_after, "serving a new certificate");
                self.trouble = None;
                self.expiry.set(leaf.not_after.timestamp());
                self.served.0.store(Arc::new(leaf));
            }
            Err(error) => {
                let trouble = format!("{}; still serving the last good one", chain(&error));
                if self.trouble.as_ref() != Some(&trouble) {
                    warn!(reason = trouble, "bad certificate files");
                    self.trouble = Some(trouble);
                }
            }
        }
    }

    fn expired(&self, now: SystemTime) -> Option<String> {
        let not_after = self.served.0.load().not_after;
        let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX);
        (now > not_after.timestamp()).then(|| {
            let directory = self.directory.display();
            format!("the certificate in {directory} expired at {not_after}: issue a new one")
        })
    }
}

impl ResolvesServerCert for Served {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.load().key))
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // One of them is a private key.
        f.write_str("Files(..)")
    }
}

impl Files {
    async fn read(directory: &Path) -> Result<Self, Error> {
        async fn read(path: PathBuf) -> Result<Vec<u8>, Error> {
            let read = tokio::fs::read(&path).await;
            read.map_err(|source| Error::Read { path, source })
        }
        Ok(Self {
            certificates: read(directory.join("tls.crt")).await?,
            key: read(directory.join("tls.key")).await?,
        })
    }

    fn parse(&self, directory: &Path) -> Result<Leaf, Error> {
        let path = || directory.join("tls.crt");
        let chain = CertificateDer::pem_slice_iter(&self.certificates)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|source| Error::Certificates {
                path: path(),
                source,
            })?;
        let Some(first) = chain.first() else {
            let source = pem::Error::NoItemsFound;
            return Err(Error::Certificates {
                path: path(),
                source,
            });
        };
        let (_, leaf) = parse_x509_certificate(first).map_err(|_| Error::Leaf { path: path() })?;
        let not_after = leaf.validity().not_after;

        let path = || directory.join("tls.key");
        let key =
            PrivateKeyDer::from_pem_slice(&self.key).map_err(|_| Error::NoKey { path: path() })?;
        let key = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(
            |source| Error::Key {
                path: path(),
                source,
            },
        )?;
        Ok(Leaf {
            key: Arc::new(key),
            not_after,
        })
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs, process,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use hostfit_process::{Health, Shutdown};
    use rcgen::{
        BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
    };
    use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::*;

    const NAME: &str = "hostfit-webhook.hostfit.svc";

    type Ca = CertifiedIssuer<'static, KeyPair>;

    fn ca() -> Ca {
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "hostfit test CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        (params.not_before, params.not_after) =
            (date_time_ymd(2020, 1, 1), date_time_ymd(2100, 1, 1));
        Ca::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    }

    /// A certificate that ends in that year, and its key.
    fn issue(ca: &Ca, year: i32) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([NAME.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, NAME);
        params.use_authority_key_identifier_extension = true;
        (params.not_before, params.not_after) =
            (date_time_ymd(2020, 1, 1), date_time_ymd(year, 1, 1));
        let leaf = params.signed_by(&key, ca).unwrap();
        (leaf.pem(), key.serialize_pem())
    }

    /// A directory for the files of one test.
    struct Directory(PathBuf);

    impl Directory {
        fn new() -> Self {
            static COUNT: AtomicUsize = AtomicUsize::new(0);
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = std::env::temp_dir().join(format!("hostfit-tls-{}-{count}", process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn write(&self, (certificates, key): &(String, String)) {
            fs::write(self.0.join("tls.crt"), certificates).unwrap();
            fs::write(self.0.join("tls.key"), key).unwrap();
        }

        /// What loading says, with a short name for the directory.
        async fn trouble(&self) -> String {
            let error = Certificate::load(&self.0).await.unwrap_err();
            self.shorten(&chain(&error))
        }

        fn shorten(&self, text: &str) -> String {
            text.replace(self.0.to_str().unwrap(), "/tls")
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn served(certificate: &Certificate) -> String {
        let not_after = certificate.served.0.load().not_after;
        assert_eq!(certificate.expiry().get(), not_after.timestamp());
        not_after.to_datetime().year().to_string()
    }

    #[tokio::test]
    async fn bad_files_at_the_start_are_an_error_that_names_them() {
        let ca = ca();
        let (good, other) = (issue(&ca, 2090), issue(&ca, 2090));
        async fn check(certificates: Option<&str>, key: Option<&str>, expected: &str) {
            let directory = Directory::new();
            for (name, text) in [("tls.crt", certificates), ("tls.key", key)] {
                if let Some(text) = text {
                    fs::write(directory.0.join(name), text).unwrap();
                }
            }
            assert_eq!(directory.trouble().await, expected);
        }
        let mount = "mount the Secret with tls.crt and tls.key in this directory: \
                     No such file or directory (os error 2)";
        check(None, Some(&good.1), &format!("read /tls/tls.crt: {mount}")).await;
        check(Some(&good.0), None, &format!("read /tls/tls.key: {mount}")).await;
        let pem =
            "read /tls/tls.crt: write the certificate there in PEM, then those of its issuers";
        check(
            Some("garbage"),
            Some(&good.1),
            &format!("{pem}: no items found"),
        )
        .await;
        check(Some(""), Some(&good.1), &format!("{pem}: no items found")).await;
        check(
            Some("-----BEGIN CERTIFICATE-----\nZm9v\n-----END CERTIFICATE-----\n"),
            Some(&good.1),
            "the first certificate in /tls/tls.crt is not X.509: \
             write the server's certificate first",
        )
        .await;
        check(
            Some(&good.0),
            Some("garbage"),
            "no private key in /tls/tls.key: \
             write the key of tls.crt there, in PEM and not encrypted",
        )
        .await;
        let key = "use the key in /tls/tls.key for tls.crt: write both files from the same issue";
        let mismatch = format!("{key}: keys may not be consistent: KeyMismatch");
        check(Some(&good.0), Some(&other.1), &mismatch).await;
    }

    #[tokio::test]
    async fn new_files_are_served_and_bad_ones_leave_the_last_good_certificate() {
        let ca = ca();
        let directory = Directory::new();
        directory.write(&issue(&ca, 2090));
        let mut certificate = Certificate::load(&directory.0).await.unwrap();
        assert_eq!(served(&certificate), "2090");

        let next = issue(&ca, 2091);
        directory.write(&next);
        certificate.refresh().await;
        assert_eq!(served(&certificate), "2091");

        for (bad, expected) in [
            (
                (next.0.clone(), "garbage".to_owned()),
                "no private key in /tls/tls.key",
            ),
            (
                (next.0.clone(), issue(&ca, 2092).1),
                "use the key in /tls/tls.key for tls.crt",
            ),
            (
                ("garbage".to_owned(), next.1.clone()),
                "read /tls/tls.crt: write the certificate",
            ),
        ] {
            directory.write(&bad);
            certificate.refresh().await;
            assert_eq!(served(&certificate), "2091");
            let trouble = directory.shorten(certificate.trouble.as_ref().unwrap());
            assert!(trouble.starts_with(expected), "{trouble}");
            assert!(
                trouble.ends_with("; still serving the last good one"),
                "{trouble}"
            );
        }

        fs::remove_file(directory.0.join("tls.key")).unwrap();
        certificate.refresh().await;
        assert_eq!(served(&certificate), "2091");
        assert!(certificate.trouble.is_some());

        directory.write(&issue(&ca, 2093));
        certificate.refresh().await;
        assert_eq!(served(&certificate), "2093");
        assert_eq!(certificate.trouble, None);
    }

    #[tokio::test(start_paused = true)]
    async fn ready_while_the_served_certificate_is_valid() {
        let ca = ca();
        let directory = Directory::new();
        directory.write(&issue(&ca, 2021));
        let certificate = Certificate::load(&directory.0).await.unwrap();
        let health = Health::new(Shutdown::never());
        let mut following = Box::pin(certificate.follow(health.condition("certificate")));
        let mut poll = async || {
            let _ = tokio::time::timeout(2 * POLL, following.as_mut()).await;
            health.is_ready()
        };
        assert!(!poll().await);
        directory.write(&issue(&ca, 2090));
        assert!(poll().await);
        fs::remove_file(directory.0.join("tls.crt")).unwrap();
        assert!(poll().await);
    }

    #[tokio::test]
    async fn clients_that_trust_the_ca_speak_http1_with_each_new_connection() {
        let ca = ca();
        let directory = Directory::new();
        directory.write(&issue(&ca, 2090));
        let mut certificate = Certificate::load(&directory.0).await.unwrap();
        let acceptor = TlsAcceptor::from(certificate.config());
        let mut roots = RootCertStore::empty();
        roots.add(ca.der().clone()).unwrap();
        hostfit_process::log::install_crypto();
        let client = ClientConfig::builder().with_root_certificates(roots);
        let mut client = client.with_no_client_auth();
        client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        client.resumption = rustls::client::Resumption::disabled();
        let connector = TlsConnector::from(Arc::new(client));
        let connect = async || {
            let (near, far) = tokio::io::duplex(64 * 1024);
            let name = ServerName::try_from(NAME).unwrap();
            let (near, far) = tokio::join!(connector.connect(name, near), acceptor.accept(far));
            far.unwrap();
            let near = near.unwrap();
            let (_, session) = near.get_ref();
            assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
            session.peer_certificates().unwrap()[0].clone()
        };
        let first = connect().await;
        assert_eq!(connect().await, first);
        directory.write(&issue(&ca, 2090));
        certificate.refresh().await;
        assert_ne!(connect().await, first);
    }
}
