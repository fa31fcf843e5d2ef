//! The schedules of CronJobs: what is wrong with one, in the API server's words.

/// The fields of a schedule: their least and greatest, and the names of values.
const FIELDS: [(u32, u32, &[&str]); 5] = [
    (0, 59, &[]),
    (0, 23, &[]),
    (1, 31, &[]),
    (1, 12, &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]),
    (0, 6, &["sun", "mon", "tue", "wed", "thu", "fri", "sat"]),
];

/// Reads a schedule.
pub(super) fn read(text: &str) -> Result<(), String> {
    if text.contains("TZ=") {
        return Err("cannot use TZ or CRON_TZ in schedule, use timeZone field instead".to_owned());
    }
    if let Some(descriptor) = text.strip_prefix('@') {
        let known = ["yearly", "annually", "monthly", "weekly", "daily", "midnight", "hourly"];
        return match descriptor.strip_prefix("every ") {
            Some(_) => Ok(()),
            None if known.contains(&descriptor) => Ok(()),
            None => Err(format!("unrecognized descriptor: {text}")),
        };
    }
    let fields: Vec<&str> = text.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        return Err(format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" ")));
    }
    for (field, bounds) in fields.iter().zip(FIELDS) {
        for part in field.split(',') {
            range(part, bounds)?;
        }
    }
    Ok(())
}

fn range(text: &str, (least, most, names): (u32, u32, &[&str])) -> Result<(), String> {
    let (what, step) = match text.split_once('/') {
        Some((what, step)) => (what, Some(step)),
        None => (text, None),
    };
    if let Some(step) = step {
        let step: u32 = number(step)?;
        if step == 0 {
            return Err(format!("step of range should be a positive number: {text}"));
        }
    }
    if matches!(what, "*" | "?") {
        return Ok(());
    }
    let value = |text: &str| match names.iter().position(|name| name.eq_ignore_ascii_case(text)) {
        Some(place) => Ok(u32::try_from(place).unwrap_or(0) + least),
        None => number(text),
    };
    let (from, to) = match what.split_once('-') {
        Some((from, to)) => (value(from)?, value(to)?),
        None => {
            let from = value(what)?;
            (from, if step.is_some() { most } else { from })
        }
    };
    if from < least {
        return Err(format!("beginning of range ({from}) below minimum ({least}): {text}"));
    }
    if to > most {
        return Err(format!("end of range ({to}) above maximum ({most}): {text}"));
    }
    if from > to {
        return Err(format!("beginning of range ({from}) beyond end of range ({to}): {text}"));
    }
    Ok(())
}

fn number(text: &str) -> Result<u32, String> {
    text.parse()
        .map_err(|_| format!("failed to parse int from {text}: strconv.Atoi: parsing \"{text}\": invalid syntax"))
}
