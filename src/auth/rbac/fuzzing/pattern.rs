//! Patterns of policies and projects: the first line of an input is the pattern, the
//! second the text that it is held against.

use crate::rbac::MatchMode;
use crate::rbac::pattern::{Patterns, Reading};

/// Where a text is compared rule by rule, it costs the product of both lengths.
const SHORT: usize = 256;

pub(crate) fn run(input: &[u8]) {
    let input = String::from_utf8_lossy(input);
    let (pattern, text) = input.split_once('\n').unwrap_or((&input, ""));
    glob(pattern, text);
    expression(pattern, text);
}

/// Whether a pattern that can be read matches, which it does not without its beginning.
fn read(mode: MatchMode, pattern: &str, text: &str) -> Option<bool> {
    let mut all = Patterns::default();
    let Reading::Pattern(id) = all.read(mode, pattern) else { return None };
    let matches = all.get(id).matches(text);
    let beginning = all.get(id).prefix();
    assert!(!matches || text.starts_with(beginning), "{pattern:?} matches {text:?} without {beginning:?}");
    Some(matches)
}

fn glob(pattern: &str, text: &str) {
    // Projects read globs in their own way, where nothing is unreadable.
    let of_projects = argosy_model::glob::matches(pattern, text, &[]);
    let Some(matches) = read(MatchMode::Glob, pattern, text) else { return };
    let is_plain = !pattern.contains(['?', '[', ']', '{', '}', '\\', '!', '-', '^']);
    if !is_plain || pattern.len() > SHORT || text.len() > SHORT {
        return;
    }
    let wanted = stars(pattern.as_bytes(), text.as_bytes());
    assert_eq!((matches, of_projects), (wanted, wanted), "{pattern:?} {text:?}");
    // A class for each letter is another way to the same answer.
    let classes = pattern.chars().map(|c| if c == '*' { "*".to_owned() } else { format!("[{c}]") });
    let classes: String = classes.collect();
    assert_eq!(read(MatchMode::Glob, &classes, text), Some(wanted), "{classes:?} {text:?}");
}

/// Whether a pattern of stars and letters matches, by trying.
fn stars(pattern: &[u8], text: &[u8]) -> bool {
    // Which lengths of the text are matched by what was read of the pattern.
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    for letter in pattern {
        let mut next = vec![false; text.len() + 1];
        for at in 0..=text.len() {
            next[at] = match letter {
                b'*' => reached[at] || at > 0 && next[at - 1],
                letter => at > 0 && reached[at - 1] && text[at - 1] == *letter,
            };
        }
        reached = next;
    }
    reached[text.len()]
}

fn expression(pattern: &str, text: &str) {
    read(MatchMode::Regex, pattern, text);
    // What is quoted means itself, whatever it is.
    if !text.contains("\\E") && text.len() <= SHORT {
        let quoted = format!("^\\Q{text}\\E$");
        assert_eq!(read(MatchMode::Regex, &quoted, text), Some(true), "{quoted:?}");
    }
}
