//! Snapshots of profiles (fhir-api §4.11): generated when they are asked for, shown to those who
//! may read the profile.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::ground::Ground;
use super::stop::Stop;
use super::{Peer, Service};
use crate::fhir::fault::Fault;
use crate::fhir::validate::snapshot::{self, Failure};
use crate::fhir::validate::{Definition, Missing};
use crate::r4::outcome::{IssueType, Outcome};
use crate::r4::{Resource, ResourceType};

const KIND: ResourceType = ResourceType::StructureDefinition;
const MOST_ROUNDS: usize = 200;

impl Service {
    /// The profile with this id, with its snapshot.
    pub async fn snapshot_by_id(&self, peer: &Peer, id: Uuid) -> Result<Resource, Fault> {
        self.settled(peer, async |ground: &mut Ground<'_>| {
            let stored = ground.read(KIND, id, None).await?;
            ground.with_snapshot(stored.resource).await
        })
        .await
    }

    /// The newest profile with this canonical that the peer may read.
    pub async fn snapshot_by_url(&self, peer: &Peer, canonical: &str) -> Result<Resource, Fault> {
        self.settled(peer, async |ground: &mut Ground<'_>| {
            for id in ground.directory.library().ids(KIND, canonical) {
                match ground.read(KIND, id, None).await {
                    Ok(stored) => return ground.with_snapshot(stored.resource).await,
                    Err(Stop::Fault(fault)) if fault.status() < 500 => {}
                    Err(other) => return Err(other),
                }
            }
            Err(Fault::unknown().into())
        })
        .await
    }

    /// A profile that is not stored, with its snapshot.
    pub async fn snapshot_of(&self, peer: &Peer, profile: &Resource) -> Result<Resource, Fault> {
        self.settled(peer, async |ground: &mut Ground<'_>| {
            ground.with_snapshot(profile.clone()).await
        })
        .await
    }

    async fn settled<T: Send>(&self, peer: &Peer, work: impl super::Work<T>) -> Result<T, Fault> {
        // The newest definitions count.
        self.refresh().await?;
        self.look(peer, work).await
    }
}

impl Ground<'_> {
    /// A snapshot shows what its bases say, so who asks must be able to read them; else a profile
    /// of one's own would show what is hidden (auth-config §4.10).
    async fn require_readable_bases(&mut self, profile: &Resource) -> Result<(), Stop> {
        let mut next = profile.str("baseDefinition").map(str::to_owned);
        for _ in 0..MOST_ROUNDS {
            let Some(canonical) = next else { return Ok(()) };
            // What is not stored belongs to FHIR itself.
            let Some(id) = self
                .directory
                .library()
                .ids(KIND, &canonical)
                .first()
                .copied()
            else {
                return Ok(());
            };
            let base = match self.read(KIND, id, None).await {
                Err(Stop::Fault(fault)) if fault.status() < 500 => {
                    return Err(broken(format!("its base {canonical} is not known")));
                }
                read => read?,
            };
            next = base.resource.str("baseDefinition").map(str::to_owned);
        }
        Ok(())
    }

    async fn with_snapshot(&mut self, profile: Resource) -> Result<Resource, Stop> {
        if profile.get("snapshot").is_some() {
            return Ok(profile);
        }
        self.require_readable_bases(&profile).await?;
        let definition = Definition::read(&profile).map_err(broken)?;
        let library = Arc::clone(self.directory.library());
        for _ in 0..MOST_ROUNDS {
            match library.snapshot_of(&definition) {
                Ok(tree) => return Ok(completed(profile, &snapshot::elements(&tree))),
                Err(Failure::Missing(Missing(ids))) => self.stock(&library, &ids).await?,
                Err(Failure::Broken(reason)) => return Err(broken(reason)),
            }
        }
        Err(Fault::internal("a snapshot asked for too many definitions").into())
    }
}

fn broken(reason: String) -> Stop {
    let text = format!("No snapshot can be generated: {reason}");
    Fault::ungenerated(Outcome::error(IssueType::Structure, text)).into()
}

/// The snapshot stands before the differential.
fn completed(profile: Resource, elements: &[Map<String, Value>]) -> Resource {
    let mut whole = Resource::of_type(profile.type_name());
    let snapshot = json!({ "element": elements });
    for (name, value) in profile.members() {
        if name == "differential" {
            whole
                .members_mut()
                .insert("snapshot".to_owned(), snapshot.clone());
        }
        whole.members_mut().insert(name.clone(), value.clone());
    }
    whole
}
