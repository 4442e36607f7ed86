//! Snapshots of profiles (fhir-api §4.11): generated when they are asked for, shown to those who
//! may read the profile.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::ground::Ground;
use super::stop::Stop;
use super::{Peer, Service};
use crate::fhir::fault::Fault;
use crate::fhir::validate::snapshot::{self, Failure, Tree};
use crate::fhir::validate::{Definition, Library, Missing};
use crate::r4::outcome::{IssueType, Outcome};
use crate::r4::{Resource, ResourceType};

const KIND: ResourceType = ResourceType::StructureDefinition;
const MOST_ROUNDS: usize = 200;

impl Service {
    /// The profile with this id, with its snapshot.
    pub async fn snapshot_by_id(&self, peer: &Peer, id: Uuid) -> Result<Resource, Fault> {
        self.settled(peer, async |ground: &mut Ground<'_>| {
            let stored = ground.read(KIND, id, None).await?;
            ground.with_snapshot(stored.into_resource()).await
        })
        .await
    }

    /// The newest profile with this canonical that the peer may read.
    pub async fn snapshot_by_url(&self, peer: &Peer, canonical: &str) -> Result<Resource, Fault> {
        self.settled(peer, async |ground: &mut Ground<'_>| {
            for id in ground.directory.library().ids(KIND, canonical) {
                match ground.read(KIND, id, None).await {
                    Ok(stored) => return ground.with_snapshot(stored.into_resource()).await,
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
    /// A snapshot shows what the definitions say that it was made from. To who asks, those that he
    /// may not read are not there; else a profile of one's own would show what is hidden
    /// (auth-config §4.10).
    async fn with_snapshot(&mut self, profile: Resource) -> Result<Resource, Stop> {
        if profile.get("snapshot").is_some() {
            return Ok(profile);
        }
        let definition = Definition::read(&profile).map_err(broken)?;
        let mut library = Arc::clone(self.directory.library());
        for _ in 0..MOST_ROUNDS {
            let (made, bases) = self.generate(&library, &definition).await?;
            let hidden = self.hidden_below(&library, bases).await?;
            if hidden.is_empty() {
                let tree = made.map_err(broken)?;
                return Ok(completed(profile, &snapshot::elements(&tree)));
            }
            library = Arc::new(library.without(&hidden));
        }
        Err(Fault::internal("a snapshot builds on too many definitions").into())
    }

    /// What a definition makes with those of a library, and the canonicals it needed.
    async fn generate(
        &mut self,
        library: &Library,
        definition: &Definition,
    ) -> Result<(Result<Tree, String>, Vec<String>), Stop> {
        for _ in 0..MOST_ROUNDS {
            match library.snapshot_and_bases(definition) {
                (Ok(tree), bases) => return Ok((Ok(tree), bases)),
                (Err(Failure::Broken(reason)), bases) => return Ok((Err(reason), bases)),
                (Err(Failure::Missing(Missing(ids))), _) => self.stock(library, &ids).await?,
            }
        }
        Err(Fault::internal("a snapshot asked for too many definitions").into())
    }

    /// The stored definitions that these canonicals need, and that the identity may not read.
    async fn hidden_below(
        &mut self,
        library: &Library,
        mut open: Vec<String>,
    ) -> Result<HashSet<Uuid>, Stop> {
        let (mut seen, mut hidden) = (HashSet::new(), HashSet::new());
        while let Some(canonical) = open.pop() {
            // What is not stored belongs to FHIR itself.
            let Some(id) = library.ids(KIND, &canonical).first().copied() else {
                continue;
            };
            if !seen.insert(id) {
                continue;
            }
            let base = match self.read(KIND, id, None).await {
                Err(Stop::Fault(fault)) if fault.status() < 500 => {
                    hidden.insert(id);
                    continue;
                }
                read => read?,
            };
            if let Ok(definition) = Definition::read(base.resource()) {
                open.extend(self.generate(library, &definition).await?.1);
            }
        }
        Ok(hidden)
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
