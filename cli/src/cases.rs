//! Cases: what people expect of images on hosts, written so that it can be read without knowing the program, and judged
//! by the judge of admission and reports, on the ways by which a cluster's objects come to it.
//!
//! ```text
//! folder ─read─▶ cases ┐
//!                World ┴─▶ Question ─evaluate, decide─▶ Answer: what differs from what is expected
//! ```
//!
//! `hostfit test` runs people's cases, the project's own tests run those of `tests/cases/matrix`: one format, one reader.

mod case;
mod facts;
mod files;
mod folder;
mod host;
mod image;
mod judge;
mod strict;
mod workload;
mod world;

pub use case::{Admission, Case, Expect, Host, Matrix, Namespace, RuntimeClass};
pub use files::Written;
pub use folder::{Broken, Folder, Located};
pub use image::{Detail, Image, Proof, RegistrySays, Role, Zstd};
pub use judge::{Answer, Difference, Question};
pub use world::{Images, World};
