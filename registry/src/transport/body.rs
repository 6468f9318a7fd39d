//! The body of an answer, into memory or to who reads it piece by piece.

use std::time::Duration;

use bytes::BytesMut;
use reqwest::Response;
use tokio::time::{Instant, timeout};

use super::{Attempt, Budget, Call, Reply, attempt};
use crate::error::Failure;

/// How long the pieces of a body may be waited for, and the bytes a second that earn more time: who sends less holds up
/// the others.
const GRACE: Duration = Duration::from_secs(30);
const SLOWEST: u64 = 256 << 10;

/// Counts what really comes; the declared length only saves the trouble.
pub(super) async fn read(
    mut response: Response,
    budget: &Budget,
    call: &Call,
) -> Result<Reply, Attempt> {
    const TOO_LARGE: Failure = Failure::Broken("the registry's answer is larger than it may be");
    let status = response.status();
    let headers = std::mem::take(response.headers_mut());
    let mut body = BytesMut::new();
    if status.is_success() {
        if response
            .content_length()
            .is_some_and(|length| length > call.limit)
        {
            return Err(TOO_LARGE.into());
        }
        let (mut count, mut waited) = (0, Duration::ZERO);
        // What went on its way cannot be taken back: such an exchange is not tried again.
        let failed = |error| {
            let Attempt { failure, again } = attempt(error);
            let again = again && call.sink.is_none();
            Attempt { failure, again }
        };
        loop {
            // What streams has only the budget's deadline besides. The time that its reader takes is not the sender's.
            let asked = Instant::now();
            let left = patience(count).saturating_sub(waited);
            let chunk = timeout(left, response.chunk()).await.map_err(|_| {
                Attempt::from(Failure::NoAnswer("a body comes too slowly".to_owned()))
            })?;
            waited += asked.elapsed();
            let Some(chunk) = chunk.map_err(failed)? else {
                break;
            };
            count += chunk.len() as u64;
            if count > call.limit {
                return Err(TOO_LARGE.into());
            }
            match &call.sink {
                Some(sink) => {
                    if sink.send(chunk).await.is_err() {
                        // Who reads it has seen enough.
                        break;
                    }
                }
                None => {
                    budget.take_bytes(chunk.len())?;
                    body.extend_from_slice(&chunk);
                }
            }
        }
    } else if response
        .content_length()
        .is_some_and(|length| length <= 16 << 10)
    {
        // Read to the end, the connection can be used again.
        while let Ok(Some(chunk)) = response.chunk().await {
            budget.take_bytes(chunk.len())?;
        }
    }
    Ok(Reply {
        status,
        headers,
        body: body.freeze(),
    })
}

/// How long so many bytes may be waited for in all.
fn patience(count: u64) -> Duration {
    GRACE + Duration::from_millis(count.saturating_mul(1000) / SLOWEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_sends_more_has_more_time() {
        assert_eq!(patience(0), Duration::from_secs(30));
        assert_eq!(patience(100 << 20), Duration::from_secs(430));
        assert!(patience(u64::MAX) > patience(1 << 40));
    }
}
