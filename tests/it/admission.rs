//! The real webhook, as a process of its own, over real TLS, between an API server and a registry that misbehave.

mod conformance;
mod door;
mod exceptions;
mod existing;
mod images;
mod mock_ups;
mod pods;
mod policy;
mod pull_secrets;
mod readiness;
mod review;
mod stand;
mod steering;
mod templates;
mod updates;
mod words;
