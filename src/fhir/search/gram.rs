//! Pieces of texts as terms, so that an index finds texts by their beginning and by what they
//! contain. They only narrow: the text itself is looked at after them.

use crate::r4::ResourceType;
use crate::store::fhir::search::{Condition, Test};

use super::term::term;

/// Characters of the beginnings that are terms.
const BEGINNINGS: [usize; 4] = [1, 2, 4, 8];
/// Characters of the pieces that are terms.
const PIECE: usize = 3;
/// Of a longer text no pieces are kept; it is looked at by every search for what texts contain.
const LONGEST: usize = 256;
/// More pieces of a search do not narrow it further.
const ENOUGH: usize = 16;

/// The terms of a text; without regard to case when the text is [`super::term::folded`].
pub(super) fn grams(kind: ResourceType, parameter: &str, text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let mut found: Vec<String> = BEGINNINGS
        .iter()
        .filter_map(|count| chars.get(..*count))
        .map(|beginning| term(kind, parameter, '<', &String::from_iter(beginning)))
        .collect();
    if chars.len() > LONGEST {
        found.push(long(kind, parameter));
    } else {
        found.extend(pieces(kind, parameter, &chars));
    }
    found
}

fn pieces(kind: ResourceType, parameter: &str, chars: &[char]) -> impl Iterator<Item = String> {
    chars
        .windows(PIECE)
        .map(move |piece| term(kind, parameter, '*', &String::from_iter(piece)))
}

fn long(kind: ResourceType, parameter: &str) -> String {
    term(kind, parameter, '*', "")
}

/// Texts that begin with this one.
pub(super) fn beginning(kind: ResourceType, parameter: &'static str, text: &str) -> Condition {
    let chars: Vec<char> = text.chars().collect();
    let test = Condition::Value(parameter, Test::StartsWith(text.to_owned()));
    let known = BEGINNINGS
        .iter()
        .rev()
        .find_map(|count| chars.get(..*count));
    let Some(known) = known else { return test };
    let token = term(kind, parameter, '<', &String::from_iter(known));
    Condition::All(vec![Condition::Token(vec![token]), test])
}

/// Texts that contain this one.
pub(super) fn containing(kind: ResourceType, parameter: &'static str, text: &str) -> Condition {
    let chars: Vec<char> = text.chars().collect();
    let test = Condition::Value(parameter, Test::Contains(text.to_owned()));
    let pieces: Vec<String> = pieces(kind, parameter, &chars).take(ENOUGH).collect();
    if pieces.is_empty() {
        return test;
    }
    let long = Condition::Token(vec![long(kind, parameter)]);
    let narrow = Condition::Any(vec![Condition::Words(pieces), long]);
    Condition::All(vec![narrow, test])
}
