//! The library `string`, with its patterns bounded.
//!
//! Lua's own matcher runs inside one instruction for as long as a pattern likes.
//! `find`, `match`, `gmatch` and `gsub` are ours therefore ([`super::pattern`])
//! and pay for every step; the others pay for the bytes they touch.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mlua::{Lua, LuaString, MultiValue, Table, Value};

use super::meter::Meter;
use super::pattern::{Capture, Matcher};
use super::world::charged;

/// Bytes a single call may make.
const MADE: usize = 4 << 20;

/// Functions of Lua that stay, paid for by the bytes they are given.
const PLAIN: [&str; 8] = ["byte", "char", "format", "len", "lower", "reverse", "sub", "upper"];

/// The library, shared by all runs of a machine; runs get copies.
pub(super) fn library(lua: &Lua, meter: &Arc<Meter>) -> mlua::Result<Table> {
    let original: Table = lua.globals().raw_get("string")?;
    let string = lua.create_table()?;
    for name in PLAIN {
        string.raw_set(name, charged(lua, meter, original.raw_get(name)?, bytes)?)?;
    }
    let own = meter.clone();
    let find = lua.create_function(move |lua, arguments| find(lua, &own, arguments, true))?;
    let own = meter.clone();
    let first = lua
        .create_function(move |lua, (text, pattern, from)| self::find(lua, &own, (text, pattern, from, None), false))?;
    let own = meter.clone();
    let gmatch = lua.create_function(move |lua, arguments| gmatch(lua, &own, arguments))?;
    let own = meter.clone();
    let gsub = lua.create_function(move |lua, arguments| gsub(lua, &own, arguments))?;
    let own = meter.clone();
    let rep = lua.create_function(move |lua, arguments| rep(lua, &own, arguments))?;
    for (name, function) in [("find", find), ("match", first), ("gmatch", gmatch), ("gsub", gsub), ("rep", rep)] {
        string.raw_set(name, function)?;
    }
    Ok(string)
}

fn bytes(arguments: &MultiValue) -> u64 {
    let length = |value: &Value| if let Value::String(text) = value { text.as_bytes().len() } else { 0 };
    arguments.iter().map(length).sum::<usize>() as u64 / 16
}

fn rep(lua: &Lua, meter: &Meter, (text, count): (LuaString, i64)) -> mlua::Result<LuaString> {
    let text = text.as_bytes();
    let count = usize::try_from(count).unwrap_or(0);
    let made = text.len().saturating_mul(count);
    if made > MADE {
        return Err(mlua::Error::runtime("resulting string too large"));
    }
    meter.charge(made as u64 / 16)?;
    lua.create_string(if made == 0 { Vec::new() } else { text.repeat(count) })
}

type Find = (LuaString, LuaString, Option<i64>, Option<Value>);

/// `find` tells where, `match` tells what.
fn find(lua: &Lua, meter: &Meter, (text, pattern, from, plain): Find, tells_where: bool) -> mlua::Result<MultiValue> {
    let (text, pattern) = (text.as_bytes(), pattern.as_bytes());
    let start = start(from, text.len());
    let plain = plain.is_some_and(|p| !matches!(p, Value::Nil | Value::Boolean(false)));
    if tells_where && (plain || !pattern.iter().any(|c| b"^$*+?.([%-".contains(c))) {
        return find_plain(meter, &text, &pattern, start);
    }
    let mut matcher = Matcher::new(&text, &pattern, meter);
    let Some((from, to)) = matcher.find(start)? else { return nothing() };
    let mut out = MultiValue::new();
    if tells_where {
        out.push_back(Value::Integer(position(from)));
        out.push_back(Value::Integer(position(to) - 1));
    }
    let captures = matcher.captures(from, to, !tells_where)?;
    out.extend(captures.into_iter().map(|c| to_lua(lua, c)).collect::<mlua::Result<Vec<_>>>()?);
    Ok(out)
}

fn find_plain(meter: &Meter, text: &[u8], sought: &[u8], start: usize) -> mlua::Result<MultiValue> {
    let rest = &text[start..];
    meter.charge((rest.len() as u64).saturating_mul(1 + sought.len() as u64 / 16) / 4)?;
    let found = if sought.is_empty() { Some(0) } else { rest.windows(sought.len()).position(|w| w == sought) };
    let Some(at) = found else { return nothing() };
    let from = position(start + at);
    Ok(MultiValue::from_iter([Value::Integer(from), Value::Integer(from + position(sought.len()) - 2)]))
}

fn gmatch(lua: &Lua, meter: &Arc<Meter>, (text, pattern): (LuaString, LuaString)) -> mlua::Result<mlua::Function> {
    let (meter, next) = (meter.clone(), AtomicUsize::new(0));
    lua.create_function(move |lua, _: MultiValue| {
        let (text, pattern) = (text.as_bytes(), pattern.as_bytes());
        // Past the end there is nothing, and an anchor is an ordinary character.
        let start = next.load(Ordering::Relaxed);
        let mut matcher = Matcher::unanchored(&text, &pattern, &meter);
        let Some((from, to)) = (if start > text.len() { None } else { matcher.find(start)? }) else { return nothing() };
        next.store(if to == from { to + 1 } else { to }, Ordering::Relaxed);
        matcher.captures(from, to, true)?.into_iter().map(|c| to_lua(lua, c)).collect()
    })
}

type Gsub = (LuaString, LuaString, Value, Option<i64>);

fn gsub(lua: &Lua, meter: &Meter, (text, pattern, with, limit): Gsub) -> mlua::Result<(LuaString, usize)> {
    let (text, pattern) = (text.as_bytes(), pattern.as_bytes());
    let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(0));
    let mut matcher = Matcher::new(&text, &pattern, meter);
    let (mut out, mut at, mut count) = (Vec::new(), 0, 0);
    while count < limit {
        if let Some(to) = matcher.at(at)? {
            count += 1;
            let whole = &text[at..to];
            let captures = matcher.captures(at, to, true)?;
            meter.nested(|| replacement(lua, &with, whole, captures, &mut out))?;
            if to > at {
                at = to;
            } else {
                out.extend(text.get(at));
                at += 1;
            }
        } else {
            out.extend(text.get(at));
            at += 1;
        }
        if out.len() > MADE {
            return Err(mlua::Error::runtime("resulting string too large"));
        }
        if at > text.len() || matcher.is_anchored() {
            break;
        }
    }
    out.extend_from_slice(text.get(at..).unwrap_or_default());
    Ok((lua.create_string(out)?, count))
}

/// Writes what stands for one match: of a text with `%1`, a table, or a function.
fn replacement(
    lua: &Lua,
    with: &Value,
    whole: &[u8],
    captures: Vec<Capture<'_>>,
    out: &mut Vec<u8>,
) -> mlua::Result<()> {
    let answer = match with {
        Value::Table(table) => {
            let first = captures.into_iter().next().unwrap_or(Capture::Text(whole));
            table.get::<Value>(to_lua(lua, first)?)?
        }
        Value::Function(function) => {
            let arguments = captures.into_iter().map(|c| to_lua(lua, c)).collect::<mlua::Result<MultiValue>>()?;
            function.call::<Value>(arguments)?
        }
        Value::String(_) | Value::Integer(_) | Value::Number(_) => {
            let text = lua.coerce_string(with.clone())?;
            return fill(text.as_ref().map(LuaString::as_bytes).as_deref().unwrap_or_default(), whole, &captures, out);
        }
        _ => {
            return Err(mlua::Error::runtime("bad argument #3 to 'gsub' (string/function/table expected)"));
        }
    };
    match answer {
        Value::Nil | Value::Boolean(false) => out.extend_from_slice(whole),
        Value::String(_) | Value::Integer(_) | Value::Number(_) => {
            if let Some(text) = lua.coerce_string(answer)? {
                out.extend_from_slice(&text.as_bytes());
            }
        }
        other => {
            return Err(mlua::Error::runtime(format!(
                "invalid replacement value (a {})",
                super::value::type_name(&other)
            )));
        }
    }
    Ok(())
}

fn fill(template: &[u8], whole: &[u8], captures: &[Capture<'_>], out: &mut Vec<u8>) -> mlua::Result<()> {
    let mut rest = template.iter();
    while let Some(&c) = rest.next() {
        if c != b'%' {
            out.push(c);
            continue;
        }
        match rest.next() {
            Some(b'0') => out.extend_from_slice(whole),
            Some(digit) if digit.is_ascii_digit() => match captures.get(usize::from(digit - b'1')) {
                Some(Capture::Text(text)) => out.extend_from_slice(text),
                Some(Capture::Position(at)) => out.extend_from_slice(at.to_string().as_bytes()),
                None => return Err(mlua::Error::runtime("invalid capture index")),
            },
            Some(&other) => out.push(other),
            None => {}
        }
        if out.len() > 2 * MADE {
            return Err(mlua::Error::runtime("resulting string too large"));
        }
    }
    Ok(())
}

fn to_lua(lua: &Lua, capture: Capture<'_>) -> mlua::Result<Value> {
    Ok(match capture {
        Capture::Text(text) => Value::String(lua.create_string(text)?),
        Capture::Position(at) => Value::Integer(position(at) - 1),
    })
}

fn nothing() -> mlua::Result<MultiValue> {
    Ok(MultiValue::from_iter([Value::Nil]))
}

/// From Lua's count, which begins at 1 and may count from the end.
fn start(from: Option<i64>, length: usize) -> usize {
    let from = from.unwrap_or(1);
    let from = if from < 0 { from.saturating_add_unsigned(length as u64) } else { from.saturating_sub(1) };
    usize::try_from(from).unwrap_or(0).min(length)
}

/// To Lua's count. Texts are far shorter than what would not fit.
fn position(index: usize) -> i64 {
    i64::try_from(index).unwrap_or(i64::MAX - 1) + 1
}
