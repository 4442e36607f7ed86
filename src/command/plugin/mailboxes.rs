//! Mailboxes for scenarios of several organisations: the FHIR role itself, with its rules and its
//! validator, on a database that is thrown away afterwards. Only the wire between is left out.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::work::{files, site_of};
use crate::auth::{Certificate, Roles};
use crate::bpe::plugin::package::{Package, load};
use crate::bpe::scenario::{Mail, Member, Place, Postmaster, Refusal};
use crate::command::dev::bundle::{Listed, allow_list};
use crate::fhir::bundle::{Preference, execute};
use crate::fhir::search::Handling;
use crate::fhir::service::Peer;
use crate::fhir::{self, Service, initial};
use crate::kernel::Clock;
use crate::net::http::{self, Client};
use crate::net::pki::{Authority, Profile};
use crate::r4::{Node, Resource};
use crate::store::{Database, Schema, Store};

/// Makes mailboxes in which a package is deployed.
pub struct Mailboxes<'a> {
    package: &'a Path,
    runtime: Runtime,
    home: PathBuf,
    database: OnceCell<Database>,
}

/// The mailboxes of one scenario.
struct Network {
    handle: tokio::runtime::Handle,
    clock: Clock,
    services: BTreeMap<String, Arc<Service>>,
    peers: BTreeMap<String, Peer>,
}

impl<'a> Mailboxes<'a> {
    pub fn new(package: &'a Path) -> anyhow::Result<Self> {
        Ok(Self {
            package,
            runtime: Runtime::new().context("cannot start the runtime")?,
            home: std::env::temp_dir().join(format!("dsf-mailboxes-{}", std::process::id())),
            database: OnceCell::new(),
        })
    }

    /// The throw-away database, started when the first scenario needs it.
    fn database(&self) -> anyhow::Result<&Database> {
        if let Some(database) = self.database.get() {
            return Ok(database);
        }
        let made = self.runtime.block_on(Database::scratch(&self.home))?;
        Ok(self.database.get_or_init(|| made))
    }

    fn open(&self, members: &[Member], place: &Place<'_>) -> anyhow::Result<Network> {
        let database = self.database()?;
        let authority = Authority::new("scenario")?;
        let certificates: BTreeMap<&str, Certificate> = members
            .iter()
            .map(|member| Ok((member.name.as_str(), certificate(&authority, &member.name)?)))
            .collect::<anyhow::Result<_>>()?;
        let listed = |member: &Member| Listed {
            identifier: member.name.clone(),
            endpoint_identifier: format!("endpoint.{}", member.name),
            address: address(&member.name),
            thumbprint: certificates[member.name.as_str()].thumbprint.clone(),
            role: member.role.clone(),
        };
        let clock = Clock::manual(place.now);
        let mut services = BTreeMap::new();
        for member in members {
            let package = self.package_for(&member.name)?;
            let known =
                |other: &&Member| other.name == member.name || member.knows.contains(&other.name);
            let list: Vec<Listed> = members.iter().filter(known).map(listed).collect();
            let opening = Opening {
                name: &member.name,
                list: allow_list(&list),
                package: &package,
                clock: clock.clone(),
            };
            let service = self.runtime.block_on(opening.open(database))?;
            services.insert(member.name.clone(), service);
        }
        let peer = |(name, certificate): (&str, Certificate)| {
            (name.to_owned(), Peer::Certificate(Arc::new(certificate)))
        };
        Ok(Network {
            handle: self.runtime.handle().clone(),
            clock,
            services,
            peers: certificates.into_iter().map(peer).collect(),
        })
    }

    fn package_for(&self, organization: &str) -> anyhow::Result<Package> {
        let read = load(&files(self.package)?, &site_of(organization));
        read.map_err(|refused| anyhow::anyhow!("{refused}"))
    }
}

impl Drop for Mailboxes<'_> {
    fn drop(&mut self) {
        if let Some(database) = self.database.take() {
            self.runtime.block_on(database.close());
        }
        // What cannot be removed is in the folder for temporary things.
        let _ = std::fs::remove_dir_all(&self.home);
    }
}

impl Postmaster for Mailboxes<'_> {
    fn mail(&self, members: &[Member], place: &Place<'_>) -> Result<Box<dyn Mail>, String> {
        match self.open(members, place) {
            Ok(network) => Ok(Box::new(network)),
            Err(error) => Err(format!("{error:#}")),
        }
    }
}

impl Mail for Network {
    fn post(&mut self, from: &str, to: &str, task: &Resource) -> Result<(), Refusal> {
        let refusal = |status, message: String| Refusal { status, message };
        let (Some(peer), Some(service)) = (self.peers.get(from), self.services.get(to)) else {
            return Err(refusal(0, format!("'{to}' has no mailbox")));
        };
        let bundle = batch(vec![json!({
            "fullUrl": format!("urn:uuid:{}", uuid::Uuid::new_v4()),
            "resource": task.members(),
            "request": { "method": "POST", "url": "Task" },
        })]);
        let answer = self.handle.block_on(post(service, peer, bundle));
        let answer = answer.map_err(|error| refusal(0, format!("{error:#}")))?;
        match answer.into_iter().next() {
            Some((status, message)) if status >= 300 => Err(refusal(status, message)),
            _ => Ok(()),
        }
    }

    fn set_clock(&mut self, now: Timestamp) {
        let by = now.duration_since(self.clock.now());
        self.clock.advance(by.max(SignedDuration::ZERO));
    }
}

/// A mailbox to be.
struct Opening<'a> {
    name: &'a str,
    list: Value,
    package: &'a Package,
    clock: Clock,
}

impl Opening<'_> {
    async fn open(&self, database: &Database) -> anyhow::Result<Arc<Service>> {
        let name = format!("mailbox_{}", uuid::Uuid::new_v4().simple());
        let settings = database.another(&name).await?;
        let store = Store::open(&settings, Schema::Fhir).await?;
        let client = Client::new(&http::Settings::default())?;
        let service = Service::open(
            fhir::Settings::within(address(self.name), self.name.to_owned()),
            Roles::default(),
            store,
            client,
            self.clock.clone(),
        )
        .await?;
        let service = Arc::new(service);
        initial::load(&service, None).await?;
        self.load(&service).await?;
        Ok(service)
    }

    /// The allow list, and what the package brings.
    async fn load(&self, service: &Arc<Service>) -> anyhow::Result<()> {
        let list = Resource::from_value(self.list.clone()).context("no Bundle")?;
        execute(
            service,
            &Peer::Loader,
            &list,
            Preference::Outcome,
            Handling::Strict,
        )
        .await
        .map_err(|fault| anyhow::anyhow!("the allow list of {}: {fault}", self.name))?;
        let mut resources: Vec<_> = self.package.resources.iter().collect();
        resources.sort_by_key(|one| one.rank());
        let entries = resources.iter().map(|one| {
            let mut resource = one.resource.clone();
            if one.is_released() {
                let members = resource.members_mut();
                members.insert("status".to_owned(), Value::from("active"));
            }
            json!({
                "fullUrl": format!("urn:uuid:{}", uuid::Uuid::new_v4()),
                "resource": resource.into_value(),
                "request": { "method": "POST", "url": one.kind.name(), "ifNoneExist": one.condition },
            })
        });
        let answer = post(service, &Peer::Loader, batch(entries.collect())).await?;
        for ((status, message), one) in answer.into_iter().zip(resources) {
            if status >= 300 {
                bail!("{}: {}: {status} {message}", self.name, one.file);
            }
        }
        Ok(())
    }
}

fn address(name: &str) -> String {
    format!("https://{name}/fhir")
}

fn certificate(authority: &Authority, name: &str) -> anyhow::Result<Certificate> {
    let issued = authority.issue(&Profile::client(name))?;
    let der = openssl::x509::X509::from_pem(issued.certificate.as_bytes())?.to_der()?;
    let mut certificate = Certificate::from_der(&der)?;
    // The virtual clock may stand anywhere.
    certificate.valid_from = Timestamp::MIN;
    certificate.expires = Timestamp::MAX;
    Ok(certificate)
}

fn batch(entries: Vec<Value>) -> Value {
    json!({ "resourceType": "Bundle", "type": "batch", "entry": entries })
}

/// Status and words of each entry's answer.
async fn post(
    service: &Arc<Service>,
    peer: &Peer,
    bundle: Value,
) -> anyhow::Result<Vec<(u16, String)>> {
    let bundle = Resource::from_value(bundle).context("no Bundle")?;
    let answer = execute(
        service,
        peer,
        &bundle,
        Preference::Outcome,
        Handling::Strict,
    )
    .await
    .map_err(|fault| anyhow::anyhow!("{fault}"))?;
    let entries = answer.list("entry").map(|entry| {
        let response = entry.member("response");
        let status = response.and_then(|one| one.text("status")).unwrap_or("0");
        let status = status.split(' ').next().unwrap_or_default();
        let outcome = response.and_then(|one| one.member("outcome"));
        let said = outcome.map(|outcome| {
            let texts = outcome.items("issue").filter_map(|issue| {
                let text = issue.text("diagnostics");
                text.or_else(|| issue.member("details")?.text("text"))
            });
            texts.collect::<Vec<_>>().join("; ")
        });
        (status.parse().unwrap_or(0), said.unwrap_or_default())
    });
    Ok(entries.collect())
}
