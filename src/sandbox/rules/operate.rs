//! What operators do.

use std::cmp::Ordering;
use std::rc::Rc;

use cel::common::ast::operators;

use super::eval::{Outcome, failed};
use super::value::{Key, Val};

const OVERFLOW: &str = "integer overflow";

/// Applies an operator to what was evaluated.
pub(super) fn operator(name: &str, arguments: Vec<Val>) -> Outcome {
    let mut arguments = arguments.into_iter();
    let (Some(left), right) = (arguments.next(), arguments.next()) else { return failed("no such overload") };
    let Some(right) = right else { return unary(name, &left) };
    match name {
        operators::EQUALS => Ok(Val::Bool(left == right)),
        operators::NOT_EQUALS => Ok(Val::Bool(left != right)),
        operators::LESS => compare(&left, &right, Ordering::is_lt),
        operators::LESS_EQUALS => compare(&left, &right, Ordering::is_le),
        operators::GREATER => compare(&left, &right, Ordering::is_gt),
        operators::GREATER_EQUALS => compare(&left, &right, Ordering::is_ge),
        operators::IN => match &right {
            Val::Map(entries) => Ok(Val::Bool(left.key().is_some_and(|key| entries.contains_key(&key)))),
            other => match other.items() {
                Some(items) => Ok(Val::Bool(items.contains(&left))),
                None => failed("no such overload"),
            },
        },
        operators::INDEX => index(&left, &right),
        operators::OPT_INDEX | operators::OPT_SELECT => Ok(maybe(&left, &right)),
        operators::ADD => add(left, right),
        operators::SUBSTRACT => subtract(&left, &right),
        operators::MULTIPLY | operators::DIVIDE | operators::MODULO => multiply(name, &left, &right),
        _ => failed("no such overload"),
    }
}

fn unary(name: &str, value: &Val) -> Outcome {
    match (name, value) {
        (operators::LOGICAL_NOT, Val::Bool(flag)) => Ok(Val::Bool(!flag)),
        (operators::NEGATE, Val::Int(n)) => whole(n.checked_neg()),
        (operators::NEGATE, Val::Double(n)) => Ok(Val::Double(-n)),
        _ => failed("no such overload"),
    }
}

fn whole(value: Option<i64>) -> Outcome {
    value.map_or_else(|| failed(OVERFLOW), |n| Ok(Val::Int(n)))
}

fn natural(value: Option<u64>) -> Outcome {
    value.map_or_else(|| failed("unsigned integer overflow"), |n| Ok(Val::Uint(n)))
}

fn compare(left: &Val, right: &Val, wanted: fn(Ordering) -> bool) -> Outcome {
    match left.order(right) {
        Some(order) => Ok(Val::Bool(wanted(order))),
        None if matches!((left, right), (Val::Double(_), _) | (_, Val::Double(_))) => Ok(Val::Bool(false)),
        None => failed("no such overload"),
    }
}

/// A key as a value.
pub(super) fn of_key(key: &Key) -> Val {
    match key {
        Key::Bool(flag) => Val::Bool(*flag),
        Key::Int(n) => i64::try_from(*n).map_or_else(|_| Val::Uint(u64::try_from(*n).unwrap_or(u64::MAX)), Val::Int),
        Key::Text(text) => Val::Text(text.clone()),
    }
}

fn index(value: &Val, at: &Val) -> Outcome {
    match value {
        Val::Map(entries) => match at.key() {
            Some(key) => match entries.get(&key) {
                Some(found) => Ok(found.clone()),
                None => failed(format!("no such key: {}", super::functions::shown(at))),
            },
            None => failed("unsupported key type"),
        },
        Val::List(items) | Val::Unordered(items) => {
            let Some(place) = at.whole() else { return failed("unsupported index type") };
            let found = usize::try_from(place).ok().and_then(|place| items.get(place));
            found.map_or_else(|| failed(format!("index out of bounds: {place}")), |found| Ok(found.clone()))
        }
        Val::Optional(_) => Ok(maybe(value, at)),
        _ => failed("no such overload"),
    }
}

/// What is there under a key or at a place, if anything is.
pub(super) fn maybe(value: &Val, at: &Val) -> Val {
    match value {
        Val::Optional(Some(inner)) => maybe(inner, at),
        Val::Map(_) | Val::List(_) | Val::Unordered(_) => Val::Optional(index(value, at).ok().map(Rc::new)),
        _ => Val::Optional(None),
    }
}

fn add(left: Val, right: Val) -> Outcome {
    match (left, right) {
        (Val::Int(a), Val::Int(b)) => whole(a.checked_add(b)),
        (Val::Uint(a), Val::Uint(b)) => natural(a.checked_add(b)),
        (Val::Double(a), Val::Double(b)) => Ok(Val::Double(a + b)),
        (Val::Text(a), Val::Text(b)) => Ok(Val::Text([&*a, &*b].concat().into())),
        (Val::Bytes(a), Val::Bytes(b)) => Ok(Val::Bytes([&*a, &*b].concat().into())),
        (Val::Duration(a), Val::Duration(b)) => {
            a.checked_add(b).map_or_else(|| failed("duration overflow"), |sum| Ok(Val::Duration(sum)))
        }
        (Val::Timestamp(at), Val::Duration(by)) | (Val::Duration(by), Val::Timestamp(at)) => {
            at.checked_add(by).map_or_else(|_| failed("timestamp overflow"), |sum| Ok(Val::Timestamp(sum)))
        }
        (Val::List(mut a), b) if b.items().is_some() => {
            Rc::make_mut(&mut a).extend(b.items().into_iter().flat_map(|items| items.iter().cloned()));
            Ok(Val::List(a))
        }
        (Val::Unordered(mut a), b) if b.items().is_some() => {
            let more: Vec<Val> = b.items().into_iter().flat_map(|items| items.iter()).cloned().collect();
            let new: Vec<Val> = more.into_iter().filter(|item| !a.contains(item)).collect();
            Rc::make_mut(&mut a).extend(new);
            Ok(Val::Unordered(a))
        }
        _ => failed("no such overload"),
    }
}

fn subtract(left: &Val, right: &Val) -> Outcome {
    match (left, right) {
        (Val::Int(a), Val::Int(b)) => whole(a.checked_sub(*b)),
        (Val::Uint(a), Val::Uint(b)) => natural(a.checked_sub(*b)),
        (Val::Double(a), Val::Double(b)) => Ok(Val::Double(a - b)),
        (Val::Duration(a), Val::Duration(b)) => {
            a.checked_sub(*b).map_or_else(|| failed("duration overflow"), |rest| Ok(Val::Duration(rest)))
        }
        (Val::Timestamp(at), Val::Duration(by)) => {
            at.checked_sub(*by).map_or_else(|_| failed("timestamp overflow"), |rest| Ok(Val::Timestamp(rest)))
        }
        (Val::Timestamp(a), Val::Timestamp(b)) => Ok(Val::Duration(a.duration_since(*b))),
        _ => failed("no such overload"),
    }
}

fn multiply(name: &str, left: &Val, right: &Val) -> Outcome {
    let is_zero = matches!(right, Val::Int(0) | Val::Uint(0));
    match (name, left, right) {
        (operators::DIVIDE, ..) if is_zero => failed("division by zero"),
        (operators::MODULO, ..) if is_zero => failed("modulus by zero"),
        (operators::MULTIPLY, Val::Int(a), Val::Int(b)) => whole(a.checked_mul(*b)),
        (operators::DIVIDE, Val::Int(a), Val::Int(b)) => whole(a.checked_div(*b)),
        (operators::MODULO, Val::Int(a), Val::Int(b)) => whole(a.checked_rem(*b)),
        (operators::MULTIPLY, Val::Uint(a), Val::Uint(b)) => natural(a.checked_mul(*b)),
        (operators::DIVIDE, Val::Uint(a), Val::Uint(b)) => natural(a.checked_div(*b)),
        (operators::MODULO, Val::Uint(a), Val::Uint(b)) => natural(a.checked_rem(*b)),
        (operators::MULTIPLY, Val::Double(a), Val::Double(b)) => Ok(Val::Double(a * b)),
        (operators::DIVIDE, Val::Double(a), Val::Double(b)) => Ok(Val::Double(a / b)),
        _ => failed("no such overload"),
    }
}
