//! The command as people run it.
#![cfg(test)]

mod acme;
mod api;
mod cases;
mod cluster;
mod completion;
mod doctor;
mod flags;
mod golden;
mod images;
mod kit;
mod manifests;
mod many;
mod release;
mod report;
mod snapshots;
mod terminal;
mod words;
