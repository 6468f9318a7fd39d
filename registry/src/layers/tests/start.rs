//! What a command leads to.

use super::kit::{Tar, elf as program, isa};
use super::{LOADER, facts};

#[test]
fn a_script_leads_to_its_interpreter_and_a_starter_to_what_it_starts() {
    let root = Tar::new()
        .program("bin/bash", program(Some(LOADER), &[], b""))
        .program("entry.sh", "#!/usr/bin/env -S bash -e\nexec app\n")
        .program("usr/bin/tini", program(None, &[], b""))
        .layer();
    let found = facts(
        std::slice::from_ref(&root),
        &["tini", "--", "/entry.sh", "serve"],
    );
    let program = found.program.unwrap();
    assert_eq!(program.path, "bin/bash");
    assert_eq!(program.script.as_deref(), Some("entry.sh"));
    let options = ["tini", "-s", "-e", "143", "-p", "SIGTERM", "/entry.sh"];
    let found = facts(std::slice::from_ref(&root), &options);
    assert_eq!(found.program.unwrap().path, "bin/bash");
    let missing = facts(&[root], &["/nothere"]);
    assert!(
        missing.unread[0].contains("/nothere"),
        "{:?}",
        missing.unread
    );
    assert!(
        facts(&[Tar::new().layer()], &["/nothing"])
            .program
            .is_none()
    );
    let circle = Tar::new().program("a", "#!/a\n").layer();
    assert!(facts(&[circle], &["/a"]).program.is_none());
}

#[test]
fn what_a_shell_or_env_only_starts_is_the_program() {
    let root = Tar::new()
        .program("bin/sh", program(Some(LOADER), &[], b""))
        .program("usr/bin/env", program(Some(LOADER), &[], b""))
        .program("usr/bin/app", program(Some(LOADER), &[isa(0b101)], b""))
        .program("usr/bin/static", program(None, &[], b""))
        .layer();
    let path = |command: &[&str]| {
        let found = facts(std::slice::from_ref(&root), command);
        found.program.unwrap().path
    };
    assert_eq!(path(&["sh", "-c", "exec app --serve"]), "usr/bin/app");
    assert_eq!(path(&["env", "A=1", "app"]), "usr/bin/app");
    assert_eq!(path(&["sh", "-c", "cd /srv"]), "bin/sh");
    assert_eq!(path(&["sh", "-c", "cd /srv && app"]), "bin/sh");
    // The shell needs the C library, whatever the program after it needs.
    assert_eq!(path(&["sh", "-c", "static"]), "bin/sh");
    assert_eq!(path(&["env", "static"]), "usr/bin/env");
    assert_eq!(path(&["static"]), "usr/bin/static");
}

#[test]
fn a_script_that_hands_on_is_followed_to_its_program() {
    let hands_on = "#!/bin/sh\nset -e\nif [ \"${1#-}\" != \"$1\" ]; then\n\tset -- server \"$@\"\nfi\nexec \"$@\"\n";
    let root = Tar::new()
        .program("bin/sh", program(Some(LOADER), &[], b""))
        .program("usr/bin/server", program(Some(LOADER), &[isa(0b101)], b""))
        .program("usr/bin/static", program(None, &[], b""))
        .program("entry.sh", hands_on)
        .program("outer.sh", "#!/bin/sh\nexec tini -- /entry.sh \"$@\"\n")
        .program("named.sh", "#!/bin/sh\nexec server $OPTS\n")
        .program(
            "long.sh",
            format!("#!/bin/sh\n{}exec \"$@\"\n", "true\n".repeat(20_000)),
        )
        .layer();
    let read = |command: &[&str], entrypoint| {
        let start = hostfit_engine::image::Start {
            entrypoint,
            ..super::start(command)
        };
        let found = super::files(std::slice::from_ref(&root), &start, "amd64");
        let program = found.program.unwrap();
        (program.path, program.is_argument)
    };
    let is = |path: &str, is_argument| (path.to_owned(), is_argument);
    assert_eq!(
        read(&["/entry.sh", "server"], 1),
        is("usr/bin/server", true)
    );
    assert_eq!(
        read(&["/entry.sh", "server"], 2),
        is("usr/bin/server", false)
    );
    assert_eq!(read(&["/named.sh", "x"], 1), is("usr/bin/server", false));
    // Options only, which the script would put a program before: it is not told which.
    assert_eq!(read(&["/entry.sh", "-v"], 1), is("bin/sh", false));
    assert_eq!(read(&["/entry.sh"], 1), is("bin/sh", false));
    assert_eq!(read(&["/long.sh", "server"], 1), is("bin/sh", false));
    // The shell needs the C library before the program that does not.
    assert_eq!(read(&["/entry.sh", "static"], 1), is("bin/sh", false));
    assert_eq!(read(&["/outer.sh", "server"], 1), is("bin/sh", false));
}
