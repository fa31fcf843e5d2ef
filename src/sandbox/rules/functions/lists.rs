//! Functions of lists.

use std::cmp::Ordering;

use super::count;
use crate::rules::eval::{Outcome, failed};
use crate::rules::operate;
use crate::rules::value::Val;

/// Calls a function whose first argument is a list; `rest` are the others.
pub(super) fn call(name: &str, arguments: &[Val], rest: &[Val]) -> Outcome {
    let Some(items) = arguments.first().and_then(Val::items) else { return failed("no such overload") };
    let others = rest.first().and_then(Val::items);
    let place = |found: Option<usize>| found.map_or(Val::Int(-1), count);
    Ok(match (name, rest, others) {
        ("isSorted", [], _) => {
            let orders: Option<Vec<Ordering>> =
                items.windows(2).map(|pair| pair.first()?.order(pair.get(1)?)).collect();
            let Some(orders) = orders else { return failed("no such overload") };
            Val::Bool(orders.into_iter().all(Ordering::is_le))
        }
        ("sum", [], _) => return sum(items),
        ("min", [], _) => return most(name, items, Ordering::is_lt),
        ("max", [], _) => return most(name, items, Ordering::is_gt),
        ("indexOf", [wanted], _) => place(items.iter().position(|item| item == wanted)),
        ("lastIndexOf", [wanted], _) => place(items.iter().rposition(|item| item == wanted)),
        ("join", [], _) => return join(items, ""),
        ("join", [Val::Text(between)], _) => return join(items, between),
        ("sets.contains", _, Some(others)) => Val::Bool(others.iter().all(|other| items.contains(other))),
        ("sets.intersects", _, Some(others)) => Val::Bool(others.iter().any(|other| items.contains(other))),
        ("sets.equivalent", _, Some(others)) => Val::Bool(
            others.iter().all(|other| items.contains(other)) && items.iter().all(|item| others.contains(item)),
        ),
        _ => return failed("no such overload"),
    })
}

fn sum(items: &[Val]) -> Outcome {
    let mut items = items.iter().cloned();
    let Some(first) = items.next() else { return Ok(Val::Int(0)) };
    items.try_fold(first, |sum, item| operate::operator("_+_", vec![sum, item]))
}

fn most(name: &str, items: &[Val], is_better: fn(Ordering) -> bool) -> Outcome {
    let mut items = items.iter();
    let Some(mut best) = items.next() else { return failed(format!("{name} called on empty list")) };
    for item in items {
        let Some(order) = item.order(best) else { return failed("no such overload") };
        if is_better(order) {
            best = item;
        }
    }
    Ok(best.clone())
}

fn join(items: &[Val], between: &str) -> Outcome {
    let texts: Option<Vec<&str>> = items
        .iter()
        .map(|item| match item {
            Val::Text(text) => Some(&**text),
            _ => None,
        })
        .collect();
    texts.map_or_else(|| failed("no such overload"), |texts| Ok(Val::text(&texts.join(between))))
}
