//! `dsf audit`: the trail of who wrote, read and was refused, and whether it is whole.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::cli::Configuration;
use crate::command::table::Table;
use crate::config::Needs;
use crate::fhir::audit::Record;
use crate::fhir::audit::verify::{Report, Verifier, hex, unhex};
use crate::store::fhir::audit::{self as rows, Block, Link};
use crate::store::{self, AsyncPgConnection, Database, Schema, Store};

/// Blocks read at once.
const PAGE: i64 = 200;

#[derive(Debug, Subcommand)]
pub enum Audit {
    /// Check that no record was changed or taken out; nodes may go on meanwhile.
    ///
    /// What this cannot see is a trail that was written anew as a whole. Against that, keep the
    /// output of `--json` (or the ends that nodes log) elsewhere and compare with `--against`.
    #[command(after_help = "\
Exit codes: 0 the trail is whole, 1 it is not, or failed.

Examples:
  dsf audit verify --config dsf.toml
  dsf audit verify --json > elsewhere/audit-2026-11-21.json
  dsf audit verify --against elsewhere/audit-2026-11-21.json")]
    Verify {
        /// What an earlier `dsf audit verify --json` printed; may be repeated.
        #[arg(long, value_name = "FILE")]
        against: Vec<PathBuf>,
        #[command(flatten)]
        configuration: Configuration,
        /// Print JSON instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Show records, oldest first.
    #[command(after_help = "\
Exit codes: 0 shown, 1 failed.

Examples:
  dsf audit show --last 20
  dsf audit show --did refuse --from 2026-11-01
  dsf audit show --who partner.example.org --on Task --json
  dsf audit show --request 019aa5c2-5f0e-7cc1-b1c1-6f8e4b2b7a10")]
    Show {
        #[command(flatten)]
        wanted: Wanted,
        #[command(flatten)]
        configuration: Configuration,
        /// Print JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
}

/// Which records; all conditions must hold.
#[derive(Debug, Args)]
pub struct Wanted {
    /// Not before this time or day (UTC).
    #[arg(long, value_name = "TIME", value_parser = first_moment)]
    from: Option<Timestamp>,
    /// Not after this time or day (UTC).
    #[arg(long, value_name = "TIME", value_parser = last_moment)]
    to: Option<Timestamp>,
    /// Of this identity: an organisation with its persons, or organisation/person.
    #[arg(long, value_name = "NAME")]
    who: Option<String>,
    /// create, update, delete, permanent-delete, read, search, history, event, refuse, start, end,
    /// lost or prune.
    #[arg(long, value_name = "ACT")]
    did: Option<String>,
    /// About this type, resource or version: Task, Task/ID, Task/ID/_history/1.
    #[arg(long, value_name = "RESOURCE")]
    on: Option<String>,
    /// With this reason, see docs/security.md.
    #[arg(long, value_name = "NAME")]
    reason: Option<String>,
    /// Of the request with this X-Request-Id.
    #[arg(long, value_name = "ID")]
    request: Option<Uuid>,
    /// At most this many, the newest.
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    last: usize,
}

/// A time, or the beginning of a day.
fn first_moment(text: &str) -> Result<Timestamp, String> {
    moment(text, |day| day.to_zoned(TimeZone::UTC))
}

/// A time, or the end of a day.
fn last_moment(text: &str) -> Result<Timestamp, String> {
    moment(text, |day| {
        day.saturating_add(jiff::Span::new().days(1))
            .to_zoned(TimeZone::UTC)
    })
}

fn moment(
    text: &str,
    of_day: impl Fn(Date) -> Result<jiff::Zoned, jiff::Error>,
) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let day = text.parse::<Date>().and_then(of_day);
    day.map(|day| day.timestamp())
        .map_err(|_| "write a day (2026-11-21) or a time (2026-11-21T12:00:00Z)".to_owned())
}

impl Wanted {
    fn span(&self) -> (Timestamp, Timestamp) {
        let from = self.from.unwrap_or(Timestamp::UNIX_EPOCH);
        (from, self.to.unwrap_or(Timestamp::MAX))
    }

    fn takes(&self, record: &Record) -> bool {
        let (from, to) = self.span();
        let is = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_ref().is_none_or(|wanted| found == Some(wanted))
        };
        let within = |wanted: &str, found: &str| {
            let rest = found.strip_prefix(wanted);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let who = |name: &String| record.who.as_deref().is_some_and(|who| within(name, who));
        let on = |path: &String| record.resources.iter().any(|one| within(path, one));
        from <= record.at
            && record.at <= to
            && self.who.as_ref().is_none_or(who)
            && self.on.as_ref().is_none_or(on)
            && is(&self.did, Some(&record.did))
            && is(&self.reason, record.reason.as_deref())
            && self
                .request
                .is_none_or(|request| record.request == Some(request))
    }
}

pub fn run(command: &Audit) -> anyhow::Result<ExitCode> {
    let (Audit::Verify { configuration, .. } | Audit::Show { configuration, .. }) = command;
    let config = configuration.sources().load(Needs::NOTHING)?;
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    runtime.block_on(async {
        let database = Database::attach(&config.store()).await?;
        let store = Store::connect(database.settings(), Schema::Fhir)?;
        let outcome = match command {
            Audit::Verify { against, json, .. } => verify(&store, against, *json).await,
            Audit::Show { wanted, json, .. } => show(&store, wanted, *json).await,
        };
        database.close().await;
        outcome
    })
}

/// Hands every block of the span to `take`, oldest first.
async fn each_block(
    store: &Store,
    span: (Timestamp, Timestamp),
    mut take: impl FnMut(&Block),
) -> Result<(), store::Error> {
    let mut number = 0;
    loop {
        let blocks = store
            .read(async |conn: &mut AsyncPgConnection| rows::blocks(conn, number, span, PAGE).await)
            .await?;
        let Some(last) = blocks.last() else {
            return Ok(());
        };
        number = last.number;
        blocks.iter().for_each(&mut take);
    }
}

async fn verify(store: &Store, against: &[PathBuf], json: bool) -> anyhow::Result<ExitCode> {
    let noted = against.iter().map(|file| noted(file));
    let mut verifier = Verifier::new(noted.collect::<anyhow::Result<_>>()?);
    // The head first: blocks that are appended meanwhile are checked, but not asked for.
    let head = store
        .read(async |conn: &mut AsyncPgConnection| rows::head(conn).await)
        .await
        .context("the trail cannot be read; has the FHIR role been started on this database?")?;
    let end = head.as_ref().map_or(i64::MAX, |head| head.number);
    let everything = (Timestamp::UNIX_EPOCH, Timestamp::MAX);
    each_block(store, everything, |block| {
        if block.number <= end {
            verifier.take(block);
        }
    })
    .await?;
    let report = verifier.finish(head);
    match json {
        true => println!("{:#}", as_json(&report)),
        false => print_report(&report),
    }
    Ok(match report.problems.as_slice() {
        [] => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

fn as_json(report: &Report) -> Value {
    let head = report.head.as_ref();
    json!({
        "first": report.first,
        "records": report.records,
        "from": report.span.map(|(from, _)| from.to_string()),
        "to": report.span.map(|(_, to)| to.to_string()),
        "head": head.map(|head| json!({"number": head.number, "digest": hex(&head.digest)})),
        "problems": report.problems,
    })
}

fn print_report(report: &Report) {
    let Report {
        first,
        head,
        span,
        records,
        problems,
    } = report;
    match (first, head, span) {
        (Some(first), Some(Link { number, digest }), Some((from, to))) => {
            println!("blocks   {first} to {number}, {from} to {to}");
            println!("records  {records}");
            println!("end      {}", hex(digest));
        }
        _ => println!("no records yet"),
    }
    for problem in problems {
        println!("PROBLEM  {problem}");
    }
    if problems.is_empty() {
        println!("the trail is whole");
    }
}

/// The end of the chain that an earlier report tells.
fn noted(file: &Path) -> anyhow::Result<Link> {
    let name = file.display();
    let text = std::fs::read(file).with_context(|| format!("{name}: cannot be read"))?;
    let report: Value =
        serde_json::from_slice(&text).with_context(|| format!("{name}: no JSON"))?;
    let head = &report["head"];
    let digest = head["digest"].as_str().and_then(unhex);
    match head["number"].as_i64().zip(digest) {
        Some((number, digest)) => Ok(Link { number, digest }),
        None => bail!("{name}: not the output of `dsf audit verify --json`"),
    }
}

async fn show(store: &Store, wanted: &Wanted, json: bool) -> anyhow::Result<ExitCode> {
    let mut found: VecDeque<Record> = VecDeque::new();
    each_block(store, wanted.span(), |block| {
        let records = block
            .records
            .lines()
            .flat_map(serde_json::from_str::<Record>);
        for record in records.filter(|record| wanted.takes(record)) {
            found.push_back(record);
            if found.len() > wanted.last {
                found.pop_front();
            }
        }
    })
    .await?;
    if json {
        println!("{:#}", serde_json::to_value(&found)?);
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new(&["time", "did", "who", "reason", "on", "request"]);
    for record in &found {
        table.row(cells(record));
    }
    table.print(false)?;
    Ok(ExitCode::SUCCESS)
}

fn cells(record: &Record) -> [String; 6] {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let more = record.resources.len().saturating_sub(1);
    let on = match record.resources.first() {
        Some(one) if more > 0 => format!("{one} and {more} more"),
        Some(one) => one.clone(),
        None => record.asked.clone().unwrap_or_else(|| text(&record.detail)),
    };
    let who = record.who.clone().or_else(|| record.detail.clone());
    [
        record.at.to_string(),
        record.did.clone(),
        who.filter(|_| record.who.is_some() || record.asked.is_some())
            .unwrap_or_default(),
        text(&record.reason),
        on,
        record
            .request
            .map(|request| request.to_string())
            .unwrap_or_default(),
    ]
}
