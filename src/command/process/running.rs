//! `dsf process list`, `show` and what changes running instances.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::Value;
use uuid::Uuid;

use crate::bpe::runtime::{Action, Look, ask, look};
use crate::cli::Configuration;
use crate::command::table::Table;
use crate::config::Needs;
use crate::store::bpe::{control, history};
use crate::store::{self, Database, Schema, Store};

/// How long to wait for a node to do what was asked.
const PATIENCE: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug, Subcommand)]
pub enum Running {
    /// List instances, newest first.
    #[command(after_help = "\
Exit codes: 0 listed, 1 the database cannot be read.

Examples:
  dsf process list                        the newest fifty
  dsf process list --incidents            those that somebody must look at
  dsf process list --process dsfdev_ping --running --json")]
    List {
        /// Only instances of this process (its key).
        #[arg(long, value_name = "KEY")]
        process: Option<String>,
        /// Only instances with this business key.
        #[arg(long, value_name = "KEY")]
        business_key: Option<String>,
        /// Only instances that have not ended.
        #[arg(long, conflicts_with = "ended")]
        running: bool,
        /// Only instances that have ended.
        #[arg(long)]
        ended: bool,
        /// Only instances with an incident.
        #[arg(long)]
        incidents: bool,
        /// At most so many.
        #[arg(long, default_value_t = 50)]
        limit: i64,
        #[command(flatten)]
        common: Common,
    },
    /// Show what an instance waits for, its variables, its history, and what was done to it.
    #[command(after_help = "\
Exit codes: 0 shown, 1 there is no such instance.

Examples:
  dsf process show 0199d1
  dsf process show 0199d1 --json")]
    Show {
        #[command(flatten)]
        instance: Named,
        #[command(flatten)]
        common: Common,
    },
    /// Let an instance stand still: nothing moves it until it is resumed.
    #[command(after_help = "\
Exit codes: 0 done, 1 refused, or no node has done it yet.

Example:
  dsf process pause 0199d1")]
    Pause {
        #[command(flatten)]
        instance: Named,
        #[command(flatten)]
        common: Common,
    },
    /// Let a paused instance go on.
    #[command(after_help = "\
Exit codes: 0 done, 1 refused, or no node has done it yet.

Example:
  dsf process resume 0199d1")]
    Resume {
        #[command(flatten)]
        instance: Named,
        #[command(flatten)]
        common: Common,
    },
    /// End an instance; its Tasks fail with the reason.
    #[command(after_help = "\
Exit codes: 0 done, 1 refused, or no node has done it yet.

Example:
  dsf process cancel 0199d1 --reason 'the study was stopped'")]
    Cancel {
        #[command(flatten)]
        instance: Named,
        /// Why; partners read it in their Tasks.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        common: Common,
    },
    /// Try failed steps once more.
    #[command(after_help = "\
Exit codes: 0 done, 1 refused, or no node has done it yet.

Examples:
  dsf process retry 0199d1
  dsf process retry 0199d1 --activity SelectTargets")]
    Retry {
        #[command(flatten)]
        instance: Named,
        /// Only the incident of this activity.
        #[arg(long, value_name = "ID")]
        activity: Option<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Try failed steps once more, without the code of the activity that failed.
    #[command(after_help = "\
Set the variables that the code would have set first.

Exit codes: 0 done, 1 refused, or no node has done it yet.

Example:
  dsf process skip 0199d1 --activity SelectTargets")]
    Skip {
        #[command(flatten)]
        instance: Named,
        /// Only the incident of this activity.
        #[arg(long, value_name = "ID")]
        activity: Option<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Write or remove variables of an instance.
    #[command(after_help = "\
Values are JSON; what is no JSON is taken as text.

Exit codes: 0 done, 1 refused, or no node has done it yet.

Examples:
  dsf process set 0199d1 retries=3 'comment=checked by hand'
  dsf process set 0199d1 --remove sendError")]
    Set {
        #[command(flatten)]
        instance: Named,
        #[arg(value_name = "NAME=VALUE", value_parser = assignment)]
        variables: Vec<(String, Value)>,
        /// Removes a variable; may be repeated.
        #[arg(long, value_name = "NAME")]
        remove: Vec<String>,
        #[command(flatten)]
        common: Common,
    },
}

/// Which instance.
#[derive(Debug, Args)]
pub struct Named {
    /// The id of the instance, or the beginning of it.
    #[arg(value_name = "INSTANCE")]
    id: String,
}

#[derive(Debug, Args)]
pub struct Common {
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    configuration: Configuration,
}

fn assignment(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or("write it as name=value")?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
    Ok((name.to_owned(), value))
}

pub fn run(running: &Running) -> anyhow::Result<ExitCode> {
    let common = running.common();
    let config = common.configuration.sources().load(Needs::NOTHING)?;
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    runtime.block_on(async {
        let database = Database::attach(&config.store()).await?;
        let store = database.store(Schema::Bpe).await?;
        let outcome = running.run(&store).await;
        database.close().await;
        outcome
    })
}

impl Running {
    fn common(&self) -> &Common {
        match self {
            Self::List { common, .. }
            | Self::Show { common, .. }
            | Self::Pause { common, .. }
            | Self::Resume { common, .. }
            | Self::Cancel { common, .. }
            | Self::Retry { common, .. }
            | Self::Skip { common, .. }
            | Self::Set { common, .. } => common,
        }
    }

    async fn run(&self, store: &Store) -> anyhow::Result<ExitCode> {
        let json = self.common().json;
        match self {
            Self::List { .. } => self.list(store, json).await,
            Self::Show { instance, .. } => show(store, instance, json).await,
            Self::Pause { instance, .. } => carry_out(store, instance, &Action::Pause, json).await,
            Self::Resume { instance, .. } => {
                carry_out(store, instance, &Action::Resume, json).await
            }
            Self::Cancel {
                instance, reason, ..
            } => {
                let reason = reason.clone();
                carry_out(store, instance, &Action::Cancel { reason }, json).await
            }
            Self::Retry {
                instance, activity, ..
            } => {
                let activity = activity.clone();
                carry_out(store, instance, &Action::Retry { activity }, json).await
            }
            Self::Skip {
                instance, activity, ..
            } => {
                let activity = activity.clone();
                carry_out(store, instance, &Action::Skip { activity }, json).await
            }
            Self::Set {
                instance,
                variables,
                remove,
                ..
            } => carry_out(store, instance, &set(variables, remove)?, json).await,
        }
    }

    async fn list(&self, store: &Store, json: bool) -> anyhow::Result<ExitCode> {
        let Self::List {
            process,
            business_key,
            running,
            ended,
            incidents,
            limit,
            ..
        } = self
        else {
            return Ok(ExitCode::FAILURE);
        };
        let filter = history::Filter {
            process: process.as_deref(),
            business_key: business_key.as_deref(),
            running: (running | ended).then_some(*running),
            incidents: *incidents,
            most: *limit,
        };
        let rows: Vec<history::Instance> = store
            .read(async |conn| history::list(conn, filter).await)
            .await?;
        let columns = [
            "instance",
            "process",
            "business-key",
            "started",
            "ended",
            "state",
        ];
        let mut table = Table::new(&columns);
        for row in rows {
            let state = state(&row);
            let ended = row.ended.to_jiff().map(|at| at.to_string());
            table.row([
                row.id.to_string(),
                row.process,
                row.business_key.unwrap_or_default(),
                row.started.to_jiff().to_string(),
                ended.unwrap_or_default(),
                state,
            ]);
        }
        table.print(json)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn set(variables: &[(String, Value)], remove: &[String]) -> anyhow::Result<Action> {
    let written = variables
        .iter()
        .map(|(name, value)| Action::setting(name, Some(value)));
    let removed = remove.iter().map(|name| Action::setting(name, None));
    let variables: Vec<_> = written.chain(removed).collect();
    if variables.is_empty() {
        bail!("name at least one variable as NAME=VALUE, or --remove NAME");
    }
    Ok(Action::Set { variables })
}

fn state(row: &history::Instance) -> String {
    match &row.outcome {
        Some(outcome) => outcome.clone(),
        None if row.incident => "incident".to_owned(),
        None if row.paused => "paused".to_owned(),
        None => "running".to_owned(),
    }
}

/// The instance that a prefix means.
async fn find(store: &Store, named: &Named) -> anyhow::Result<Uuid> {
    let prefix = named.id.to_lowercase();
    let sane = |c: char| c.is_ascii_hexdigit() || c == '-';
    if prefix.is_empty() || !prefix.chars().all(sane) {
        bail!(
            "'{}' is no id of an instance; `dsf process list` shows them",
            named.id
        );
    }
    let found: Vec<history::Instance> = store
        .read(async |conn| history::named(conn, &prefix).await)
        .await?;
    match &found[..] {
        [one] => Ok(one.id),
        [] => bail!("no instance begins with '{prefix}'; `dsf process list` shows them"),
        _ => bail!("several instances begin with '{prefix}'; give more of the id"),
    }
}

async fn show(store: &Store, named: &Named, json: bool) -> anyhow::Result<ExitCode> {
    let id = find(store, named).await?;
    let Some(found) = look(store, id).await? else {
        bail!("instance {id} is gone");
    };
    if json {
        println!("{}", serde_json::to_string_pretty(&found)?);
    } else {
        print(&found)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print(found: &Look) -> std::io::Result<()> {
    println!("instance      {}", found.id);
    println!("process       {}", found.process);
    println!(
        "business key  {}",
        found.business_key.as_deref().unwrap_or("-")
    );
    println!("started       {}", found.started);
    match (&found.outcome, found.ended) {
        (Some(outcome), Some(at)) => println!("ended         {at}: {outcome}"),
        _ if found.paused => println!("state         paused"),
        _ => println!("state         running"),
    }
    let mut waits = Table::new(&["waits-at", "for", "due", "detail"]);
    for wait in &found.waits {
        let kind = if wait.incident { "incident" } else { wait.kind };
        let due = wait.due.map(|at| at.to_string()).unwrap_or_default();
        waits.row([
            wait.activity.clone(),
            kind.to_owned(),
            due,
            wait.detail.clone(),
        ]);
    }
    let mut variables = Table::new(&["variable", "type", "value"]);
    for variable in &found.variables {
        let kind = variable.kind.to_owned();
        variables.row([variable.name.clone(), kind, variable.value.to_string()]);
    }
    let mut history = Table::new(&["at", "event", "activity"]);
    for event in &found.history {
        history.row([
            event.at.to_string(),
            event.event.clone(),
            event.activity.clone(),
        ]);
    }
    let mut controls = Table::new(&["at", "by", "action", "outcome"]);
    for control in &found.controls {
        let outcome = control
            .outcome
            .clone()
            .unwrap_or_else(|| "waits".to_owned());
        let action = control.action.to_string();
        controls.row([
            control.asked.to_string(),
            control.actor.clone(),
            action,
            outcome,
        ]);
    }
    for table in [waits, variables, history, controls] {
        if !table.is_empty() {
            println!();
            table.print(false)?;
        }
    }
    Ok(())
}

/// Asks, and waits for a node of the role to do it.
async fn carry_out(
    store: &Store,
    named: &Named,
    action: &Action,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let instance = find(store, named).await?;
    let wish = ask(store, &actor(), instance, action).await?;
    let end = tokio::time::Instant::now() + PATIENCE;
    let outcome = loop {
        let rows: Vec<control::Row> = store
            .read(async |conn| Ok::<_, store::Error>(control::by_ids(conn, &[wish]).await?))
            .await?;
        let outcome = rows.into_iter().find_map(|row| row.outcome);
        if outcome.is_some() || tokio::time::Instant::now() > end {
            break outcome;
        }
        tokio::time::sleep(PAUSE).await;
    };
    let done = outcome.as_deref() == Some("done");
    let text = outcome.unwrap_or_else(|| {
        "no node has done it yet; it is noted and done as soon as one serves the BPE role"
            .to_owned()
    });
    if json {
        println!(
            "{}",
            serde_json::json!({ "instance": instance, "outcome": text })
        );
    } else {
        println!("{instance}: {text}");
    }
    Ok(if done {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Who asks, for the audit.
fn actor() -> String {
    let name = std::env::var("SUDO_USER").or_else(|_| std::env::var("USER"));
    let user = || {
        nix::unistd::User::from_uid(nix::unistd::Uid::current())
            .ok()
            .flatten()
    };
    let name = name.unwrap_or_else(|_| user().map(|user| user.name).unwrap_or_default());
    format!("{name} (command line)")
}
