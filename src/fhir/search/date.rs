//! Dates of resources and of search values as the time they cover (§5.5).

use jiff::civil::{Date, Time};
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, ToSpan, Unit};

use crate::store::fhir::search::{Compare, Condition, Edge, Field, Moment};

/// The time a date covers, both ends included, in microseconds since 1970. A date-time is a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub first: i64,
    pub last: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Precision {
    Year,
    Month,
    Day,
    Time,
}

/// A date as FHIR writes it, without zone in that of this machine.
struct Reading {
    span: Span,
    precision: Precision,
    /// With seconds and zone.
    text: String,
}

impl Span {
    /// The span of `date`, `dateTime` or `instant` in a resource.
    pub(super) fn parse(text: &str) -> Option<Self> {
        Some(read(text)?.span)
    }
}

fn read(text: &str) -> Option<Reading> {
    if let Some((day, time)) = text.split_once('T') {
        return read_time(day, time);
    }
    let (precision, year, month, day) = match text.len() {
        4 => (Precision::Year, text, "01", "01"),
        7 => (Precision::Month, text.get(..4)?, dashed(text, 4)?, "01"),
        10 => (
            Precision::Day,
            text.get(..4)?,
            dashed(text.get(..7)?, 4)?,
            dashed(text, 7)?,
        ),
        _ => return None,
    };
    let start = Date::new(number(year)?, number(month)?, number(day)?).ok()?;
    let end = match precision {
        Precision::Year => start.checked_add(1.year()),
        Precision::Month => start.checked_add(1.month()),
        _ => start.checked_add(1.day()),
    };
    let span = Span {
        first: midnight(start)?,
        last: midnight(end.ok()?)? - 1,
    };
    Some(Reading {
        span,
        precision,
        text: text.to_owned(),
    })
}

fn dashed(text: &str, at: usize) -> Option<&str> {
    text.get(at..)?.strip_prefix('-')
}

fn number<N: std::str::FromStr>(digits: &str) -> Option<N> {
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

fn midnight(day: Date) -> Option<i64> {
    Some(
        day.to_zoned(TimeZone::system())
            .ok()?
            .timestamp()
            .as_microsecond(),
    )
}

fn read_time(day: &str, time: &str) -> Option<Reading> {
    let at = time.find(['Z', '+', '-']).unwrap_or(time.len());
    let (clock, zone) = time.split_at(at);
    let (hour, rest) = clock.split_once(':')?;
    let (minute, seconds) = rest.split_once(':').unwrap_or((rest, "00"));
    let (second, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
    if [hour, minute, second].iter().any(|part| part.len() != 2)
        || seconds.ends_with('.')
        || fraction.len() > 9
    {
        return None;
    }
    let nanosecond: i32 = number(&format!("{fraction:0<9}"))?;
    // Not `Date::at`: it panics on an hour that is none.
    let clock = Time::new(number(hour)?, number(minute)?, number(second)?, nanosecond).ok()?;
    let civil = read_day(day)?.to_datetime(clock);
    let zone = match zone {
        "" => TimeZone::system(),
        "Z" => TimeZone::UTC,
        other => TimeZone::fixed(read_offset(other)?),
    };
    let zoned = civil.to_zoned(zone).ok()?;
    let moment = zoned.timestamp().as_microsecond();
    let dot = if fraction.is_empty() { "" } else { "." };
    let offset = offset_text(zoned.offset());
    Some(Reading {
        span: Span {
            first: moment,
            last: moment,
        },
        precision: Precision::Time,
        text: format!("{day}T{hour}:{minute}:{second}{dot}{fraction}{offset}"),
    })
}

fn read_day(text: &str) -> Option<Date> {
    if text.len() != 10 {
        return None;
    }
    let (month, day) = (dashed(text.get(..7)?, 4)?, dashed(text, 7)?);
    Date::new(number(text.get(..4)?)?, number(month)?, number(day)?).ok()
}

fn read_offset(text: &str) -> Option<Offset> {
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    if hours.len() != 2 || minutes.len() != 2 {
        return None;
    }
    let (hours, minutes): (i32, i32) = (number(hours)?, number(minutes)?);
    let seconds = hours * 3600 + minutes * 60;
    Offset::from_seconds(if text.starts_with('-') {
        -seconds
    } else {
        seconds
    })
    .ok()
}

fn offset_text(offset: Offset) -> String {
    if offset.is_zero() {
        return "Z".to_owned();
    }
    let seconds = offset.seconds();
    let sign = if seconds < 0 { '-' } else { '+' };
    format!(
        "{sign}{:02}:{:02}",
        seconds.abs() / 3600,
        seconds.abs() % 3600 / 60
    )
}

/// A search value: prefix and date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Comparison {
    prefix: Prefix,
    span: Span,
    /// As the links repeat it: prefix in lower case, always there.
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Prefix {
    Equal,
    NotEqual,
    Greater,
    Less,
    GreaterOrEqual,
    LessOrEqual,
}

const PREFIXES: [(&str, Prefix); 6] = [
    ("eq", Prefix::Equal),
    ("ne", Prefix::NotEqual),
    ("gt", Prefix::Greater),
    ("lt", Prefix::Less),
    ("ge", Prefix::GreaterOrEqual),
    ("le", Prefix::LessOrEqual),
];

impl Comparison {
    /// A blank stands for the `+` that a form decoder made of it.
    pub(super) fn parse(value: &str) -> Option<Self> {
        let value = value.replace(' ', "+");
        let head = value.get(..2)?.to_ascii_lowercase();
        let found = PREFIXES.iter().find(|(name, _)| *name == head);
        let (name, prefix, date) = match found {
            Some((name, prefix)) => (*name, *prefix, value.get(2..)?),
            None => ("eq", Prefix::Equal, value.as_str()),
        };
        let reading = read(date)?;
        let coarse = matches!(reading.precision, Precision::Year | Precision::Month);
        if coarse && prefix != Prefix::Equal {
            return None;
        }
        Some(Self {
            prefix,
            span: reading.span,
            text: format!("{name}{}", reading.text),
        })
    }

    pub(super) fn condition(&self, field: Field) -> Condition {
        let Span { first, last } = self.span;
        let moment = |edge, compare, at| {
            Condition::Moment(Moment {
                field,
                edge,
                compare,
                at,
            })
        };
        match self.prefix {
            Prefix::Equal => Condition::All(vec![
                moment(Edge::First, Compare::GreaterOrEqual, first),
                moment(Edge::Last, Compare::LessOrEqual, last),
            ]),
            Prefix::NotEqual => Condition::Any(vec![
                moment(Edge::First, Compare::Less, first),
                moment(Edge::Last, Compare::Greater, last),
            ]),
            Prefix::Greater => moment(Edge::Last, Compare::Greater, last),
            Prefix::Less => moment(Edge::First, Compare::Less, first),
            Prefix::GreaterOrEqual => moment(Edge::Last, Compare::GreaterOrEqual, first),
            Prefix::LessOrEqual => moment(Edge::First, Compare::LessOrEqual, last),
        }
    }
}

/// Milliseconds are what a version's time is stored with.
pub(super) fn last_updated(text: &str) -> Option<i64> {
    let at: Timestamp = text.parse().ok()?;
    Some(at.round(Unit::Millisecond).ok()?.as_microsecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comparison_is_repeated_with_prefix_seconds_and_zone() {
        for (value, text) in [
            ("2026-01-02", "eq2026-01-02"),
            ("LT2031-01-01", "lt2031-01-01"),
            ("gt2020-01-01T00:00:00+01:00", "gt2020-01-01T00:00:00+01:00"),
            ("gt2020-01-01T00:00:00 01:00", "gt2020-01-01T00:00:00+01:00"),
            ("2026-01-02T10:00Z", "eq2026-01-02T10:00:00Z"),
            ("2026-01-02T10:00:00.001Z", "eq2026-01-02T10:00:00.001Z"),
            ("2026-01", "eq2026-01"),
            ("2026", "eq2026"),
        ] {
            assert_eq!(
                Comparison::parse(value).map(|c| c.text).as_deref(),
                Some(text),
                "{value}"
            );
        }
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for value in [
            "never",
            "sa2026-01-01",
            "ap2026",
            "gt2026",
            "lt2026-01",
            "2026-13-01",
            "2026-01-32",
            "2026-1-1",
            "",
            "2",
            "é",
            "2026-01-02T",
            "2026-01-02T10",
            "2026-01-02T10:00:00+1",
            "2026-01-02T10:00:00.",
            "20260102",
            "2026-01-02T25:00:00Z",
            "+026-01-01",
        ] {
            assert_eq!(Comparison::parse(value), None, "{value}");
        }
    }
}
