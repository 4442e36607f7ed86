//! Cron expressions with seconds first: `second minute hour day month weekday [year]`.

use jiff::civil::{DateTime, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

const MONTHS: [&str; 12] = [
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
];
const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// Years of days that are searched for a match.
const HORIZON: i32 = 366 * 8;

/// The first match after a point in time, in UTC.
pub(super) fn next(text: &str, after: Timestamp) -> Result<Timestamp, String> {
    let fields: Vec<_> = text.split_whitespace().collect();
    let [second, minute, hour, day, month, weekday, ..] = fields[..] else {
        return Err(format!(
            "'{text}' is neither a cycle such as R3/PT1H nor a cron expression"
        ));
    };
    let wrong = |part: &str| format!("'{part}' in the cron expression '{text}' is not understood");
    let parse = |part: &str, from, to, names: &[&str]| {
        values(part, from, to, names).ok_or_else(|| wrong(part))
    };
    let (seconds, minutes) = (parse(second, 0, 59, &[])?, parse(minute, 0, 59, &[])?);
    let hours = parse(hour, 0, 23, &[])?;
    let (days, months) = (parse(day, 1, 31, &[])?, parse(month, 1, 12, &MONTHS)?);
    let weekdays = parse(weekday, 1, 7, &DAYS)?;
    let begin = after.to_zoned(TimeZone::UTC).datetime();
    let mut date = begin.date();
    for _ in 0..HORIZON {
        let number = i16::from(weekday_number(date.weekday()));
        if months.contains(&i16::from(date.month()))
            && days.contains(&i16::from(date.day()))
            && weekdays.contains(&number)
        {
            let times = hours.iter().flat_map(|&hour| {
                let seconds = &seconds;
                minutes.iter().flat_map(move |&minute| {
                    seconds.iter().map(move |&second| (hour, minute, second))
                })
            });
            for (hour, minute, second) in times {
                let part = |value: i16| i8::try_from(value).unwrap_or(0);
                let time = Time::constant(part(hour), part(minute), part(second), 0);
                let at = DateTime::from_parts(date, time);
                if at > begin {
                    let zoned = at.to_zoned(TimeZone::UTC).map_err(|_| wrong(text))?;
                    return Ok(zoned.timestamp());
                }
            }
        }
        date = date.checked_add(1.day()).map_err(|_| wrong(text))?;
    }
    Err(format!("the cron expression '{text}' never comes true"))
}

/// Sunday is 1.
fn weekday_number(day: Weekday) -> i8 {
    day.to_sunday_one_offset()
}

/// All values of a field such as `0/5`, `1-3,7`, `MON-FRI` or `*`.
fn values(field: &str, from: i16, to: i16, names: &[&str]) -> Option<Vec<i16>> {
    let mut found = Vec::new();
    for part in field.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(step.parse::<i16>().ok()?)),
            None => (part, None),
        };
        let (low, high) = match range.split_once('-') {
            _ if matches!(range, "*" | "?") => (from, to),
            Some((low, high)) => (value(low, from, names)?, value(high, from, names)?),
            None if step.is_some() => (value(range, from, names)?, to),
            None => (value(range, from, names)?, value(range, from, names)?),
        };
        if low < from || high > to || step == Some(0) {
            return None;
        }
        let step = usize::try_from(step.unwrap_or(1)).ok()?;
        found.extend((low..=high).step_by(step));
    }
    found.sort_unstable();
    found.dedup();
    Some(found)
}

fn value(text: &str, from: i16, names: &[&str]) -> Option<i16> {
    let named = names
        .iter()
        .position(|name| name.eq_ignore_ascii_case(text));
    match named {
        Some(at) => i16::try_from(at).ok().map(|at| at + from),
        None => text.parse().ok(),
    }
}
