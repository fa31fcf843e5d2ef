//! Glob patterns of projects and policies.
//!
//! `*` and `?` stop at a separator where one is given, `**` does not;
//! `[a-c]`, `[!x]`, `{a,b}` (nested too) and `\x` are understood. What is not
//! closed is literal. Reading a pattern is linear in its length and matching is
//! linear in pattern times text: there is no input that makes it hang.

/// Whether `pattern` matches all of `text`. Separators are those characters `*`
/// and `?` do not cross; none means that they cross anything.
pub fn matches(pattern: &str, text: &str, separators: &[char]) -> bool {
    Pattern::new(pattern, separators).matches(text)
}

/// A pattern read once and matched often.
#[derive(Clone, Debug)]
pub struct Pattern {
    tokens: Vec<Token>,
    separators: Box<[char]>,
    /// The text itself, where the pattern has no wildcard.
    literal: Option<String>,
}

#[derive(Clone, Debug)]
enum Token {
    Literal(char),
    AnyOne,
    AnyRun,
    AnyDeep,
    Class { negated: bool, ranges: Vec<(char, char)> },
    OneOf(Vec<Vec<Token>>),
}

/// Braces nested deeper than this are literal: bounds the recursion a hostile
/// `{{{{...` can cause.
const MAX_DEPTH: usize = 16;

// === impl Pattern ===

impl Pattern {
    /// Reads a pattern. Every text is one.
    pub fn new(pattern: &str, separators: &[char]) -> Self {
        let chars: Vec<char> = pattern.chars().collect();
        let reader = Reader { closes: matching_braces(&chars), brackets: next_brackets(&chars), chars };
        let tokens = reader.tokens(0, reader.chars.len());
        let literal = tokens.iter().map(|t| if let Token::Literal(c) = t { Some(*c) } else { None }).collect();
        Self { tokens, separators: separators.into(), literal }
    }

    /// Whether the pattern matches all of the text.
    pub fn matches(&self, text: &str) -> bool {
        if let Some(literal) = &self.literal {
            return literal == text;
        }
        let text: Vec<char> = text.chars().collect();
        let mut reachable = vec![false; text.len() + 1];
        reachable[0] = true;
        advance(&self.tokens, reachable, &text, &self.separators)[text.len()]
    }
}

// === reading ===

struct Reader {
    chars: Vec<char>,
    /// For each opening brace that has one, its closing brace.
    closes: Vec<Option<usize>>,
    /// For each place, the first closing bracket there or later.
    brackets: Vec<Option<usize>>,
}

impl Reader {
    fn tokens(&self, start: usize, end: usize) -> Vec<Token> {
        let chars = &self.chars;
        let (mut out, mut i) = (Vec::new(), start);
        while i < end {
            match chars[i] {
                '\\' if i + 1 < end => {
                    i += 1;
                    out.push(Token::Literal(chars[i]));
                }
                '*' if i + 1 < end && chars[i + 1] == '*' => {
                    i += 1;
                    out.push(Token::AnyDeep);
                }
                '*' => out.push(Token::AnyRun),
                '?' => out.push(Token::AnyOne),
                '[' => match self.brackets.get(i + 2).copied().flatten().filter(|close| *close < end) {
                    Some(close) => {
                        out.push(class(&chars[i + 1..close]));
                        i = close;
                    }
                    None => out.push(Token::Literal('[')),
                },
                c => match self.closes[i] {
                    Some(close) => {
                        out.push(self.alternatives(i + 1, close));
                        i = close;
                    }
                    None => out.push(Token::Literal(c)),
                },
            }
            i += 1;
        }
        out
    }

    fn alternatives(&self, start: usize, close: usize) -> Token {
        let (mut options, mut from, mut i) = (Vec::new(), start, start);
        while i < close {
            match self.chars[i] {
                '\\' => i += 1,
                ',' => {
                    options.push(self.tokens(from, i));
                    from = i + 1;
                }
                _ => i = self.closes[i].unwrap_or(i),
            }
            i += 1;
        }
        options.push(self.tokens(from, close));
        Token::OneOf(options)
    }
}

fn matching_braces(chars: &[char]) -> Vec<Option<usize>> {
    let mut closes = vec![None; chars.len()];
    let (mut open, mut i) = (Vec::new(), 0);
    while i < chars.len() {
        match chars[i] {
            '\\' => i += 1,
            '{' => open.push(i),
            '}' => {
                if let Some(start) = open.pop().filter(|_| open.len() < MAX_DEPTH) {
                    closes[start] = Some(i);
                }
            }
            _ => {}
        }
        i += 1;
    }
    closes
}

fn next_brackets(chars: &[char]) -> Vec<Option<usize>> {
    let mut next = vec![None; chars.len()];
    let mut last = None;
    for i in (0..chars.len()).rev() {
        last = if chars[i] == ']' { Some(i) } else { last };
        next[i] = last;
    }
    next
}

fn class(body: &[char]) -> Token {
    let negated = matches!(body.first(), Some('!' | '^'));
    let body = if negated { &body[1..] } else { body };
    let (mut ranges, mut i) = (Vec::new(), 0);
    while i < body.len() {
        if i + 2 < body.len() && body[i + 1] == '-' {
            ranges.push((body[i], body[i + 2]));
            i += 3;
        } else {
            ranges.push((body[i], body[i]));
            i += 1;
        }
    }
    Token::Class { negated, ranges }
}

// === matching ===

/// `reachable[j]` says that the tokens so far can consume exactly `text[..j]`.
fn advance(tokens: &[Token], mut reachable: Vec<bool>, text: &[char], separators: &[char]) -> Vec<bool> {
    for token in tokens {
        let mut next = vec![false; text.len() + 1];
        match token {
            Token::AnyRun | Token::AnyDeep => {
                let deep = matches!(token, Token::AnyDeep);
                let mut open = false;
                for j in 0..=text.len() {
                    if j > 0 && !deep && separators.contains(&text[j - 1]) {
                        open = false;
                    }
                    open |= reachable[j];
                    next[j] = open;
                }
            }
            Token::OneOf(options) => {
                for option in options {
                    let ends = advance(option, reachable.clone(), text, separators);
                    next.iter_mut().zip(ends).for_each(|(n, end)| *n |= end);
                }
            }
            _ => {
                for j in 0..text.len() {
                    next[j + 1] = reachable[j] && one(token, text[j], separators);
                }
            }
        }
        reachable = next;
    }
    reachable
}

fn one(token: &Token, c: char, separators: &[char]) -> bool {
    match token {
        Token::Literal(l) => *l == c,
        Token::AnyOne => !separators.contains(&c),
        Token::Class { negated, ranges } => ranges.iter().any(|(a, b)| (*a..=*b).contains(&c)) != *negated,
        Token::AnyRun | Token::AnyDeep | Token::OneOf(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stop_at_separators_and_double_stars_do_not() {
        assert!(matches("https://host/*", "https://host/a", &['/']));
        assert!(!matches("https://host/*", "https://host/a/b", &['/']));
        assert!(matches("https://host/**", "https://host/a/b", &['/']));
        assert!(matches("*", "a/b", &[]));
    }

    #[test]
    fn classes_and_alternatives_are_understood() {
        assert!(matches("{a,b}[0-9]?", "b7x", &[]));
        assert!(!matches("[!a]", "a", &[]));
        assert!(matches("a\\*", "a*", &[]));
        assert!(matches("x{a{1,2},b}y", "xa2y", &[]));
        assert!(!matches("x{a{1,2},b}y", "xay", &[]));
        assert!(matches("{a,}b", "b", &[]));
    }

    #[test]
    fn what_is_not_closed_is_literal() {
        assert!(matches("a{b", "a{b", &[]));
        assert!(matches("a[b*", "a[bc", &[]));
    }

    #[test]
    fn hostile_patterns_do_not_hang() {
        let text = "a".repeat(2_000);
        assert!(!matches(&"{a,b}".repeat(500), &text, &[]));
        assert!(!matches(&("*a".repeat(500) + "b"), &text, &[]));
        assert!(!matches(&"[".repeat(200_000), "x", &[]));
        assert!(!matches(&("{".repeat(50_000) + &"}".repeat(50_000)), "x", &[]));
    }
}
