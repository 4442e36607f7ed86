//! DSF's YAML form of the role rules, with all shapes that the Java server accepts (§2.7).

use saphyr::{LoadableYamlNode, ScanError, Yaml};

use super::{GrantText, RuleText};

#[derive(Debug, thiserror::Error)]
#[error("the role file is no YAML: {0}")]
pub struct NoYaml(#[from] ScanError);

/// Reads the rules of the first document. Anything but a list of rules is no rules.
pub(super) fn read(text: &str, warnings: &mut Vec<String>) -> Result<Vec<RuleText>, NoYaml> {
    let documents = Yaml::load_from_str(text)?;
    let mut rules = Vec::new();
    match documents.first() {
        Some(Yaml::Sequence(items)) => {
            for item in items {
                read_item(item, &mut rules, warnings);
            }
        }
        None => {}
        Some(document) if document.is_null() => {}
        Some(_) => warnings.push("the role file is no list, so it has no rules".to_owned()),
    }
    Ok(rules)
}

/// One list item may hold several named rules.
fn read_item(item: &Yaml<'_>, rules: &mut Vec<RuleText>, warnings: &mut Vec<String>) {
    let Some(named) = item.as_mapping() else {
        warnings.push("a role rule is no map of name and properties, ignored".to_owned());
        return;
    };
    for (name, properties) in named {
        let name = name.as_str().unwrap_or("?").to_owned();
        let Some(properties) = properties.as_mapping() else {
            warnings.push(format!("role rule '{name}': no map of properties, ignored"));
            continue;
        };
        let mut rule = RuleText {
            name,
            ..RuleText::default()
        };
        for (key, value) in properties {
            read_property(&mut rule, key.as_str().unwrap_or("?"), value, warnings);
        }
        rules.push(rule);
    }
}

fn read_property(rule: &mut RuleText, key: &str, value: &Yaml<'_>, warnings: &mut Vec<String>) {
    match key {
        "thumbprint" => rule.thumbprints = strings(value),
        "email" => rule.emails = strings(value),
        "token-role" => rule.token_roles = strings(value),
        "token-group" => rule.token_groups = strings(value),
        "practitioner-role" => rule.practitioner_roles = strings(value),
        "dsf-role" => {
            if value.is_mapping() {
                let name = &rule.name;
                warnings.push(format!(
                    "role rule '{name}': dsf-role is a map, no list, ignored"
                ));
            }
            for entry in one_or_many(value) {
                match grant(entry) {
                    Some(grant) => rule.dsf_roles.push(grant),
                    None => warnings.push(format!(
                        "role rule '{}': a dsf-role is neither an operation nor one operation \
                         with its types, ignored",
                        rule.name
                    )),
                }
            }
        }
        _ => warnings.push(format!(
            "role rule '{}': unknown key '{key}', ignored",
            rule.name
        )),
    }
}

/// A string, or the strings of a list; anything else is silently nothing.
fn strings(value: &Yaml<'_>) -> Vec<String> {
    one_or_many(value)
        .filter_map(|item| item.as_str().map(str::to_owned))
        .collect()
}

/// A single string counts as a list of one; a bare map or number does not.
fn one_or_many<'a>(value: &'a Yaml<'a>) -> impl Iterator<Item = &'a Yaml<'a>> {
    let single = Some(value).filter(|value| value.as_str().is_some());
    single
        .into_iter()
        .chain(value.as_sequence().into_iter().flatten())
}

/// `OPERATION` or `{ OPERATION: [Type, …] }`. A list with anything but strings in it would mean
/// something else than is written, so it is no grant.
fn grant(entry: &Yaml<'_>) -> Option<GrantText> {
    if let Some(operation) = entry.as_str() {
        return Some(GrantText {
            operation: operation.to_owned(),
            types: Vec::new(),
        });
    }
    let entry = entry.as_mapping().filter(|entry| entry.len() == 1)?;
    let (operation, types) = entry.iter().next()?;
    let types: Option<Vec<String>> = types
        .as_sequence()?
        .iter()
        .map(|t| t.as_str().map(str::to_owned))
        .collect();
    Some(GrantText {
        operation: operation.as_str()?.to_owned(),
        types: types?,
    })
}
