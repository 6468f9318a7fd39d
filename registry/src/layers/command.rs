//! The words of a command, up to the program that matters: what only starts another one is passed over. Pure.

use super::name_of;

/// Programs that only start the one after them.
const STARTERS: [&str; 5] = [
    "tini",
    "tini-static",
    "dumb-init",
    "docker-init",
    "catatonit",
];
const SHELLS: [&str; 4] = ["sh", "bash", "dash", "ash"];
/// Programs within programs.
const DEPTH: usize = 4;

/// The programs of a command, each started by the one after it: the program that matters comes first, then `env`, and the
/// shell whose only plain command it is. Starters are left out.
pub(super) fn programs(command: &[String]) -> Vec<String> {
    let mut words = command.to_vec();
    let mut found = Vec::new();
    for _ in 0..DEPTH {
        let Some((first, rest)) = words.split_first() else {
            break;
        };
        let name = name_of(first);
        let next = match name {
            _ if STARTERS.contains(&name) => after_options(rest).map(<[String]>::to_vec),
            "env" => {
                found.push(first.clone());
                after_variables(rest).map(<[String]>::to_vec)
            }
            _ if SHELLS.contains(&name) => {
                found.push(first.clone());
                given(rest).and_then(|text| plain(text))
            }
            _ => {
                found.push(first.clone());
                None
            }
        };
        match next {
            Some(next) => words = next,
            None => break,
        }
    }
    // The innermost first.
    found.reverse();
    found
}

/// What follows the options of a starter, some of which have a value of their own.
fn after_options(mut words: &[String]) -> Option<&[String]> {
    loop {
        let (first, rest) = words.split_first()?;
        words = match first.as_str() {
            "--" => return Some(rest),
            "-e" | "-p" | "-r" | "--rewrite" => rest.get(1..)?,
            option if option.starts_with('-') => rest,
            _ => return Some(words),
        };
    }
}

/// What follows the options and variables of `env`. Its `-S` splits a text as a shell would: that is not followed.
fn after_variables(mut words: &[String]) -> Option<&[String]> {
    loop {
        let (first, rest) = words.split_first()?;
        words = match first.as_str() {
            "--" => return Some(rest),
            "-u" | "-C" | "--unset" | "--chdir" => rest.get(1..)?,
            "-S" | "--split-string" => return None,
            option if option.starts_with('-') => rest,
            variable if variable.contains('=') => rest,
            _ => return Some(words),
        };
    }
}

/// What a shell is given with `-c`, perhaps among other letters (`-ec`).
fn given(words: &[String]) -> Option<&String> {
    let (first, rest) = words.split_first()?;
    let letters = first.strip_prefix('-')?;
    let is_command = letters.ends_with('c') && letters.bytes().all(|it| it.is_ascii_lowercase());
    rest.first().filter(|_| is_command)
}

/// The words of a shell's text if it is one command, perhaps behind variables and `exec`: `exec java $OPTS -jar app.jar`.
/// Whatever else a shell can do, it is not followed.
fn plain(text: &str) -> Option<Vec<String>> {
    let is_several = |c: char| matches!(c, ';' | '&' | '|' | '<' | '>' | '(' | ')' | '`' | '\n');
    if text.contains(is_several) {
        return None;
    }
    let is_variable = |word: &&str| word.contains('=') || *word == "exec";
    let words = text.split_whitespace().skip_while(is_variable);
    let words: Vec<_> = words.map(str::to_owned).collect();
    let is_name = |word: &String| !word.contains(['$', '"', '\'', '\\', '*', '?', '{', '~']);
    words.first().is_some_and(is_name).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The programs, the innermost first.
    #[track_caller]
    fn check(command: &[&str], expected: &[&str]) {
        let command: Vec<_> = command.iter().map(|word| word.to_string()).collect();
        assert_eq!(programs(&command), expected);
    }

    #[test]
    fn what_only_starts_another_program_is_passed_over() {
        check(&["/app", "--serve"], &["/app"]);
        check(&["tini", "--", "/app"], &["/app"]);
        check(&["tini", "-s", "-e", "143", "/app"], &["/app"]);
        check(&["env", "A=1", "-u", "B", "/app", "C=2"], &["/app", "env"]);
        check(&["/bin/env", "-i", "A=1", "app"], &["app", "/bin/env"]);
        check(&["tini", "env", "A=1", "app"], &["app", "env"]);
        check(&["env", "-S", "app x"], &["env"]);
        check(&["env", "A=1"], &["env"]);
        check(&["tini"], &[]);
        check(&[], &[]);
    }

    #[test]
    fn one_plain_command_of_a_shell_is_followed() {
        check(&["/bin/sh", "-c", "app --serve"], &["app", "/bin/sh"]);
        check(&["sh", "-c", "exec app \"$@\"", "--"], &["app", "sh"]);
        check(
            &["bash", "-ec", "A=1 exec java $OPTS -jar a.jar"],
            &["java", "bash"],
        );
        check(&["sh", "-c", "exec env A=${B} app"], &["app", "env", "sh"]);
        check(&["sh", "-c", "exec sh -c app"], &["app", "sh", "sh"]);
    }

    #[test]
    fn whatever_else_a_shell_does_is_not_followed() {
        for text in [
            "cd /srv && exec app",
            "app; sleep 1",
            "app | tee log",
            "app > log",
            "$(which app)",
            "`which app`",
            "$APP --serve",
            "\"app\"",
            "~/app",
            "{ app",
            "A=1",
            "",
        ] {
            check(&["sh", "-c", text], &["sh"]);
        }
        check(&["sh", "/entry.sh"], &["sh"]);
        check(&["sh", "-x", "/entry.sh"], &["sh"]);
        check(&["sh", "-c"], &["sh"]);
        check(&["sh"], &["sh"]);
    }
}
