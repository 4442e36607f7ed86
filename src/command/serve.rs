//! `dsf serve`.

use std::process::ExitCode;

use anyhow::Context;

use crate::app;
use crate::cli::{Configuration, Roles};

pub fn run(roles: &Roles, configuration: &Configuration) -> anyhow::Result<ExitCode> {
    let roles = roles.list();
    let sources = configuration.sources();
    let config = sources.load(app::needs(&roles))?;
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    runtime.block_on(app::serve(sources, config, &roles))?;
    Ok(ExitCode::SUCCESS)
}
