//! Rewrites a program so that everything that can be big or many is weighed:
//!
//! - `..` and every output of a native function pass a counter;
//! - arrays, objects, texts with holes, sums, slices and assignments are weighed;
//! - what a native function is given, and what is compared, is weighed before;
//! - products, differences, searches and patterns are charged before they run.
//!
//! The counters return what they are given, as values and as paths alike, so the
//! meaning of a program does not change. Their names begin with `!`, which no
//! program can write.

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Pattern, Term};
use jaq_core::ops::Math;
use jaq_core::path::Part;

/// Native functions that hand out (parts of) what they were given.
const GENERATORS: [&str; 6] = ["first", "last", "limit", "skip", "range", "path"];

/// Native functions that look for their first argument in their input.
const SEARCHES: [&str; 5] = ["matches", "split_matches", "split_", "indices", "contains"];

/// The other native functions: what they make is weighed, and their input too.
const MAKERS: &[&str] = &[
    "path_value",
    "keys_unsorted",
    "key_values",
    "utf8bytelength",
    "explode",
    "implode",
    "ascii_downcase",
    "ascii_upcase",
    "reverse",
    "sort",
    "sort_by",
    "group_by",
    "min_by_or_empty",
    "max_by_or_empty",
    "startswith",
    "endswith",
    "ltrimstr",
    "rtrimstr",
    "trim",
    "ltrim",
    "rtrim",
    "escape_sh",
    "escape_html",
    "unescape_html",
    "encode_uri",
    "decode_uri",
    "encode_base64",
    "decode_base64",
    "matches",
    "split_matches",
    "split_",
    "fromdateiso8601",
    "todateiso8601",
    "strftime",
    "gmtime",
    "strptime",
    "mktime",
    "fromjson",
    "tojson",
    "tobytes",
    "length",
    "contains",
    "has",
    "indices",
    "bsearch",
];

/// How deeply a term nests.
pub(super) fn depth(term: &mut Term<&str>) -> usize {
    1 + children(term).into_iter().map(depth).max().unwrap_or(0)
}

/// Whether a definition that takes filters calls itself. Each round would close
/// over the filters of the last one, and such a chain can only be taken down by
/// a recursion as long as itself: the one use of stack that no step measures.
pub(super) fn recurses_with_filters<'s>(term: &mut Term<&'s str>, around: &mut Vec<(&'s str, usize)>) -> bool {
    if let Term::Call(name, args) = term
        && around.contains(&(*name, args.len()))
    {
        return true;
    }
    if let Term::Def(definitions, body) = term {
        for definition in definitions {
            let takes_filters = definition.args.iter().any(|arg| !arg.starts_with('$'));
            if takes_filters {
                around.push((definition.name, definition.args.len()));
            }
            let found = recurses_with_filters(&mut definition.body, around);
            if takes_filters {
                around.pop();
            }
            if found {
                return true;
            }
        }
        return recurses_with_filters(body, around);
    }
    children(term).into_iter().any(|child| recurses_with_filters(child, around))
}

/// Rewrites a term in place.
pub(super) fn rewrite(term: &mut Term<&str>) {
    children(term).into_iter().for_each(rewrite);
    *term = metered(std::mem::take(term));
}

fn metered(term: Term<&str>) -> Term<&str> {
    use BinaryOp::{Assign, Cmp, Math as Op, Pipe, Update, UpdateAlt, UpdateMath};
    match term {
        Term::Recurse => counted(Term::Recurse),
        Term::Arr(Some(_)) => weighed(term),
        Term::Obj(ref entries) if !entries.is_empty() => weighed(term),
        Term::Str(_, ref parts) if parts.iter().any(|p| matches!(p, StrPart::Term(_))) => weighed(term),
        Term::BinOp(l, Op(Math::Mul), r) => weighed(Term::Call("!product", vec![*l, *r])),
        Term::BinOp(l, Op(Math::Sub), r) => weighed(Term::Call("!difference", vec![*l, *r])),
        Term::BinOp(_, Op(_), _) => weighed(term),
        Term::BinOp(l, Cmp(op), r) => Term::BinOp(Box::new(weighed(*l)), Cmp(op), Box::new(weighed(*r))),
        Term::BinOp(l, UpdateMath(Math::Mul), r) => weighed(update_with("!product", *l, *r)),
        Term::BinOp(l, UpdateMath(Math::Sub), r) => weighed(update_with("!difference", *l, *r)),
        Term::BinOp(_, Assign | Update | UpdateMath(_) | UpdateAlt, _) => weighed(term),
        Term::Path(_, ref path) if path.0.iter().any(|(part, _)| is_slice(part)) => weighed(term),
        Term::Call(name, args) if GENERATORS.contains(&name) => counted(Term::Call(name, args)),
        Term::Call(name, args) if MAKERS.contains(&name) => {
            let args: Vec<_> = args.into_iter().map(weighed).collect();
            let charge = args.first().filter(|_| SEARCHES.contains(&name)).cloned();
            let call = Term::Call(name, args);
            let call = match charge {
                Some(arg) => pipe(Term::Call("!charge", vec![arg]), call),
                None => call,
            };
            weighed(pipe(weighed(Term::Id), call))
        }
        Term::BinOp(_, Pipe(_), _) => term,
        other => other,
    }
}

/// `l *= r` as `r as $! | l |= . * $!`.
fn update_with<'s>(operation: &'s str, l: Term<&'s str>, r: Term<&'s str>) -> Term<&'s str> {
    let product = Term::Call(operation, vec![Term::Id, Term::Var("$!")]);
    let update = Term::BinOp(Box::new(l), BinaryOp::Update, Box::new(product));
    Term::BinOp(Box::new(r), BinaryOp::Pipe(Some(Pattern::Var("$!"))), Box::new(update))
}

fn weighed(term: Term<&str>) -> Term<&str> {
    match term {
        // A literal weighs nothing worth counting.
        Term::Num(_) => term,
        Term::Str(None, ref parts) if parts.iter().all(|p| !matches!(p, StrPart::Term(_))) => term,
        _ => pipe(term, Term::Call("!weigh", Vec::new())),
    }
}

fn counted(term: Term<&str>) -> Term<&str> {
    pipe(term, Term::Call("!step", Vec::new()))
}

fn pipe<'s>(l: Term<&'s str>, r: Term<&'s str>) -> Term<&'s str> {
    Term::BinOp(Box::new(l), BinaryOp::Pipe(None), Box::new(r))
}

fn is_slice<T>(part: &Part<T>) -> bool {
    matches!(part, Part::Range(Some(_), _) | Part::Range(_, Some(_)))
}

/// The terms directly inside a term.
fn children<'a, 's>(term: &'a mut Term<&'s str>) -> Vec<&'a mut Term<&'s str>> {
    let mut found = Vec::new();
    match term {
        Term::Str(_, parts) => found.extend(parts.iter_mut().filter_map(|part| match part {
            StrPart::Term(term) => Some(term),
            _ => None,
        })),
        Term::Arr(inner) => found.extend(inner.as_deref_mut()),
        Term::Obj(entries) => {
            for (key, value) in entries {
                found.push(key);
                found.extend(value.as_mut());
            }
        }
        Term::Neg(inner) | Term::Label(_, inner) => found.push(inner),
        Term::BinOp(l, op, r) => {
            found.push(l);
            if let BinaryOp::Pipe(Some(pattern)) = op {
                in_pattern(pattern, &mut found);
            }
            found.push(r);
        }
        Term::Fold(_, over, pattern, rest) => {
            found.push(over);
            in_pattern(pattern, &mut found);
            found.extend(rest);
        }
        Term::TryCatch(inner, catch) => {
            found.push(inner);
            found.extend(catch.as_deref_mut());
        }
        Term::IfThenElse(branches, otherwise) => {
            for (condition, then) in branches {
                found.push(condition);
                found.push(then);
            }
            found.extend(otherwise.as_deref_mut());
        }
        Term::Def(definitions, body) => {
            found.extend(definitions.iter_mut().map(|d| &mut d.body));
            found.push(body);
        }
        Term::Call(_, args) => found.extend(args),
        Term::Path(of, path) => {
            found.push(of);
            for (part, _) in &mut path.0 {
                match part {
                    Part::Index(index) => found.push(index),
                    Part::Range(from, to) => found.extend(from.iter_mut().chain(to)),
                }
            }
        }
        Term::Id | Term::Recurse | Term::Num(_) | Term::Break(_) | Term::Var(_) => {}
    }
    found
}

fn in_pattern<'a, 's>(pattern: &'a mut Pattern<&'s str>, found: &mut Vec<&'a mut Term<&'s str>>) {
    match pattern {
        Pattern::Var(_) => {}
        Pattern::Arr(patterns) => patterns.iter_mut().for_each(|p| in_pattern(p, found)),
        Pattern::Obj(entries) => {
            for (key, pattern) in entries {
                found.push(key);
                in_pattern(pattern, found);
            }
        }
    }
}
