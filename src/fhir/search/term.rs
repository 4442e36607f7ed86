//! The words of the index: `Type:parameter=value` and its variants.
//!
//! `=` is the whole value (`system|code` for tokens), `~` the code whatever its system, `^` the
//! system whatever its code; `:identifier` after the parameter is the inline identifier of a
//! reference.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::r4::ResourceType;

/// An index entry may not fill a page of PostgreSQL; what is longer is told apart by its digest.
const LONGEST: usize = 240;

/// One term. NUL, which PostgreSQL cannot store, is left out.
pub(super) fn term(kind: ResourceType, parameter: &str, form: char, value: &str) -> String {
    let mut text = format!("{kind}:{parameter}{form}{value}");
    if text.contains('\0') {
        text = text.replace('\0', "");
    }
    if text.len() <= LONGEST {
        return text;
    }
    let digest = Sha256::digest(text.as_bytes());
    let end = (0..=LONGEST)
        .rev()
        .find(|end| text.is_char_boundary(*end))
        .unwrap_or(0);
    text.truncate(end);
    text.push('#');
    for byte in digest {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The whole value.
pub(super) fn whole(kind: ResourceType, parameter: &str, value: &str) -> String {
    term(kind, parameter, '=', value)
}

/// Text without regard to case.
pub(super) fn folded(text: &str) -> String {
    text.to_lowercase()
}
