//! What every Hostfit process needs, and nothing about images or hosts.
//!
//! A process starts like this, in this order:
//!
//! 1. [`log::init`] and [`log::install_crypto`];
//! 2. [`Tasks::new`], which takes over SIGTERM and SIGINT and hands out the [`Shutdown`] token;
//! 3. [`Health::new`], with one [`Condition`] for each thing that must hold before it is ready;
//! 4. [`admin::router`] on [`http::serve`], as a background task;
//! 5. [`client::connect`] and one [`watch::watch`] for each kind that it reads;
//! 6. its own work, and [`Tasks::run`], which returns when the process is to end.

pub mod admin;
pub mod client;
mod duration;
mod error;
pub mod http;
pub mod lease;
pub mod log;
pub mod metrics;
mod pull_secrets;
pub mod tasks;
pub mod watch;

pub use admin::{Condition, Health};
pub use duration::duration;
pub use error::Error;
pub use http::{Drain, Limits};
pub use lease::{Lease, LeaseLost};
pub use pull_secrets::{Looked, PodSecrets, PullSecret};
pub use tasks::{Shutdown, Tasks};
pub use watch::{Changed, Guarded, Watched};
