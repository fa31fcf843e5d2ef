//! The library `os` as scripts have it: `time` and `date`, of the moment a run
//! is told, always in UTC.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;
use jiff::civil::{DateTime, date};
use jiff::tz::TimeZone;
use mlua::{Lua, Table, Value};

/// Longest format that is read.
const FORMAT_BYTES: usize = 1024;

/// The moment of the run, in seconds since 1970.
#[derive(Clone, Debug, Default)]
pub(super) struct Now(Arc<AtomicI64>);

// === impl Now ===

impl Now {
    pub(super) fn set(&self, now: Timestamp) {
        self.0.store(now.as_second(), Ordering::Relaxed);
    }

    fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// `os.time` and `os.date`.
pub(super) fn library(lua: &Lua, now: &Now) -> mlua::Result<Table> {
    let os = lua.create_table()?;
    let clock = now.clone();
    os.raw_set(
        "time",
        lua.create_function(move |_, parts: Option<Table>| match parts {
            None => Ok(Some(clock.get())),
            Some(parts) => seconds(&parts),
        })?,
    )?;
    let clock = now.clone();
    os.raw_set(
        "date",
        lua.create_function(move |lua, (format, at): (Option<String>, Option<f64>)| {
            #[expect(clippy::cast_possible_truncation, reason = "a fraction of a second is not shown")]
            let at = at.map_or_else(|| clock.get(), |at| at as i64);
            show(lua, format.as_deref().unwrap_or("%c"), at)
        })?,
    )?;
    Ok(os)
}

/// The second that the parts of a date name; days and months past their end run
/// over. `None` when it is outside the calendar.
fn seconds(parts: &Table) -> mlua::Result<Option<i64>> {
    let part = |name: &str, default: i64| -> mlua::Result<i64> {
        Ok(parts.raw_get::<Value>(name)?.as_integer().unwrap_or(default))
    };
    let months = part("month", -1)? - 1 + part("year", -1)?.saturating_mul(12);
    let (year, month) = (months.div_euclid(12), months.rem_euclid(12) + 1);
    let (Ok(year), Ok(month)) = (i16::try_from(year), i8::try_from(month)) else { return Ok(None) };
    if !(-9999..=9999).contains(&year) {
        return Ok(None);
    }
    let Ok(start) = date(year, month, 1).to_zoned(TimeZone::UTC) else { return Ok(None) };
    let scaled = |name, default, unit: i64| -> mlua::Result<i64> { Ok(part(name, default)?.saturating_mul(unit)) };
    let within = [
        (part("day", -1)?.saturating_sub(1)).saturating_mul(86_400),
        scaled("hour", 12, 3600)?,
        scaled("min", 0, 60)?,
        scaled("sec", 0, 1)?,
    ];
    Ok(Some(within.into_iter().fold(start.timestamp().as_second(), i64::saturating_add)))
}

fn show(lua: &Lua, format: &str, at: i64) -> mlua::Result<Value> {
    let format = format.trim_start_matches('!');
    let Ok(moment) = Timestamp::from_second(at) else { return Ok(Value::Nil) };
    let moment = moment.to_zoned(TimeZone::UTC).datetime();
    if format.starts_with("*t") {
        return parts(lua, moment).map(Value::Table);
    }
    if format.len() > FORMAT_BYTES {
        return Err(mlua::Error::runtime("bad argument #1 to 'date' (format too long)"));
    }
    Ok(Value::String(lua.create_string(render(format, moment))?))
}

fn parts(lua: &Lua, moment: DateTime) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    for (name, value) in [
        ("year", i64::from(moment.year())),
        ("month", moment.month().into()),
        ("day", moment.day().into()),
        ("hour", moment.hour().into()),
        ("min", moment.minute().into()),
        ("sec", moment.second().into()),
        ("wday", i64::from(moment.weekday().to_sunday_zero_offset()) + 1),
        ("yday", moment.day_of_year().into()),
    ] {
        table.raw_set(name, value)?;
    }
    table.raw_set("isdst", false)?;
    Ok(table)
}

/// The formats Argo CD's `os.date` knows; what it does not know stays as it is.
fn render(format: &str, moment: DateTime) -> String {
    let mut out = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let Some(letter) = chars.next() else {
            out.push('%');
            break;
        };
        let pattern = match letter {
            'x' => "%m/%d/%y",
            'X' => "%H:%M:%S",
            'c' => "%d %b %y %H:%M UTC",
            'Z' => "UTC",
            'z' => "+0000",
            'a' => "%a",
            'A' => "%A",
            'b' => "%b",
            'B' => "%B",
            'd' => "%d",
            'F' => "%Y-%m-%d",
            'H' => "%H",
            'I' => "%I",
            'j' => "%j",
            'm' => "%m",
            'M' => "%M",
            'p' => "%p",
            'S' => "%S",
            'w' => "%w",
            'y' => "%y",
            'Y' => "%Y",
            '%' => "%%",
            other => {
                out.extend(['%', other]);
                continue;
            }
        };
        // Writing to a string cannot fail, and a date has all that is asked for.
        let _ = write!(out, "{}", moment.strftime(pattern));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_as_the_scripts_of_argo_cd_expect() {
        let moment = date(2026, 3, 9).at(4, 5, 6, 0);
        assert_eq!(render("%Y-%m-%dT%XZ", moment), "2026-03-09T04:05:06Z");
        assert_eq!(render("%y%m%d%H%M %Q 100%% %", moment), "2603090405 %Q 100% %");
    }
}
