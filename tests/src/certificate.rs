//! Certificates of an authority that only one test knows.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// An authority of its own.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A server's certificate and its key, in PEM.
#[derive(Clone)]
pub struct Leaf {
    /// `tls.crt`
    pub certificate: String,
    /// `tls.key`
    pub key: String,
}

impl Authority {
    /// A new one.
    #[expect(clippy::new_without_default, reason = "it is another one each time")]
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "hostfit test authority");
        let issuer = CertifiedIssuer::self_signed(params, key());
        Self(issuer.expect("the parameters are valid"))
    }

    /// Its own certificate, in PEM.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for a name or address.
    pub fn issue(&self, name: &str) -> Leaf {
        let own = key();
        let mut params = CertificateParams::new([name.to_owned()]).expect("a valid name");
        params.distinguished_name.push(DnType::CommonName, name);
        let leaf = params.signed_by(&own, &self.0);
        Leaf {
            certificate: leaf.expect("the authority can sign").pem(),
            key: own.serialize_pem(),
        }
    }
}

fn key() -> KeyPair {
    KeyPair::generate().expect("keys can be made")
}
