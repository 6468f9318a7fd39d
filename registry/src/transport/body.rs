//! The body of an answer, into memory or to who reads it piece by piece.

use std::time::Duration;

use bytes::BytesMut;
use reqwest::Response;
use tokio::time::timeout;

use super::{Attempt, Budget, Call, Reply, attempt};
use crate::error::Failure;

/// Longest pause between two pieces of a body.
const IDLE: Duration = Duration::from_secs(30);

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
        let mut count = 0;
        // What went on its way cannot be taken back: such an exchange is not tried again.
        let failed = |error| {
            let Attempt { failure, again } = attempt(error);
            let again = again && call.sink.is_none();
            Attempt { failure, again }
        };
        loop {
            // What streams has only the budget's deadline: it must at least go on.
            let chunk = timeout(IDLE, response.chunk()).await.map_err(|_| {
                Attempt::from(Failure::NoAnswer("nothing more came of a body".to_owned()))
            })?;
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
