//! The command as people run it.
#![cfg(test)]

mod api;
mod cluster;
mod doctor;
mod flags;
mod golden;
mod images;
mod kit;
mod manifests;
mod many;
mod report;
