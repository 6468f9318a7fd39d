//! The kit: what tests of more than one crate need.

pub mod certificate;
pub mod cluster;
pub mod registry;
