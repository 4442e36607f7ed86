//! Takes typed values out of the layers and keeps a list of what is wrong.

use crate::config::layer::{Layers, Origin, variable_of_key};
use crate::config::role::RoleRule;
use crate::config::suggest::closest;
use crate::config::value::shown;
use crate::config::{Key, Problem, Problems, Section, Setting, keys};

pub(super) struct Reader<'a> {
    layers: &'a Layers,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    /// Starts with the complaints about keys that nobody knows.
    pub(super) fn new(layers: &'a Layers) -> Self {
        let mut reader = Self {
            layers,
            problems: Vec::new(),
        };
        reader.refuse_unknown();
        reader
    }

    /// All problems so far, if there are any.
    pub(super) fn finish(self) -> Option<Problems> {
        (!self.problems.is_empty()).then_some(Problems(self.problems))
    }

    pub(super) fn mentions(&self, table: &str) -> bool {
        self.layers.mentions(table)
    }

    pub(super) fn has(&self, table: &str, key: &str) -> bool {
        self.layers.value(table, key).is_some()
    }

    /// The names of the `[[role]]` tables.
    pub(super) fn role_tables(&self) -> Vec<String> {
        (0..)
            .map(|index| format!("role[{index}]"))
            .take_while(|name| self.layers.tables.contains_key(name))
            .collect()
    }

    pub(super) fn required<T: Setting>(
        &mut self,
        table: &str,
        key: &str,
        example: &str,
    ) -> Option<T> {
        let value = self.optional(table, key, example)?;
        if value.is_none() {
            self.missing(table, key, example);
        }
        value
    }

    pub(super) fn default<T: Setting>(&mut self, table: &str, key: &str, text: &str) -> Option<T> {
        match self.optional(table, key, text)? {
            Some(value) => Some(value),
            // Tables outside of the default layer: [[role]].
            None => T::parse(text, self.layers.base(&Origin::Default)).ok(),
        }
    }

    /// `None` when there is a value and it is wrong.
    pub(super) fn optional<T: Setting>(
        &mut self,
        table: &str,
        key: &str,
        _example: &str,
    ) -> Option<Option<T>> {
        if T::SECRET && self.layers.value(table, &format!("{key}-file")).is_some() {
            return self.secret_from_file(table, key).map(Some);
        }
        let Some(value) = self.layers.value(table, key) else {
            return Some(None);
        };
        let path = format!("{table}.{key}");
        let origin = self.layers.origin(&path, value.tag());
        match T::read(value, self.layers.base(&origin)) {
            Ok(value) => Some(Some(value)),
            Err(fault) => {
                self.problems.push(Problem {
                    key: path,
                    origin: Some(origin),
                    value: (!T::SECRET).then(|| shown(value)),
                    fault: if fault.is_empty() {
                        "is not understood".to_owned()
                    } else {
                        fault
                    },
                    remedy: format!("write {}", T::EXPECTED),
                });
                None
            }
        }
    }

    /// As `optional`; whether it may be absent shows when the roles are known.
    pub(super) fn by_role<T: Setting>(
        &mut self,
        table: &str,
        key: &str,
        example: &str,
    ) -> Option<Option<T>> {
        self.optional(table, key, example)
    }

    /// Notes a missing `table.key` that a role needs.
    pub(super) fn need(&mut self, table: &str, key: &str, example: &str) {
        if !self.has(table, key) {
            self.missing(table, key, example);
        }
    }

    fn missing(&mut self, table: &str, key: &str, example: &str) {
        let path = format!("{table}.{key}");
        let variable = variable_of_key(&path);
        self.problems.push(Problem {
            key: path,
            origin: None,
            value: None,
            fault: "is not set".to_owned(),
            remedy: format!("write {key} = \"{example}\" under [{table}], or set {variable}"),
        });
    }

    /// Notes a fault that shows only when keys are seen together.
    pub(super) fn fault(&mut self, table: &str, key: &str, fault: &str, remedy: &str) {
        let path = format!("{table}.{key}");
        let value = self.layers.value(table, key);
        self.problems.push(Problem {
            origin: value.map(|value| self.layers.origin(&path, value.tag())),
            value: value.map(shown),
            key: path,
            fault: fault.to_owned(),
            remedy: remedy.to_owned(),
        });
    }

    /// Notes a fault of a whole table.
    pub(super) fn table_fault(&mut self, table: &str, fault: &str) {
        let tag = self
            .layers
            .tables
            .get(table)
            .map(figment::value::Value::tag);
        self.problems.push(Problem {
            key: table.to_owned(),
            origin: tag.map(|tag| self.layers.origin(table, tag)),
            value: None,
            fault: format!("is not understood: {fault}"),
            remedy: "compare it with `dsf config explain role`".to_owned(),
        });
    }

    fn secret_from_file<T: Setting>(&mut self, table: &str, key: &str) -> Option<T> {
        let file_key = format!("{key}-file");
        if self.layers.value(table, key).is_some() {
            let remedy = format!("set either {key} or {file_key}, not both");
            self.fault(
                table,
                &file_key,
                "is one of two values for the same secret",
                &remedy,
            );
            return None;
        }
        let path = self
            .required::<crate::config::InputFile>(table, &file_key, "secret")?
            .0;
        let text = std::fs::read_to_string(&path).map_err(|error| error.to_string());
        match text.and_then(|text| T::parse(text.trim_end_matches(['\r', '\n']), &path)) {
            Ok(secret) => Some(secret),
            Err(fault) => {
                let fault = format!("names a file whose content {fault}");
                self.fault(
                    table,
                    &file_key,
                    &fault,
                    "write the secret, and nothing else, into it",
                );
                None
            }
        }
    }

    fn refuse_unknown(&mut self) {
        for (table, value) in &self.layers.tables {
            let Some(section) = section_of(table) else {
                let names = keys::sections().map(|section| section.name).chain(["role"]);
                let remedy = remedy("section", closest(table, names));
                self.unknown(table, value.tag(), None, "is not a known section", remedy);
                continue;
            };
            let Some(members) = value.as_dict() else {
                let remedy = format!("write [{table}] and its keys below it");
                self.unknown(
                    table,
                    value.tag(),
                    Some(shown(value)),
                    "must be a table",
                    remedy,
                );
                continue;
            };
            for (name, value) in members {
                if !section.keys.iter().any(|key| answers_to(key, name)) {
                    let names = section.keys.iter().map(|key| key.name);
                    let remedy = remedy("key", closest(name, names));
                    let path = format!("{table}.{name}");
                    let tag = value.tag();
                    self.unknown(&path, tag, Some(shown(value)), "is not a known key", remedy);
                }
            }
        }
    }

    fn unknown(
        &mut self,
        path: &str,
        tag: figment::value::Tag,
        value: Option<String>,
        fault: &str,
        remedy: String,
    ) {
        self.problems.push(Problem {
            key: path.to_owned(),
            origin: Some(self.layers.origin(path, tag)),
            value,
            fault: fault.to_owned(),
            remedy,
        });
    }
}

fn section_of(table: &str) -> Option<&'static Section> {
    const ROLE: &Section = &RoleRule::SECTION;
    match table.split_once('[') {
        Some(("role", _)) => Some(ROLE),
        _ => keys::sections().find(|section| section.name == table),
    }
}

fn answers_to(key: &Key, name: &str) -> bool {
    key.name == name || key.secret && name.strip_suffix("-file") == Some(key.name)
}

fn remedy(what: &str, closest: Option<&str>) -> String {
    match closest {
        Some(name) => format!("did you mean {name}?"),
        None => format!("remove it; `dsf config example` lists every {what}"),
    }
}
