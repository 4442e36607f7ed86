//! Role rules: which persons have which rights (auth-config §2.7).
//!
//! Rules come from DSF's YAML file ([`Roles::from_yaml`]) and from `[[role]]` tables of the
//! configuration ([`Roles::from_texts`]). What a rule says wrongly is dropped with a warning and
//! never makes a right wider; only a file that is no YAML at all is an error.

mod check;
#[cfg(test)]
mod tests;
mod yaml;

use std::collections::HashSet;

use super::identity::Coding;
use super::right::Rights;

pub use yaml::NoYaml;

/// A rule as written, before its words are checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleText {
    /// For warnings only; need not be unique.
    pub name: String,
    pub thumbprints: Vec<String>,
    pub emails: Vec<String>,
    pub token_roles: Vec<String>,
    pub token_groups: Vec<String>,
    pub dsf_roles: Vec<GrantText>,
    pub practitioner_roles: Vec<String>,
}

/// One entry of `dsf-role`: an operation, for these types or, if there are none, for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantText {
    pub operation: String,
    pub types: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Rule {
    name: String,
    thumbprints: HashSet<String>,
    emails: HashSet<String>,
    token_roles: HashSet<String>,
    token_groups: HashSet<String>,
    rights: Rights,
    practitioner_roles: Vec<Coding>,
}

/// What a person proves: any one of these that a rule lists makes the rule match.
#[derive(Clone, Copy, Debug, Default)]
pub struct Claims<'a> {
    pub thumbprint: Option<&'a str>,
    pub email: Option<&'a str>,
    pub token_roles: &'a [String],
    pub token_groups: &'a [String],
}

/// The union over all rules that match a person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Granted {
    pub rights: Rights,
    pub practitioner_roles: Vec<Coding>,
}

/// All role rules of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    rules: Vec<Rule>,
    warnings: Vec<String>,
}

impl Roles {
    /// Rules of the configuration file.
    #[must_use]
    pub fn from_texts(texts: &[RuleText]) -> Self {
        let mut warnings = Vec::new();
        let rules = texts
            .iter()
            .map(|text| check::rule(text, &mut warnings))
            .collect();
        Self { rules, warnings }
    }

    /// Rules of a DSF role file.
    ///
    /// # Errors
    ///
    /// If the text is no YAML.
    pub fn from_yaml(text: &str) -> Result<Self, NoYaml> {
        let mut warnings = Vec::new();
        let texts = yaml::read(text, &mut warnings)?;
        let checked = Self::from_texts(&texts);
        warnings.extend(checked.warnings);
        Ok(Self {
            rules: checked.rules,
            warnings,
        })
    }

    /// Adds the rules of another source.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.rules.extend(other.rules);
        self.warnings.extend(other.warnings);
        self
    }

    /// What was dropped while reading, a sentence each; to be logged at every load.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The rules with what each grants by itself.
    pub fn rules(&self) -> impl Iterator<Item = (&str, Granted)> {
        self.rules.iter().map(|rule| {
            let granted = Granted {
                rights: rule.rights.clone(),
                practitioner_roles: rule.practitioner_roles.clone(),
            };
            (rule.name.as_str(), granted)
        })
    }

    /// The names of the rules that list a person.
    #[must_use]
    pub fn matching(&self, claims: &Claims<'_>) -> Vec<&str> {
        let matching = self.rules.iter().filter(|rule| rule.lists(claims));
        matching.map(|rule| rule.name.as_str()).collect()
    }

    /// What a person may do, if any rule lists it; possibly nothing.
    #[must_use]
    pub fn granted(&self, claims: &Claims<'_>) -> Option<Granted> {
        let mut matching = self
            .rules
            .iter()
            .filter(|rule| rule.lists(claims))
            .peekable();
        matching.peek()?;
        let mut granted = Granted::default();
        for rule in matching {
            for (operation, scope) in rule.rights.iter() {
                granted.rights.add(operation, scope.clone());
            }
            for role in &rule.practitioner_roles {
                if !granted.practitioner_roles.contains(role) {
                    granted.practitioner_roles.push(role.clone());
                }
            }
        }
        Some(granted)
    }
}

impl Rule {
    fn lists(&self, claims: &Claims<'_>) -> bool {
        claims
            .thumbprint
            .is_some_and(|thumbprint| self.thumbprints.contains(thumbprint))
            || claims
                .email
                .is_some_and(|email| self.emails.contains(email))
            || claims
                .token_roles
                .iter()
                .any(|role| self.token_roles.contains(role))
            || claims
                .token_groups
                .iter()
                .any(|group| self.token_groups.contains(group))
    }
}
