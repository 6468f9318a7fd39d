//! The kit: what tests of more than one crate need.

pub mod registry;
