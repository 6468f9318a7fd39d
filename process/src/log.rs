//! Logs in JSON on stdout, and the one crypto provider of the process.

use std::env;

use tracing_subscriber::EnvFilter;

use crate::Error;

/// The environment variable that holds the log filter.
pub const FILTER_VARIABLE: &str = "HOSTFIT_LOG";

/// Logs as JSON to stdout from now on, filtered by `HOSTFIT_LOG` (default `info`).
/// Panics are logged as well, so that every line of output is JSON.
///
/// # Errors
/// If the filter is malformed, or if logging has been set up already.
pub fn init() -> Result<(), Error> {
    let filter = filter(env::var(FILTER_VARIABLE).ok())?;
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_env_filter(filter)
        .try_init()
        .map_err(Error::LogInstalled)?;
    std::panic::set_hook(Box::new(|panic| {
        tracing::error!(panic = %panic, "panicked");
    }));
    Ok(())
}

/// Makes aws-lc-rs the crypto provider of the process. Calling it again does nothing.
///
/// Call it first: rustls panics when several providers are linked and none is chosen.
pub fn install_crypto() {
    // The only error is that a provider is installed already, which is what we want.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

fn filter(value: Option<String>) -> Result<EnvFilter, Error> {
    let value = value.filter(|value| !value.trim().is_empty());
    let value = value.unwrap_or_else(|| "info".to_owned());
    EnvFilter::try_new(&value).map_err(|source| Error::LogFilter {
        variable: FILTER_VARIABLE,
        value,
        source: source.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filter_defaults_to_info_and_refuses_what_it_cannot_read() {
        #[track_caller]
        fn check(value: Option<&str>, expected: &str) {
            let got = match filter(value.map(str::to_owned)) {
                Ok(filter) => filter.to_string(),
                Err(error) => error.to_string(),
            };
            assert!(got.starts_with(expected), "{value:?}: {got}");
        }
        check(None, "info");
        check(Some(" "), "info");
        check(Some("debug"), "debug");
        check(Some("hostfit_webhook=debug"), "hostfit_webhook=debug");
        check(
            Some("hostfit_webhook=loud"),
            "read the log filter HOSTFIT_LOG=\"hostfit_webhook=loud\": give a level",
        );
    }

    #[test]
    fn installing_the_crypto_provider_twice_is_harmless() {
        install_crypto();
        install_crypto();
        assert!(rustls::crypto::CryptoProvider::get_default().is_some());
    }
}
