//! `dsf process`: try processes without a network, and look after running ones.

mod running;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;

use crate::bpe::parse::{Problem, parse};
use crate::bpe::scenario::{self, Floor, Report, Stage};
use crate::command::table::Table;
use crate::store::{Database, Schema};

#[derive(Debug, Subcommand)]
pub enum Process {
    /// Play scenarios on the engine and a virtual clock.
    #[command(after_help = "\
Exit codes: 0 all passed, 1 at least one failed.

Examples:
  dsf process test tests/*.toml
  dsf process test --trace tests/approval.toml
  dsf process test --json tests/*.toml        one JSON object a line
  dsf process test --store postgres tests/*.toml")]
    Test {
        /// Scenario files.
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
        /// Print one JSON object a scenario.
        #[arg(long)]
        json: bool,
        /// Print every move of a token, not only those of failed scenarios.
        #[arg(long)]
        trace: bool,
        /// Where instances live between two steps; `postgres` starts a database of its own and
        /// throws it away afterwards.
        #[arg(long, value_enum, default_value = "memory")]
        store: Place,
    },
    /// Say whether BPMN files can run here, and what in them has no effect.
    #[command(after_help = "\
Exit codes: 0 all can run, 1 at least one cannot.

Examples:
  dsf process check bpe/ping.bpmn
  dsf process check --json bpe/*.bpmn")]
    Check {
        /// BPMN files; placeholders are replaced if the file belongs to a plugin.
        #[arg(value_name = "MODEL", required = true)]
        models: Vec<PathBuf>,
        /// Print JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    #[command(flatten)]
    Running(running::Running),
}

/// Where scenarios are played.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Place {
    Memory,
    Postgres,
}

pub fn run(process: &Process) -> anyhow::Result<ExitCode> {
    let well = match process {
        Process::Test {
            files,
            json,
            trace,
            store: Place::Memory,
        } => play(
            files,
            Output {
                json: *json,
                trace: *trace,
            },
            Stage::default(),
        )?,
        Process::Test {
            files, json, trace, ..
        } => on_a_database(
            files,
            Output {
                json: *json,
                trace: *trace,
            },
        )?,
        Process::Check { models, json } => check(models, *json)?,
        Process::Running(running) => return running::run(running),
    };
    Ok(if well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// How to print.
#[derive(Clone, Copy)]
pub(super) struct Output {
    pub json: bool,
    pub trace: bool,
}

/// Plays on a private cluster in a temporary folder.
fn on_a_database(files: &[PathBuf], output: Output) -> anyhow::Result<bool> {
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    let home = std::env::temp_dir().join(format!("dsf-scenarios-{}", std::process::id()));
    let database = runtime.block_on(Database::scratch(&home))?;
    let store = runtime.block_on(database.store(Schema::Bpe))?;
    let handle = runtime.handle().clone();
    let outcome = play(files, output, on(&Floor { store, handle }));
    runtime.block_on(database.close());
    // What cannot be removed is in the folder for temporary things.
    let _ = std::fs::remove_dir_all(&home);
    outcome
}

fn on(floor: &Floor) -> Stage<'_> {
    Stage {
        floor: Some(floor),
        ..Stage::default()
    }
}

/// Plays scenarios and prints what came of them; whether all passed.
pub(super) fn play(files: &[PathBuf], output: Output, stage: Stage<'_>) -> anyhow::Result<bool> {
    let Output { json, trace } = output;
    let mut failed = 0;
    for file in files {
        let report = scenario::run(file, stage);
        failed += usize::from(!report.passed);
        if json {
            println!("{}", serde_json::to_string(&report)?);
        } else {
            print(&report, trace);
        }
    }
    if !json {
        println!("{} passed, {failed} failed", files.len() - failed);
    }
    Ok(failed == 0)
}

fn print(report: &Report, trace: bool) {
    let word = if report.passed { "passed" } else { "FAILED" };
    println!("{word}  {}  {}", report.file.display(), report.name);
    if let (Some(expected), Some(found)) = (&report.expected, &report.found) {
        let step = report
            .step
            .map(|step| format!("step {step}: "))
            .unwrap_or_default();
        println!("  {step}expected {expected}");
        println!("  found {found}");
    }
    if trace || !report.passed {
        for line in &report.path {
            println!("    {line}");
        }
    }
}

fn check(models: &[PathBuf], json: bool) -> anyhow::Result<bool> {
    let mut table = Table::new(&["file", "line", "column", "kind", "element", "message"]);
    let mut well = true;
    for model in models {
        let text = scenario::source::model(model).map_err(anyhow::Error::msg)?;
        match parse(&text) {
            Ok(parsed) => {
                for graph in &parsed.graphs {
                    add(
                        &mut table,
                        model,
                        ["", "", "process", &graph.key, "can run"],
                    );
                }
                report(&mut table, model, &parsed.warnings);
            }
            Err(problems) => {
                well = false;
                report(&mut table, model, &problems);
            }
        }
    }
    table.print(json)?;
    Ok(well)
}

fn report(table: &mut Table, model: &Path, problems: &[Problem]) {
    for problem in problems {
        let (line, column) = (problem.position.line, problem.position.column);
        let kind = if problem.warning { "warning" } else { "error" };
        let cells = [
            &*line.to_string(),
            &*column.to_string(),
            kind,
            &problem.element,
            &problem.message,
        ];
        add(table, model, cells);
    }
}

fn add(table: &mut Table, model: &Path, cells: [&str; 5]) {
    let file = model.display().to_string();
    table.row(std::iter::once(file).chain(cells.map(str::to_owned)));
}
