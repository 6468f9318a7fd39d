//! Completion, as shells and kubectl use it.

use std::fs;
use std::process::Command;

use crate::kit::{Folder, check};

#[test]
fn every_shell_gets_its_script() {
    let folder = Folder::new("completion");
    for (shell, says) in [
        ("bash", "complete -F _hostfit"),
        ("zsh", "#compdef hostfit"),
        ("fish", "complete -c hostfit"),
        ("powershell", "Register-ArgumentCompleter"),
        ("kubectl", "exec kubectl-hostfit __complete"),
    ] {
        check(&folder, &["completion", shell], 0, &[says]);
    }
    check(
        &folder,
        &["completion", "tcsh"],
        2,
        &["invalid value 'tcsh'"],
    );
}

#[test]
fn bash_completes_commands_flags_and_formats() {
    let folder = Folder::new("completion-bash");
    let script = check(&folder, &["completion", "bash"], 0, &[]);
    fs::write(folder.0.join("script"), script).unwrap();
    let complete = |words: &str, index: u32| {
        let ask = format!(
            ". ./script; COMP_WORDS=({words}) COMP_CWORD={index}; _hostfit hostfit \"${{COMP_WORDS[{index}]}}\" \"\"; echo \"${{COMPREPLY[*]}}\""
        );
        let output = Command::new("bash")
            .args(["-c", &ask])
            .current_dir(&folder.0)
            .output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    assert_eq!(complete("hostfit doc", 1).trim(), "doctor");
    assert!(complete("hostfit check --ho", 2).contains("--host"));
}

#[test]
fn kubectl_gets_words_and_what_to_make_of_them() {
    let folder = Folder::new("completion-kubectl");
    let words = check(&folder, &["__complete", "ch"], 0, &[]);
    assert!(words.starts_with("check\tJudge the workloads"), "{words}");
    assert!(words.ends_with(":4\n"), "{words}");
    let formats = check(
        &folder,
        &["__complete", "report", "-o", ""],
        0,
        &["html", "sarif"],
    );
    assert!(formats.ends_with(":4\n"), "{formats}");
    check(&folder, &["__complete", "doctor", "--w"], 0, &["--wait\t"]);
    for (words, says) in [
        (&["check", "--host", "builtin/rh"][..], "builtin/rhel-9\n"),
        (&["plan", "--to", "lo"], "local\tthis machine\n"),
        (&["explain", "HF10"], "HF101\tthe image needs a newer CPU\n"),
        (&["except", "deploy/x", "HF5"], "HF501\t"),
        (&["catalog", "show", "rhel-1"], "rhel-10\n"),
    ] {
        let out = check(&folder, &[&["__complete"], words].concat(), 0, &[says]);
        let first = words.last().unwrap();
        let others = out
            .lines()
            .filter(|it| !it.starts_with(first) && *it != ":4");
        assert_eq!(others.count(), 0, "{out}");
    }
}
