//! The documents that are made from the keys' doc comments: `dsf.toml.example`,
//! `docs/configuration.md` and the text of `dsf config explain`.

use std::fmt::Write as _;

use crate::config::layer::variable_of_key;
use crate::config::role::RoleRule;
use crate::config::{Key, Presence, Section, Shape, keys};

const EXAMPLE_HEAD: &str = "\
# Configuration of dsf. Written by `dsf config example`; every key is explained in
# docs/configuration.md and by `dsf config explain KEY`.
#
# Keys without # must be set for the roles that use their section; the others show their
# default, or an example. Relative paths are relative to this file. Each key may also be set by
# an environment variable (DSF_SECTION__KEY) or by `--set section.key=value`.
";

const REFERENCE_HEAD: &str = "\
# Configuration

<!-- Written by `dsf config example --markdown`; do not edit. -->

`dsf` reads its built-in defaults, then `dsf.toml` (or the file named by `--config`), then
environment variables, then `--set section.key=value`; later ones win, key by key. The variable
of a key is `DSF_`, the section, two underscores and the key, in capitals and with underscores:
`fhir.base-url` is `DSF_FHIR__BASE_URL`. Lists are written with commas there.

Relative paths are relative to the file they stand in. A secret key `name` may be given as
`name-file`, the path of a file that holds it. `dsf config check` reports all problems at once,
`dsf config show` prints the values in force and where each came from.
";

/// The text of `dsf.toml.example`.
#[must_use]
pub fn example() -> String {
    let mut text = EXAMPLE_HEAD.to_owned();
    for section in keys::sections() {
        excerpt(&mut text, &format!("[{}]", section.name), section, "");
    }
    excerpt(&mut text, "# [[role]]", &RoleRule::SECTION, "# ");
    text
}

/// One section of the example; `hash` goes before keys that must be set.
fn excerpt(text: &mut String, title: &str, section: &Section, hash: &str) {
    text.push('\n');
    comment(text, section.about);
    line(text, title);
    for key in section.keys {
        let hash = match key.presence {
            Presence::Required | Presence::ByRole => hash,
            Presence::Optional | Presence::Default => "# ",
        };
        text.push('\n');
        comment(text, key.doc);
        line(text, &format!("{hash}{} = {}", key.name, written(key)));
    }
}

/// The text of `docs/configuration.md`.
#[must_use]
pub fn reference() -> String {
    let mut text = REFERENCE_HEAD.to_owned();
    for section in keys::sections() {
        chapter(&mut text, &format!("[{}]", section.name), section);
    }
    chapter(&mut text, "[[role]]", &RoleRule::SECTION);
    text
}

/// What there is to know about `section.key`, or about all keys of a section.
#[must_use]
pub fn explanation(name: &str) -> Option<String> {
    let (table, wanted) = match name.split_once('.') {
        Some((table, key)) => (table, Some(key)),
        None => (name, None),
    };
    const ROLE: &Section = &RoleRule::SECTION;
    let section = keys::sections()
        .chain([ROLE])
        .find(|section| section.name == table)?;
    let mut text = String::new();
    for key in section
        .keys
        .iter()
        .filter(|key| wanted.is_none_or(|wanted| wanted == key.name))
    {
        line(&mut text, &format!("{table}.{}", key.name));
        for doc in key.doc {
            line(&mut text, &format!("    {}", doc.trim()));
        }
        line(&mut text, &format!("    value:    {}", key.expected));
        line(&mut text, &format!("    {}", presence(key, "")));
        if section.name != ROLE.name {
            let variable = variable_of_key(&format!("{table}.{}", key.name));
            line(&mut text, &format!("    variable: {variable}"));
        }
    }
    (!text.is_empty()).then_some(text)
}

fn chapter(text: &mut String, title: &str, section: &Section) {
    line(text, &format!("\n## `{title}`\n"));
    line(text, &joined(section.about));
    for key in section.keys {
        line(text, &format!("\n### `{}`\n", key.name));
        line(text, &format!("{}\n", joined(key.doc)));
        line(text, &format!("* value: {}", key.expected));
        line(text, &format!("* {}", presence(key, "`")));
        if key.secret {
            line(
                text,
                &format!("* secret: may be given as `{}-file`", key.name),
            );
        }
    }
}

fn presence(key: &Key, quote: &str) -> String {
    match key.presence {
        Presence::Required => format!("required; example: {quote}{}{quote}", written(key)),
        Presence::ByRole => {
            format!(
                "required for the role; example: {quote}{}{quote}",
                written(key)
            )
        }
        Presence::Optional => format!("optional; example: {quote}{}{quote}", written(key)),
        Presence::Default => format!("default:  {quote}{}{quote}", written(key)),
    }
}

/// The default or example as TOML.
fn written(key: &Key) -> String {
    match key.shape {
        Shape::Text => format!("\"{}\"", key.text),
        Shape::Number => key.text.to_owned(),
        Shape::List => format!("[{}]", key.text),
    }
}

fn comment(text: &mut String, lines: &[&str]) {
    for doc in lines {
        line(text, &format!("# {}", doc.trim()));
    }
}

fn joined(lines: &[&str]) -> String {
    lines
        .iter()
        .map(|line| line.trim())
        .collect::<Vec<_>>()
        .join("\n")
}

fn line(text: &mut String, content: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{content}");
}
