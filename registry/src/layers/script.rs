//! What a shell script starts in the end, where that can be told without a shell. Pure.

use super::command::{is_shell, is_starter};

/// A script.
#[derive(Debug)]
pub(crate) struct Script {
    /// The line after `#!`.
    pub(super) interpreter: String,
    /// What takes the place of the shell at its end.
    pub(super) end: Option<End>,
}

/// What takes the place of a shell.
#[derive(Debug, PartialEq)]
pub(super) enum End {
    /// What it was given as its arguments: `exec "$@"`.
    Arguments,
    /// A program that it names: `exec java -jar app.jar`.
    Program(String),
}

/// Bytes of the first line that count, as in Linux.
const INTERPRETER: usize = 256;

/// Programs that change to the user that they are told first.
const OTHER_USER: [&str; 2] = ["gosu", "su-exec"];

impl Script {
    /// A script whose text, without its `#!`, is `text`.
    pub(super) fn of(text: &str) -> Self {
        let (interpreter, rest) = text.split_once('\n').unwrap_or((text, ""));
        let most = interpreter.floor_char_boundary(INTERPRETER);
        let interpreter = interpreter.get(..most).unwrap_or_default();
        Self {
            interpreter: interpreter.trim_end_matches('\r').to_owned(),
            end: end(interpreter, rest),
        }
    }

    /// Bytes that it takes.
    pub(super) fn size(&self) -> usize {
        let named = match &self.end {
            Some(End::Program(name)) => name.len(),
            Some(End::Arguments) | None => 0,
        };
        self.interpreter.len() + named
    }
}

/// What the last line says, which every run comes to that has not ended before.
///
/// Wherever else the script lets something take its place, it must be the same: with another user first (`exec gosu app
/// "$0" "$@"`), or itself again. What it puts before its arguments (`set -- app "$@"`) it does for those that are only
/// options; where it moves or replaces them, nobody can tell.
fn end(interpreter: &str, text: &str) -> Option<End> {
    let mut words = interpreter.split_whitespace();
    if !words.any(is_shell) {
        return None;
    }
    let lines = text.lines().map(str::trim_end);
    let lines = lines.filter(|line| {
        let line = line.trim_start();
        !line.is_empty() && !line.starts_with('#')
    });
    let lines: Vec<_> = lines.collect();
    let (last, before) = lines.split_last()?;
    // Inside of something, it is not always reached.
    let last = last.strip_prefix("exec ")?;
    let is_end = |line: &&&str| {
        let words = line.trim_start();
        words.starts_with("exec ") || words.contains("; exec ") || words.contains("&& exec ")
    };
    let is_same = |line: &&str| line.trim_end().ends_with("\"$@\"");
    let is_moved = |line: &&str| {
        let words: Vec<_> = line.split_whitespace().collect();
        words.contains(&"shift")
            || words.contains(&"eval")
            || words.windows(2).any(|pair| pair == ["set", "--"]) && !is_same(line)
    };
    if before.iter().any(is_moved) || !before.iter().filter(is_end).all(is_same) {
        return None;
    }
    taken_over_by(last)
}

/// `"$@"`, `tini -- "$@"`, `gosu app "$@"`, `java $OPTS -jar app.jar "$@"`
fn taken_over_by(line: &str) -> Option<End> {
    const ARGUMENTS: [&str; 2] = ["\"$@\"", "\"${@}\""];
    let is_several = |c: char| matches!(c, ';' | '&' | '|' | '<' | '>' | '(' | ')' | '`' | '\\');
    if line.contains(is_several) {
        return None;
    }
    let words: Vec<_> = line.split_whitespace().collect();
    let (first, rest) = words.split_first()?;
    if ARGUMENTS.contains(first) {
        return Some(End::Arguments);
    }
    let is_other_user = OTHER_USER.contains(&super::name_of(first));
    if is_other_user || is_starter(first) {
        let (last, rest) = rest.split_last()?;
        // A user at the most: whatever else stands there may be the program itself.
        let words = rest.iter().filter(|word| !word.starts_with('-')).count();
        let is_all = ARGUMENTS.contains(last) && words <= usize::from(is_other_user);
        return is_all.then_some(End::Arguments);
    }
    let is_name = !first.contains(['$', '"', '\'', '*', '?', '{', '~', '=']);
    is_name.then(|| End::Program((*first).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<End> {
        Script::of(text).end
    }

    #[test]
    fn entrypoints_of_published_images_hand_on_what_they_are_given() {
        // docker-library/redis, cut.
        let redis = r#"/bin/sh
set -e

# first arg is `-f` or `--some-option`
if [ "${1#-}" != "$1" ] || [ "${1%.conf}" != "$1" ]; then
	set -- redis-server "$@"
fi

if [ "$1" = 'redis-server' -a "$(id -u)" = '0' ]; then
	find . \! -user redis -exec chown redis '{}' +
	exec gosu redis "$0" "$@"
fi

exec "$@"
"#;
        assert_eq!(of(redis), Some(End::Arguments));
        assert_eq!(of("/bin/bash\nset -e\nexec \"$@\""), Some(End::Arguments));
        let tini = "/usr/bin/env bash\nexec tini -- \"$@\"\n# end\n";
        assert_eq!(of(tini), Some(End::Arguments));
        let user = "/bin/sh\nchown -R app /data\nexec su-exec app \"$@\"\n";
        assert_eq!(of(user), Some(End::Arguments));
    }

    #[test]
    fn what_a_script_names_takes_its_place() {
        let java = "/bin/sh\nexport A=1\nexec java $JAVA_OPTS -jar /app.jar \"$@\"\n";
        assert_eq!(of(java), Some(End::Program("java".to_owned())));
        let own = "/bin/sh\nexec /usr/local/bin/app --serve";
        assert_eq!(of(own), Some(End::Program("/usr/local/bin/app".to_owned())));
    }

    #[test]
    fn what_a_shell_would_have_to_be_for_is_not_told() {
        for text in [
            "/bin/sh\n\"$@\"\n",
            "/bin/sh\nif true; then\n  exec \"$@\"\nfi\n",
            "/bin/sh\n  exec \"$@\"\n",
            "/bin/sh\nshift\nexec \"$@\"\n",
            "/bin/sh\nset -- other --flag\nexec \"$@\"\n",
            "/bin/sh\neval \"$X\"\nexec \"$@\"\n",
            "/bin/sh\n[ -n \"$X\" ] && exec other\nexec \"$@\"\n",
            "/bin/sh\nif x; then\n\texec other\nfi\nexec \"$@\"\n",
            "/bin/sh\nexec \"$APP\" \"$@\"\n",
            "/bin/sh\nexec $APP\n",
            "/bin/sh\nexec > /log 2>&1\n",
            "/bin/sh\nexec app | tee log\n",
            "/bin/sh\nexec app \\\n",
            "/bin/sh\nexec gosu app java -jar app.jar\n",
            "/bin/sh\nexec gosu app java \"$@\"\n",
            "/bin/sh\nexec tini -- java \"$@\"\n",
            "/usr/bin/python3\nexec \"$@\"\n",
            "/bin/sh\n",
            "/bin/sh",
            "",
        ] {
            assert_eq!(of(text), None, "{text:?}");
        }
    }
}
