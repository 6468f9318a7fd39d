//! The tags of a repository, page by page.

use crate::client::Session;
use crate::error::Failure;
use crate::parse;

/// Most pages that are read.
const PAGES: usize = 10;
/// Asked for; a registry may give fewer, or all at once.
const QUERY: &str = "n=1000";

/// Every tag, in the registry's order.
pub(crate) async fn tags(session: &Session<'_>) -> Result<Vec<String>, Failure> {
    let (mut all, mut query) = (Vec::new(), QUERY.to_owned());
    for _ in 0..PAGES {
        let (page, next) = session.tags(&query).await?;
        all.extend(parse::tags(&page)?);
        match next {
            // A page that leads to itself would never end.
            Some(next) if next != query => query = next,
            _ => return Ok(all),
        }
    }
    Err(Failure::Broken(
        "its repository has more pages of tags than are read: write the tags out",
    ))
}
