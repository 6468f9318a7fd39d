//! HF505: a host in FIPS mode, and an image that shows no validated cryptography: what the host promises ends at the image.
//! Or an image that follows FIPS, and a host that does not.
//!
//! Error texts: `error:0308010C:digital envelope routines::unsupported` (OpenSSL 3 without MD5), `Installation of FIPS
//! modules is not completed. Inconsistent state detected.` (fips-mode-setup --check under containerd).

use crate::finding::{Code, Severity};
use crate::matrix::{Cell, Outcome, Said};

/// The package of the validated provider of OpenSSL 3.
const PROVIDER: &str = "openssl-fips-provider";

/// Only of a host of which it is known: few are in FIPS mode, and whoever runs them knows.
pub(super) fn check(cell: &Cell<'_>) -> Outcome {
    let files = cell.files();
    let policy = files.and_then(|files| files.crypto_policy.as_ref());
    if cell.host.facts.fips == Some(false)
        && let Some(policy) = policy.filter(|policy| policy.value.starts_with("FIPS"))
    {
        return cell.says(Said {
            code: Code::HF505,
            severity: Severity::Unsupported,
            image: format!("follows the crypto policy {}", policy.value),
            host: "is not in FIPS mode, without which no claim holds".to_owned(),
            fix: "use nodes in FIPS mode (fips=1)".to_owned(),
            evidence: Some(policy.evidence()),
            doubt: Some("whether anybody relies on that claim cannot be read"),
        });
    }
    if cell.host.facts.fips != Some(true) || is_named_so(cell) {
        return Outcome::Compatible;
    }
    let is_validated = policy.is_some_and(|policy| policy.value.starts_with("FIPS"))
        || files.is_some_and(|files| files.package(&[PROVIDER]).is_some());
    // CRI-O mounts the host's policy into images that follow one; containerd does not.
    let runtime = cell.host.facts.runtime.as_ref();
    let is_mounted = runtime.is_some_and(|runtime| runtime.name == "cri-o");
    if is_validated || (policy.is_some() && is_mounted) {
        return Outcome::Compatible;
    }
    let image = match policy {
        Some(policy) => format!("follows the crypto policy {}", policy.value),
        None => "shows no validated cryptography".to_owned(),
    };
    let host = match runtime {
        Some(runtime) if policy.is_some() => {
            format!("is in FIPS mode, and {runtime} does not mount its policy")
        }
        _ => "is in FIPS mode".to_owned(),
    };
    cell.says(Said {
        code: Code::HF505,
        severity: Severity::Unsupported,
        image,
        host,
        fix: "use a base image with validated modules (a -fips image, openssl-fips-provider), on nodes with CRI-O"
            .to_owned(),
        evidence: policy.map(|policy| policy.evidence()),
        doubt: Some("whether it uses cryptography that must be validated cannot be read"),
    })
}

/// Images of several vendors say so in their names.
fn is_named_so(cell: &Cell<'_>) -> bool {
    let says = |text: &str| text.split(['-', '_', '.', '/']).any(|part| part == "fips");
    says(cell.image.repository()) || cell.image.tag().is_some_and(says)
}
