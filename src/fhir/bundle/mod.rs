//! Batch and transaction Bundles (fhir-api §6).
//!
//! [`plan`] reads the entries into commands and refuses a Bundle that cannot be understood.
//! [`execute`](execute()) runs them: a transaction as one piece of work on the store, deletes
//! first and reads last; a batch entry by entry, each in a transaction of its own. [`entry`] is
//! what one command does, [`refer`] binds the temporary ids, [`ahead`] tells what the commands of a
//! transaction will ask, [`answer`] writes the result, once no connection is held any more.

mod ahead;
mod answer;
mod binding;
mod entry;
mod plan;
mod refer;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use answer::Preference;
use binding::Bindings;
use entry::Done;
use plan::{Action, Command};

use crate::fhir::fault::Fault;
use crate::fhir::search::Handling;
use crate::fhir::service::{Peer, Service};
use crate::r4::Resource;

/// Executes a Bundle; the answer has an entry for each of its entries, in their order.
pub async fn execute(
    service: &Arc<Service>,
    peer: &Peer,
    bundle: &Resource,
    preference: Preference,
    handling: Handling,
) -> Result<Resource, Fault> {
    match bundle.str("type") {
        Some("transaction") => {
            let commands = plan::commands(bundle)?;
            let done = transaction(service, peer, &commands, handling)
                .await
                .map_err(Fault::of_transaction)?;
            let done = done.into_iter().map(Ok).collect();
            answer::bundle(service, "transaction-response", done, preference).await
        }
        Some("batch") => {
            let commands = plan::commands(bundle)?;
            let done = batch(service, peer, &commands, handling).await;
            let told = |(one, command): (Result<Done, Fault>, &Command)| {
                one.map_err(|fault| {
                    let asked = format!("entry {} of a batch", command.index);
                    service.record_refusal(Some(peer), &fault, asked);
                    service.told_to(peer, fault)
                })
            };
            let done = done.into_iter().zip(&commands).map(told).collect();
            answer::bundle(service, "batch-response", done, preference).await
        }
        _ => Err(Fault::denied("bundle", None)),
    }
}

/// All or nothing: deletes, creates, updates, checks, reads.
async fn transaction(
    service: &Arc<Service>,
    peer: &Peer,
    commands: &[Command],
    handling: Handling,
) -> Result<Vec<Done>, Fault> {
    service
        .transact(peer, async |ground| {
            ground.gather();
            ground.look_ahead(&ahead::conditions(commands)).await?;
            ground.want(ahead::deleted(commands));
            let mut done: Vec<Option<Done>> = commands.iter().map(|_| None).collect();
            let of = |wanted: fn(&Action) -> bool| {
                (0..commands.len()).filter(move |i| wanted(&commands[*i].action))
            };
            let mut bindings = Bindings::default();
            for i in of(|action| matches!(action, Action::Delete(_))) {
                done[i] = Some(ground.run(&commands[i], &bindings, handling).await?);
            }
            let creates = of(|action| matches!(action, Action::Create { .. }));
            let updates = of(|action| matches!(action, Action::Update { .. }));
            let writes: Vec<usize> = creates.chain(updates).collect();
            for i in &writes {
                if let Some(bound) = ground.bind(&commands[*i], &bindings).await? {
                    ground.want(bound.stored());
                    bindings.insert(&commands[*i], bound);
                }
            }
            for i in &writes {
                done[*i] = Some(ground.run(&commands[*i], &bindings, handling).await?);
            }
            ground.look_at_targets().await?;
            for i in &writes {
                if let Some(written) = done[*i].as_ref() {
                    ground.check_written(&commands[*i], written).await?;
                }
            }
            for i in of(|action| matches!(action, Action::Read { .. })) {
                done[i] = Some(ground.run(&commands[i], &bindings, handling).await?);
            }
            Ok(done.into_iter().flatten().collect())
        })
        .await
}

/// Each entry for itself, from top to bottom; ids are bound before anything is written.
async fn batch(
    service: &Arc<Service>,
    peer: &Peer,
    commands: &[Command],
    handling: Handling,
) -> Vec<Result<Done, Fault>> {
    let mut bindings = Bindings::default();
    let mut failed: Vec<Option<Fault>> = Vec::new();
    for command in commands {
        let known = &bindings;
        let bound = service.attempt(peer, async |ground| ground.bind(command, known).await);
        failed.push(match bound.await {
            Ok(bound) => {
                if let Some(bound) = bound {
                    bindings.insert(command, bound);
                }
                None
            }
            Err(fault) => Some(fault),
        });
    }
    let mut done = Vec::new();
    for (command, failed) in commands.iter().zip(failed) {
        done.push(match failed {
            Some(fault) => Err(fault),
            None => alone(service, peer, command, &bindings, handling).await,
        });
    }
    done
}

async fn alone(
    service: &Arc<Service>,
    peer: &Peer,
    command: &Command,
    bindings: &Bindings,
    handling: Handling,
) -> Result<Done, Fault> {
    if matches!(command.action, Action::Read { .. }) {
        let read = service.look(peer, async |ground| {
            ground.run(command, bindings, handling).await
        });
        return read.await;
    }
    service
        .transact(peer, async |ground| {
            let done = ground.run(command, bindings, handling).await?;
            ground.check_written(command, &done).await?;
            Ok(done)
        })
        .await
}
