//! Functions and operators, and what they take and give.

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

use super::types::Type;

/// `name(argument, ...) result`, with `receiver|` before those that are called on a value.
const TEXT: &str = include_str!("signatures.txt");

/// What the API server knows beside them: rules with these are refused.
const MISSING: &[&str] = &[
    "add",
    "asApproximateFloat",
    "asInteger",
    "bitand",
    "cidr",
    "containsCIDR",
    "containsIP",
    "distinct",
    "family",
    "first",
    "flatten",
    "format",
    "getQuery",
    "ip",
    "ip.isCanonical",
    "isCIDR",
    "isGlobalUnicast",
    "isInteger",
    "isIP",
    "isLinkLocalMulticast",
    "isLinkLocalUnicast",
    "isLoopback",
    "isSemver",
    "isUnspecified",
    "last",
    "lists.range",
    "major",
    "masked",
    "minor",
    "patch",
    "prefixLength",
    "quote",
    "reverse",
    "semver",
    "sign",
    "slice",
    "sort",
    "sortByAssociatedKeys",
    "strings.quote",
    "sub",
    "transformList",
    "transformMap",
    "transformMapEntry",
    "validate",
    "format.named",
];

/// One way to call a function.
struct Signature {
    is_member: bool,
    takes: Vec<Type>,
    gives: Type,
}

/// What a call is.
pub(super) enum Call {
    /// One that gives this.
    Gives(Type),
    /// No function has the name.
    Unknown,
    /// The API server has one, the sandbox does not.
    Missing,
    /// None takes these arguments.
    Mismatch,
}

fn all() -> &'static HashMap<&'static str, Vec<Signature>> {
    static ALL: OnceLock<HashMap<&'static str, Vec<Signature>>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut all: HashMap<&'static str, Vec<Signature>> = HashMap::new();
        for (name, signature) in TEXT.lines().filter_map(read) {
            // All comparisons compare the same.
            let same: &[&'static str] = if name == "_<_" { &["_<_", "_<=_", "_>_", "_>=_"] } else { &[name] };
            for name in same {
                let Signature { is_member, takes, gives } = &signature;
                let one = Signature { is_member: *is_member, takes: takes.clone(), gives: gives.clone() };
                all.entry(name).or_default().push(one);
            }
        }
        all
    })
}

fn read(line: &'static str) -> Option<(&'static str, Signature)> {
    let (left, gives) = line.rsplit_once(' ')?;
    let (name, arguments) = left.strip_suffix(')')?.split_once('(')?;
    // An operator such as `_||_` has no receiver.
    let (receiver, name) = match name.split_once('|').filter(|_| !name.starts_with('_')) {
        Some((receiver, name)) => (Some(receiver), name),
        None => (None, name),
    };
    let arguments = arguments.split(", ").filter(|argument| !argument.is_empty());
    let takes = receiver.into_iter().chain(arguments).map(Type::read).collect();
    Some((name, Signature { is_member: receiver.is_some(), takes, gives: Type::read(gives) }))
}

/// Whether a name with a dot in it, such as `optional.of`, is a function.
pub(super) fn is_qualified(name: &str) -> bool {
    all().contains_key(name) || MISSING.contains(&name) || name.starts_with("format.")
}

/// What a call gives; the receiver is the first argument.
pub(super) fn call(name: &str, is_member: bool, arguments: &[Type]) -> Call {
    let missing = if MISSING.contains(&name) || name.starts_with("format.") { Call::Missing } else { Call::Unknown };
    let Some(signatures) = all().get(name) else { return missing };
    let mut found: Option<Type> = None;
    for signature in signatures.iter().filter(|s| s.is_member == is_member && s.takes.len() == arguments.len()) {
        let mut bound = BTreeMap::new();
        if !signature.takes.iter().zip(arguments).all(|(wanted, given)| wanted.takes(given, &mut bound)) {
            continue;
        }
        let gives = signature.gives.resolved(&bound);
        found = Some(match found {
            Some(other) if other != gives => Type::Dyn,
            _ => gives,
        });
    }
    match found {
        Some(gives) => Call::Gives(gives),
        None if MISSING.contains(&name) => Call::Missing,
        None => Call::Mismatch,
    }
}
