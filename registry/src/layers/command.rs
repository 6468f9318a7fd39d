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

/// A program of a command with its arguments.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Named {
    /// The program first.
    pub(super) words: Vec<String>,
    /// Whether it stands behind the entrypoint, where a pod's arguments would stand in its place.
    pub(super) is_argument: bool,
    /// How many of the words are the entrypoint's.
    pub(super) entrypoint: usize,
}

/// The programs of a command, each started by the one after it: the program that matters comes first, then `env`, and the
/// shell whose only plain command it is. Starters are left out. The first `entrypoint` words are the entrypoint's.
pub(super) fn programs(command: &[String], entrypoint: usize) -> Vec<Named> {
    let mut here = Named {
        words: command.to_vec(),
        is_argument: entrypoint == 0,
        entrypoint,
    };
    let mut found = Vec::new();
    for _ in 0..DEPTH {
        let Some((first, rest)) = here.words.split_first() else {
            break;
        };
        let name = name_of(first);
        let next = match name {
            _ if is_starter(first) => after_options(rest).map(|words| here.from(words)),
            "env" => after_variables(rest).map(|words| here.from(words)),
            _ if is_shell(first) => given(rest).and_then(|(at, text)| {
                let given = here.from(rest.get(at..)?);
                // What the text says is all the entrypoint's, or all the arguments'.
                let words = plain(text)?;
                Some(Named {
                    entrypoint: if given.is_argument { 0 } else { words.len() },
                    words,
                    is_argument: given.is_argument,
                })
            }),
            _ => None,
        };
        let is_passed_over = is_starter(first);
        match next {
            Some(next) => {
                let outer = std::mem::replace(&mut here, next);
                found.extend((!is_passed_over).then_some(outer));
            }
            None => {
                found.extend((!is_passed_over).then_some(here));
                break;
            }
        }
    }
    // The innermost first.
    found.reverse();
    found
}

impl Named {
    /// The program that begins at `rest`, which ends these words.
    fn from(&self, rest: &[String]) -> Self {
        let entrypoint = self
            .entrypoint
            .saturating_sub(self.words.len() - rest.len());
        Self {
            words: rest.to_vec(),
            is_argument: self.is_argument || entrypoint == 0,
            entrypoint,
        }
    }

    /// The programs of its arguments, where it starts these.
    pub(super) fn arguments(&self) -> Vec<Self> {
        let rest = self.words.get(1..).unwrap_or_default();
        let rest = self.from(rest);
        programs(&rest.words, rest.entrypoint)
    }
}

/// Whether a program only starts another one.
pub(super) fn is_starter(word: &str) -> bool {
    STARTERS.contains(&name_of(word))
}

/// Whether a program is a shell.
pub(super) fn is_shell(word: &str) -> bool {
    SHELLS.contains(&name_of(word))
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

/// What a shell is given with `-c`, perhaps among other letters (`-ec`), and which word that is.
fn given(words: &[String]) -> Option<(usize, &String)> {
    let (first, rest) = words.split_first()?;
    let letters = first.strip_prefix('-')?;
    let is_command = letters.ends_with('c') && letters.bytes().all(|it| it.is_ascii_lowercase());
    let text = rest.first().filter(|_| is_command)?;
    Some((1, text))
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
        let found = programs(&command, command.len());
        let found: Vec<_> = found.iter().map(|it| it.words[0].as_str()).collect();
        assert_eq!(found, expected);
    }

    /// The programs behind an entrypoint of so many words, those in brackets that arguments of a pod replace.
    #[track_caller]
    fn check_arguments(entrypoint: usize, command: &[&str], expected: &str) {
        let command: Vec<_> = command.iter().map(|word| word.to_string()).collect();
        let found = programs(&command, entrypoint).into_iter().map(|it| {
            let name = &it.words[0];
            if it.is_argument {
                format!("[{name}]")
            } else {
                name.clone()
            }
        });
        assert_eq!(found.collect::<Vec<_>>().join(" "), expected);
    }

    #[test]
    fn a_pods_arguments_replace_what_stands_behind_the_entrypoint() {
        check_arguments(0, &["app", "--serve"], "[app]");
        check_arguments(1, &["app", "--serve"], "app");
        check_arguments(2, &["tini", "--", "app"], "[app]");
        check_arguments(3, &["tini", "--", "app", "-v"], "app");
        check_arguments(1, &["env", "A=1", "app"], "[app] env");
        check_arguments(2, &["sh", "-c", "exec app -x"], "[app] sh");
        check_arguments(3, &["sh", "-c", "exec env A=1 app"], "app env sh");
        let script = ["/entry.sh", "app", "-v"].map(str::to_owned);
        let [script] = programs(&script, 1).try_into().unwrap();
        let [app] = script.arguments().try_into().unwrap();
        assert_eq!((app.words[0].as_str(), app.is_argument), ("app", true));
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
