//! `dsf config`: check, show, explain, example.

use std::process::ExitCode;

use anyhow::bail;
use clap::Subcommand;

use crate::app;
use crate::cli::{Configuration, Roles};
use crate::command::table::Table;
use crate::config::document;

#[derive(Debug, Subcommand)]
pub enum Config {
    /// Report every problem of the configuration at once.
    #[command(after_help = "\
Exit codes: 0 no problem, 1 problems (on standard error).

Examples:
  dsf config check --config dsf.toml
  dsf config check --role fhir")]
    Check {
        #[command(flatten)]
        roles: Roles,
        #[command(flatten)]
        configuration: Configuration,
    },
    /// Print every key with the value in force and where it came from; secrets are masked.
    #[command(after_help = "\
Exit codes: 0 printed, 1 the file cannot be read.

Examples:
  dsf config show
  DSF_LOG__LEVEL=debug dsf config show --json")]
    Show {
        #[command(flatten)]
        configuration: Configuration,
        /// Print JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Say what a key is for, or all keys of a section.
    #[command(after_help = "\
Exit codes: 0 printed, 1 there is no such key.

Examples:
  dsf config explain fhir.base-url
  dsf config explain tls")]
    Explain {
        /// `section.key`, or a section.
        #[arg(value_name = "KEY")]
        key: String,
    },
    /// Print a commented configuration file to start from.
    #[command(after_help = "\
Exit codes: 0 printed.

Examples:
  dsf config example > dsf.toml
  dsf config example --markdown > docs/configuration.md")]
    Example {
        /// Print the reference of all keys instead.
        #[arg(long)]
        markdown: bool,
    },
}

pub fn run(command: &Config) -> anyhow::Result<ExitCode> {
    match command {
        Config::Check {
            roles,
            configuration,
        } => {
            configuration.sources().load(app::needs(&roles.list()))?;
            println!("the configuration has no problems");
        }
        Config::Show {
            configuration,
            json,
        } => {
            let mut table = Table::new(&["key", "value", "source"]);
            for effective in configuration.sources().values()? {
                let origin = effective.origin.map(|origin| origin.to_string());
                table.row([
                    effective.key,
                    effective.value.unwrap_or_default(),
                    origin.unwrap_or_else(|| "not set".to_owned()),
                ]);
            }
            table.print(*json)?;
        }
        Config::Explain { key } => match document::explanation(key) {
            Some(text) => print!("{text}"),
            None => bail!("there is no key or section {key}; `dsf config example` lists them all"),
        },
        Config::Example { markdown: false } => print!("{}", document::example()),
        Config::Example { markdown: true } => print!("{}", document::reference()),
    }
    Ok(ExitCode::SUCCESS)
}
