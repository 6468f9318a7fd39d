//! Integration tests: everything that needs more than one crate, in one binary.

#![cfg(test)]

mod admission;
mod generated;
mod layers;
mod matrix;
mod registry;
mod release_files;
