//! Logging: lines for people on a terminal, JSON for machines everywhere else. Always on
//! standard error, so that a command's output stays clean.

use std::io::IsTerminal;

use tracing_subscriber::filter::{LevelFilter, ParseError};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt};

use super::Alarm;

/// How log events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `Human` on a terminal, `Json` otherwise.
    Auto,
    Human,
    Json,
}

#[derive(Clone, Debug)]
pub struct Settings {
    pub format: Format,
    /// A level (`info`), or levels by module (`info,dsf::bpe=debug`).
    pub level: String,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("not a log level: {0}")]
    Level(#[from] ParseError),
    #[error("not a log level: {0}")]
    Unknown(String),
    #[error("logging was set up twice")]
    Twice,
}

/// Starts logging for the whole process; what it answers tells of errors.
///
/// # Errors
/// When the level makes no sense, or when logging runs already.
pub fn init(settings: &Settings) -> Result<Alarm, Error> {
    let alarm = Alarm::default();
    let events = tracing_subscriber::registry()
        .with(filter(&settings.level)?)
        .with(alarm.clone());
    let lines = fmt::layer().with_writer(std::io::stderr);
    let terminal = std::io::stderr().is_terminal();
    let started = match settings.format {
        Format::Human => events.with(lines.with_ansi(terminal)).try_init(),
        Format::Auto if terminal => events.with(lines).try_init(),
        Format::Auto | Format::Json => {
            let lines = lines.json().flatten_event(true);
            events.with(lines).try_init()
        }
    };
    started.map_err(|_| Error::Twice)?;
    Ok(alarm)
}

/// Reads a level; also the check that the configuration makes.
///
/// # Errors
/// When the level makes no sense.
pub fn filter(level: &str) -> Result<EnvFilter, Error> {
    // A word alone that is no level would be taken for a module and silence all others.
    let mut words = level.split(',').map(str::trim);
    let unknown = words.find(|word| {
        let alone = !word.is_empty() && !word.contains(['=', '[', ':']);
        alone && word.parse::<LevelFilter>().is_err()
    });
    match unknown {
        Some(word) => Err(Error::Unknown(word.to_owned())),
        None => Ok(EnvFilter::builder().parse(level)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_may_differ_by_module_and_nonsense_is_refused() {
        assert!(filter("info,dsf::bpe=debug").is_ok());
        assert!(filter("dsf=loud").is_err());
        assert!(filter("loud").is_err());
        assert!(filter("warn, dsf::bpe").is_ok());
    }
}
