//! On a terminal: progress and colours, which pipes do not get. `script` of util-linux makes the terminal.

use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::kit::Folder;

/// A workload whose registry does not answer, so that there is something to wait for.
const MANIFEST: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: one}\nspec: {containers: [{name: c, image: '127.0.0.1:1/p:1'}]}\n";

/// What a terminal shows of the command, and what of it went to stdout alone.
fn on_terminal(more: &str, variables: &[(&str, &str)]) -> (String, String) {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    let folder = Folder::new(&format!(
        "terminal-{}",
        RUNS.fetch_add(1, Ordering::Relaxed)
    ));
    fs::write(folder.0.join("pod.yaml"), MANIFEST).unwrap();
    let line = format!(
        "{} check -f pod.yaml --host builtin/debian-12 --no-cache {more}",
        env!("CARGO_BIN_EXE_hostfit")
    );
    let run = |line: &str| {
        let mut command = Command::new("script");
        command.args(["--quiet", "--return", "--command", line, "/dev/null"]);
        command.current_dir(&folder.0).env_clear();
        command.envs(variables.iter().copied());
        let path = std::env::var("PATH").unwrap_or_default();
        let output = command.env("PATH", path).env("TERM", "xterm").output();
        let output = output.expect("script of util-linux");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let all = run(&line);
    run(&format!("{line} >out.txt"));
    (all, fs::read_to_string(folder.0.join("out.txt")).unwrap())
}

const PROGRESS: &str = "\r\x1b[2Kimages 0/1";

#[test]
fn progress_is_shown_on_a_terminal_and_never_on_stdout() {
    let (all, out) = on_terminal("", &[]);
    assert!(all.contains(PROGRESS), "{all:?}");
    // It is gone before the result is there.
    let (_, result) = all.rsplit_once("\x1b[2K").unwrap();
    assert!(result.contains("UNKNOWN"), "{all:?}");
    assert!(out.contains("UNKNOWN") && !out.contains('\x1b'), "{out:?}");
    for (more, variables) in [
        ("--no-progress", &[][..]),
        ("--quiet", &[]),
        ("", &[("HOSTFIT_NO_PROGRESS", "1")]),
    ] {
        let (all, _) = on_terminal(more, variables);
        assert!(!all.contains("\x1b[2K"), "{more}: {all:?}");
    }
}

#[test]
fn colours_are_shown_on_a_terminal_unless_somebody_minds() {
    let is_coloured = |text: &str| text.contains("\x1b[1;36mUNKNOWN");
    let shown = |more: &str, variables: &[(&str, &str)]| {
        let (all, out) = on_terminal(more, variables);
        (is_coloured(&all), is_coloured(&out))
    };
    assert_eq!(shown("", &[]), (true, false));
    assert_eq!(shown("--color=never", &[]), (false, false));
    assert_eq!(shown("--color=always", &[]), (true, true));
    assert_eq!(shown("", &[("NO_COLOR", "1")]), (false, false));
    assert_eq!(shown("", &[("CLICOLOR_FORCE", "1")]), (true, true));
}
