//! `dsf plugin`: packages of processes, without a server.

#[cfg(not(feature = "bpe"))]
#[path = "absent.rs"]
mod work;
#[cfg(feature = "bpe")]
mod work;

#[cfg(all(feature = "bpe", feature = "fhir"))]
mod conformity;
#[cfg(all(feature = "bpe", not(feature = "fhir")))]
#[path = "conformity_absent.rs"]
mod conformity;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use crate::cli::Configuration;

#[derive(Debug, Subcommand)]
pub enum Plugin {
    /// Say everything that is wrong with a package.
    #[command(after_help = "\
Exit codes: 0 may be used, 1 is refused.

Examples:
  dsf plugin check my-process
  dsf plugin check my-process.dsf")]
    Check {
        /// Folder or .dsf file.
        #[arg(value_name = "PACKAGE", required = true)]
        packages: Vec<PathBuf>,
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
        Plugin::Check { packages } => work::check(packages),
        Plugin::List {
            configuration,
            json,
        } => work::list(configuration, *json),
        Plugin::Pack { folder, to } => work::pack(folder, to.as_deref()),
    }
}
