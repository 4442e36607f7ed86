//! The format of scenario files.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Value;
use toml::value::Table;

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Scenario {
    pub name: String,
    #[serde(default)]
    pub models: Vec<String>,
    #[serde(default, rename = "organization")]
    pub organizations: Vec<Organization>,
    #[serde(default, rename = "rules")]
    _rules: Vec<String>,
    pub clock: Option<String>,
    #[serde(default)]
    pub manual_jobs: bool,
    #[serde(default)]
    pub strict_errors: bool,
    pub deploy_error: Option<String>,
    #[serde(default)]
    pub services: BTreeMap<String, Service>,
    #[serde(default, rename = "step")]
    pub steps: Vec<Step>,
}

/// An organisation with a mailbox and processes of its own.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Organization {
    pub name: String,
    /// Those of the scenario if it says nothing.
    pub models: Option<Vec<String>>,
    /// Everybody if it says nothing.
    pub knows: Option<Vec<String>>,
    pub role: Option<String>,
    #[serde(default)]
    pub services: BTreeMap<String, Service>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Service {
    #[serde(default)]
    pub set: Table,
    #[serde(default)]
    pub set_local: Table,
    #[serde(default)]
    pub remove: Vec<String>,
    #[serde(default)]
    pub add: Table,
    #[serde(default)]
    pub append: BTreeMap<String, String>,
    pub task: Option<Attributes>,
    pub message: Option<String>,
    pub delete_instance: Option<String>,
    pub escalation: Option<String>,
    pub error: Option<String>,
    pub error_message: Option<String>,
    pub error_times: Option<u32>,
    pub fail: Option<String>,
    pub fail_times: Option<u32>,
    pub fail_kind: Option<String>,
    #[serde(default)]
    pub wait: bool,
    /// Further `Task.input` elements of a message to another organisation.
    #[serde(default)]
    pub inputs: Vec<Value>,
    /// What code makes of a message that the other mailbox does not take.
    pub refused: Option<Handled>,
}

/// How an exception is handled.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Handled {
    #[serde(default)]
    pub set: Table,
    #[serde(default)]
    pub set_local: Table,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Attributes {
    pub name: Option<String>,
    pub description: Option<String>,
    pub assignee: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Step {
    pub start: Option<String>,
    pub complete: Option<String>,
    #[serde(rename = "throw")]
    pub throw: Option<String>,
    pub trigger: Option<String>,
    pub message: Option<String>,
    pub signal: Option<String>,
    pub set: Option<Table>,
    pub remove: Option<Vec<String>>,
    pub evaluate: Option<bool>,
    pub advance: Option<String>,
    pub job: Option<String>,
    pub retry: Option<String>,
    pub modify: Option<Vec<Instruction>>,
    pub deploy: Option<Vec<String>>,
    pub cancel: Option<bool>,
    pub suspend: Option<Value>,
    pub resume: Option<Value>,
    pub check: Option<String>,

    #[serde(default)]
    pub variables: Table,
    #[serde(default)]
    pub local_variables: Table,
    pub business_key: Option<String>,
    pub before: Option<String>,
    pub nth: Option<usize>,
    pub error: Option<String>,
    pub error_message: Option<String>,
    pub escalation: Option<String>,
    #[serde(default)]
    pub correlation: Table,
    #[serde(default)]
    pub local_correlation: Table,
    #[serde(default)]
    pub start_only: bool,
    #[serde(default)]
    pub all: bool,
    pub at: Option<String>,
    pub reason: Option<String>,
    pub of: Option<String>,
    #[serde(default)]
    pub expect: Expect,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Instruction {
    pub cancel: Option<String>,
    pub cancel_all: Option<String>,
    pub before: Option<String>,
    pub after: Option<String>,
    pub flow: Option<String>,
    pub nth: Option<usize>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expect {
    pub waiting: Option<Vec<String>>,
    pub ended: Option<bool>,
    pub instances: Option<usize>,
    pub error: Option<String>,
    pub messages: Option<Vec<String>>,
    pub signals: Option<Vec<String>>,
    pub conditions: Option<Vec<String>>,
    pub timers: Option<Vec<String>>,
    #[serde(default)]
    pub due: Table,
    pub jobs: Option<Vec<String>>,
    #[serde(default)]
    pub variables: Table,
    #[serde(default)]
    pub absent: Vec<String>,
    #[serde(default)]
    pub local: Table,
    #[serde(default)]
    pub tasks: Table,
    pub incidents: Option<Vec<String>>,
    #[serde(default)]
    pub completed: Vec<String>,
    #[serde(default)]
    pub order: Vec<String>,
    #[serde(default)]
    pub never: Vec<String>,
    #[serde(default)]
    pub times: BTreeMap<String, usize>,
    pub canceled: Option<Vec<String>>,
    #[serde(default)]
    pub retries: Table,
    pub sent: Option<Vec<String>>,
    pub refused: Option<Vec<String>>,
}
