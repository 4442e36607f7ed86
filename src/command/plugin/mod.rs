//! `dsf plugin`: packages of processes, without a server.

#[cfg(not(feature = "bpe"))]
#[path = "absent.rs"]
mod work;
#[cfg(feature = "bpe")]
mod work;

#[cfg(test)]
#[cfg(all(feature = "bpe", feature = "fhir"))]
mod between;
#[cfg(feature = "bpe")]
mod deploy;
#[cfg(test)]
#[cfg(all(feature = "bpe", feature = "fhir"))]
mod known;
#[cfg(feature = "bpe")]
mod new;
#[cfg(feature = "bpe")]
mod test;

#[cfg(all(feature = "bpe", feature = "fhir"))]
mod conformity;
#[cfg(all(feature = "bpe", not(feature = "fhir")))]
#[path = "conformity_absent.rs"]
mod conformity;

#[cfg(all(feature = "bpe", feature = "fhir"))]
mod mailboxes;
#[cfg(all(feature = "bpe", not(feature = "fhir")))]
#[path = "mailboxes_absent.rs"]
mod mailboxes;

#[cfg(feature = "bpe")]
pub use conformity::judged;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use crate::cli::Configuration;

#[derive(Debug, Subcommand)]
pub enum Plugin {
    /// Write a plugin to begin with: a hello world, or the frame around existing files.
    #[command(after_help = "\
Writes plugin.toml, a model and its code, and beside them a test and the types of the host for
your editor. With --from, the models and resources of a plugin that exists already are taken as
they are, and plugin.toml and main.js are written for them, with an entry for each activity.

Exit codes: 0 written, 1 something is in the way; then nothing is written.

Examples:
  dsf plugin new my-process
  dsf plugin new my-process --domain uni-x.example
  dsf plugin new data-transfer --from ~/mii-process-data-transfer/src/main/resources")]
    New {
        /// The folder to make; its name is the name of the plugin.
        #[arg(value_name = "FOLDER")]
        folder: PathBuf,
        /// The domain that your process belongs to; part of its address for ever.
        #[arg(long, value_name = "DOMAIN", default_value = "example.org")]
        domain: String,
        /// A folder with bpe/ (or bpmn/) and fhir/ of an existing plugin.
        #[arg(long, value_name = "FOLDER", conflicts_with = "domain")]
        from: Option<PathBuf>,
    },
    /// Play the scenarios in tests/ of a plugin, without a server and without waiting.
    #[command(after_help = "\
Scenarios with [[organization]] play between several organisations: each has a mailbox of its own,
in which all rules are in force, and Tasks travel between them on a virtual clock.

Exit codes: 0 all passed, 1 at least one failed, or there are none.

Examples:
  dsf plugin test my-process
  dsf plugin test my-process --only greeting --trace
  dsf plugin test my-process --json            one JSON object a line")]
    Test {
        /// The folder of the plugin.
        #[arg(value_name = "PACKAGE", default_value = ".")]
        package: PathBuf,
        /// Only files whose names contain this.
        #[arg(long, value_name = "TEXT")]
        only: Option<String>,
        /// Print one JSON object a scenario.
        #[arg(long)]
        json: bool,
        /// Print every move of a token, not only those of failed scenarios.
        #[arg(long)]
        trace: bool,
    },
    /// Put a plugin into the plugin folder of a node, after it was checked.
    #[command(after_help = "\
The node notices by itself: within two seconds the package is in force, or its log says why not and
the version before it stays in force. A package of the same name is replaced.

Exit codes: 0 it is in the folder, 1 is refused or cannot be written.

Examples:
  dsf plugin deploy my-process                       into bpe.plugin-dir of dsf.toml
  dsf plugin deploy my-process-1.0.0.0.dsf --config /etc/dsf/dsf.toml
  dsf plugin deploy my-process --link --to .dsf-dev/plugins   edits count at once")]
    Deploy {
        /// Folder or .dsf file.
        #[arg(value_name = "PACKAGE")]
        package: PathBuf,
        /// The plugin folder [default: bpe.plugin-dir of the configuration].
        #[arg(long, value_name = "FOLDER")]
        to: Option<PathBuf>,
        /// Do not copy, but refer to the folder: what is edited there is in force at once.
        #[arg(long)]
        link: bool,
        #[command(flatten)]
        configuration: Configuration,
    },
    /// Say everything that is wrong with a package.
    #[command(after_help = "\
Exit codes: 0 may be used, 1 is refused.

Examples:
  dsf plugin check my-process
  dsf plugin check my-process.dsf
  dsf plugin check my-process --json")]
    Check {
        /// Folder or .dsf file.
        #[arg(value_name = "PACKAGE", required = true)]
        packages: Vec<PathBuf>,
        /// Print JSON for programs.
        #[arg(long)]
        json: bool,
    },
    /// List the packages of this node, the built-in ones among them.
    #[command(after_help = "\
Exit codes: 0 all may be used, 1 some are refused.

Examples:
  dsf plugin list --config dsf.toml
  dsf plugin list --json")]
    List {
        #[command(flatten)]
        configuration: Configuration,
        /// Print JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Check a package and put what belongs to it into one .dsf file.
    #[command(after_help = "\
Exit codes: 0 written, 1 is refused or cannot be written.

Examples:
  dsf plugin pack my-process
  dsf plugin pack my-process --to dist/my-process-1.0.0.0.dsf")]
    Pack {
        /// The folder of the package.
        #[arg(value_name = "FOLDER")]
        folder: PathBuf,
        /// The file to write [default: name and version of the package].
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
}

pub fn run(command: &Plugin) -> anyhow::Result<ExitCode> {
    match command {
        Plugin::New {
            folder,
            domain,
            from,
        } => work::new(folder, domain, from.as_deref()),
        Plugin::Test {
            package,
            only,
            json,
            trace,
        } => work::test(package, only.as_deref(), *json, *trace),
        Plugin::Deploy {
            package,
            to,
            link,
            configuration,
        } => work::deploy(package, to.as_deref(), *link, configuration),
        Plugin::Check { packages, json } => work::check(packages, *json),
        Plugin::List {
            configuration,
            json,
        } => work::list(configuration, *json),
        Plugin::Pack { folder, to } => work::pack(folder, to.as_deref()),
    }
}
