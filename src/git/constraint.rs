//! Version constraints as Helm and Argo CD's users write them, the dialect of
//! the Masterminds semver library: `~1.2`, `^1`, `1.x`, `>=1 <2`, `1.2 - 1.4`,
//! `||`. It differs from the `semver` crate's in its lax versions (`v1`, `1.2`),
//! its wildcards and its rule for pre-releases: one is admitted only where the
//! same alternative of the constraint names a pre-release too.

use std::cmp::Ordering;

use semver::Prerelease;

/// A lax version: an optional `v`, one to three numbers, perhaps a pre-release;
/// build metadata is accepted and does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    numbers: [u64; 3],
    pre: Prerelease,
}

/// A parsed constraint.
#[derive(Clone, Debug)]
pub struct Constraint {
    alternatives: Vec<Vec<Comparator>>,
}

#[derive(Clone, Debug)]
struct Comparator {
    op: Op,
    version: Version,
    /// How many of the three numbers were given: `1.x` is 1, `*` is 0.
    given: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Equal,
    NotEqual,
    Greater,
    Less,
    GreaterEqual,
    LessEqual,
    Tilde,
    Caret,
}

/// Longest first, so that `>=` is not read as `>`.
const OPS: [(&str, Op); 12] = [
    ("!=", Op::NotEqual),
    (">=", Op::GreaterEqual),
    ("=>", Op::GreaterEqual),
    ("<=", Op::LessEqual),
    ("=<", Op::LessEqual),
    ("~>", Op::Tilde),
    ("=", Op::Equal),
    (">", Op::Greater),
    ("<", Op::Less),
    ("~", Op::Tilde),
    ("^", Op::Caret),
    ("", Op::Equal),
];

// === impl Version ===

impl Version {
    /// Reads a lax version; `None` when it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let (version, given) = parse_partial(text)?;
        (given > 0 && !has_wildcard(text)).then_some(version)
    }

    /// Whether it is a pre-release.
    pub fn is_prerelease(&self) -> bool {
        !self.pre.is_empty()
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.numbers.cmp(&other.numbers).then_with(|| self.pre.cmp(&other.pre))
    }
}

// === impl Constraint ===

impl Constraint {
    /// Reads a constraint; `None` when the text is none. A plain version is a
    /// constraint too.
    pub fn parse(text: &str) -> Option<Self> {
        let alternatives = text.split("||").map(parse_alternative).collect::<Option<Vec<_>>>()?;
        Some(Self { alternatives })
    }

    /// Whether `version` satisfies it.
    pub fn admits(&self, version: &Version) -> bool {
        self.alternatives.iter().any(|all| {
            let prereleases = all.iter().any(|c| c.version.is_prerelease());
            (prereleases || !version.is_prerelease()) && all.iter().all(|c| c.admits(version))
        })
    }
}

// === impl Comparator ===

impl Comparator {
    fn admits(&self, version: &Version) -> bool {
        let order = version.cmp(&self.version);
        let [major, minor, _] = self.version.numbers;
        // The numbers given agree; what was left out or is a wildcard is free.
        let agrees = version.numbers[..self.given] == self.version.numbers[..self.given];
        match self.op {
            Op::Equal if self.given == 3 => order.is_eq(),
            Op::Equal => agrees && order.is_ge(),
            Op::NotEqual if self.given == 3 => order.is_ne(),
            Op::NotEqual => !agrees,
            // `>1.2` means beyond all of 1.2, `<=1.2` up to all of it.
            Op::Greater if self.given == 0 || self.given == 3 => order.is_gt(),
            Op::Greater => version.numbers[..self.given] > self.version.numbers[..self.given],
            Op::LessEqual if self.given == 3 => order.is_le(),
            Op::LessEqual => version.numbers[..self.given] <= self.version.numbers[..self.given],
            Op::Less => order.is_lt(),
            Op::GreaterEqual => order.is_ge(),
            // The original library's special case: `~0.0.0` admits everything.
            Op::Tilde if self.given == 3 && self.version.numbers == [0; 3] => order.is_ge(),
            Op::Tilde => {
                let fixed = self.given.min(2);
                order.is_ge() && version.numbers[..fixed] == self.version.numbers[..fixed]
            }
            Op::Caret => {
                // Up to the first number that is not zero, or the last given.
                let fixed = match self.given {
                    0 => 0,
                    _ if major > 0 => 1,
                    1 => 1,
                    _ if minor > 0 => 2,
                    2 => 2,
                    _ => 3,
                };
                order.is_ge() && version.numbers[..fixed] == self.version.numbers[..fixed]
            }
        }
    }
}

fn parse_alternative(text: &str) -> Option<Vec<Comparator>> {
    let text = text.trim();
    if let Some((low, high)) = text.split_once(" - ") {
        let low = comparator(Op::GreaterEqual, low.trim())?;
        return Some(vec![low, comparator(Op::LessEqual, high.trim())?]);
    }
    let mut all = Vec::new();
    let mut rest = text;
    loop {
        let (sign, op) = OPS.iter().copied().find(|(sign, _)| rest.starts_with(sign))?;
        rest = rest[sign.len()..].trim_start();
        let end = rest.find(|c: char| c == ',' || c.is_whitespace()).unwrap_or(rest.len());
        all.push(comparator(op, &rest[..end])?);
        rest = rest[end..].trim_start();
        match rest.strip_prefix(',') {
            Some(more) => rest = more.trim_start(),
            None if rest.is_empty() => return Some(all),
            None => {}
        }
    }
}

fn comparator(op: Op, text: &str) -> Option<Comparator> {
    let (version, given) = parse_partial(text)?;
    Some(Comparator { op, version, given })
}

fn is_wildcard(part: &str) -> bool {
    matches!(part, "x" | "X" | "*")
}

fn has_wildcard(text: &str) -> bool {
    let core = text.split(['-', '+']).next().unwrap_or_default();
    core.trim_start_matches('v').split('.').any(is_wildcard)
}

/// The version with zeros for what is missing, and how many numbers were given
/// before the first wildcard.
fn parse_partial(text: &str) -> Option<(Version, usize)> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let (text, build) = text.split_once('+').map_or((text, None), |(t, b)| (t, Some(b)));
    let (core, pre) = text.split_once('-').map_or((text, None), |(c, p)| (c, Some(p)));
    if build.is_some_and(|build| semver::BuildMetadata::new(build).is_err() || build.is_empty()) {
        return None;
    }
    let pre = match pre {
        Some("") => return None,
        Some(pre) => Prerelease::new(pre).ok()?,
        None => Prerelease::EMPTY,
    };
    let mut numbers = [0; 3];
    let mut given = 0;
    let mut free = false;
    let mut parts = core.split('.');
    for number in &mut numbers {
        let Some(part) = parts.next() else { break };
        if is_wildcard(part) {
            free = true;
            continue;
        }
        if part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let value: u64 = part.parse().ok()?;
        if !free {
            *number = value;
            given += 1;
        }
    }
    parts.next().is_none().then_some((Version { numbers, pre }, given))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(constraint: &str, yes: &[&str], no: &[&str]) {
        let parsed = Constraint::parse(constraint).unwrap_or_else(|| panic!("{constraint} does not parse"));
        for version in yes {
            assert!(parsed.admits(&Version::parse(version).unwrap()), "{constraint} should admit {version}");
        }
        for version in no {
            assert!(!parsed.admits(&Version::parse(version).unwrap()), "{constraint} should not admit {version}");
        }
    }

    #[test]
    fn tilde_keeps_the_minor_version() {
        check("~1.2", &["1.2.0", "v1.2.9"], &["1.3.0", "1.1.9", "2.2.0"]);
        check("~1.2.3", &["1.2.3", "1.2.10"], &["1.2.2", "1.3.0"]);
        check("~1", &["1.0.0", "1.9.9"], &["2.0.0", "0.9.0"]);
        check("~>1.2", &["1.2.5"], &["1.3.0"]);
        check("~0.0.0", &["0.0.1", "7.0.0"], &[]);
    }

    #[test]
    fn caret_keeps_the_first_number_that_is_not_zero() {
        check("^1", &["1.0.0", "1.99.0"], &["2.0.0", "0.1.0"]);
        check("^1.2.3", &["1.2.3", "1.3.0"], &["1.2.2", "2.0.0"]);
        check("^0.2.3", &["0.2.3", "0.2.9"], &["0.3.0"]);
        check("^0.0.3", &["0.0.3"], &["0.0.4"]);
        check("^0.0", &["0.0.0", "0.0.9"], &["0.1.0"]);
        check("^0", &["0.0.0", "0.9.0"], &["1.0.0"]);
    }

    #[test]
    fn wildcards_leave_numbers_free() {
        check("1.x", &["1.0.0", "1.7.3"], &["2.0.0", "0.9.0"]);
        check("1.2.*", &["1.2.0", "v1.2.7"], &["1.3.0"]);
        check("*", &["0.0.1", "99.0.0"], &["1.0.0-rc.1"]);
        check("!=1.2.x", &["1.3.0"], &["1.2.0", "1.2.9"]);
    }

    #[test]
    fn comparisons_join_by_comma_space_and_or() {
        check(">=1 <2", &["1.0.0", "1.9.9"], &["2.0.0", "0.9.9"]);
        check(">=1.2, < 3.0.0 || >= 4.2.3", &["1.2.0", "2.9.0", "4.2.3", "5.0.0"], &["1.1.0", "3.0.0", "4.2.2"]);
        check(">1.2", &["1.3.0", "2.0.0"], &["1.2.0", "1.2.9"]);
        check("<=1.2", &["1.2.9", "0.1.0"], &["1.3.0"]);
        check("=> 1.2.3", &["1.2.3"], &["1.2.2"]);
        check("1.2 - 1.4", &["1.2.0", "1.4.9"], &["1.5.0", "1.1.9"]);
        check("1.2.0 - 1.4.5", &["1.4.5"], &["1.4.6"]);
        check("!= 1.2.3", &["1.2.4"], &["1.2.3"]);
    }

    #[test]
    fn a_prerelease_is_admitted_only_where_one_is_named() {
        check(">=1.0.0", &["1.0.0"], &["1.1.0-beta.1"]);
        check(">=1.0.0-0", &["1.0.0-alpha", "1.1.0-beta.1"], &["0.9.0-beta"]);
        check("^1.2.0-beta.2", &["1.2.0-beta.2", "1.2.0-rc.1", "1.3.0-rc.1", "1.2.0"], &["1.2.0-beta.1", "2.0.0"]);
        check("<2.0.0-0 >=1.0.0", &["1.5.0-rc.1"], &["2.0.0-rc.1"]);
    }

    #[test]
    fn what_is_no_constraint_is_refused() {
        for text in
            ["main", "feature/1.x", "1.2.3.4", "", ">", "release-1.x", "1.x || main", "^a", "abcdef1", "1..2", "1.2-"]
        {
            assert!(Constraint::parse(text).is_none(), "{text:?}");
        }
        for text in ["x", "1.x", "1.2.3.4", "01a", "v", ""] {
            assert!(Version::parse(text).is_none(), "{text:?}");
        }
        assert!(Version::parse("v1").unwrap() == Version::parse("1.0.0+build.5").unwrap());
        assert!(Version::parse("1.0.0-rc.9").unwrap() < Version::parse("1.0.0-rc.10").unwrap());
    }

    proptest::proptest! {
        #[test]
        fn parsing_never_panics(text in "[ -~]{0,24}") {
            let _ = (Constraint::parse(&text), Version::parse(&text));
        }
    }
}
