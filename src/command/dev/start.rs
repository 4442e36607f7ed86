//! Starts a process of a network from its draft Task, as a person would in the web interface, and
//! tells what came of it.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, bail};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::network::Network;
use super::ping::Peer;
use crate::command::table::Table;
use crate::net::http::{HeaderValue, Method, Request, header};
use crate::r4::view::task::{Status, Task};
use crate::r4::{Node, Resource};

/// How long a node takes to put an edit in force.
const SETTLING: Duration = Duration::from_millis(1500);
/// How long it may take until what was just deployed is offered.
const OFFERING: Duration = Duration::from_secs(30);

/// Where a process is to be started.
pub struct Wish<'a> {
    pub folder: &'a Path,
    /// The name at the end of its address.
    pub process: &'a str,
    /// The organisation; the first if none is named.
    pub at: Option<&'a str>,
    pub patience: Duration,
}

pub async fn run(wish: &Wish<'_>, json: bool) -> anyhow::Result<ExitCode> {
    let network = Network::load(wish.folder)?;
    let mut organizations = network.organizations.iter();
    let organization = organizations.find(|one| wish.at.is_none_or(|name| name == one.name));
    let organization = organization.with_context(|| {
        let names: Vec<&str> = network
            .organizations
            .iter()
            .map(|one| one.name.as_str())
            .collect();
        format!(
            "there is no such organisation; there are {}",
            names.join(", ")
        )
    })?;
    let peer = Peer::new(&network, organization)?;
    let edited = last_edit(&wish.folder.join("plugins"));
    let since = edited.and_then(|at| at.elapsed().ok());
    if let Some(left) = since.and_then(|since| SETTLING.checked_sub(since)) {
        tokio::time::sleep(left).await;
    }
    let patience = match since {
        Some(since) => OFFERING.saturating_sub(since),
        None => Duration::ZERO,
    };
    let task = requested(&draft(&peer, wish.process, patience).await?);
    let request = Request::new(Method::POST, peer.url("Task")?)
        .header(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/fhir+json"),
        )
        .body(task.to_string());
    let started = peer.resource(request).await?;
    let id = started.id().context("the server gave the Task no id")?;
    let ended = peer.wait_for_end(id, wish.patience).await?;
    show(&ended, json)?;
    Ok(if Task(&ended).status() == Some(Status::Completed) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// When somebody changed something in the folder of plugins, links and what they lead to included.
fn last_edit(folder: &Path) -> Option<SystemTime> {
    let mut newest = None;
    let mut open = vec![folder.to_owned()];
    // Links may lead in circles.
    for _ in 0..10_000 {
        let Some(path) = open.pop() else { break };
        let times = [path.symlink_metadata(), path.metadata()];
        let times = times.into_iter().flatten();
        newest = newest.max(times.filter_map(|one| one.modified().ok()).max());
        let entries = std::fs::read_dir(&path).into_iter().flatten();
        open.extend(entries.flatten().map(|entry| entry.path()));
    }
    newest
}

/// The draft Task of a process, which may take a while to come.
async fn draft(peer: &Peer, process: &str, patience: Duration) -> anyhow::Result<Resource> {
    let until = Instant::now() + patience;
    loop {
        match draft_now(peer, process).await {
            Err(_) if Instant::now() < until => {
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
            outcome => return outcome,
        }
    }
}

async fn draft_now(peer: &Peer, process: &str) -> anyhow::Result<Resource> {
    let url = peer.url("Task?status=draft&_count=500")?;
    let found = peer.resource(Request::get(url)).await?;
    let drafts: Vec<Resource> = found
        .list("entry")
        .filter_map(|entry| Resource::from_value(entry.get("resource")?.clone()))
        .filter(|one| one.type_name() == "Task")
        .collect();
    let name = |task: &Resource| {
        let canonical = task.str("instantiatesCanonical")?;
        let url = canonical.split('|').next()?;
        url.rsplit('/').next().map(str::to_owned)
    };
    let mut names: Vec<String> = drafts.iter().filter_map(name).collect();
    names.sort();
    names.dedup();
    let mut fitting = drafts
        .into_iter()
        .filter(|task| name(task).as_deref() == Some(process));
    match fitting.next_back() {
        Some(task) => Ok(task),
        None => bail!(
            "no draft Task starts '{process}'; there are drafts of {}",
            names.join(", ")
        ),
    }
}

/// The Task that a draft is the draft of.
fn requested(draft: &Resource) -> Value {
    let mut task = Value::Object(draft.members().clone());
    if let Value::Object(members) = &mut task {
        members.remove("id");
        members.remove("identifier");
        let profiles: Vec<&str> = draft.profiles().collect();
        members.insert("meta".to_owned(), json!({ "profile": profiles }));
    }
    task["status"] = json!("requested");
    task["authoredOn"] = json!(Timestamp::now().to_string());
    task
}

fn show(task: &Resource, json: bool) -> anyhow::Result<()> {
    let mut table = Table::new(&["output", "value"]);
    let status = task.str("status").unwrap_or_default().to_owned();
    table.row(["status".to_owned(), status]);
    for output in task.list("output") {
        let coding = output
            .member("type")
            .and_then(|kind| kind.items("coding").next());
        let code = coding
            .and_then(|coding| coding.text("code"))
            .unwrap_or_default();
        let members = output.as_object().into_iter().flatten();
        let value = members
            .filter(|(name, _)| name.starts_with("value"))
            .map(|(_, value)| {
                value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned)
            })
            .collect::<Vec<_>>()
            .join(" ");
        table.row([code.to_owned(), value]);
    }
    table.print(json)?;
    Ok(())
}
