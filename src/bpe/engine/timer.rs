//! Dates, durations and cycles of timers and retries (`spec/bpmn.md` S-TIM, S-JOB-3).

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp, Zoned};
use serde::{Deserialize, Serialize};

use super::change::Repeat;
use crate::bpe::model::{TimerForm, Variable};

mod cron;

/// When a timer fires, and what comes after.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    pub due: Timestamp,
    pub repeat: Option<Repeat>,
}

/// The distance between two occurrences.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Every {
    /// An ISO 8601 duration.
    Duration(String),
    Cron(String),
}

pub(super) fn schedule(
    form: TimerForm,
    value: &Variable,
    now: Timestamp,
) -> Result<Schedule, String> {
    match form {
        TimerForm::Date => Ok(Schedule {
            due: date(value)?,
            repeat: None,
        }),
        TimerForm::Duration => {
            let text = text_of(value)?;
            let due = add(now, span(text)?)?;
            Ok(Schedule { due, repeat: None })
        }
        TimerForm::Cycle => cycle(text_of(value)?, now),
    }
}

fn text_of(value: &Variable) -> Result<&str, String> {
    match value {
        Variable::String(text) => Ok(text.trim()),
        other => Err(format!("a {} is no time", other.type_name())),
    }
}

/// A point in time; without a zone it is UTC.
pub(super) fn date(value: &Variable) -> Result<Timestamp, String> {
    if let Variable::Date(at) = value {
        return Ok(*at);
    }
    let text = text_of(value)?;
    let parsed = text
        .parse::<Timestamp>()
        .ok()
        .or_else(|| text.parse::<Zoned>().ok().map(|at| at.timestamp()))
        .or_else(|| text.parse::<DateTime>().ok().and_then(in_utc))
        .or_else(|| {
            text.parse::<Date>()
                .ok()
                .and_then(|day| in_utc(day.at(0, 0, 0, 0)))
        });
    parsed.ok_or_else(|| format!("'{text}' is not an ISO 8601 date"))
}

fn in_utc(at: DateTime) -> Option<Timestamp> {
    at.to_zoned(TimeZone::UTC).ok().map(|at| at.timestamp())
}

fn span(text: &str) -> Result<Span, String> {
    text.parse()
        .map_err(|_| format!("'{text}' is not an ISO 8601 duration"))
}

fn add(at: Timestamp, span: Span) -> Result<Timestamp, String> {
    let sum = at.to_zoned(TimeZone::UTC).checked_add(span);
    sum.map(|at| at.timestamp())
        .map_err(|_| "the time is out of range".to_owned())
}

/// `R[n]/[start/]duration` or `R[n]/duration/end`, or a cron expression.
fn cycle(text: &str, now: Timestamp) -> Result<Schedule, String> {
    let Some(rest) = text.strip_prefix('R') else {
        let due = cron::next(text, now)?;
        let every = Every::Cron(text.to_owned());
        return Ok(Schedule {
            due,
            repeat: Some(Repeat {
                left: None,
                every,
                anchor: now,
            }),
        });
    };
    let mut parts = rest.split('/');
    let count = parts.next().unwrap_or_default();
    let left = match count {
        "" => None,
        count => Some(
            count
                .parse()
                .map_err(|_| format!("'{text}' is not a cycle"))?,
        ),
    };
    let parts: Vec<_> = parts.collect();
    let (start, duration) = match parts[..] {
        [duration] => (None, duration),
        [first, second] if first.starts_with('P') => {
            // Counted back from the end.
            let end = date(&Variable::from(second))?;
            (Some(add(end, span(first)?.negate())?), first)
        }
        [first, second] => (Some(date(&Variable::from(first))?), second),
        _ => return Err(format!("'{text}' is not a cycle")),
    };
    let (anchor, due) = match start {
        Some(start) => (start, start),
        None => (now, add(now, span(duration)?)?),
    };
    span(duration)?;
    let every = Every::Duration(duration.to_owned());
    Ok(Schedule {
        due,
        repeat: Some(Repeat {
            left,
            every,
            anchor,
        }),
    })
}

/// The occurrence after `due`: the first one after now; missed ones count as fired.
pub(super) fn next(
    repeat: &Repeat,
    due: Timestamp,
    now: Timestamp,
) -> Option<(Timestamp, Option<u32>)> {
    let mut left = repeat.left;
    let mut at = due;
    loop {
        left = match left {
            Some(count) => Some(count.checked_sub(1).filter(|count| *count > 0)?),
            None => None,
        };
        let following = match &repeat.every {
            Every::Duration(duration) => add(at, span(duration).ok()?).ok()?,
            Every::Cron(text) => cron::next(text, at.max(now)).ok()?,
        };
        // A duration of nothing would never come to an end.
        if following <= at {
            return None;
        }
        at = following;
        if at > now {
            return Some((at, left));
        }
    }
}

/// How often and in which distance a failed job is tried.
pub(super) struct Retries {
    pub attempts: u32,
    pauses: Vec<SignedDuration>,
    listed: bool,
}

impl Retries {
    /// The pause after a failure, given the attempts that were left before it.
    pub(super) fn pause(&self, left: u32) -> Option<SignedDuration> {
        if !self.listed {
            return self.pauses.first().copied();
        }
        let failed = self.attempts.saturating_sub(left) as usize;
        self.pauses.get(failed).or(self.pauses.last()).copied()
    }
}

/// `R<n>/<duration>`, or a list of durations.
pub(super) fn retries(text: &str) -> Result<Retries, String> {
    let wrong = || format!("'{text}' is not a retry cycle such as R3/PT5M");
    let length = |text: &str| -> Result<SignedDuration, String> {
        let span = span(text.trim())?;
        span.to_duration(&Zoned::new(Timestamp::UNIX_EPOCH, TimeZone::UTC))
            .map_err(|_| wrong())
    };
    if let Some(rest) = text.trim().strip_prefix('R') {
        let (count, duration) = rest.split_once('/').ok_or_else(wrong)?;
        let attempts = count.parse().map_err(|_| wrong())?;
        return Ok(Retries {
            attempts,
            pauses: vec![length(duration)?],
            listed: false,
        });
    }
    let pauses = text.split(',').map(length).collect::<Result<Vec<_>, _>>()?;
    let count = u32::try_from(pauses.len()).unwrap_or(u32::MAX);
    Ok(Retries {
        attempts: count.saturating_add(1),
        pauses,
        listed: true,
    })
}

pub(super) fn after(now: Timestamp, pause: SignedDuration) -> Timestamp {
    now.checked_add(pause).unwrap_or(Timestamp::MAX)
}

impl Schedule {
    /// What follows when this occurrence has fired.
    #[must_use]
    pub fn next(&self, now: Timestamp) -> Option<Schedule> {
        let repeat = self.repeat.as_ref()?;
        let (due, left) = next(repeat, self.due, now)?;
        Some(Schedule {
            due,
            repeat: Some(Repeat {
                left,
                ..repeat.clone()
            }),
        })
    }
}
