//! FHIR dates and times: their lexical form, and the range of instants that a value stands for.

use jiff::civil::{self, Date};
use jiff::tz::{Offset, TimeZone};
use jiff::{Span, Timestamp, ToSpan, Zoned};

/// How much of a date or time is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Precision {
    Year,
    Month,
    Day,
    Minute,
    Second,
    /// Fraction of a second, taken as milliseconds.
    Fraction,
}

/// A `date`, `dateTime` or `instant`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DateTime {
    civil: civil::DateTime,
    offset: Option<Offset>,
    pub precision: Precision,
}

impl DateTime {
    /// Parses `yyyy`, `yyyy-MM`, `yyyy-MM-dd` or `yyyy-MM-ddThh:mm[:ss[.f]][zone]`.
    ///
    /// Times without seconds or zone are accepted, as search values have them; stored values are
    /// held to more by the parsers. `None` also for days that do not exist.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (day, time) = match text.split_once('T') {
            Some((day, time)) => (day, Some(time)),
            None => (text, None),
        };
        let (date, precision) = parse_day(day)?;
        let Some(time) = time else {
            return Some(Self {
                civil: date.into(),
                offset: None,
                precision,
            });
        };
        let (clock, offset) = split_zone(time)?;
        let (time, time_precision) = parse_time(clock)?;
        (precision == Precision::Day).then_some(Self {
            civil: date.to_datetime(time),
            offset,
            precision: time_precision,
        })
    }

    #[must_use]
    pub fn has_zone(&self) -> bool {
        self.offset.is_some()
    }

    /// The first instant that is meant; values without a zone are in `zone`.
    #[must_use]
    pub fn start(&self, zone: &TimeZone) -> Option<Timestamp> {
        self.instant(self.civil, zone)
    }

    /// The half-open range of instants that is meant; values without a zone are in `zone`.
    #[must_use]
    pub fn range(&self, zone: &TimeZone) -> Option<std::ops::Range<Timestamp>> {
        let length: Span = match self.precision {
            Precision::Year => 1.year(),
            Precision::Month => 1.month(),
            Precision::Day => 1.day(),
            Precision::Minute => 1.minute(),
            Precision::Second => 1.second(),
            Precision::Fraction => 1.millisecond(),
        };
        let end = self.civil.checked_add(length).ok()?;
        Some(self.instant(self.civil, zone)?..self.instant(end, zone)?)
    }

    fn instant(&self, civil: civil::DateTime, zone: &TimeZone) -> Option<Timestamp> {
        match self.offset {
            Some(offset) => offset.to_timestamp(civil).ok(),
            None => zone
                .to_ambiguous_zoned(civil)
                .compatible()
                .ok()
                .map(|z| z.timestamp()),
        }
    }
}

/// An instant as the servers of the framework print it: `2026-11-21T08:28:29.880+00:00`.
#[must_use]
pub fn format_instant(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%3f+00:00").to_string()
}

/// As [`format_instant`], in the zone of `at`.
#[must_use]
pub fn format_zoned(at: &Zoned) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%3f%:z").to_string()
}

/// An `instant`, or a `dateTime` with time and zone, as a point in time.
#[must_use]
pub fn parse_instant(text: &str) -> Option<Timestamp> {
    let parsed = DateTime::parse(text)?;
    parsed.has_zone().then(|| parsed.start(&TimeZone::UTC))?
}

fn parse_day(text: &str) -> Option<(Date, Precision)> {
    let mut parts = text.split('-');
    let year = number(parts.next()?, 4)?;
    let month = parts
        .next()
        .map(|part| number(part, 2).ok_or(()))
        .transpose()
        .ok()?;
    let day = parts
        .next()
        .map(|part| number(part, 2).ok_or(()))
        .transpose()
        .ok()?;
    let precision = match (month, day, parts.next()) {
        (None, None, None) => Precision::Year,
        (Some(_), None, None) => Precision::Month,
        (Some(_), Some(_), None) => Precision::Day,
        _ => return None,
    };
    let small = |part: Option<u32>| part.map_or(Some(1), |part| i8::try_from(part).ok());
    // Year 0 does not exist in FHIR.
    let year = i16::try_from(year).ok().filter(|year| *year > 0)?;
    Some((Date::new(year, small(month)?, small(day)?).ok()?, precision))
}

/// The offset behind a time, if there is one; `None` when it is malformed.
fn split_zone(text: &str) -> Option<(&str, Option<Offset>)> {
    if let Some(clock) = text.strip_suffix('Z') {
        return Some((clock, Some(Offset::UTC)));
    }
    let Some(at) = text.find(['+', '-']) else {
        return Some((text, None));
    };
    let (clock, zone) = text.split_at(at);
    let (hours, minutes) = zone[1..].split_once(':')?;
    let (hours, minutes) = (number(hours, 2)?, number(minutes, 2)?);
    if hours > 14 || minutes > 59 || (hours == 14 && minutes > 0) {
        return None;
    }
    let seconds = i32::try_from(hours * 3600 + minutes * 60).ok()?;
    let signed = if zone.starts_with('-') {
        -seconds
    } else {
        seconds
    };
    Some((clock, Some(Offset::from_seconds(signed).ok()?)))
}

/// `hh:mm[:ss[.f…]]`. A leap second counts as the last second of its minute.
pub(super) fn parse_time(text: &str) -> Option<(civil::Time, Precision)> {
    let (clock, fraction) = match text.split_once('.') {
        Some((clock, fraction)) => (clock, Some(fraction)),
        None => (text, None),
    };
    let mut parts = clock.split(':');
    let (hour, minute) = (number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    let second = parts
        .next()
        .map(|part| number(part, 2).ok_or(()))
        .transpose()
        .ok()?;
    let nanosecond = match fraction {
        Some(digits) => nanoseconds(digits)?,
        None => 0,
    };
    let precision = match (second, fraction, parts.next()) {
        (None, None, None) => Precision::Minute,
        (Some(_), None, None) => Precision::Second,
        (Some(_), Some(_), None) => Precision::Fraction,
        _ => return None,
    };
    let second = match second.unwrap_or(0) {
        60 => 59,
        other => other,
    };
    let small = |part: u32| i8::try_from(part).ok();
    let time = civil::Time::new(small(hour)?, small(minute)?, small(second)?, nanosecond).ok()?;
    Some((time, precision))
}

/// The first nine digits of a fraction; further digits are cut off.
fn nanoseconds(digits: &str) -> Option<i32> {
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let used = &digits[..digits.len().min(9)];
    let padding = 10_i32.pow(9 - u32::try_from(used.len()).ok()?);
    Some(used.parse::<i32>().ok()? * padding)
}

/// A number of exactly this many digits.
fn number(text: &str, digits: usize) -> Option<u32> {
    let is_number = text.len() == digits && text.bytes().all(|digit| digit.is_ascii_digit());
    is_number.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partial_date_stands_for_the_whole_time_it_names() {
        let range = |text: &str| {
            let range = DateTime::parse(text)
                .unwrap()
                .range(&TimeZone::UTC)
                .unwrap();
            (range.start.to_string(), range.end.to_string())
        };
        let pair = |start: &str, end: &str| (start.to_owned(), end.to_owned());
        assert_eq!(
            range("2024"),
            pair("2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z")
        );
        assert_eq!(
            range("2024-02"),
            pair("2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z")
        );
        assert_eq!(
            range("2024-02-29T10:00:00+01:00"),
            pair("2024-02-29T09:00:00Z", "2024-02-29T09:00:01Z")
        );
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in [
            "",
            "24",
            "0000",
            "2024-13",
            "2023-02-29",
            "2024-1-1",
            "2024-01-01T",
            "2024T1",
            "2024-01-01T24:00",
            "2024-01-01T10:00:00+15:00",
            "2024-01-01T10:00:00.Z",
        ] {
            assert_eq!(DateTime::parse(text), None, "{text}");
        }
    }

    #[test]
    fn instants_are_printed_with_milliseconds_and_an_offset() {
        let at = parse_instant("2026-11-21T09:28:29.88+01:00").unwrap();
        assert_eq!(format_instant(at), "2026-11-21T08:28:29.880+00:00");
    }
}
