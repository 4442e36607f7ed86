//! What is called differently here: hosts, thumbprints, ids.

use std::collections::HashMap;

use url::form_urlencoded::byte_serialize;

use super::super::harness::World;

/// Names of the recording and ours, learned in pairs.
#[derive(Default)]
pub struct Renaming {
    /// Texts of fixed names: base URLs, plain and as they stand in a query, and thumbprints.
    names: Vec<(String, String)>,
    ids: HashMap<String, String>,
    taken: HashMap<String, String>,
}

impl Renaming {
    pub fn of(world: &World) -> Self {
        let mut names = Vec::new();
        for (name, letter) in [("bpe-a", 'a'), ("bpe-b", 'b')] {
            let member = world.member(name);
            let (recorded, ours) = (
                format!("https://fhir.{letter}.example/fhir"),
                member.base_url(),
            );
            names.push((encoded(&recorded), encoded(&ours)));
            names.push((recorded, ours));
            names.push((format!("{letter:0>128}"), member.thumbprint.clone()));
        }
        Self {
            names,
            ..Self::default()
        }
    }

    /// A text of the recording in our names, as far as they are known.
    pub fn to_ours(&self, text: &str) -> String {
        let named = self
            .names
            .iter()
            .fold(text.to_owned(), |text, (old, new)| text.replace(old, new));
        let mut result = String::new();
        let mut rest = named.as_str();
        while let Some((before, id, after)) = next_id(rest) {
            result += before;
            result += self.ids.get(id).map_or(id, String::as_str);
            rest = after;
        }
        result + rest
    }

    /// Whether our text is the recorded one. Ids that meet here for the first time are the same
    /// from now on.
    pub fn are_equal(&mut self, recorded: &str, ours: &str) -> bool {
        let named = self
            .names
            .iter()
            .fold(recorded.to_owned(), |text, (old, new)| {
                text.replace(old, new)
            });
        let (mut left, mut right) = (named.as_str(), ours);
        loop {
            match (next_id(left), next_id(right)) {
                (Some((text, id, rest)), Some((same, other, more))) => {
                    if text != same || !self.meet(id, other) {
                        return false;
                    }
                    (left, right) = (rest, more);
                }
                (None, None) => return left == right,
                _ => return false,
            }
        }
    }

    fn meet(&mut self, recorded: &str, ours: &str) -> bool {
        let known = self
            .ids
            .entry(recorded.to_owned())
            .or_insert_with(|| ours.to_owned());
        let back = self
            .taken
            .entry(ours.to_owned())
            .or_insert_with(|| recorded.to_owned());
        known == ours && back == recorded
    }
}

fn encoded(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect()
}

/// The first UUID in a text, with what stands before and after it.
fn next_id(text: &str) -> Option<(&str, &str, &str)> {
    const LENGTH: usize = 36;
    let is_id = |start: &usize| {
        let candidate = text.get(*start..start + LENGTH);
        candidate.is_some_and(|candidate| uuid::Uuid::try_parse(candidate).is_ok())
    };
    let start = (0..text.len().saturating_sub(LENGTH - 1)).find(is_id)?;
    Some((
        &text[..start],
        &text[start..start + LENGTH],
        &text[start + LENGTH..],
    ))
}
