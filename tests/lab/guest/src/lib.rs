//! What the laboratory and its guests say to each other: a task goes in as a file, a report comes out of a serial port.

use std::collections::BTreeMap;

use hostfit_crds::HostFacts;
use serde::{Deserialize, Serialize};

/// Where the guest finds its task.
pub const TASK: &str = "/lab/task.json";
/// Where the guest finds the modules that it is to load.
pub const MODULES: &str = "/lab/modules";
/// The root of what it runs.
pub const ROOT: &str = "/root";

/// What a guest is to do.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// Version of the cgroup hierarchy that it mounts: 1 or 2.
    pub cgroup: u8,
    /// Settings of the kernel.
    pub sysctls: BTreeMap<String, String>,
    /// Modules to load, in this order.
    pub modules: Vec<String>,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Its environment, `NAME=VALUE`.
    pub env: Vec<String>,
    /// The user that it runs as.
    pub user: u32,
    /// Instructions of a seccomp filter: code, jump if true, jump if false, value. None: no filter.
    pub filter: Vec<(u16, u8, u8, u32)>,
    /// The most bytes of memory that its cgroup may have.
    pub memory: Option<u64>,
    /// How long it may run.
    pub seconds: u64,
}

/// What became of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// What the node agent's code read of this machine.
    pub facts: HostFacts,
    /// How the program ended: its exit code, if it was not killed.
    pub exit: Option<i32>,
    /// The signal that killed it.
    pub signal: Option<i32>,
    /// What it wrote, standard error too.
    pub output: String,
    /// What kept the guest from doing its task.
    pub trouble: Option<String>,
}
