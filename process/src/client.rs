//! The Kubernetes client of a process, with a deadline on every call.

use std::time::Duration;

use http::{HeaderValue, header::USER_AGENT};
use kube::{Client, Config, client::ClientBuilder};
use tokio::time::timeout;
use tower::timeout::TimeoutLayer;

use crate::Error;

/// What one get, patch or create may take, with all retries; see [`within`].
pub const CALL: Duration = Duration::from_secs(10);

const CONNECT: Duration = Duration::from_secs(5);
const WRITE: Duration = Duration::from_secs(10);
/// The answer to any request must start by then: a page of a list as well as a watch, whose body
/// may last. Without this, a server that accepts and says nothing holds a call for ever.
const HEADERS: Duration = Duration::from_secs(30);

/// A client for the cluster that we run in, or that KUBECONFIG names.
///
/// The user agent is what API server logs and priority-and-fairness show:
/// give `concat!("hostfit-webhook/", env!("CARGO_PKG_VERSION"))`.
///
/// # Errors
/// If there is no cluster configured, or its settings cannot be used.
pub async fn connect(user_agent: &'static str) -> Result<Client, Error> {
    let mut config = Config::infer().await.map_err(Error::NoCluster)?;
    config.connect_timeout = Some(CONNECT);
    config.write_timeout = Some(WRITE);
    let user_agent = HeaderValue::from_static(user_agent);
    config.headers.push((USER_AGENT, user_agent));
    let builder = ClientBuilder::try_from(config).map_err(Error::Client)?;
    Ok(builder.with_layer(&TimeoutLayer::new(HEADERS)).build())
}

/// Gives up on a call after `limit`, usually [`CALL`]. The client itself retries on 429, 503 and
/// 504 for minutes, and has no limit for bodies, so every call that is not a watch goes through
/// here.
///
/// # Errors
/// That of the call, or [`kube::Error::Service`] if it took too long.
pub async fn within<T>(
    limit: Duration,
    call: impl Future<Output = kube::Result<T>>,
) -> kube::Result<T> {
    match timeout(limit, call).await {
        Ok(result) => result,
        Err(_) => {
            let message = format!("the API server did not answer within {limit:?}");
            Err(kube::Error::Service(message.into()))
        }
    }
}

/// The words of the API server if it refused, else what went wrong on the way, with its causes.
pub(crate) fn reason(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        return format!("{} ({})", status.message, status.code);
    }
    let mut reason = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        let cause = error.to_string();
        // Most of these errors already print their first cause.
        if !reason.contains(&cause) {
            reason.push_str(": ");
            reason.push_str(&cause);
        }
        source = error.source();
    }
    reason
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_call_without_an_answer_is_given_up() {
        let error = within(CALL, pending::<kube::Result<()>>())
            .await
            .unwrap_err();
        assert_eq!(
            reason(&error),
            "ServiceError: the API server did not answer within 10s"
        );
        assert_eq!(within(CALL, ready(Ok(7))).await.unwrap(), 7);
    }
}
