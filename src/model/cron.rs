//! Schedules in cron's five fields, over the clock on the wall.
//!
//! `minute hour day-of-month month day-of-week`, with `*`, `?`, lists, ranges,
//! steps and English short names, `@hourly` and its kin, and a leading
//! `TZ=<zone>` or `CRON_TZ=<zone>`. Where both days are restricted, either will
//! do; where one is `*`, the other decides. Zones are the caller's business:
//! everything here is civil time.

use jiff::ToSpan;
use jiff::civil::{Date, DateTime};

/// Why a text is not a schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a cron schedule: {reason}")]
pub struct InvalidSchedule {
    /// The schedule as given.
    pub text: String,
    /// What is wrong with it.
    pub reason: String,
}

/// A schedule: the minutes of civil time at which something begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Whether a day must satisfy both day fields, because one of them is `*`.
    both_days: bool,
    zone: Option<String>,
}

/// How a field is read: its bounds, and the names of its values from the lowest.
struct Field {
    name: &'static str,
    low: u32,
    high: u32,
    names: &'static [&'static str],
}

const MINUTE: Field = Field { name: "minute", low: 0, high: 59, names: &[] };
const HOUR: Field = Field { name: "hour", low: 0, high: 23, names: &[] };
const DAY: Field = Field { name: "day of month", low: 1, high: 31, names: &[] };
const MONTH: Field = Field {
    name: "month",
    low: 1,
    high: 12,
    names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
};
const WEEKDAY: Field =
    Field { name: "day of week", low: 0, high: 6, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] };

/// Days to look through for a start: the longest pause of any schedule that
/// has starts at all is the eight years between leap days around 1900 and 2100.
const HORIZON_DAYS: u32 = 8 * 366;

// === impl Schedule ===

impl Schedule {
    /// Reads a schedule.
    ///
    /// # Errors
    /// [`InvalidSchedule`] with the text and the first thing wrong with it.
    pub fn parse(text: &str) -> Result<Self, InvalidSchedule> {
        Self::read(text).map_err(|reason| InvalidSchedule { text: text.to_owned(), reason })
    }

    fn read(text: &str) -> Result<Self, String> {
        let mut rest = text.trim();
        let mut zone = None;
        if let Some(named) = rest.strip_prefix("CRON_TZ=").or_else(|| rest.strip_prefix("TZ=")) {
            let (name, fields) = named.split_once(char::is_whitespace).ok_or("a zone alone is no schedule")?;
            (zone, rest) = (Some(name.to_owned()), fields.trim());
        }
        let fields: Vec<&str> = described(rest)?.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else {
            return Err(format!("expected 5 fields, found {}", fields.len()));
        };
        let (days, any_day) = DAY.read(day)?;
        let (weekdays, any_weekday) = WEEKDAY.read(weekday)?;
        Ok(Self {
            minutes: MINUTE.read(minute)?.0,
            hours: HOUR.read(hour)?.0,
            days,
            months: MONTH.read(month)?.0,
            weekdays,
            both_days: any_day || any_weekday,
            zone,
        })
    }

    /// The zone the schedule itself names, if it does.
    pub fn zone(&self) -> Option<&str> {
        self.zone.as_deref()
    }

    /// The latest start at or before `at`. `None` where there is none within
    /// eight years, as for the 30th of February.
    pub fn latest(&self, at: DateTime) -> Option<DateTime> {
        let mut date = at.date();
        let mut limit = (at.hour(), at.minute());
        for _ in 0..=HORIZON_DAYS {
            if self.includes(date)
                && let Some((hour, minute)) = self.last_time(limit)
            {
                return Some(date.at(hour, minute, 0, 0));
            }
            date = date.checked_sub(1.day()).ok()?;
            limit = (23, 59);
        }
        None
    }

    /// The earliest start after `at`. `None` where there is none within eight years.
    pub fn next(&self, at: DateTime) -> Option<DateTime> {
        let from = at.date().at(at.hour(), at.minute(), 0, 0).checked_add(1.minute()).ok()?;
        let mut date = from.date();
        let mut limit = (from.hour(), from.minute());
        for _ in 0..=HORIZON_DAYS {
            if self.includes(date)
                && let Some((hour, minute)) = self.first_time(limit)
            {
                return Some(date.at(hour, minute, 0, 0));
            }
            date = date.checked_add(1.day()).ok()?;
            limit = (0, 0);
        }
        None
    }

    fn includes(&self, date: Date) -> bool {
        let day = has(self.days, date.day());
        let weekday = has(self.weekdays, date.weekday().to_sunday_zero_offset());
        has(self.months, date.month()) && if self.both_days { day && weekday } else { day || weekday }
    }

    fn last_time(&self, (hour, minute): (i8, i8)) -> Option<(i8, i8)> {
        if has(self.hours, hour)
            && let Some(m) = highest(self.minutes, minute)
        {
            return Some((hour, m));
        }
        Some((highest(self.hours, hour - 1)?, highest(self.minutes, 59)?))
    }

    fn first_time(&self, (hour, minute): (i8, i8)) -> Option<(i8, i8)> {
        if has(self.hours, hour)
            && let Some(m) = lowest(self.minutes, minute)
        {
            return Some((hour, m));
        }
        Some((lowest(self.hours, hour + 1)?, lowest(self.minutes, 0)?))
    }
}

fn has(bits: u64, value: i8) -> bool {
    (0..64).contains(&value) && bits & (1 << value) != 0
}

fn highest(bits: u64, at_most: i8) -> Option<i8> {
    (0..=at_most).rev().find(|value| has(bits, *value))
}

fn lowest(bits: u64, at_least: i8) -> Option<i8> {
    (at_least..64).find(|value| has(bits, *value))
}

fn described(text: &str) -> Result<&str, String> {
    match text {
        "@yearly" | "@annually" => Ok("0 0 1 1 *"),
        "@monthly" => Ok("0 0 1 * *"),
        "@weekly" => Ok("0 0 * * 0"),
        "@daily" | "@midnight" => Ok("0 0 * * *"),
        "@hourly" => Ok("0 * * * *"),
        _ if text.starts_with('@') => Err(format!("{text} is not a known name")),
        _ => Ok(text),
    }
}

// === impl Field ===

impl Field {
    /// The field's values as bits, and whether it stands for every value.
    fn read(&self, text: &str) -> Result<(u64, bool), String> {
        let (mut bits, mut any) = (0, false);
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (part_bits, part_any) = self.read_part(part)?;
            bits |= part_bits;
            any |= part_any;
        }
        if bits == 0 { Err(format!("the {} names no value", self.name)) } else { Ok((bits, any)) }
    }

    fn read_part(&self, part: &str) -> Result<(u64, bool), String> {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(number(step)?)),
            None => (part, None),
        };
        if step == Some(0) {
            return Err(format!("the step of {part:?} is not positive"));
        }
        let star = matches!(range, "*" | "?");
        let (low, high) = if star {
            (self.low, self.high)
        } else if let Some((low, high)) = range.split_once('-') {
            (self.value(low)?, self.value(high)?)
        } else {
            let low = self.value(range)?;
            // `5/10` runs on to the field's end.
            (low, if step.is_some() { self.high } else { low })
        };
        if low < self.low || high > self.high || low > high {
            return Err(format!("{part:?} is not within {}-{} of the {}", self.low, self.high, self.name));
        }
        let step = step.unwrap_or(1);
        let bits = (low..=high).step_by(step as usize).fold(0u64, |bits, value| bits | 1 << value);
        Ok((bits, star && step == 1))
    }

    fn value(&self, text: &str) -> Result<u32, String> {
        let lower = text.to_ascii_lowercase();
        match (self.low..).zip(self.names).find(|(_, name)| **name == lower) {
            Some((value, _)) => Ok(value),
            None => number(text),
        }
    }
}

fn number(text: &str) -> Result<u32, String> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("{text:?} is not a number"));
    }
    text.parse().map_err(|_| format!("{text:?} is too large"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime {
        text.parse().expect("a civil time")
    }

    fn next(schedule: &str, from: &str) -> Option<DateTime> {
        Schedule::parse(schedule).expect(schedule).next(at(from))
    }

    #[test]
    fn the_next_start_is_after_the_given_time() {
        for (schedule, from, want) in [
            ("0 22 * * *", "2026-03-01T22:00:00", "2026-03-02T22:00:00"),
            ("*/5 * * * *", "2026-03-01T22:03:10", "2026-03-01T22:05:00"),
            ("10/20 * * * *", "2026-03-01T22:31:00", "2026-03-01T22:50:00"),
            ("0 9-17/4 * * mon-fri", "2026-03-06T17:30:00", "2026-03-09T09:00:00"),
            ("0 0 1,15 JAN,jul ?", "2026-01-15T00:00:00", "2026-07-01T00:00:00"),
            ("0 0 29 2 *", "2096-03-01T00:00:00", "2104-02-29T00:00:00"),
            ("@hourly", "2026-12-31T23:59:59", "2027-01-01T00:00:00"),
            ("TZ=Asia/Tokyo 0 5 * * *", "2026-01-01T05:00:00", "2026-01-02T05:00:00"),
        ] {
            assert_eq!(next(schedule, from), Some(at(want)), "{schedule}");
        }
        assert_eq!(next("0 0 30 2 *", "2026-01-01T00:00:00"), None);
    }

    #[test]
    fn the_latest_start_may_be_now() {
        let schedule = Schedule::parse("30 2 * * 0").expect("parses");
        assert_eq!(schedule.latest(at("2026-03-01T02:30:59")), Some(at("2026-03-01T02:30:00")));
        assert_eq!(schedule.latest(at("2026-03-01T02:29:59")), Some(at("2026-02-22T02:30:00")));
    }

    #[test]
    fn either_day_field_will_do_only_when_both_are_restricted() {
        assert_eq!(next("0 0 13 * 5", "2026-03-01T00:00:00"), Some(at("2026-03-06T00:00:00")));
        assert_eq!(next("0 0 13 * *", "2026-03-01T00:00:00"), Some(at("2026-03-13T00:00:00")));
        assert_eq!(next("0 0 * * 5", "2026-03-06T00:00:00"), Some(at("2026-03-13T00:00:00")));
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for text in [
            "",
            "* * * *",
            "* * * * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "* * * * 7",
            "5-1 * * * *",
            "*/0 * * * *",
            "a * * * *",
            "@often",
            "@every 5m",
            "TZ=UTC",
            ", * * * *",
            "-1 * * * *",
            "99999999999 * * * *",
            "1/2/3 * * * *",
            "1-2-3 * * * *",
        ] {
            assert!(Schedule::parse(text).is_err(), "{text}");
        }
    }
}
