//! Integration tests: everything that needs more than one crate, in one binary.

#![cfg(test)]

mod generated;
mod matrix;
mod registry;
