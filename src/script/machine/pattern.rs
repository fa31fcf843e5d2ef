//! Lua's patterns, matched step by step so that each step can be paid for.
//!
//! A pattern backtracks: a short one can take forever on a short text. Every
//! character looked at is one step here; the meter ends it. Depth is bounded too.

use super::meter::Meter;

/// Captures of one pattern.
const CAPTURES: usize = 32;

/// How deep a match may nest.
const DEPTH: usize = 200;

/// Steps between two payments.
const BATCH: u64 = 64;

/// A part of the text that a pattern asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Capture<'a> {
    /// The text between parentheses.
    Text(&'a [u8]),
    /// Where `()` stood, counted from 1.
    Position(usize),
}

#[derive(Clone, Copy)]
enum Extent {
    Open,
    Position,
    Closed(usize),
}

/// A pattern at work on a text.
pub(super) struct Matcher<'a> {
    text: &'a [u8],
    pattern: &'a [u8],
    meter: &'a Meter,
    anchored: bool,
    captures: Vec<(usize, Extent)>,
    steps: u64,
    depth: usize,
}

type Found = mlua::Result<Option<usize>>;

fn malformed(why: &str) -> mlua::Error {
    mlua::Error::runtime(format!("malformed pattern ({why})"))
}

// === impl Matcher ===

impl<'a> Matcher<'a> {
    pub(super) fn new(text: &'a [u8], pattern: &'a [u8], meter: &'a Meter) -> Self {
        let anchored = pattern.first() == Some(&b'^');
        let pattern = if anchored { &pattern[1..] } else { pattern };
        Self { text, pattern, meter, anchored, captures: Vec::new(), steps: 0, depth: 0 }
    }

    /// With `^` as an ordinary character, as `gmatch` has it.
    pub(super) fn unanchored(text: &'a [u8], pattern: &'a [u8], meter: &'a Meter) -> Self {
        Self { text, pattern, meter, anchored: false, captures: Vec::new(), steps: 0, depth: 0 }
    }

    pub(super) fn is_anchored(&self) -> bool {
        self.anchored
    }

    /// The first match at or after an index: its begin and end.
    pub(super) fn find(&mut self, start: usize) -> mlua::Result<Option<(usize, usize)>> {
        for from in start..=self.text.len() {
            if let Some(to) = self.at(from)? {
                return Ok(Some((from, to)));
            }
            if self.anchored {
                break;
            }
        }
        Ok(None)
    }

    /// The end of a match that begins here.
    pub(super) fn at(&mut self, from: usize) -> Found {
        self.captures.clear();
        self.depth = 0;
        let found = self.matches(from, 0)?;
        self.meter.charge(self.steps + 1)?;
        self.steps = 0;
        Ok(found)
    }

    /// What the last match captured; `whole` stands in where there is nothing.
    pub(super) fn captures(&self, from: usize, to: usize, whole: bool) -> mlua::Result<Vec<Capture<'a>>> {
        if self.captures.is_empty() && whole {
            return Ok(vec![Capture::Text(&self.text[from..to])]);
        }
        let one = |&(at, extent): &(usize, Extent)| match extent {
            Extent::Closed(length) => Ok(Capture::Text(&self.text[at..at + length])),
            Extent::Position => Ok(Capture::Position(at + 1)),
            Extent::Open => Err(mlua::Error::runtime("unfinished capture")),
        };
        self.captures.iter().map(one).collect()
    }

    fn step(&mut self) -> mlua::Result<()> {
        self.steps += 1;
        if self.steps >= BATCH {
            self.meter.charge(std::mem::take(&mut self.steps))?;
        }
        Ok(())
    }

    fn matches(&mut self, s: usize, p: usize) -> Found {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(mlua::Error::runtime("pattern too complex"));
        }
        let found = self.advance(s, p);
        self.depth -= 1;
        found
    }

    fn advance(&mut self, mut s: usize, mut p: usize) -> Found {
        loop {
            self.step()?;
            let Some(&c) = self.pattern.get(p) else { return Ok(Some(s)) };
            let next = self.pattern.get(p + 1).copied();
            match (c, next) {
                (b'(', Some(b')')) => return self.begin(s, p + 2, Extent::Position),
                (b'(', _) => return self.begin(s, p + 1, Extent::Open),
                (b')', _) => return self.end(s, p + 1),
                (b'$', None) => return Ok((s == self.text.len()).then_some(s)),
                (b'%', Some(b'b')) => {
                    let Some(end) = self.balance(s, p + 2)? else { return Ok(None) };
                    (s, p) = (end, p + 4);
                    continue;
                }
                (b'%', Some(b'f')) => {
                    if !self.is_frontier(s, p + 2)? {
                        return Ok(None);
                    }
                    p = self.class_end(p + 2)?;
                    continue;
                }
                (b'%', Some(digit)) if digit.is_ascii_digit() => {
                    let Some(end) = self.repeated(s, digit)? else { return Ok(None) };
                    (s, p) = (end, p + 2);
                    continue;
                }
                _ => {}
            }
            let end = self.class_end(p)?;
            let fits = self.fits(s, p, end);
            match self.pattern.get(end) {
                Some(b'?') => {
                    if fits && let Some(found) = self.matches(s + 1, end + 1)? {
                        return Ok(Some(found));
                    }
                    p = end + 1;
                }
                Some(b'*') => return self.longest(s, p, end),
                Some(b'+') => return if fits { self.longest(s + 1, p, end) } else { Ok(None) },
                Some(b'-') => return self.shortest(s, p, end),
                _ if fits => (s, p) = (s + 1, end),
                _ => return Ok(None),
            }
        }
    }

    fn longest(&mut self, s: usize, p: usize, end: usize) -> Found {
        let mut count = 0;
        while self.fits(s + count, p, end) {
            self.step()?;
            count += 1;
        }
        loop {
            if let Some(found) = self.matches(s + count, end + 1)? {
                return Ok(Some(found));
            }
            if count == 0 {
                return Ok(None);
            }
            count -= 1;
        }
    }

    fn shortest(&mut self, mut s: usize, p: usize, end: usize) -> Found {
        loop {
            if let Some(found) = self.matches(s, end + 1)? {
                return Ok(Some(found));
            }
            if !self.fits(s, p, end) {
                return Ok(None);
            }
            s += 1;
        }
    }

    fn begin(&mut self, s: usize, p: usize, extent: Extent) -> Found {
        if self.captures.len() >= CAPTURES {
            return Err(mlua::Error::runtime("too many captures"));
        }
        let level = self.captures.len();
        self.captures.push((s, extent));
        let found = self.matches(s, p)?;
        if found.is_none() {
            self.captures.truncate(level);
        }
        Ok(found)
    }

    fn end(&mut self, s: usize, p: usize) -> Found {
        let open = self.captures.iter().rposition(|c| matches!(c.1, Extent::Open));
        let Some(open) = open else { return Err(mlua::Error::runtime("invalid pattern capture")) };
        self.captures[open].1 = Extent::Closed(s - self.captures[open].0);
        let found = self.matches(s, p)?;
        if found.is_none() {
            self.captures[open].1 = Extent::Open;
        }
        Ok(found)
    }

    /// `%1`: what was captured, once more.
    fn repeated(&mut self, s: usize, digit: u8) -> Found {
        let capture = usize::from(digit).checked_sub(usize::from(b'1')).and_then(|i| self.captures.get(i));
        let Some(&(at, Extent::Closed(length))) = capture else {
            return Err(mlua::Error::runtime("invalid capture index"));
        };
        self.steps += length as u64;
        let same = self.text.get(s..s + length) == Some(&self.text[at..at + length]);
        Ok(same.then_some(s + length))
    }

    /// `%bxy`: from an x to the y that closes it.
    fn balance(&mut self, s: usize, p: usize) -> Found {
        let Some(&[open, close]) = self.pattern.get(p..p + 2).and_then(|b| <&[u8; 2]>::try_from(b).ok()) else {
            return Err(mlua::Error::runtime("unbalanced pattern"));
        };
        if self.text.get(s) != Some(&open) {
            return Ok(None);
        }
        let mut depth = 1;
        for at in s + 1..self.text.len() {
            self.step()?;
            let c = self.text[at];
            if c == close {
                depth -= 1;
                if depth == 0 {
                    return Ok(Some(at + 1));
                }
            } else if c == open {
                depth += 1;
            }
        }
        Ok(None)
    }

    /// `%f[set]`: where the set begins.
    fn is_frontier(&self, s: usize, p: usize) -> mlua::Result<bool> {
        if self.pattern.get(p) != Some(&b'[') {
            return Err(mlua::Error::runtime("missing '[' after '%f' in pattern"));
        }
        let end = self.class_end(p)?;
        let before = s.checked_sub(1).map_or(0, |i| self.text[i]);
        let here = self.text.get(s).copied().unwrap_or(0);
        Ok(!self.in_set(before, p, end) && self.in_set(here, p, end))
    }

    /// Past the single character, class or set that begins here.
    fn class_end(&self, p: usize) -> mlua::Result<usize> {
        match self.pattern.get(p) {
            Some(b'%') if p + 1 >= self.pattern.len() => Err(malformed("ends with '%'")),
            Some(b'%') => Ok(p + 2),
            Some(b'[') => {
                let mut at = p + 1 + usize::from(self.pattern.get(p + 1) == Some(&b'^'));
                // A bracket that comes first is a member.
                loop {
                    match self.pattern.get(at) {
                        None => return Err(malformed("missing ']'")),
                        Some(b'%') => at += 2,
                        Some(_) => at += 1,
                    }
                    if self.pattern.get(at) == Some(&b']') {
                        return Ok(at + 1);
                    }
                }
            }
            _ => Ok(p + 1),
        }
    }

    fn fits(&self, s: usize, p: usize, end: usize) -> bool {
        let Some(&c) = self.text.get(s) else { return false };
        match self.pattern[p] {
            b'.' => true,
            b'%' => is_in_class(c, self.pattern[p + 1]),
            b'[' => self.in_set(c, p, end),
            literal => literal == c,
        }
    }

    /// Whether the set that begins at `p` and ends before `end` has it.
    fn in_set(&self, c: u8, p: usize, end: usize) -> bool {
        let negated = self.pattern.get(p + 1) == Some(&b'^');
        let set = &self.pattern[p + 1 + usize::from(negated)..end - 1];
        let mut rest = set;
        let has = loop {
            match *rest {
                [] => break false,
                [b'%', class, ref tail @ ..] => {
                    if is_in_class(c, class) {
                        break true;
                    }
                    rest = tail;
                }
                [low, b'-', high, ref tail @ ..] => {
                    if (low..=high).contains(&c) {
                        break true;
                    }
                    rest = tail;
                }
                [one, ref tail @ ..] => {
                    if one == c {
                        break true;
                    }
                    rest = tail;
                }
            }
        };
        has != negated
    }
}

fn is_in_class(c: u8, class: u8) -> bool {
    let has = match class.to_ascii_lowercase() {
        b'a' => c.is_ascii_alphabetic(),
        b'c' => c.is_ascii_control(),
        b'd' => c.is_ascii_digit(),
        b'l' => c.is_ascii_lowercase(),
        b'p' => c.is_ascii_punctuation(),
        b's' => c.is_ascii_whitespace() || c == 0x0b,
        b'u' => c.is_ascii_uppercase(),
        b'w' => c.is_ascii_alphanumeric(),
        b'x' => c.is_ascii_hexdigit(),
        b'z' => c == 0,
        _ => return class == c,
    };
    has != class.is_ascii_uppercase()
}
