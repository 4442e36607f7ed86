//! From the words of a rule to rights; what is wrong is dropped with a warning.

use std::collections::{BTreeSet, HashSet};

use crate::auth::identity::Coding;
use crate::auth::right::{Operation, Rights, Scope};
use crate::r4::ResourceType;

use super::{GrantText, Rule, RuleText};

pub(super) fn rule(text: &RuleText, warnings: &mut Vec<String>) -> Rule {
    let mut words = Words {
        rule: &text.name,
        warnings,
    };
    Rule {
        name: text.name.clone(),
        thumbprints: words.keep(&text.thumbprints, is_thumbprint, "no SHA-512 thumbprint"),
        emails: words.keep(&text.emails, is_email, "no e-mail address"),
        token_roles: not_blank(&text.token_roles),
        token_groups: not_blank(&text.token_groups),
        rights: words.rights(&text.dsf_roles),
        practitioner_roles: words.practitioner_roles(&text.practitioner_roles),
    }
}

struct Words<'a> {
    rule: &'a str,
    warnings: &'a mut Vec<String>,
}

impl Words<'_> {
    fn warn(&mut self, what: &str) {
        self.warnings
            .push(format!("role rule '{}': {what}, ignored", self.rule));
    }

    fn keep(&mut self, values: &[String], accept: fn(&str) -> bool, why: &str) -> HashSet<String> {
        let mut kept = HashSet::new();
        for value in values.iter().map(|value| value.trim()) {
            if accept(value) {
                kept.insert(value.to_owned());
            } else {
                self.warn(&format!("'{value}' is {why}"));
            }
        }
        kept
    }

    /// One word that nobody knows drops the whole entry: what is left might be wider than meant.
    fn rights(&mut self, grants: &[GrantText]) -> Rights {
        let mut rights = Rights::default();
        for grant in grants {
            let Some(operation) = Operation::from_name(&grant.operation) else {
                self.warn(&format!("dsf-role '{}' is no operation", grant.operation));
                continue;
            };
            let types: Result<BTreeSet<_>, &String> = grant
                .types
                .iter()
                .map(|t| ResourceType::from_name(t).ok_or(t))
                .collect();
            match types {
                Ok(types) if types.is_empty() => rights.add(operation, Scope::Everything),
                Ok(types) => rights.add(operation, Scope::Types(types)),
                Err(unknown) => {
                    let operation = operation.name();
                    self.warn(&format!(
                        "dsf-role {operation} names the unknown type '{unknown}'"
                    ));
                }
            }
        }
        rights
    }

    fn practitioner_roles(&mut self, values: &[String]) -> Vec<Coding> {
        let mut roles = Vec::new();
        for value in values {
            match value.trim().split_once('|') {
                Some((system, code))
                    if !system.is_empty() && !code.is_empty() && !code.contains('|') =>
                {
                    roles.push(Coding::new(system, code));
                }
                _ => self.warn(&format!("practitioner-role '{value}' is not system|code")),
            }
        }
        roles
    }
}

fn not_blank(values: &[String]) -> HashSet<String> {
    let trimmed = values.iter().map(|value| value.trim());
    trimmed
        .filter(|value| !value.is_empty())
        .map(str::to_owned)
        .collect()
}

fn is_thumbprint(text: &str) -> bool {
    text.len() == 128 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Plain atoms, a domain of plain labels, a top level of two to six letters (§2.7).
fn is_email(text: &str) -> bool {
    let in_atom = |c: char| c.is_ascii_alphanumeric() || "_!#$%&'*+/=?`{|}~^-".contains(c);
    let in_label = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let all = |part: &str, accept: fn(char) -> bool| !part.is_empty() && part.chars().all(accept);
    let Some((local, domain)) = text.split_once('@') else {
        return false;
    };
    let Some((labels, top)) = domain.rsplit_once('.') else {
        return false;
    };
    local.split('.').all(|atom| all(atom, in_atom))
        && labels.split('.').all(|label| all(label, in_label))
        && (2..=6).contains(&top.len())
        && top.chars().all(|c| c.is_ascii_alphabetic())
}
