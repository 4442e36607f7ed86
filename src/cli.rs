//! The command line: what can be typed, and which command answers.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::app::Role;
use crate::command;
use crate::config::Sources;

/// The file that is read when none is named and this one exists.
const USUAL_FILE: &str = "dsf.toml";

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 failed or a check found something, 2 the command line is wrong.

Examples:
  dsf config example > dsf.toml
  dsf config check --config dsf.toml
  dsf serve --config dsf.toml";

/// The Data Sharing Framework: FHIR mailbox and process engine of an organisation.
#[derive(Debug, Parser)]
#[command(name = "dsf", version, after_help = EXIT_CODES, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the roles of this organisation until a signal asks for the end.
    #[command(after_help = "\
Exit codes: 0 ended in order, 1 could not start, 2 the command line is wrong.

Examples:
  dsf serve                                   both roles, dsf.toml in this folder
  dsf serve --role fhir --config dsf.toml     the mailbox alone
  dsf serve --set log.level=debug             one key changed for this run")]
    Serve {
        #[command(flatten)]
        roles: Roles,
        #[command(flatten)]
        configuration: Configuration,
    },
    /// Run a network of organisations on this machine, for trying and developing.
    #[command(subcommand)]
    Dev(command::dev::Dev),
    /// Check, show and explain the configuration.
    #[command(subcommand)]
    Config(command::config::Config),
    /// Look at certificates.
    #[command(subcommand)]
    Cert(command::cert::Cert),
    /// Look after the database.
    #[command(subcommand)]
    Db(command::db::Db),
    /// Tell who a certificate is, and who may what.
    #[command(subcommand)]
    Auth(command::auth::Auth),
    /// Look into the audit trail, and check that it is whole.
    #[command(subcommand)]
    Audit(command::audit::Audit),
    /// Try processes without a network; look after the running ones.
    #[command(subcommand)]
    Process(command::process::Process),
    /// Write, check, test, pack and deploy process plugins.
    #[command(subcommand)]
    Plugin(command::plugin::Plugin),
    /// Judge FHIR resources in files by their profiles, without a server.
    #[command(after_help = "\
Profiles, code systems and value sets among the files count at once; those of DSF are built in.

Exit codes: 0 all are valid, 1 there are errors, 2 the command line is wrong.

Examples:
  dsf validate task.json
  dsf validate fhir/ --json
  dsf validate task.xml --with my-process/fhir --profile http://example.org/fhir/StructureDefinition/task-x")]
    Validate(command::validate::Validate),
    /// Ask a running node whether it is well.
    #[command(after_help = "\
Exit codes: 0 every status listener answers that all is well, 1 otherwise.

Examples:
  dsf healthcheck --config dsf.toml
  dsf healthcheck --role bpe --json")]
    Healthcheck {
        #[command(flatten)]
        roles: Roles,
        #[command(flatten)]
        configuration: Configuration,
        /// Print JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
}

/// Which configuration to read; shared by all commands that read one.
#[derive(Debug, Clone, Args)]
pub struct Configuration {
    /// The configuration file [default: dsf.toml when there is one].
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Sets a key for this run, over file and environment; may be repeated.
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE", value_parser = assignment)]
    pub overrides: Vec<(String, String)>,
}

impl Configuration {
    #[must_use]
    pub fn sources(&self) -> Sources {
        let usual = || Some(PathBuf::from(USUAL_FILE)).filter(|path| path.exists());
        Sources::of_process(self.config.clone().or_else(usual), self.overrides.clone())
    }
}

/// Which roles are meant.
#[derive(Debug, Clone, Args)]
pub struct Roles {
    /// The role to run; may be repeated [default: all this program was built with].
    #[arg(long = "role", value_enum, value_name = "ROLE")]
    chosen: Vec<Role>,
}

impl Roles {
    /// The chosen roles, each once.
    #[must_use]
    pub fn list(&self) -> Vec<Role> {
        let all = Role::all().into_iter();
        all.filter(|role| self.chosen.is_empty() || self.chosen.contains(role))
            .collect()
    }
}

fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if key.contains('.') => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err("write it as section.key=value".to_owned()),
    }
}

/// Runs the command in the arguments of this process.
#[must_use]
pub fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Serve {
            roles,
            configuration,
        } => command::serve::run(&roles, &configuration),
        Command::Dev(dev) => command::dev::run(&dev),
        Command::Config(config) => command::config::run(&config),
        Command::Cert(cert) => command::cert::run(&cert),
        Command::Db(db) => command::db::run(&db),
        Command::Auth(auth) => command::auth::run(&auth),
        Command::Audit(audit) => command::audit::run(&audit),
        Command::Process(process) => command::process::run(&process),
        Command::Plugin(plugin) => command::plugin::run(&plugin),
        Command::Validate(validate) => command::validate::run(&validate),
        Command::Healthcheck {
            roles,
            configuration,
            json,
        } => command::healthcheck::run(&roles, &configuration, json),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("dsf: {error:#}");
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_shows_an_example_in_its_help() {
        fn look(command: &clap::Command) {
            let named = command.get_name().to_owned();
            if command.has_subcommands() {
                command.get_subcommands().for_each(look);
            } else {
                let help = command
                    .get_after_help()
                    .map(ToString::to_string)
                    .unwrap_or_default();
                assert!(
                    help.contains("Example") && help.contains("Exit codes"),
                    "{named}"
                );
            }
        }
        look(&Cli::command());
    }

    #[test]
    fn roles_may_be_chosen_and_are_all_otherwise() {
        let chosen = |arguments: &[&str]| match Cli::parse_from(arguments).command {
            Command::Serve { roles, .. } => roles.list(),
            other => panic!("{other:?}"),
        };
        assert_eq!(chosen(&["dsf", "serve"]), Role::all());
        for role in Role::all() {
            assert_eq!(chosen(&["dsf", "serve", "--role", &role.name()]), [role]);
        }
    }
}
