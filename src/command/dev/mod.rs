//! `dsf dev`: a whole network of organisations on one machine, for trying and developing.

pub(super) mod bundle;
mod network;
mod ping;
mod start;
mod stop;
mod up;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

#[derive(Debug, Subcommand)]
pub enum Dev {
    /// Start a network of organisations, each with mailbox and engine.
    #[command(after_help = "\
The first start makes a development CA, certificates, allow lists and a configuration for each
organisation below the folder; later starts use what is there. Stop it with Ctrl-C, or with
`dsf dev down` from another terminal.

Exit codes: 0 ended in order, 1 could not start, 2 the command line is wrong.

Examples:
  dsf dev up                                  three organisations, everyone knows everyone
  dsf dev up --organizations 5 --topology star
  dsf dev up --detach && dsf dev ping")]
    Up {
        #[command(flatten)]
        place: Place,
        /// How many organisations; a network that exists keeps its number.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=20))]
        organizations: Option<u16>,
        /// Who knows whom; a network that exists keeps its topology.
        #[arg(long, value_enum)]
        topology: Option<Topology>,
        /// Return as soon as the network is ready, and leave it running.
        #[arg(long)]
        detach: bool,
    },
    /// Let every organisation ping every other over the real wire.
    #[command(after_help = "\
Prints a line for each pair: what came of the ping, and the time from the Task that started it
until the pong lay in the mailbox.

Exit codes: 0 every ping was answered, 1 otherwise.

Examples:
  dsf dev ping
  dsf dev ping --count 20 --json")]
    Ping {
        #[command(flatten)]
        place: Place,
        /// Rounds; the times of a pair are shown as their median.
        #[arg(long, value_name = "N", default_value_t = 1,
              value_parser = clap::value_parser!(u16).range(1..=1000))]
        count: u16,
        /// How long to wait for the pongs of a round, in seconds.
        #[arg(long, value_name = "SECONDS", default_value_t = 60)]
        patience: u64,
        /// Print JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Start a process from its draft Task and show what came of it.
    #[command(after_help = "\
Does what a person does in the web interface: takes the draft Task, sends it as it is, and waits
for the end. Plugins go into the folder `plugins` of the network: dsf plugin deploy.

Exit codes: 0 the Task is completed, 1 it failed or did not end.

Examples:
  dsf dev start helloWorld
  dsf dev start ping --at org2 --json")]
    Start {
        /// The name of the process: the end of its address.
        #[arg(value_name = "PROCESS")]
        process: String,
        /// The organisation that starts it [default: the first].
        #[arg(long, value_name = "NAME")]
        at: Option<String>,
        /// How long to wait for the end, in seconds.
        #[arg(long, value_name = "SECONDS", default_value_t = 60)]
        patience: u64,
        #[command(flatten)]
        place: Place,
        /// Print JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Stop the network.
    #[command(after_help = "\
Exit codes: 0 nothing runs any more, 1 something could not be stopped.

Example:
  dsf dev down")]
    Down {
        #[command(flatten)]
        place: Place,
    },
    /// Stop the network and remove everything it has stored.
    #[command(after_help = "\
Exit codes: 0 the folder is gone, 1 otherwise.

Example:
  dsf dev reset")]
    Reset {
        #[command(flatten)]
        place: Place,
    },
}

/// Which network is meant.
#[derive(Debug, Clone, Args)]
pub struct Place {
    /// Folder of the network.
    #[arg(long, value_name = "DIR", default_value = ".dsf-dev")]
    pub dir: PathBuf,
}

/// Who has whom in the allow list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Topology {
    /// Everyone knows everyone.
    Mesh,
    /// The first organisation knows everyone, the others know only the first.
    Star,
}

pub fn run(dev: &Dev) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    runtime.block_on(async {
        match dev {
            Dev::Up {
                place,
                organizations,
                topology,
                detach,
            } => {
                let wish = network::Wish {
                    organizations: *organizations,
                    topology: *topology,
                };
                if *detach {
                    up::detached(&place.dir, wish).await
                } else {
                    up::attached(&place.dir, wish).await
                }
            }
            Dev::Ping {
                place,
                count,
                patience,
                json,
            } => {
                let patience = Duration::from_secs(*patience);
                ping::run(&place.dir, *count, patience, *json).await
            }
            Dev::Start {
                process,
                at,
                patience,
                place,
                json,
            } => {
                let wish = start::Wish {
                    folder: &place.dir,
                    process,
                    at: at.as_deref(),
                    patience: Duration::from_secs(*patience),
                };
                start::run(&wish, *json).await
            }
            Dev::Down { place } => stop::down(&place.dir).await,
            Dev::Reset { place } => stop::reset(&place.dir).await,
        }
    })
}
