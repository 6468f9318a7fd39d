//! Results on stdout. Who reads them may stop early (`| head`): then the rest is not written, and the exit code stands.

use std::fmt;
use std::io::{self, Write as _};

/// Writes to stdout. Anything but a reader that is gone ends the program: a result that is cut must not look whole.
pub(crate) fn write(text: fmt::Arguments<'_>) {
    let mut out = io::stdout().lock();
    match out.write_fmt(text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("error: write to stdout: {error}");
            std::process::exit(2);
        }
        _ => {}
    }
}

/// A line of the result.
macro_rules! say {
    ($($text:tt)*) => {
        $crate::out::write(format_args!("{}\n", format_args!($($text)*)))
    };
}

pub(crate) use say;
