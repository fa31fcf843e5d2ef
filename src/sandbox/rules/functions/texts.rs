//! Functions of texts. Places and lengths are in characters.

use regex::Regex;

use super::count;
use crate::rules::eval::{Halt, Outcome, failed};
use crate::rules::value::Val;

/// Calls a function whose first argument is a text.
pub(super) fn call(name: &str, text: &str, rest: &[Val]) -> Outcome {
    Ok(match (name, rest) {
        ("contains", [Val::Text(part)]) => Val::Bool(text.contains(&**part)),
        ("startsWith", [Val::Text(part)]) => Val::Bool(text.starts_with(&**part)),
        ("endsWith", [Val::Text(part)]) => Val::Bool(text.ends_with(&**part)),
        ("matches", [Val::Text(pattern)]) => Val::Bool(expression(pattern)?.is_match(text)),
        ("find", [Val::Text(pattern)]) => Val::text(expression(pattern)?.find(text).map_or("", |found| found.as_str())),
        ("findAll", [Val::Text(pattern)]) => find_all(text, pattern, -1)?,
        ("findAll", [Val::Text(pattern), Val::Int(most)]) => find_all(text, pattern, *most)?,
        ("lowerAscii", []) => Val::text(&text.to_ascii_lowercase()),
        ("upperAscii", []) => Val::text(&text.to_ascii_uppercase()),
        ("trim", []) => Val::text(text.trim()),
        ("charAt", [Val::Int(at)]) => {
            let at = bound(text, *at)?;
            Val::text(&text.chars().skip(at).take(1).collect::<String>())
        }
        ("substring", [Val::Int(start)]) => {
            let start = bound(text, *start)?;
            Val::text(&text.chars().skip(start).collect::<String>())
        }
        ("substring", [Val::Int(start), Val::Int(end)]) => {
            let (first, last) = (bound(text, *start)?, bound(text, *end)?);
            if first > last {
                return failed(format!("invalid substring range. start: {start}, end: {end}"));
            }
            Val::text(&text.chars().skip(first).take(last - first).collect::<String>())
        }
        ("indexOf", [Val::Text(part)]) => index(text, part, 0),
        ("indexOf", [Val::Text(part), Val::Int(from)]) => index(text, part, bound(text, *from)?),
        ("lastIndexOf", [Val::Text(part)]) => last_index(text, part, usize::MAX),
        ("lastIndexOf", [Val::Text(part), Val::Int(upto)]) => last_index(text, part, bound(text, *upto)?),
        ("replace", [Val::Text(from), Val::Text(to)]) => replace(text, from, to, -1)?,
        ("replace", [Val::Text(from), Val::Text(to), Val::Int(most)]) => replace(text, from, to, *most)?,
        ("split", [Val::Text(by)]) => split(text, by, -1),
        ("split", [Val::Text(by), Val::Int(most)]) => split(text, by, *most),
        _ => return failed("no such overload"),
    })
}

fn expression(pattern: &str) -> Result<Regex, Halt> {
    Regex::new(pattern).map_err(|error| Halt::Failed(format!("error parsing regexp: {error}")))
}

/// A place in a text, its end included.
fn bound(text: &str, place: i64) -> Result<usize, Halt> {
    let found = usize::try_from(place).ok().filter(|place| *place <= text.chars().count());
    found.ok_or_else(|| Halt::Failed(format!("index out of range: {place}")))
}

fn find_all(text: &str, pattern: &str, most: i64) -> Outcome {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let found = expression(pattern)?;
    let found = found.find_iter(text).take(most).map(|found| Val::text(found.as_str()));
    Ok(Val::list(found.collect()))
}

fn index(text: &str, part: &str, from: usize) -> Val {
    let start = text.char_indices().nth(from).map_or(text.len(), |(at, _)| at);
    let rest = text.get(start..).unwrap_or("");
    match rest.find(part) {
        Some(at) => count(from + rest.get(..at).unwrap_or("").chars().count()),
        None => Val::Int(-1),
    }
}

fn last_index(text: &str, part: &str, upto: usize) -> Val {
    let places = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    let found = places.enumerate().take_while(|(place, _)| *place <= upto);
    let found = found.filter(|(_, at)| text.get(*at..).is_some_and(|rest| rest.starts_with(part))).last();
    found.map_or(Val::Int(-1), |(place, _)| count(place))
}

/// What is made of a text is no longer than this.
const LONGEST: usize = 16 << 20;

fn replace(text: &str, from: &str, to: &str, most: i64) -> Outcome {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let times = text.matches(from).count().min(most);
    if text.len().saturating_add(times.saturating_mul(to.len())) > LONGEST {
        return Err(Halt::Budget);
    }
    Ok(Val::text(&text.replacen(from, to, most)))
}

fn split(text: &str, by: &str, most: i64) -> Val {
    let parts: Vec<Val> = match usize::try_from(most) {
        Ok(0) => Vec::new(),
        // Between characters there is nothing, and no empty text around them.
        _ if by.is_empty() => {
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            let characters: Vec<char> = text.chars().collect();
            let (single, rest) = characters.split_at(characters.len().min(most.saturating_sub(1)));
            let single = single.iter().map(|c| c.to_string());
            let rest = Some(rest.iter().collect::<String>()).filter(|rest| !rest.is_empty());
            single.chain(rest).map(|part| Val::text(&part)).collect()
        }
        Ok(most) => text.splitn(most, by).map(Val::text).collect(),
        Err(_) => text.split(by).map(Val::text).collect(),
    };
    Val::list(parts)
}
