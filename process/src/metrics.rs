//! What every process shows of itself.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use prometheus_client::metrics::{gauge::ConstGauge, info::Info};
use prometheus_client::registry::Registry;

/// Which program this is, and which rules it judges by.
#[derive(Debug, Clone, Copy)]
pub struct Identity {
    /// Version of the program.
    pub version: &'static str,
    /// Version of the built-in rules and tables.
    pub rules: &'static str,
    /// Day on which these were published: 2026-11-23.
    pub rules_published: &'static str,
}

/// The metrics that begin with `hostfit_`, with the identity as the first of them.
pub fn identified(metrics: &mut Registry, identity: Identity) -> &mut Registry {
    let metrics = metrics.sub_registry_with_prefix("hostfit");
    let version = |version| Info::new(vec![("version", version)]);
    metrics.register("build", "Version of the program", version(identity.version));
    metrics.register(
        "rules",
        "Version of the built-in rules and tables",
        version(identity.rules),
    );
    let published = identity.rules_published.parse::<Date>();
    if let Ok(published) = published.and_then(|day| day.to_zoned(TimeZone::UTC)) {
        metrics.register(
            "rules_published_timestamp_seconds",
            "When the built-in rules and tables were published",
            ConstGauge::new(published.timestamp().as_second()),
        );
    }
    metrics
}
