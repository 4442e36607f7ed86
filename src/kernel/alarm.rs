//! Errors of the log for somebody who is to hear of them, each with the lines before it.
//!
//! Nothing is kept before somebody listens. Targets that must not be told, such as that of the one
//! who tells, are left out altogether.

use std::collections::VecDeque;
use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use jiff::Timestamp;
use tokio::sync::Notify;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Lines that wait to be told. More errors than that say nothing new.
const MOST: usize = 500;

/// Where errors can be heard. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Alarm(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    wish: OnceLock<Wish>,
    lines: Mutex<Lines>,
    news: Notify,
}

/// What the listener wants.
#[derive(Debug)]
struct Wish {
    before: usize,
    except: &'static [&'static str],
}

#[derive(Debug, Default)]
struct Lines {
    before: VecDeque<String>,
    told: Vec<String>,
    missed: usize,
}

/// What somebody hears of errors.
#[derive(Debug)]
pub struct Errors(Arc<Shared>);

impl Alarm {
    /// Begins to listen: with up to so many lines before each error, and without these targets and
    /// what is below them. There is one listener; whoever comes later hears what the first asked for.
    #[must_use]
    pub fn listen(&self, before: usize, except: &'static [&'static str]) -> Errors {
        self.0.wish.get_or_init(|| Wish { before, except });
        Errors(Arc::clone(&self.0))
    }
}

impl Errors {
    /// The lines of all errors since the last call; waits for one.
    pub async fn next(&mut self) -> Vec<String> {
        loop {
            let news = self.0.news.notified();
            let told = self.0.lines().take();
            if !told.is_empty() {
                return told;
            }
            news.await;
        }
    }
}

impl Shared {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Subscriber> Layer<S> for Alarm {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let Some(wish) = self.0.wish.get() else {
            return;
        };
        let target = event.metadata().target();
        let is_below = |one: &&str| {
            let rest = target.strip_prefix(one);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        };
        if wish.except.iter().any(is_below) {
            return;
        }
        let line = line(event);
        let mut lines = self.0.lines();
        if *event.metadata().level() == Level::ERROR {
            lines.tell(line);
            drop(lines);
            self.0.news.notify_one();
        } else {
            lines.keep(line, wish.before);
        }
    }
}

impl Lines {
    fn take(&mut self) -> Vec<String> {
        let mut told = std::mem::take(&mut self.told);
        if self.missed > 0 {
            told.push(format!(
                "and {} more errors",
                std::mem::take(&mut self.missed)
            ));
        }
        told
    }

    fn tell(&mut self, error: String) {
        let before = std::mem::take(&mut self.before);
        if self.told.len() >= MOST {
            self.missed += 1;
            return;
        }
        self.told.extend(before);
        self.told.push(error);
    }

    fn keep(&mut self, line: String, most: usize) {
        self.before.push_back(line);
        while self.before.len() > most {
            self.before.pop_front();
        }
    }
}

/// `2026-11-21T08:41:26Z ERROR dsf::bpe: message name=value`
fn line(event: &Event<'_>) -> String {
    let metadata = event.metadata();
    let mut text = Text::default();
    event.record(&mut text);
    let Text { message, fields } = text;
    let (at, level, target) = (Timestamp::now(), metadata.level(), metadata.target());
    format!("{at:.3} {level} {target}: {message}{fields}")
}

#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Text {
    fn add(&mut self, field: &Field, value: &dyn Debug) {
        // Writing to a text cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add(field, value);
    }

    /// Without quotation marks.
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, &format_args!("{value}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::layer::SubscriberExt;

    fn parts(lines: &[String]) -> Vec<&str> {
        let part = |line: &'_ String| line.find(' ').map(|at| at + 1).unwrap_or_default();
        lines.iter().map(|line| &line[part(line)..]).collect()
    }

    /// Spec/bpe.md §10.4: an error with so many events before it.
    #[tokio::test]
    async fn an_error_is_told_with_the_lines_before_it_and_without_those_of_the_teller() {
        let alarm = Alarm::default();
        let _logs =
            tracing::subscriber::set_default(tracing_subscriber::registry().with(alarm.clone()));
        tracing::error!("nobody listens yet");
        let mut errors = alarm.listen(2, &["dsf::mail"]);
        for number in 1..=3 {
            tracing::info!(target: "dsf::bpe", number, "went well");
        }
        tracing::error!(target: "dsf::mail", "not sent");
        tracing::error!(target: "dsf::bpe", process = "ping", "failed");
        tracing::error!(target: "dsf::mailing", "again");
        let told = errors.next().await;
        let expected = [
            "INFO dsf::bpe: went well number=2",
            "INFO dsf::bpe: went well number=3",
            "ERROR dsf::bpe: failed process=ping",
            "ERROR dsf::mailing: again",
        ];
        assert_eq!(parts(&told), expected);
        tracing::error!(target: "dsf::mail", "not sent");
        tracing::warn!(target: "dsf::bpe", "odd");
        assert!(alarm.0.lines().take().is_empty(), "nothing new");
    }
}
