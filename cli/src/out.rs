//! Results on stdout, or in a file. Who reads them may stop early (`| head`): then the rest is not written, and the exit
//! code stands.

use std::fmt::{self, Write as _};
use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock};

use anyhow::Context as _;

/// The file that results go to, with what was written so far: it is written as a whole, so that a cut result cannot
/// look whole.
static FILE: OnceLock<(PathBuf, Mutex<String>)> = OnceLock::new();

/// From now on, results go to this file. Only the first call counts.
pub(crate) fn to_file(path: PathBuf) {
    let _ = FILE.set((path, Mutex::default()));
}

/// Writes the file, if results go to one.
///
/// # Errors
///
/// If it cannot be written.
pub(crate) fn finish() -> anyhow::Result<()> {
    let Some((path, text)) = FILE.get() else {
        return Ok(());
    };
    let text = text.lock().unwrap_or_else(|it| it.into_inner());
    let plain = anstream::adapter::strip_str(&text).to_string();
    fs::write(path, plain).with_context(|| format!("write {}", path.display()))
}

/// Writes to stdout or the file. Anything but a reader that is gone ends the program: a result that is cut must not look
/// whole.
pub(crate) fn write(text: fmt::Arguments<'_>) {
    if let Some((_, file)) = FILE.get() {
        let mut file = file.lock().unwrap_or_else(|it| it.into_inner());
        // Writing to a String does not fail.
        let _ = file.write_fmt(text);
        return;
    }
    let mut out = anstream::stdout().lock();
    match out.write_fmt(text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("error: write to stdout: {error}");
            std::process::exit(2);
        }
        _ => {}
    }
}

/// Whether results go to a file: what speaks to the one at the terminal does not belong there.
pub(crate) fn is_to_file() -> bool {
    FILE.get().is_some()
}

/// A line of the result.
macro_rules! say {
    ($($text:tt)*) => {
        $crate::out::write(format_args!("{}\n", format_args!($($text)*)))
    };
}

pub(crate) use say;
