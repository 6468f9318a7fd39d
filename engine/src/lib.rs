//! Facts in, verdict out: does this image fit the host it will land on, and will anyone support it there?
//!
//! Pure: no IO, no clock, no Kubernetes. The data flows one way:
//!
//! ```text
//! ImageRef ──(a registry)──▶ Fact<ImageFacts> ──Catalog::lineage──▶ what the image stands on
//! nodes    ──(a cluster)───▶ Fleet            ──Fleet::landing────▶ hosts that the pod may land on
//! images × hosts × Rules   ──matrix::evaluate─────────────────────▶ Judgement (what Exceptions accept does not count)
//! Judgement × Fleet        ──steering::steering──────────────────▶ hosts that the pod is kept away from
//! Judgement × Policy       ──policy::decide───────────────────────▶ Decision
//! one host for another     ──plan::Move───────────────────────────▶ what breaks, and what to do first
//! ```
//!
//! Unknown is a value until policy: a slow registry, an image of scratch, an unlabelled node are [`fact::Gap`]s, and
//! only [`policy`] turns them into allow, warn or deny.

pub mod distribution;
pub mod exception;
pub mod fact;
pub mod files;
pub mod finding;
pub mod host;
pub mod image;
pub mod landing;
pub mod lineage;
pub mod matrix;
pub mod os_release;
pub mod package;
pub mod plan;
pub mod policy;
pub mod runtime_class;
pub mod steering;
pub mod tables;
pub mod verdict;
pub mod version;
pub mod workload;

/// The version of the rules and tables that are compiled in.
pub const RULES_VERSION: &str = "2026.11.2";

/// The day on which that version was published.
pub const RULES_PUBLISHED: &str = "2026-11-25";
