//! `#{…}` in models and resources, `${…}` in resources (spec/bpe.md §5.3).

use super::manifest::Manifest;

/// Where the values come from that are not the plugin's own.
pub struct Substitutes<'a> {
    /// Identifier of the own organisation.
    pub organization: &'a str,
    pub environment: &'a dyn Fn(&str) -> Option<String>,
}

impl<'a> Substitutes<'a> {
    /// With the environment of this process.
    #[must_use]
    pub fn of_process(organization: &'a str) -> Self {
        Self {
            organization,
            environment: &|name| std::env::var(name).ok(),
        }
    }
}

/// How placeholders look in a file, and how a value must be written there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Syntax {
    Json,
    Xml,
    /// XML in which `${…}` is the business of the engine.
    Model,
}

impl Syntax {
    pub(super) fn of_resource(path: &str) -> Self {
        if path.ends_with(".json") {
            Self::Json
        } else {
            Self::Xml
        }
    }

    /// Where the next placeholder begins. Both forms mean the same in resources.
    fn next(self, text: &str) -> Option<usize> {
        let plain = text.find("#{");
        let dollar = text.find("${").filter(|_| self != Self::Model);
        plain.into_iter().chain(dollar).min()
    }

    fn escaped(self, value: &str) -> String {
        match self {
            Self::Json => {
                let quoted = serde_json::Value::from(value).to_string();
                quoted[1..quoted.len() - 1].to_owned()
            }
            Self::Xml | Self::Model => value
                .replace('&', "&amp;")
                .replace('<', "&lt;")
                .replace('>', "&gt;")
                .replace('"', "&quot;"),
        }
    }
}

/// The text with all values in it.
///
/// # Errors
/// What is wrong with each placeholder that has no value.
pub(super) fn replace(
    text: &str,
    syntax: Syntax,
    manifest: &Manifest,
    substitutes: &Substitutes<'_>,
) -> Result<String, Vec<String>> {
    let mut replaced = String::with_capacity(text.len());
    let mut problems = Vec::new();
    let mut rest = text;
    while let Some(start) = syntax.next(rest) {
        let Some(length) = rest[start..].find('}') else {
            break;
        };
        let (name, default) = match rest[start + 2..start + length].split_once(':') {
            Some((name, default)) => (name, Some(default)),
            None => (&rest[start + 2..start + length], None),
        };
        replaced.push_str(&rest[..start]);
        match value(name, manifest, substitutes).or_else(|| default.map(str::to_owned)) {
            Some(value) => replaced.push_str(&syntax.escaped(&value)),
            None => problems.push(format!(
                "#{{{name}}} has no value: set the environment variable {}, or write \
                 #{{{name}:default}}",
                variable(name)
            )),
        }
        rest = &rest[start + length + 1..];
    }
    replaced.push_str(rest);
    problems.dedup();
    if problems.is_empty() {
        Ok(replaced)
    } else {
        Err(problems)
    }
}

/// The text with something in place of every placeholder, for those who only want to know what a
/// file is about.
pub(super) fn filled(text: &str, syntax: Syntax) -> String {
    let mut done = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = syntax.next(rest) {
        let Some(length) = rest[start..].find('}') else {
            break;
        };
        done.push_str(&rest[..start]);
        done.push_str(match &rest[start + 2..start + length] {
            "version" => "1.0",
            "date" => "2000-01-01",
            name => name.split_once(':').map_or("value", |(_, default)| default),
        });
        rest = &rest[start + length + 1..];
    }
    done + rest
}

fn value(name: &str, manifest: &Manifest, substitutes: &Substitutes<'_>) -> Option<String> {
    match name {
        "version" => Some(manifest.version.resource_version().to_owned()),
        "date" => Some(manifest.release_date.clone()),
        "organization" => Some(substitutes.organization.to_owned()),
        other => (substitutes.environment)(&variable(other)),
    }
}

/// `any.name` is the environment variable `ANY_NAME`.
pub(super) fn variable(name: &str) -> String {
    name.to_uppercase().replace(['.', '-'], "_")
}
