//! The `div` of a narrative: one XHTML element, kept as it is written.
//!
//! Only what both JSON and XML can carry unchanged comes out: line ends are `\n`, and the names
//! that HTML gives to characters (`&nbsp;`), which XML does not know, become numbers.

use std::borrow::Cow;
use std::fmt::Write;

use quick_xml::escape::{resolve_html5_entity, resolve_xml_entity};
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

const NAMESPACE: &str = "http://www.w3.org/1999/xhtml";

/// Checks that this is a well-formed `div`; otherwise says what is wrong, and at which byte.
pub(super) fn check(div: &str) -> Result<Cow<'_, str>, (usize, String)> {
    // Blanks around the element are not of the narrative; XML would lose them.
    let div = div.trim_matches([' ', '\t', '\n', '\r']);
    let mut reader = Reader::from_str(div);
    let (mut depth, mut is_done, mut has_names) = (0_usize, false, false);
    loop {
        let at = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
        let fault = |message: &str| (at, format!("narrative: {message}"));
        match reader
            .read_event()
            .map_err(|error| fault(&error.to_string()))?
        {
            Event::Start(start) if !is_done => {
                has_names |= check_start(&start, depth).map_err(|message| fault(&message))?;
                depth += 1;
            }
            Event::Empty(start) if !is_done => {
                has_names |= check_start(&start, depth).map_err(|message| fault(&message))?;
                is_done = depth == 0;
            }
            Event::End(_) => {
                depth -= 1;
                is_done = depth == 0;
            }
            Event::Text(_) if depth > 0 => {}
            Event::Comment(_) if depth > 0 => {}
            Event::GeneralRef(reference) if depth > 0 => {
                has_names |= check_entity(&reference).map_err(|message| fault(&message))?;
            }
            Event::Eof if is_done => break,
            Event::Eof => return Err(fault("ends before its div is closed")),
            _ => return Err(fault("expected one div element with text and elements")),
        }
    }
    let div = if has_names {
        Cow::Owned(number_names(div))
    } else {
        Cow::Borrowed(div)
    };
    if div.contains('\r') {
        return Ok(Cow::Owned(div.replace("\r\n", "\n").replace('\r', "\n")));
    }
    Ok(div)
}

/// Checks a start tag; tells whether an attribute uses a name of HTML for a character.
fn check_start(start: &BytesStart<'_>, depth: usize) -> Result<bool, String> {
    let (mut namespace, mut has_names) = (None, false);
    let (declaration, local) = match start.name().0.split_once(':') {
        Some((prefix, local)) => (format!("xmlns:{prefix}"), local.to_owned()),
        None => ("xmlns".to_owned(), start.name().0.to_owned()),
    };
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| error.to_string())?;
        if attribute.value.contains('<') {
            return Err("'<' in an attribute".to_owned());
        }
        let resolve = |name: &str| resolve_xml_entity(name).or_else(|| resolve_html5_entity(name));
        let value = attribute.normalized_value_with(XmlVersion::Implicit1_0, 1, resolve);
        let value = value.map_err(|error| error.to_string())?;
        has_names |= attribute.value.contains('&')
            && attribute
                .normalized_value_with(XmlVersion::Implicit1_0, 1, resolve_xml_entity)
                .is_err();
        if attribute.key.0 == declaration {
            namespace = Some(value.into_owned());
        }
    }
    if depth == 0 && (local != "div" || namespace.as_deref() != Some(NAMESPACE)) {
        return Err(format!("expected <div xmlns=\"{NAMESPACE}\">"));
    }
    Ok(has_names)
}

/// Checks `&…;` in text; tells whether it is a name that only HTML knows.
fn check_entity(reference: &quick_xml::events::BytesRef<'_>) -> Result<bool, String> {
    let name = reference.xml10_content();
    if reference.is_char_ref() {
        let character = reference
            .resolve_char_ref()
            .map_err(|error| error.to_string())?;
        return character
            .map(|_| false)
            .ok_or_else(|| format!("no character &{name};"));
    }
    match (resolve_xml_entity(&name), resolve_html5_entity(&name)) {
        (Some(_), _) => Ok(false),
        (None, Some(_)) => Ok(true),
        (None, None) => Err(format!("unknown entity &{name};")),
    }
}

fn number_names(div: &str) -> String {
    let mut numbered = String::with_capacity(div.len());
    let mut rest = div;
    while let Some((before, after)) = rest.split_once('&') {
        numbered.push_str(before);
        let named = after.split_once(';').and_then(|(name, after)| {
            let is_of_xml = resolve_xml_entity(name).is_some();
            Some((resolve_html5_entity(name).filter(|_| !is_of_xml)?, after))
        });
        match named {
            Some((characters, after)) => {
                for character in characters.chars() {
                    // Writing to a String cannot fail.
                    let _ = write!(numbered, "&#{};", u32::from(character));
                }
                rest = after;
            }
            None => {
                numbered.push('&');
                rest = after;
            }
        }
    }
    numbered.push_str(rest);
    numbered
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn a_narrative_is_one_well_formed_div_without_foreign_entities() {
        let div =
            |inner: &str| format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">{inner}</div>");
        let good = div("a <b title='&lt;'>b</b>&#160;<br/><!-- c -->");
        assert_eq!(check(&good).unwrap(), good);
        assert_eq!(check(&div("a&nbsp;b\r\nc")).unwrap(), div("a&#160;b\nc"));
        let bad = [
            "<b>",
            "<b></i>",
            "&secret;",
            "a & b",
            "<!DOCTYPE x>",
            "<b a='1' a='2'/>",
        ];
        for inner in bad {
            assert!(check(&div(inner)).is_err(), "{inner}");
        }
        let prefixed = "<h:div xmlns:h='http://www.w3.org/1999/xhtml'><h:b/></h:div>";
        assert_eq!(check(&format!("\n{prefixed} ")).unwrap(), prefixed);
        for text in [
            "",
            "text",
            "<div>x</div>",
            "<p xmlns='http://www.w3.org/1999/xhtml'/>",
        ] {
            assert!(check(text).is_err(), "{text}");
        }
        assert!(check(&(div("a") + &div("b"))).is_err());
    }
}
