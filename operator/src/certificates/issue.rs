//! An authority and a certificate of our own: what to issue, and when.

use k8s_openapi::ByteString;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use std::collections::BTreeMap;
use std::time::Duration;
use time::OffsetDateTime;
use x509_parser::pem::Pem;

/// Clocks of other machines may be behind ours.
const BACKDATED: Duration = Duration::from_secs(3600);

/// Keys of the Secret. The webhook mounts the leaf and its key only.
pub(crate) const LEAF: &str = "tls.crt";
pub(crate) const LEAF_KEY: &str = "tls.key";
/// Every authority that may have signed a leaf in use, the current one first.
pub(crate) const BUNDLE: &str = "ca.crt";
const CA_KEY: &str = "ca.key";

/// What certificates are to be like.
#[derive(Debug, Clone)]
pub(crate) struct Wishes {
    /// Names of the webhook's Service.
    pub(crate) names: Vec<String>,
    pub(crate) leaf_lifetime: Duration,
    pub(crate) ca_lifetime: Duration,
}

/// What the Secret is to hold, and what webhook configurations are to trust.
#[derive(Clone, PartialEq)]
pub(crate) struct Material {
    pub(crate) data: BTreeMap<String, ByteString>,
    pub(crate) changed: bool,
}

impl Material {
    pub(crate) fn bundle(&self) -> &[u8] {
        self.data
            .get(BUNDLE)
            .map(|bytes| bytes.0.as_slice())
            .unwrap_or_default()
    }
}

/// What the webhook configurations trust now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Live<'a> {
    /// Their bundle, as far as one is there.
    pub(crate) bundle: &'a [u8],
    /// All of them hold the bundle of the Secret.
    pub(crate) is_current: bool,
}

/// What the Secret is to hold. A leaf of a new authority is only issued when every webhook configuration trusts it, so
/// that no call meets a signer that is not trusted yet; and the authority before it stays trusted, because its leaf is
/// served until the kubelet has brought the new one.
pub(crate) fn renew(
    current: &BTreeMap<String, ByteString>,
    wishes: &Wishes,
    live: Live<'_>,
    now: OffsetDateTime,
) -> Result<Material, rcgen::Error> {
    let mut data = current.clone();
    let mut authority = Authority::read(&data).filter(|authority| authority.is_valid(now));
    let mut changed = false;
    let due = authority
        .as_ref()
        .is_none_or(|authority| authority.validity.is_due(now));
    if due {
        let made = Authority::make(wishes, now)?;
        let mut bundle = made.pem.clone();
        // Without the Secret, what is live tells which authority signed the leaf in use.
        let old = authority.as_ref().map(|old| old.pem.clone());
        bundle.push_str(&old.or_else(|| first_pem(live.bundle)).unwrap_or_default());
        data.insert(BUNDLE.to_owned(), ByteString(bundle.into_bytes()));
        data.insert(
            CA_KEY.to_owned(),
            ByteString(made.key.serialize_pem().into_bytes()),
        );
        // Without an old authority nothing trusted is in use: there is nothing to wait for.
        let first = authority.is_none();
        authority = Some(made);
        changed = true;
        if !first {
            return Ok(Material { data, changed });
        }
    }
    let leaf = Certificate::first(data.get(LEAF));
    let fresh = leaf.as_ref().is_some_and(|leaf| leaf.is_fresh(wishes, now));
    if let Some(authority) = &authority {
        let signed = leaf
            .as_ref()
            .is_some_and(|leaf| leaf.issuer == authority.subject);
        let expired = leaf.as_ref().is_none_or(|leaf| now > leaf.validity.end);
        let may_issue = live.is_current || signed || expired;
        if (!fresh || !signed) && may_issue {
            let (leaf, key) = authority.sign(wishes, now)?;
            data.insert(LEAF.to_owned(), ByteString(leaf.into_bytes()));
            data.insert(LEAF_KEY.to_owned(), ByteString(key.into_bytes()));
            changed = true;
        }
    }
    Ok(Material { data, changed })
}

/// The parts of a certificate that decide about renewal.
struct Certificate {
    subject: Vec<u8>,
    issuer: Vec<u8>,
    names: Vec<String>,
    validity: Validity,
}

#[derive(Clone, Copy)]
struct Validity {
    start: OffsetDateTime,
    end: OffsetDateTime,
}

impl Validity {
    fn new(now: OffsetDateTime, lifetime: Duration) -> Self {
        Self {
            start: now - BACKDATED,
            end: now + lifetime,
        }
    }

    /// After two thirds of its life, which began when it was issued.
    fn is_due(&self, now: OffsetDateTime) -> bool {
        let issued = self.start + BACKDATED;
        now >= issued + (self.end - issued) * 2 / 3
    }
}

impl Certificate {
    fn first(pem: Option<&ByteString>) -> Option<Self> {
        let pem = Pem::iter_from_buffer(&pem?.0).next()?.ok()?;
        let certificate = pem.parse_x509().ok()?;
        let names = certificate.subject_alternative_name().ok().flatten();
        let names = names
            .map(|names| names.value.general_names.clone())
            .unwrap_or_default();
        let time = |time: x509_parser::time::ASN1Time| time.to_datetime();
        Some(Self {
            subject: certificate.subject().as_raw().to_vec(),
            issuer: certificate.issuer().as_raw().to_vec(),
            names: names
                .iter()
                .filter_map(|name| match name {
                    x509_parser::extensions::GeneralName::DNSName(name) => Some((*name).to_owned()),
                    _ => None,
                })
                .collect(),
            validity: Validity {
                start: time(certificate.validity().not_before),
                end: time(certificate.validity().not_after),
            },
        })
    }

    fn is_fresh(&self, wishes: &Wishes, now: OffsetDateTime) -> bool {
        !self.validity.is_due(now) && self.names == wishes.names
    }
}

/// The first certificate of a bundle, if it is one.
fn first_pem(bundle: &[u8]) -> Option<String> {
    let end = "-----END CERTIFICATE-----";
    let (pem, _) = std::str::from_utf8(bundle).ok()?.split_once(end)?;
    let pem = format!("{pem}{end}\n");
    Certificate::first(Some(&ByteString(pem.clone().into_bytes()))).map(|_| pem)
}

struct Authority {
    pem: String,
    key: KeyPair,
    subject: Vec<u8>,
    validity: Validity,
}

impl Authority {
    /// The first certificate of the bundle, with its key.
    fn read(data: &BTreeMap<String, ByteString>) -> Option<Self> {
        let certificate = Certificate::first(data.get(BUNDLE))?;
        let pem = first_pem(&data.get(BUNDLE)?.0)?;
        let key = std::str::from_utf8(&data.get(CA_KEY)?.0).ok()?;
        Some(Self {
            pem,
            key: KeyPair::from_pem(key).ok()?,
            subject: certificate.subject,
            validity: certificate.validity,
        })
    }

    fn is_valid(&self, now: OffsetDateTime) -> bool {
        now >= self.validity.start && now < self.validity.end
    }

    fn make(wishes: &Wishes, now: OffsetDateTime) -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate()?;
        let validity = Validity::new(now, wishes.ca_lifetime);
        let mut parameters = CertificateParams::new(Vec::new())?;
        // Leaf and authorities need different names, else some clients take the leaf for self-signed.
        let name = format!("hostfit webhook authority {}", now.unix_timestamp());
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        parameters.not_before = validity.start;
        parameters.not_after = validity.end;
        let certificate = parameters.self_signed(&key)?;
        let pem = certificate.pem();
        let subject = Certificate::first(Some(&ByteString(pem.clone().into_bytes())))
            .map(|certificate| certificate.subject)
            .ok_or(rcgen::Error::CouldNotParseCertificate)?;
        Ok(Self {
            pem,
            key,
            subject,
            validity,
        })
    }

    fn sign(&self, wishes: &Wishes, now: OffsetDateTime) -> Result<(String, String), rcgen::Error> {
        let issuer = Issuer::from_ca_cert_pem(&self.pem, &self.key)?;
        let key = KeyPair::generate()?;
        let mut parameters = CertificateParams::new(wishes.names.clone())?;
        parameters
            .distinguished_name
            .push(DnType::CommonName, "hostfit webhook");
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        parameters.use_authority_key_identifier_extension = true;
        let validity = Validity::new(now, wishes.leaf_lifetime);
        parameters.not_before = validity.start;
        // A leaf outlives nobody that could vouch for it.
        parameters.not_after = validity.end.min(self.validity.end);
        let certificate = parameters.signed_by(&key, &issuer)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn wishes() -> Wishes {
        Wishes {
            names: vec!["hostfit-webhook.hostfit.svc".to_owned()],
            leaf_lifetime: 90 * DAY,
            ca_lifetime: 3650 * DAY,
        }
    }

    const NOWHERE: Live<'_> = Live {
        bundle: &[],
        is_current: false,
    };
    const EVERYWHERE: Live<'_> = Live {
        bundle: &[],
        is_current: true,
    };

    fn start() -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap()
    }

    fn first() -> Material {
        renew(&BTreeMap::new(), &wishes(), NOWHERE, start()).unwrap()
    }

    fn leaf_is_signed_by_first(material: &Material) -> bool {
        let leaf = Certificate::first(material.data.get(LEAF)).unwrap();
        leaf.issuer
            == Certificate::first(material.data.get(BUNDLE))
                .unwrap()
                .subject
    }

    #[test]
    fn the_first_time_everything_is_issued_and_then_nothing_changes() {
        let material = first();
        assert!(material.changed);
        assert!(leaf_is_signed_by_first(&material));
        let leaf = Certificate::first(material.data.get(LEAF)).unwrap();
        assert_eq!(leaf.names, wishes().names);
        assert_eq!(leaf.validity.start, start() - BACKDATED);
        let again = renew(&material.data, &wishes(), EVERYWHERE, start() + 59 * DAY).unwrap();
        assert!(!again.changed);
        assert_eq!(again.data, material.data);
    }

    #[test]
    fn a_leaf_is_renewed_after_two_thirds_of_its_life_or_when_the_service_is_renamed() {
        let material = first();
        let later = renew(&material.data, &wishes(), EVERYWHERE, start() + 61 * DAY).unwrap();
        assert!(later.changed && later.data[LEAF] != material.data[LEAF]);
        assert_eq!(later.data[BUNDLE], material.data[BUNDLE]);
        let renamed = Wishes {
            names: vec!["other.hostfit.svc".to_owned()],
            ..wishes()
        };
        assert!(
            renew(&material.data, &renamed, EVERYWHERE, start())
                .unwrap()
                .changed
        );
    }

    #[test]
    fn a_new_authority_is_trusted_before_its_leaf_is_served() {
        let old = first();
        let late = start() + 2434 * DAY;
        // The leaf of that time, renewed by the old authority.
        let old = renew(&old.data, &wishes(), EVERYWHERE, start() + 2400 * DAY).unwrap();
        let rotated = renew(&old.data, &wishes(), EVERYWHERE, late).unwrap();
        assert!(rotated.changed);
        assert_eq!(rotated.data[LEAF], old.data[LEAF]);
        let bundle = String::from_utf8(rotated.bundle().to_vec()).unwrap();
        assert_eq!(bundle.matches("BEGIN CERTIFICATE").count(), 2);
        // Not yet everywhere trusted: the leaf stays.
        let waiting = renew(&rotated.data, &wishes(), NOWHERE, late).unwrap();
        assert!(!waiting.changed);
        let done = renew(&rotated.data, &wishes(), EVERYWHERE, late).unwrap();
        assert!(done.changed && leaf_is_signed_by_first(&done));
        assert_eq!(done.data[BUNDLE], rotated.data[BUNDLE]);
    }

    #[test]
    fn a_lost_secret_does_not_cut_off_the_leaf_in_use() {
        let old = first();
        let live = Live {
            bundle: old.bundle(),
            is_current: false,
        };
        let made = renew(&BTreeMap::new(), &wishes(), live, start()).unwrap();
        let bundle = String::from_utf8(made.bundle().to_vec()).unwrap();
        assert!(bundle.ends_with(std::str::from_utf8(old.bundle()).unwrap()));
        assert_eq!(bundle.matches("BEGIN CERTIFICATE").count(), 2);
        let garbage = Live {
            bundle: b"garbage",
            is_current: false,
        };
        let made = renew(&BTreeMap::new(), &wishes(), garbage, start()).unwrap();
        assert!(made.bundle().starts_with(b"-----BEGIN") && made.bundle().len() < 1000);
    }

    #[test]
    fn garbage_in_the_secret_is_replaced() {
        let material = first();
        for key in [LEAF, BUNDLE, CA_KEY] {
            let mut data = material.data.clone();
            data.insert(key.to_owned(), ByteString(b"garbage".to_vec()));
            let repaired = renew(&data, &wishes(), NOWHERE, start()).unwrap();
            assert!(repaired.changed, "{key}");
            assert!(leaf_is_signed_by_first(&repaired), "{key}");
        }
    }
}
