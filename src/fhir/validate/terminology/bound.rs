//! Code systems that are too large to list, or no list at all: their codes are held to a form.

/// Whether a code has the form of this system's codes; `None` for systems that are listed.
#[must_use]
pub fn is_of_external(system: &str, code: &str) -> Option<bool> {
    let letters = |min: usize, max: usize, text: &str| {
        (min..=max).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphabetic())
    };
    Some(match system {
        "urn:iso:std:iso:4217" => code.len() == 3 && code.bytes().all(|b| b.is_ascii_uppercase()),
        "urn:iso:std:iso:3166" => {
            letters(2, 3, code) || (code.len() == 3 && code.bytes().all(|b| b.is_ascii_digit()))
        }
        "urn:iso:std:iso:3166:-2" => {
            let mut parts = code.splitn(2, '-');
            parts.next().is_some_and(|country| letters(2, 2, country))
                && parts
                    .next()
                    .is_some_and(|region| (1..=3).contains(&region.len()))
        }
        "urn:ietf:bcp:47" => {
            let mut subtags = code.split('-');
            subtags
                .next()
                .is_some_and(|language| letters(2, 8, language) || language == "x")
                && subtags.all(|tag| {
                    (1..=8).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_alphanumeric())
                })
        }
        // UCUM is a grammar: printable ASCII without blanks.
        "http://unitsofmeasure.org" => {
            !code.is_empty() && code.bytes().all(|b| b.is_ascii_graphic())
        }
        "urn:ietf:rfc:3986" => !code.contains(char::is_whitespace),
        _ => return None,
    })
}
