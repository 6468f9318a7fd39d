//! The command as people run it.
#![cfg(test)]

mod flags;
mod images;
mod kit;
