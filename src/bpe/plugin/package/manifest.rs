//! `plugin.toml`, typed. All its problems are reported together, each with its key.

use toml::{Table, Value};

use super::problem::Problems;
use crate::bpe::plugin::service::{Access, Capabilities};

pub(super) const FILE: &str = "plugin.toml";

/// What a package says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    pub name: String,
    pub version: Version,
    /// `2026-11-21`.
    pub release_date: String,
    pub title: Option<String>,
    pub publisher: Option<String>,
    pub license: Option<String>,
    /// The generation of the DSF that the resources were written for.
    pub api: Api,
    /// Not released: its resources are refreshed, and people see that it is a draft.
    pub draft: bool,
    pub processes: Vec<ProcessEntry>,
    /// The module that exports `activities`.
    pub entry: Option<String>,
    /// Set when the code runs in a process of its own.
    pub worker: Option<WorkerEntry>,
    pub capabilities: Capabilities,
    pub settings: Vec<SettingEntry>,
}

/// Four numbers; the first two are the resource version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version(String);

/// A `[[process]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessEntry {
    pub id: String,
    /// Address of the ActivityDefinition, where resources are made from `messages`.
    pub url: Option<String>,
    pub model: String,
    pub resources: Vec<String>,
    pub messages: Vec<MessageEntry>,
    pub on_failure: OnFailure,
}

/// A `[[setting]]`: a value that the code asks for and the environment gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingEntry {
    /// `org.example.limit` is the variable `ORG_EXAMPLE_LIMIT`.
    pub name: String,
    pub default: Option<String>,
}

/// What a `[runtime]` of kind `worker` says beside its entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkerEntry {
    /// Program and arguments; what is usual for the entry when empty.
    pub command: Vec<String>,
    /// Files of the package that the code needs beside its entry.
    pub files: Vec<String>,
}

/// A `[[process.message]]`: a message that the process receives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageEntry {
    pub name: String,
    /// Codes of who may send it.
    pub from: Vec<String>,
    /// People send it, too.
    pub draft: bool,
}

/// Generations of the process API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Api {
    /// Of what came before DSF 1: the framework has other names.
    Zero,
    /// Of DSF 1: resources are brought to what DSF 2 asks for.
    One,
    #[default]
    Two,
}

/// What an exception that nobody handles leads to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFailure {
    #[default]
    FailTask,
    Incident,
}

impl Version {
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('.').collect();
        let number = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        (parts.len() == 4 && parts.iter().all(number)).then(|| Self(text.to_owned()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// In an order in which 1.10 comes after 1.9.
    #[must_use]
    pub fn numbers(&self) -> Vec<u64> {
        let parts = self.0.split('.');
        parts.map(|part| part.parse().unwrap_or(u64::MAX)).collect()
    }

    /// `1.0` of `1.0.2.0`.
    #[must_use]
    pub fn resource_version(&self) -> &str {
        let mut dots = self.0.match_indices('.');
        let end = dots.nth(1).map_or(self.0.len(), |(at, _)| at);
        &self.0[..end]
    }
}

/// Who may send a message, by codes that need nothing else to be said.
const SENDERS: [&str; 2] = ["LOCAL_ALL", "REMOTE_ALL"];

fn text_or_empty(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Reads the manifest; nothing when a problem was found.
pub(super) fn read(text: &str, problems: &mut Problems) -> Option<Manifest> {
    let table = match text.parse::<Table>() {
        Ok(table) => table,
        Err(error) => {
            problems.error(FILE, "", error.to_string().trim().replace('\n', " "));
            return None;
        }
    };
    let before = problems.errors();
    let manifest = Section {
        table: &table,
        prefix: String::new(),
        problems,
    }
    .manifest();
    if problems.errors() == before {
        manifest
    } else {
        None
    }
}

/// A table with the keys before it.
struct Section<'a> {
    table: &'a Table,
    prefix: String,
    problems: &'a mut Problems,
}

impl Section<'_> {
    fn manifest(&mut self) -> Option<Manifest> {
        self.only(&[
            "name",
            "version",
            "release-date",
            "title",
            "publisher",
            "license",
            "api",
            "draft",
            "process",
            "runtime",
            "capabilities",
            "setting",
        ]);
        let name = self.required("name");
        let version = self.version();
        let release_date = self.date();
        let (title, publisher, license) = (
            self.text("title"),
            self.text("publisher"),
            self.text("license"),
        );
        let (api, draft) = (self.api(), self.flag("draft"));
        let processes = self.processes();
        let (entry, worker) = self.runtime();
        let capabilities = self.capabilities();
        let settings = self.settings();
        Some(Manifest {
            name: name?,
            version: version?,
            release_date: release_date?,
            title,
            publisher,
            license,
            api,
            draft,
            processes,
            entry,
            worker,
            capabilities,
            settings,
        })
    }

    fn error(&mut self, key: &str, message: impl Into<String>) {
        self.problems
            .error(FILE, format!("{}{key}", self.prefix), message);
    }

    fn only(&mut self, known: &[&str]) {
        for key in self.table.keys() {
            if !known.contains(&key.as_str()) {
                self.problems.error(
                    FILE,
                    format!("{}{key}", self.prefix),
                    format!("is not a key of a plugin; known are {}", known.join(", ")),
                );
            }
        }
    }

    fn text(&mut self, key: &str) -> Option<String> {
        match self.table.get(key)? {
            Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
            _ => {
                self.error(key, "must be a text that is not empty");
                None
            }
        }
    }

    fn required(&mut self, key: &str) -> Option<String> {
        if !self.table.contains_key(key) {
            self.error(key, "is missing");
        }
        self.text(key)
    }

    fn version(&mut self) -> Option<Version> {
        let text = self.required("version")?;
        let version = Version::parse(&text);
        if version.is_none() {
            self.error(
                "version",
                format!("must be four numbers like 1.0.0.0, not {text}"),
            );
        }
        version
    }

    fn api(&mut self) -> Api {
        match self.table.get("api").map(Value::as_integer) {
            None | Some(Some(2)) => Api::Two,
            Some(Some(1)) => Api::One,
            Some(Some(0)) => Api::Zero,
            Some(_) => {
                self.error(
                    "api",
                    "must be 0, 1 or 2: the DSF its files are written for, 0 for those before DSF 1",
                );
                Api::Two
            }
        }
    }

    fn flag(&mut self, key: &str) -> bool {
        match self.table.get(key) {
            None => false,
            Some(Value::Boolean(flag)) => *flag,
            Some(_) => {
                self.error(key, "must be true or false");
                false
            }
        }
    }

    fn date(&mut self) -> Option<String> {
        match self.table.get("release-date") {
            Some(Value::Datetime(at)) => {
                if let Some(date) = at.date {
                    return Some(date.to_string());
                }
            }
            Some(Value::String(text)) if text.parse::<jiff::civil::Date>().is_ok() => {
                return Some(text.clone());
            }
            Some(_) => {}
            None => {
                self.error("release-date", "is missing");
                return None;
            }
        }
        self.error("release-date", "must be a date like 2026-11-21");
        None
    }

    fn choice<T: Copy + Default>(&mut self, key: &str, choices: &[(&str, T)]) -> T {
        let Some(value) = self.table.get(key) else {
            return T::default();
        };
        let chosen = choices
            .iter()
            .find(|(name, _)| value.as_str() == Some(name));
        if let Some((_, choice)) = chosen {
            return *choice;
        }
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        self.error(key, format!("must be one of {}", names.join(", ")));
        T::default()
    }

    fn section(&mut self, key: &str) -> Option<Section<'_>> {
        match self.table.get(key)? {
            Value::Table(table) => {
                let prefix = format!("{}{key}.", self.prefix);
                Some(Section {
                    table,
                    prefix,
                    problems: self.problems,
                })
            }
            _ => {
                self.error(key, format!("must be a table: [{key}]"));
                None
            }
        }
    }

    fn processes(&mut self) -> Vec<ProcessEntry> {
        let entries = match self.table.get("process") {
            Some(Value::Array(entries)) if !entries.is_empty() => entries,
            _ => {
                self.error("process", "at least one [[process]] is needed");
                return Vec::new();
            }
        };
        let mut processes = Vec::new();
        for (number, entry) in (1..).zip(entries) {
            let prefix = format!("process[{number}].");
            match entry {
                Value::Table(table) => {
                    let mut section = Section {
                        table,
                        prefix,
                        problems: self.problems,
                    };
                    processes.extend(section.process());
                }
                _ => self.error("process", "must be written as [[process]]"),
            }
        }
        self.refuse_twins(&processes);
        processes
    }

    fn process(&mut self) -> Option<ProcessEntry> {
        self.only(&["id", "url", "model", "resources", "message", "on-failure"]);
        let url = self.text("url");
        let (id, model) = (self.process_id(url.as_deref()), self.required("model"));
        let messages = self.messages();
        if url.is_none() && !messages.is_empty() {
            self.error("url", "is missing: what is made of a message needs it");
        }
        let resources = self.resources(messages.is_empty());
        let on_failure = self.choice(
            "on-failure",
            &[
                ("fail-task", OnFailure::FailTask),
                ("incident", OnFailure::Incident),
            ],
        );
        Some(ProcessEntry {
            id: id?,
            url,
            model: model?,
            resources,
            messages,
            on_failure,
        })
    }

    /// The id may be left out where the url says it.
    fn process_id(&mut self, url: Option<&str>) -> Option<String> {
        let of_url = url.map(super::naming::process_id);
        if let Some(None) = of_url {
            self.error(
                "url",
                "must be of the form http://<domain>/bpe/Process/<name>",
            );
        }
        let of_url = of_url.flatten();
        if !self.table.contains_key("id") && of_url.is_some() {
            return of_url;
        }
        let id = self.required("id")?;
        if !super::naming::is_process_id(&id) {
            let message = format!("{id} is not of the form domain_name (letters, digits, -)");
            self.error("id", message);
        } else if let Some(other) = of_url.filter(|other| *other != id) {
            self.error("id", format!("is {id}, the url says {other}"));
        }
        Some(id)
    }

    fn messages(&mut self) -> Vec<MessageEntry> {
        let entries = match self.table.get("message") {
            None => return Vec::new(),
            Some(Value::Array(entries)) => entries,
            Some(_) => {
                self.error("message", "must be written as [[process.message]]");
                return Vec::new();
            }
        };
        let mut messages = Vec::new();
        for (number, entry) in (1..).zip(entries) {
            let prefix = format!("{}message[{number}].", self.prefix);
            if let Value::Table(table) = entry {
                let mut section = Section {
                    table,
                    prefix,
                    problems: self.problems,
                };
                messages.extend(section.message());
            } else {
                self.error("message", "must be written as [[process.message]]");
            }
        }
        messages
    }

    fn message(&mut self) -> Option<MessageEntry> {
        self.only(&["name", "from", "draft"]);
        let name = self.required("name");
        let draft = self.flag("draft");
        let from = match self.table.get("from") {
            None => vec!["LOCAL_ALL".to_owned()],
            Some(Value::Array(codes)) => codes.iter().map(text_or_empty).collect(),
            Some(one) => vec![text_or_empty(one)],
        };
        if let Some(code) = from.iter().find(|code| !SENDERS.contains(&code.as_str())) {
            let known = SENDERS.join(", ");
            self.error(
                "from",
                format!("'{code}' is none of {known}; for others write an ActivityDefinition"),
            );
        }
        Some(MessageEntry {
            name: name?,
            from,
            draft,
        })
    }

    fn resources(&mut self, needed: bool) -> Vec<String> {
        let list = match self.table.get("resources") {
            Some(Value::Array(list)) if !list.is_empty() => list,
            None if !needed => return Vec::new(),
            _ => {
                self.error(
                    "resources",
                    "must be a list of the FHIR resources of the process",
                );
                return Vec::new();
            }
        };
        if list.iter().any(|path| !path.is_str()) {
            self.error("resources", "must hold paths only");
        }
        list.iter()
            .filter_map(|path| path.as_str().map(str::to_owned))
            .collect()
    }

    fn refuse_twins(&mut self, processes: &[ProcessEntry]) {
        for (at, process) in processes.iter().enumerate() {
            if processes[..at].iter().any(|other| other.id == process.id) {
                self.error("process", format!("{} appears twice", process.id));
            }
        }
    }

    fn runtime(&mut self) -> (Option<String>, Option<WorkerEntry>) {
        let Some(mut runtime) = self.section("runtime") else {
            return (None, None);
        };
        runtime.only(&["kind", "entry", "command", "files"]);
        let kind = runtime.required("kind").unwrap_or_default();
        let worker = WorkerEntry {
            command: runtime.texts("command"),
            files: runtime.texts("files"),
        };
        match kind.as_str() {
            "worker" => {}
            "js" if worker == WorkerEntry::default() => {}
            "js" => runtime.error("command", "and files are for kind = \"worker\""),
            _ => runtime.error("kind", "must be \"js\" or \"worker\""),
        }
        let entry = runtime.required("entry");
        (entry, (kind == "worker").then_some(worker))
    }

    fn settings(&mut self) -> Vec<SettingEntry> {
        let entries = match self.table.get("setting") {
            None => return Vec::new(),
            Some(Value::Array(entries)) => entries,
            Some(_) => {
                self.error("setting", "must be written as [[setting]]");
                return Vec::new();
            }
        };
        let mut settings = Vec::new();
        for (number, entry) in (1..).zip(entries) {
            let Value::Table(table) = entry else {
                self.error("setting", "must be written as [[setting]]");
                continue;
            };
            let mut section = Section {
                table,
                prefix: format!("setting[{number}]."),
                problems: self.problems,
            };
            section.only(&["name", "default", "description"]);
            section.text("description");
            let default = section.text("default");
            let name = section.required("name");
            settings.extend(name.map(|name| SettingEntry { name, default }));
        }
        settings
    }

    fn capabilities(&mut self) -> Capabilities {
        let Some(mut section) = self.section("capabilities") else {
            return Capabilities::default();
        };
        section.only(&[
            "local-fhir",
            "remote-fhir",
            "fhir-connections",
            "oidc",
            "mail",
            "secrets",
        ]);
        let access = [
            ("none", Access::None),
            ("read", Access::Read),
            ("write", Access::Write),
        ];
        Capabilities {
            local_fhir: section.choice("local-fhir", &access),
            remote_fhir: section.choice("remote-fhir", &access),
            fhir_connections: section.texts("fhir-connections"),
            oidc: section.granted("oidc"),
            mail: section.granted("mail"),
            secrets: section.granted("secrets"),
        }
    }

    fn texts(&mut self, key: &str) -> Vec<String> {
        let texts = match self.table.get(key) {
            None => Some(Vec::new()),
            Some(value) => value.as_array().and_then(|all| {
                let texts = all.iter().map(|one| one.as_str().map(str::to_owned));
                texts.collect()
            }),
        };
        texts.unwrap_or_else(|| {
            self.error(key, "must be a list of texts");
            Vec::new()
        })
    }

    fn granted(&mut self, key: &str) -> bool {
        match self.table.get(key) {
            None => false,
            Some(value) => value.as_bool().unwrap_or_else(|| {
                self.error(key, "must be true or false");
                false
            }),
        }
    }
}
