//! Every organisation pings every other, over the real wire and through the real engines.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::network::{Network, Organization};
use crate::command::table::Table;
use crate::net::http::{self, Client, HeaderValue, Method, Request, Response, Url};
use crate::net::pem::KeyFiles;
use crate::r4::view::task::{Status, Task};
use crate::r4::{Resource, dsf};

const LOOK: Duration = Duration::from_millis(20);
const PROCESS: &str = "http://dsf.dev/bpe/Process/ping|1.0";
const PROFILE: &str = "http://dsf.dev/fhir/StructureDefinition/task-start-ping|1.0";

/// An ordered pair of organisations, by name.
type Pair = (String, String);

/// What came of the pings of a pair.
#[derive(Debug, Default)]
struct Pings {
    answered: u32,
    milliseconds: Vec<f64>,
    /// What the last one that was not answered says.
    trouble: Option<String>,
}

pub async fn run(
    folder: &Path,
    count: u16,
    patience: Duration,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let network = Network::load(folder)?;
    let clients: Vec<Peer> = network
        .organizations
        .iter()
        .map(|organization| Peer::new(&network, organization))
        .collect::<anyhow::Result<_>>()?;
    let mut pairs: BTreeMap<Pair, Pings> = expected(&network);
    for round in 1..=count {
        if count > 1 && !json {
            eprintln!("round {round} of {count}");
        }
        // One after the other: the times shall tell of the way between two organisations, not of how
        // many cores all of them share here.
        for client in &clients {
            let outcome = client.ping_all(patience).await;
            note(&network, client, outcome, &mut pairs);
        }
    }
    report(&pairs, count, json)
}

/// All pairs that the topology lets ping each other.
fn expected(network: &Network) -> BTreeMap<Pair, Pings> {
    let mut pairs = BTreeMap::new();
    for from in &network.organizations {
        for to in network.known_to(from) {
            if to.name != from.name {
                pairs.insert((from.name.clone(), to.name.clone()), Pings::default());
            }
        }
    }
    pairs
}

fn note(
    network: &Network,
    from: &Peer,
    outcome: anyhow::Result<Vec<Pong>>,
    pairs: &mut BTreeMap<Pair, Pings>,
) {
    let name_of = |identifier: &str| {
        network
            .organizations
            .iter()
            .find(|one| one.identifier() == identifier)
    };
    let own = pairs
        .iter_mut()
        .filter(|(pair, _)| pair.0 == from.organization.name);
    match outcome {
        Err(error) => own.for_each(|(_, pings)| pings.trouble = Some(format!("{error:#}"))),
        Ok(pongs) => {
            for ((_, to), pings) in own {
                let pong = pongs
                    .iter()
                    .find(|pong| name_of(&pong.organization).is_some_and(|one| &one.name == to));
                match pong {
                    Some(Pong {
                        milliseconds: Some(milliseconds),
                        ..
                    }) => {
                        pings.answered += 1;
                        pings.milliseconds.push(*milliseconds);
                    }
                    Some(pong) => pings.trouble = Some(pong.status.clone()),
                    None => pings.trouble = Some("was not pinged".to_owned()),
                }
            }
        }
    }
}

fn report(pairs: &BTreeMap<Pair, Pings>, count: u16, json: bool) -> anyhow::Result<ExitCode> {
    let mut table = Table::new(&["from", "to", "pongs", "p50 ms", "max ms", "trouble"]);
    let mut all = true;
    for ((from, to), pings) in pairs {
        let answered = pings.answered == u32::from(count);
        all &= answered;
        let mut times = pings.milliseconds.clone();
        times.sort_by(f64::total_cmp);
        let shown = |time: Option<&f64>| time.map_or("-".to_owned(), |time| format!("{time:.0}"));
        table.row([
            from.clone(),
            to.clone(),
            format!("{}/{count}", pings.answered),
            shown(times.get(times.len() / 2)),
            shown(times.last()),
            pings.trouble.clone().unwrap_or_default(),
        ]);
    }
    table.print(json)?;
    Ok(if all {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// An organisation as seen by its own client certificate.
pub(super) struct Peer {
    organization: Organization,
    client: Client,
}

/// What the start Task says about one partner.
struct Pong {
    organization: String,
    status: String,
    /// From the start Task until the pong lay in the mailbox; absent without a pong.
    milliseconds: Option<f64>,
}

impl Peer {
    pub(super) fn new(network: &Network, organization: &Organization) -> anyhow::Result<Self> {
        let home = network.home(organization);
        let settings = http::Settings {
            identity: Some(KeyFiles {
                certificate: home.join("client.crt"),
                private_key: home.join("client.key"),
                password: None,
            }),
            server_cas: Some(network.folder.join("ca.crt")),
            ..http::Settings::default()
        };
        Ok(Self {
            organization: organization.clone(),
            client: Client::new(&settings)?,
        })
    }

    async fn ping_all(&self, patience: Duration) -> anyhow::Result<Vec<Pong>> {
        let start = self.start().await?;
        let id = start.id().context("the server gave the Task no id")?;
        let begun = at(&start)?;
        let task = self.wait_for_end(id, patience).await?;
        let view = Task(&task);
        if view.status() != Some(Status::Completed) {
            let errors: Vec<&str> = view
                .outputs()
                .filter_map(|output| output.get("valueString").and_then(Value::as_str))
                .collect();
            bail!("the process failed: {}", errors.join("; "));
        }
        let key = view
            .business_key()
            .context("the Task has no business key")?;
        let received = self.received(key).await?;
        Ok(view
            .outputs()
            .filter_map(status)
            .map(|(organization, status)| {
                let pong = received
                    .get(&organization)
                    .filter(|_| status == "pong-received");
                let milliseconds = pong.map(|time| time.duration_since(begun).as_secs_f64() * 1e3);
                Pong {
                    organization,
                    status,
                    milliseconds,
                }
            })
            .collect())
    }

    async fn start(&self) -> anyhow::Result<Resource> {
        let own = json!({
            "type": "Organization",
            "identifier": {
                "system": dsf::sid::ORGANIZATION,
                "value": self.organization.identifier(),
            },
        });
        let task = json!({
            "resourceType": "Task",
            "meta": { "profile": [PROFILE] },
            "instantiatesCanonical": PROCESS,
            "status": "requested",
            "intent": "order",
            "authoredOn": Timestamp::now().to_string(),
            "requester": own,
            "restriction": { "recipient": [own] },
            "input": [crate::r4::view::task::message(dsf::message::NAME, "startPing")],
        });
        let request = Request::new(Method::POST, self.url("Task")?)
            .header(
                http::header::CONTENT_TYPE,
                HeaderValue::from_static("application/fhir+json"),
            )
            .body(task.to_string());
        self.resource(request)
            .await
            .context("the ping could not be started")
    }

    pub(super) async fn wait_for_end(
        &self,
        id: &str,
        patience: Duration,
    ) -> anyhow::Result<Resource> {
        let begun = Instant::now();
        while begun.elapsed() < patience {
            let task = self
                .resource(Request::get(self.url(&format!("Task/{id}"))?))
                .await?;
            if matches!(
                Task(&task).status(),
                Some(Status::Completed | Status::Failed)
            ) {
                return Ok(task);
            }
            tokio::time::sleep(LOOK).await;
        }
        bail!("no end after {} s", patience.as_secs())
    }

    /// When the pongs of a conversation came in, by the organisation that sent them.
    async fn received(&self, key: &str) -> anyhow::Result<BTreeMap<String, Timestamp>> {
        let mut found = BTreeMap::new();
        let url = self.url("Task?_sort=-_lastUpdated&_count=200")?;
        let bundle = self.resource(Request::get(url)).await?;
        let tasks = bundle
            .list("entry")
            .filter_map(|entry| Resource::from_value(entry.get("resource")?.clone()));
        for task in tasks.filter(|task| task.type_name() == "Task") {
            let view = Task(&task);
            if view.business_key() != Some(key) || view.message_name() != Some("pong") {
                continue;
            }
            let sender = view
                .requester_identifier()
                .map(|identifier| identifier.value);
            let (Some(sender), Some(id)) = (sender, task.id()) else {
                continue;
            };
            let first = self.url(&format!("Task/{id}/_history/1"))?;
            found.insert(sender, at(&self.resource(Request::get(first)).await?)?);
        }
        Ok(found)
    }

    pub(super) fn url(&self, path: &str) -> anyhow::Result<Url> {
        Ok(Url::parse(&format!(
            "{}/{path}",
            self.organization.base_url()
        ))?)
    }

    pub(super) async fn resource(&self, request: Request) -> anyhow::Result<Resource> {
        let request = request.header(
            http::header::ACCEPT,
            HeaderValue::from_static("application/fhir+json"),
        );
        let answer = self.client.send(&request).await.map_err(down)?;
        let body = answer.success().map_err(|error| match error {
            http::Error::Status {
                server,
                status,
                body,
            } => {
                anyhow::anyhow!("{server} answered {status}: {body}")
            }
            other => other.into(),
        });
        let Response { body, .. } = body?;
        let value: Value = serde_json::from_slice(&body).context("the answer is not JSON")?;
        Resource::from_value(value).context("the answer is not a FHIR resource")
    }
}

fn down(error: http::Error) -> anyhow::Error {
    anyhow::Error::from(error).context("is the network running? start it with: dsf dev up")
}

fn at(task: &Resource) -> anyhow::Result<Timestamp> {
    let text = task
        .last_updated()
        .context("the Task has no meta.lastUpdated")?;
    Ok(text.parse()?)
}

/// The partner and the status in a `ping-status` output.
fn status(output: &Value) -> Option<(String, String)> {
    let status = output.get("valueCoding")?.get("code")?.as_str()?.to_owned();
    let parts = output
        .get("extension")?
        .get(0)?
        .get("extension")?
        .as_array()?;
    let identifier = parts
        .iter()
        .find(|part| part.get("url").and_then(Value::as_str) == Some("organization-identifier"))?;
    let organization = identifier
        .get("valueIdentifier")?
        .get("value")?
        .as_str()?
        .to_owned();
    Some((organization, status))
}
