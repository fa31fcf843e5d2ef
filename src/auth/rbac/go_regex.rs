//! Regular expressions of policies, which are written for Go.
//!
//! Go's syntax and ours agree in most, and where they do not an expression would
//! silently mean something else: `\d` and `\w` are ASCII there, `{` may be literal,
//! `[a&&b]` is a list of characters, `\<` is a `<`. So each is rewritten into one
//! that means here what it means there. What Go would refuse is refused.

use std::fmt::Write as _;

/// More repetitions than this are refused.
const MAX_REPEAT: u32 = 1000;

/// The expression in our syntax; `None` when it is not one.
pub(super) fn translate(pattern: &str) -> Option<String> {
    let mut translation = Translation { rest: pattern, out: String::with_capacity(pattern.len()), last: Last::Nothing };
    while let Some(c) = translation.next() {
        translation.item(c)?;
    }
    Some(translation.out)
}

/// What every text that the expression is found in begins with, as far as it is
/// easily seen.
pub(super) fn literal_prefix(pattern: &str) -> &str {
    let Some(rest) = pattern.strip_prefix('^').filter(|rest| !rest.contains('|') && !rest.contains("(?")) else {
        return "";
    };
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"/-_:,@ ".contains(c)).unwrap_or(rest.len());
    match rest[end..].chars().next() {
        // What is repeated may be there no time at all.
        Some('*' | '?' | '{' | '+') => &rest[..end.saturating_sub(1)],
        _ => &rest[..end],
    }
}

/// What was read last, which decides whether it can be repeated.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Nothing,
    Item,
    Repetition,
}

struct Translation<'a> {
    rest: &'a str,
    out: String,
    last: Last,
}

/// A place in a class: one character, or a set that cannot begin a range.
enum ClassItem {
    One(char),
    Set(String),
}

// === impl Translation ===

impl<'a> Translation<'a> {
    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    fn take(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn item(&mut self, c: char) -> Option<()> {
        let mut last = Last::Item;
        match c {
            '\\' => self.escape()?,
            '[' => self.class()?,
            '(' => {
                self.open()?;
                last = Last::Nothing;
            }
            '|' => {
                self.out.push('|');
                last = Last::Nothing;
            }
            '*' | '+' | '?' => {
                self.repeat(c.encode_utf8(&mut [0; 4]))?;
                last = Last::Repetition;
            }
            '{' => match repetition(self.rest) {
                Some((text, range)) => {
                    let (least, most) = range?;
                    self.rest = &self.rest[text.len()..];
                    self.repeat(&most.map_or(format!("{{{least},}}"), |most| format!("{{{least},{most}}}")))?;
                    last = Last::Repetition;
                }
                None => self.literal('{'),
            },
            ')' | '.' | '^' | '$' => self.out.push(c),
            c => self.literal(c),
        }
        self.last = last;
        Some(())
    }

    fn literal(&mut self, c: char) {
        self.out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
    }

    fn repeat(&mut self, operator: &str) -> Option<()> {
        (self.last == Last::Item).then_some(())?;
        self.out.push_str(operator);
        if self.take("?") {
            self.out.push('?');
        }
        Some(())
    }

    /// A group whose parenthesis has been read.
    fn open(&mut self) -> Option<()> {
        self.out.push('(');
        if !self.take("?") {
            return Some(());
        }
        self.out.push('?');
        let is_named = self.rest.starts_with("P<") || self.rest.starts_with('<');
        let end = if is_named { self.rest.find('>')? } else { self.rest.find([':', ')'])? };
        let (head, rest) = self.rest.split_at(end + 1);
        let is_known = if is_named {
            let name = head.trim_start_matches('P').trim_matches(['<', '>']);
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        } else {
            head[..end].bytes().all(|b| b"imsU-".contains(&b))
        };
        is_known.then_some(())?;
        self.out.push_str(head);
        self.rest = rest;
        Some(())
    }

    /// What follows a backslash outside of classes.
    fn escape(&mut self) -> Option<()> {
        if self.take("Q") {
            let (text, rest) = self.rest.split_once("\\E").unwrap_or((self.rest, ""));
            self.out.push_str(&regex::escape(text));
            self.rest = rest;
            return Some(());
        }
        // Words are of ASCII. `\B` is refused, as no expression of ours says the same.
        for (name, meaning) in [("b", "(?-u:\\b)"), ("A", "\\A"), ("z", "\\z")] {
            if self.take(name) {
                self.out.push_str(meaning);
                return Some(());
            }
        }
        match self.class_escape()? {
            ClassItem::One(c) => self.literal(c),
            ClassItem::Set(set) => {
                // Writing to a text cannot fail; so below.
                let _ = write!(self.out, "[{set}]");
            }
        }
        Some(())
    }

    /// What follows a backslash in a class, and elsewhere too.
    fn class_escape(&mut self) -> Option<ClassItem> {
        let one = |c| Some(ClassItem::One(c));
        let set = |text: &str| Some(ClassItem::Set(text.to_owned()));
        match self.next()? {
            'd' => set("0-9"),
            'D' => set("[^0-9]"),
            's' => set("\\t\\n\\f\\r "),
            'S' => set("[^\\t\\n\\f\\r ]"),
            'w' => set("0-9A-Za-z_"),
            'W' => set("[^0-9A-Za-z_]"),
            c @ ('p' | 'P') => self.unicode_class(c == 'P').map(ClassItem::Set),
            'a' => one('\x07'),
            'f' => one('\x0c'),
            'n' => one('\n'),
            'r' => one('\r'),
            't' => one('\t'),
            'v' => one('\x0b'),
            'x' => self.hexadecimal().map(ClassItem::One),
            c @ '0'..='7' => self.octal(c).map(ClassItem::One),
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => one(c),
            _ => None,
        }
    }

    fn unicode_class(&mut self, negated: bool) -> Option<String> {
        let name = if self.take("{") {
            let (name, rest) = self.rest.split_once('}')?;
            self.rest = rest;
            name
        } else {
            let (rest, c) = (self.rest, self.next()?);
            &rest[..c.len_utf8()]
        };
        let (name, inverted) = name.strip_prefix('^').map_or((name, false), |name| (name, true));
        let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let letter = if negated != inverted { 'P' } else { 'p' };
        is_name.then(|| format!("\\{letter}{{{name}}}"))
    }

    fn hexadecimal(&mut self) -> Option<char> {
        let digits = if self.take("{") {
            let (digits, rest) = self.rest.split_once('}')?;
            self.rest = rest;
            digits
        } else {
            let digits = self.rest.get(..2)?;
            self.rest = &self.rest[2..];
            digits
        };
        let is_number = digits.bytes().all(|b| b.is_ascii_hexdigit());
        is_number.then(|| u32::from_str_radix(digits, 16).ok().and_then(char::from_u32)).flatten()
    }

    /// A lone digit from 1 to 7 would refer back, which is not supported.
    fn octal(&mut self, first: char) -> Option<char> {
        let digits = self.rest.bytes().take(2).take_while(|b| (b'0'..=b'7').contains(b)).count();
        if first != '0' && digits == 0 {
            return None;
        }
        let text = format!("{first}{}", &self.rest[..digits]);
        self.rest = &self.rest[digits..];
        u32::from_str_radix(&text, 8).ok().and_then(char::from_u32)
    }

    /// A class whose bracket has been read.
    fn class(&mut self) -> Option<()> {
        self.out.push('[');
        if self.take("^") {
            self.out.push('^');
        }
        let mut is_first = true;
        while is_first || !self.take("]") {
            is_first = false;
            if self.rest.starts_with("[:") && self.posix_class()? {
                continue;
            }
            match self.class_item()? {
                ClassItem::Set(set) => self.out.push_str(&set),
                ClassItem::One(low) => {
                    let is_range = self.rest.starts_with('-') && !self.rest.starts_with("-]");
                    let high = if is_range && self.take("-") { self.range_end()? } else { low };
                    (low <= high).then_some(())?;
                    let _ = write!(self.out, "\\x{{{:x}}}-\\x{{{:x}}}", u32::from(low), u32::from(high));
                }
            }
        }
        self.out.push(']');
        Some(())
    }

    fn range_end(&mut self) -> Option<char> {
        match self.class_item()? {
            ClassItem::One(c) => Some(c),
            ClassItem::Set(_) => None,
        }
    }

    fn class_item(&mut self) -> Option<ClassItem> {
        match self.next()? {
            '\\' => self.class_escape(),
            c => Some(ClassItem::One(c)),
        }
    }

    /// Copies `[:name:]`; false when it is not closed and so no such class.
    fn posix_class(&mut self) -> Option<bool> {
        // The bracket that opens it closes nothing: `[:]` is no class.
        let Some(end) = self.rest[2..].find(":]").map(|at| at + 2) else { return Some(false) };
        let (class, rest) = self.rest.split_at(end + 2);
        const NAMES: [&str; 14] = [
            "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper",
            "word", "xdigit",
        ];
        let name = class[2..end].trim_start_matches('^');
        (NAMES.contains(&name) && class.len() - name.len() <= 5).then_some(())?;
        self.out.push_str(class);
        self.rest = rest;
        Some(true)
    }
}

/// Least and most; without the latter there is no most.
type Bounds = (u32, Option<u32>);

/// The rest of a repetition in braces and its bounds, which are missing when they are
/// out of range; `None` when the brace is a character like others.
fn repetition(rest: &str) -> Option<(&str, Option<Bounds>)> {
    let text = &rest[..=rest.find('}')?];
    let inner = &text[..text.len() - 1];
    let (least, most) = inner
        .split_once(',')
        .map_or((inner, Some(inner)), |(least, most)| (least, Some(most).filter(|most| !most.is_empty())));
    let is_number =
        |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit()) && (t.len() == 1 || !t.starts_with('0'));
    if !is_number(least) || !most.is_none_or(is_number) {
        return None;
    }
    let number = |t: &str| t.parse().ok().filter(|n| *n <= MAX_REPEAT);
    let bounds = match (number(least), most.map(number)) {
        (Some(least), None) => Some((least, None)),
        (Some(least), Some(Some(most))) if least <= most => Some((least, Some(most))),
        _ => None,
    };
    Some((text, bounds))
}
