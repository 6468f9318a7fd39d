//! What holds for every command: names, flags, variables, colours, files, and errors that say what to do.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::golden::SHOP;
use crate::kit::{Folder, RHEL, check, layout};

#[test]
fn what_is_misspelled_is_answered_with_the_nearest() {
    let folder = Folder::new("misspelled");
    let say = |arguments: &[&str], says: &str| {
        check(&folder, arguments, 2, &[says]);
    };
    say(&["chekc"], "'check'");
    say(&["version", "--contxt", "x"], "'--context'");
    let tip = "tip: rules and tables are a part of the program";
    say(&["catalog", "update"], tip);
    say(&["version", "-o", "jsn"], "'json'");
    say(
        &["snapshot", "-o", "demo.json"],
        "tip: to write to a file, use --output-file demo.json",
    );
    say(&["version", "--fail-on", "warning"], "'warn'");
    say(&["version", "--request-timeout", "30"], "30s, 2m");
}

#[test]
fn help_lists_commands_in_the_order_in_which_people_need_them() {
    let folder = Folder::new("help");
    let help = check(&folder, &["--help"], 0, &[]);
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let commands = commands.lines().take_while(|line| !line.is_empty());
    let commands: Vec<_> = commands
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let expected = [
        "check",
        "explain",
        "matrix",
        "plan",
        "nodes",
        "images",
        "report",
        "except",
        "test",
        "doctor",
        "snapshot",
        "catalog",
        "completion",
        "version",
        "help",
    ];
    assert_eq!(commands, expected);
}

#[test]
fn every_help_tells_the_exit_codes() {
    let folder = Folder::new("exit-codes");
    let variables = "has a variable: HOSTFIT_FAIL_ON for --fail-on";
    let codes = "Exit codes:\n  0  nothing at or above --fail-on\n  1  findings;";
    for command in [
        &[][..],
        &["check"],
        &["check", "image"],
        &["plan"],
        &["doctor"],
        &["completion"],
    ] {
        for help in ["--help", "-h"] {
            check(
                &folder,
                &[command, &[help]].concat(),
                0,
                &[variables, codes],
            );
        }
    }
}

#[test]
fn the_plugin_of_kubectl_names_itself_so() {
    let folder = Folder::new("plugin");
    let plugin = folder.0.join("kubectl-hostfit");
    symlink(env!("CARGO_BIN_EXE_hostfit"), &plugin).unwrap();
    let output = Command::new(&plugin).arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(
        help.contains("Usage: kubectl hostfit [OPTIONS] <COMMAND>"),
        "{help}"
    );
    let check_it = ["check", "--snapshot", SHOP, "--as-of", "2026-11-25"];
    let output = Command::new(&plugin).env_clear().args(check_it).output();
    let table = String::from_utf8(output.unwrap().stdout).unwrap();
    let next = "next: kubectl hostfit explain -n shop deploy/arm --snapshot ";
    assert!(table.contains(next), "{table}");
    let help = check(&folder, &["--help"], 0, &[]);
    assert!(
        help.contains("Usage: hostfit [OPTIONS] <COMMAND>"),
        "{help}"
    );
}

#[test]
fn a_flag_wins_over_its_variable() {
    let folder = Folder::new("variables");
    layout(&folder.0.join("image"), RHEL);
    let run = |variables: &[(&str, &str)], arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hostfit"));
        command.env_clear().envs(variables.iter().copied());
        command.current_dir(&folder.0).args(arguments);
        let output = command.output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
        )
    };
    let arguments = ["check", "image", "oci:image:one"];
    let host = ("HOSTFIT_HOST", "builtin/x86-64-v2");
    assert_eq!(run(&[host], &arguments).0, Some(1));
    assert_eq!(
        run(&[host, ("HOSTFIT_FAIL_ON", "never")], &arguments).0,
        Some(0)
    );
    let (_, json) = run(&[host, ("HOSTFIT_OUTPUT", "json")], &arguments);
    assert!(json.starts_with('{'), "{json}");
    // Nobody typed it, so where it stands is said; and what CI systems leave empty is not set.
    let mut command = Command::new(env!("CARGO_BIN_EXE_hostfit"));
    command
        .env_clear()
        .env("HOSTFIT_OUTPUT", "jsn")
        .arg("version");
    let error = String::from_utf8(command.output().unwrap().stderr).unwrap();
    assert!(
        error.contains("tip: it stands in the variable HOSTFIT_OUTPUT"),
        "{error}"
    );
    let empty = [host, ("HOSTFIT_OUTPUT", ""), ("HOSTFIT_AS_OF", "")];
    assert_eq!(run(&empty, &arguments).0, Some(1));
    let flags = [
        "check",
        "image",
        "oci:image:one",
        "-o",
        "table",
        "--fail-on",
        "fail",
    ];
    let (code, table) = run(
        &[
            host,
            ("HOSTFIT_OUTPUT", "json"),
            ("HOSTFIT_FAIL_ON", "never"),
            ("HOSTFIT_QUIET", "1"),
        ],
        &flags,
    );
    assert!(code == Some(1) && table.starts_with("FAIL"), "{table}");
}

#[test]
fn a_result_may_go_to_a_file_and_then_not_to_stdout() {
    let folder = Folder::new("to-file");
    layout(&folder.0.join("image"), RHEL);
    let mut arguments = vec![
        "check",
        "image",
        "oci:image:one",
        "--host",
        "builtin/x86-64-v2",
    ];
    let shown = check(&folder, &arguments, 1, &[]);
    arguments.extend(["--color", "always", "--output-file", "out.txt"]);
    assert_eq!(check(&folder, &arguments, 1, &[]), "");
    assert_eq!(fs::read_to_string(folder.0.join("out.txt")).unwrap(), shown);
    let last = [
        "check",
        "image",
        "oci:image:one",
        "--host",
        "builtin/x86-64-v2",
        "--output-file",
        "no/out",
    ];
    check(&folder, &last, 2, &["write no/out"]);
}

#[test]
fn a_format_that_a_command_does_not_know_is_named_with_those_that_it_knows() {
    let folder = Folder::new("format");
    let arguments = ["images", "oci:x", "-o", "csv"];
    check(&folder, &arguments, 2, &["has no format csv", "-o json"]);
}

#[test]
fn colours_are_for_terminals_and_for_who_asks() {
    let folder = Folder::new("colours");
    let run = |variable: Option<(&str, &str)>, more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hostfit"));
        command.env_clear().envs(variable).current_dir(&folder.0);
        command.args(["check", "--snapshot", SHOP]).args(more);
        let out = String::from_utf8(command.output().unwrap().stdout).unwrap();
        assert!(out.contains("FAIL"), "{out}");
        out.contains('\x1b')
    };
    assert!(!run(None, &[]), "a pipe is no terminal");
    assert!(run(None, &["--color", "always"]));
    assert!(run(Some(("CLICOLOR_FORCE", "1")), &[]));
    assert!(run(Some(("HOSTFIT_COLOR", "always")), &[]));
    assert!(!run(Some(("NO_COLOR", "1")), &["--color", "auto"]));
    assert!(!run(Some(("CLICOLOR_FORCE", "1")), &["--color", "never"]));
}
