//! One line on stderr that says how far it is; on a terminal only.

use std::io::{IsTerminal as _, Write as _};

use crate::flags::OutputArgs;

/// The line. It is gone when this is dropped.
pub(crate) struct Progress {
    is_shown: bool,
}

impl Progress {
    /// A line, if somebody is there to see it and wants to.
    pub(crate) fn new(args: &OutputArgs) -> Self {
        let is_wanted = !args.quiet && !args.no_progress && args.verbose == 0;
        Self {
            is_shown: is_wanted && std::io::stderr().is_terminal(),
        }
    }

    /// Replaces the line.
    pub(crate) fn say(&self, text: &str) {
        if self.is_shown {
            // Nobody depends on it.
            let _ = write!(std::io::stderr(), "\r\x1b[2K{text}");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.say("");
    }
}
