//! Integration tests: everything that needs more than one crate, in one binary.

#![cfg(test)]

mod admission;
mod generated;
mod image_configs;
mod layers;
mod matrix;
mod mirrors;
mod printed;
mod registry;
mod release_files;
