//! The layers of a configuration, merged by figment, each value with its origin.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Tag, Value};
use figment::{Error, Figment, Metadata, Profile, Provider};
use toml::de::{DeTable, DeValue};

use crate::config::value::shown;
use crate::config::{Effective, Key, Problem, Problems, Section, Sources, keys};

const DEFAULTS: &str = "defaults";
const ENVIRONMENT: &str = "environment";
const FLAGS: &str = "flags";

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Default,
    File { path: PathBuf, line: Option<usize> },
    Environment(String),
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File {
                path,
                line: Some(line),
            } => write!(f, "{}:{line}", path.display()),
            Self::File { path, line: None } => write!(f, "{}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Flag => f.write_str("--set"),
        }
    }
}

/// The merged tables. `[[role]]` tables are called `role[0]`, `role[1]` and so on.
pub(super) struct Layers {
    figment: Figment,
    pub(super) tables: BTreeMap<String, Value>,
    file: Option<PathBuf>,
    lines: BTreeMap<String, usize>,
}

impl Layers {
    pub(super) fn read(sources: &Sources) -> Result<Self, Problems> {
        let text = match &sources.file {
            Some(path) => read_file(path)?,
            None => String::new(),
        };
        let lines = match &sources.file {
            Some(path) => lines(path, &text)?,
            None => BTreeMap::new(),
        };
        let environment = sources
            .environment
            .iter()
            .filter_map(|(name, value)| Some((key_of_variable(name)?, value.clone())));
        let figment = Figment::new()
            .merge(Texts::new(DEFAULTS, defaults()))
            .merge(Toml::string(&text))
            .merge(Texts::new(ENVIRONMENT, environment))
            .merge(Texts::new(FLAGS, sources.overrides.iter().cloned()));
        let merged = figment
            .data()
            .map_err(|error| unreadable(sources, &error))?;
        let tables = merged.into_values().flatten().flat_map(expanded).collect();
        Ok(Self {
            figment,
            tables,
            file: sources.file.clone(),
            lines,
        })
    }

    pub(super) fn value(&self, table: &str, key: &str) -> Option<&Value> {
        self.tables.get(table)?.as_dict()?.get(key)
    }

    /// Whether anyone said anything about this table.
    pub(super) fn mentions(&self, table: &str) -> bool {
        let members = self.tables.get(table).and_then(Value::as_dict);
        members
            .into_iter()
            .flat_map(Dict::values)
            .any(|value| !matches!(self.origin("", value.tag()), Origin::Default))
    }

    /// Where a value with this tag, at `path`, came from.
    pub(super) fn origin(&self, path: &str, tag: Tag) -> Origin {
        match self
            .figment
            .get_metadata(tag)
            .map(|metadata| metadata.name.as_ref())
        {
            Some(DEFAULTS) => Origin::Default,
            Some(ENVIRONMENT) => Origin::Environment(variable_of_key(path)),
            Some(FLAGS) => Origin::Flag,
            _ => Origin::File {
                path: self.file.clone().unwrap_or_default(),
                line: self.lines.get(path).copied(),
            },
        }
    }

    /// The folder that relative paths of a value from `origin` start from.
    pub(super) fn base(&self, origin: &Origin) -> &Path {
        match origin {
            Origin::Default | Origin::File { .. } => self
                .file
                .as_deref()
                .and_then(Path::parent)
                .unwrap_or(Path::new("")),
            Origin::Environment(_) | Origin::Flag => Path::new(""),
        }
    }

    pub(super) fn effective(&self, section: &Section, key: &Key) -> Effective {
        let path = format!("{}.{}", section.name, key.name);
        let (path, value) = match self.value(section.name, &format!("{}-file", key.name)) {
            Some(file) if key.secret => (format!("{path}-file"), Some(file)),
            _ => (path, self.value(section.name, key.name)),
        };
        let masked = key.secret && !path.ends_with("-file");
        Effective {
            value: value.map(|value| {
                if masked {
                    "***".to_owned()
                } else {
                    shown(value)
                }
            }),
            origin: value.map(|value| self.origin(&path, value.tag())),
            key: path,
        }
    }
}

/// `DSF_FHIR__BASE_URL` for `fhir.base-url`.
pub(super) fn variable_of_key(key: &str) -> String {
    format!(
        "DSF_{}",
        key.to_uppercase().replace('-', "_").replace('.', "__")
    )
}

/// The reverse; variables without a section (`DSF_…` of others) are none of ours.
fn key_of_variable(name: &str) -> Option<String> {
    let (section, key) = name.strip_prefix("DSF_")?.split_once("__")?;
    Some(format!("{section}.{key}").to_lowercase().replace('_', "-"))
}

fn defaults() -> impl Iterator<Item = (String, String)> {
    keys::sections().flat_map(|section| {
        let with_default = |key: &&Key| key.presence == crate::config::Presence::Default;
        let named = |key: &Key| {
            (
                format!("{}.{}", section.name, key.name),
                key.text.to_owned(),
            )
        };
        section
            .keys
            .iter()
            .filter(with_default)
            .map(named)
            .collect::<Vec<_>>()
    })
}

/// Gives every table of an array of tables its own name.
fn expanded((name, value): (String, Value)) -> Vec<(String, Value)> {
    match value {
        Value::Array(_, items) if items.iter().all(|item| item.as_dict().is_some()) => items
            .into_iter()
            .enumerate()
            .map(|(index, item)| (format!("{name}[{index}]"), item))
            .collect(),
        other => vec![(name, other)],
    }
}

fn read_file(path: &Path) -> Result<String, Problems> {
    std::fs::read_to_string(path).map_err(|error| {
        Problems(vec![Problem {
            key: path.display().to_string(),
            origin: None,
            value: None,
            fault: format!("cannot be read: {error}"),
            remedy: "name the file with --config FILE, or write one: \
                     dsf config example > dsf.toml"
                .to_owned(),
        }])
    })
}

fn unreadable(sources: &Sources, error: &Error) -> Problems {
    let path = sources.file.clone().unwrap_or_default();
    Problems(vec![Problem {
        key: path.display().to_string(),
        origin: None,
        value: None,
        fault: format!("cannot be merged: {error}"),
        remedy: "compare the file with `dsf config example`".to_owned(),
    }])
}

/// The line of every table and key, or the syntax error.
fn lines(path: &Path, text: &str) -> Result<BTreeMap<String, usize>, Problems> {
    let line_at = |offset: usize| 1 + text[..offset.min(text.len())].matches('\n').count();
    let root = DeTable::parse(text).map_err(|error| {
        let line = error.span().map(|span| line_at(span.start));
        Problems(vec![Problem {
            key: path.display().to_string(),
            origin: Some(Origin::File {
                path: path.to_owned(),
                line,
            }),
            value: None,
            fault: format!("is not valid TOML: {}", error.message()),
            remedy: "mend the line, or compare the file with `dsf config example`".to_owned(),
        }])
    })?;
    let mut lines = BTreeMap::new();
    note_lines("", root.get_ref(), &line_at, &mut lines);
    Ok(lines)
}

fn note_lines(
    prefix: &str,
    table: &DeTable<'_>,
    line_at: &impl Fn(usize) -> usize,
    lines: &mut BTreeMap<String, usize>,
) {
    for (key, value) in table {
        let path = match prefix {
            "" => key.get_ref().to_string(),
            _ => format!("{prefix}.{}", key.get_ref()),
        };
        match value.get_ref() {
            DeValue::Table(inner) => note_lines(&path, inner, line_at, lines),
            DeValue::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    if let DeValue::Table(inner) = item.get_ref() {
                        let path = format!("{path}[{index}]");
                        lines.insert(path.clone(), line_at(item.span().start));
                        note_lines(&path, inner, line_at, lines);
                    }
                }
            }
            _ => {}
        }
        lines.insert(path, line_at(key.span().start));
    }
}

/// A layer of texts by `section.key`.
struct Texts {
    name: &'static str,
    tables: BTreeMap<String, BTreeMap<String, String>>,
}

impl Texts {
    fn new(name: &'static str, pairs: impl Iterator<Item = (String, String)>) -> Self {
        let mut tables: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        for (path, text) in pairs {
            let (table, key) = path.split_once('.').unwrap_or((&path, ""));
            tables
                .entry(table.to_owned())
                .or_default()
                .insert(key.to_owned(), text);
        }
        Self { name, tables }
    }
}

impl Provider for Texts {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name)
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        let dict = self.tables.iter().map(|(name, keys)| {
            let members = keys
                .iter()
                .map(|(key, text)| (key.clone(), Value::from(text.as_str())));
            (name.clone(), Value::from(members.collect::<Dict>()))
        });
        Ok(Profile::Default.collect(dict.collect()))
    }
}
