//! Whether the API server will trust the webhook's certificate.

use std::sync::Arc;

use anyhow::anyhow;
use jiff::Timestamp;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, RootCertStore};

/// What is wrong with a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wrong {
    /// It is none.
    Unreadable,
    /// There is nobody to trust.
    NoBundle,
    /// Nobody in the bundle has signed it.
    NotTrusted,
    /// Its time is over.
    Expired,
    /// Its time has not come: a clock is off.
    NotYet,
    /// It is for another name.
    OtherName,
    /// Anything else, in the words of the verifier.
    Other(String),
}

/// When the time of the first certificate of `leaf` (PEM) is over.
pub(super) fn until(leaf: &[u8]) -> Option<Timestamp> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(leaf).ok()?;
    let until = pem.parse_x509().ok()?.validity().not_after.timestamp();
    Timestamp::from_second(until).ok()
}

/// Verifies `leaf` (PEM, perhaps with a chain) as the API server does: by `bundle` (PEM), for a name, at a time.
pub(super) fn verify(leaf: &[u8], bundle: &[u8], name: &str, now: Timestamp) -> Result<(), Wrong> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(leaf)
        .filter_map(Result::ok)
        .collect();
    let (leaf, chain) = chain.split_first().ok_or(Wrong::Unreadable)?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(bundle).filter_map(Result::ok));
    if roots.is_empty() {
        return Err(Wrong::NoBundle);
    }
    let other = |error: &dyn std::fmt::Display| Wrong::Other(error.to_string());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| other(&error))?;
    let server = ServerName::try_from(name).map_err(|error| other(&error))?;
    let seconds = u64::try_from(now.as_second()).map_err(|_| other(&anyhow!("before 1970")))?;
    let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
    let verified = verifier.verify_server_cert(leaf, chain, &server, &[], at);
    let Err(error) = verified else {
        return Ok(());
    };
    Err(match &error {
        rustls::Error::InvalidCertificate(error) => match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Wrong::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Wrong::NotYet
            }
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Wrong::NotTrusted,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Wrong::OtherName
            }
            CertificateError::BadEncoding => Wrong::Unreadable,
            error => other(error),
        },
        error => other(error),
    })
}
