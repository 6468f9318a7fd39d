//! The body of an answer, into memory or to who reads it piece by piece.

use bytes::BytesMut;
use reqwest::Response;

use super::{Attempt, Budget, Call, Reply, attempt};
use crate::error::Failure;

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
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
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
