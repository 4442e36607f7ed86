//! What the `div` of a narrative may hold (fhir-conformance §2.11, txt-1 and txt-2): text and
//! simple markup, nothing that acts, loads or styles beyond itself, and something to read.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// The elements of XHTML that R4 allows.
const ELEMENTS: [&str; 63] = [
    "a",
    "abbr",
    "acronym",
    "address",
    "b",
    "big",
    "blockquote",
    "br",
    "caption",
    "cite",
    "code",
    "col",
    "colgroup",
    "dd",
    "dfn",
    "div",
    "dl",
    "dt",
    "em",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "i",
    "img",
    "li",
    "ol",
    "p",
    "pre",
    "q",
    "s",
    "samp",
    "small",
    "span",
    "strike",
    "strong",
    "sub",
    "sup",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "tr",
    "tt",
    "u",
    "ul",
    "var",
    "ins",
    "del",
    "kbd",
    "bdo",
    "bdi",
    "wbr",
    "center",
    "nav",
    "figure",
    "figcaption",
    "article",
];

/// The attributes that R4 allows, on whatever element.
const ATTRIBUTES: [&str; 47] = [
    "title",
    "style",
    "class",
    "id",
    "idref",
    "lang",
    "xml:lang",
    "xml:space",
    "dir",
    "accesskey",
    "tabindex",
    "translate",
    "href",
    "name",
    "src",
    "height",
    "width",
    "alt",
    "ismap",
    "usemap",
    "border",
    "rules",
    "frame",
    "summary",
    "cellpadding",
    "cellspacing",
    "abbr",
    "axis",
    "headers",
    "scope",
    "colspan",
    "rowspan",
    "align",
    "valign",
    "char",
    "charoff",
    "span",
    "cite",
    "datetime",
    "type",
    "start",
    "value",
    "compact",
    "nowrap",
    "bgcolor",
    "color",
    "size",
];

/// What is wrong with a narrative; `None` if it is fine.
#[must_use]
pub fn problem(div: &str) -> Option<String> {
    let mut reader = Reader::from_str(div);
    let mut has_content = false;
    loop {
        match reader.read_event() {
            Ok(Event::Start(start) | Event::Empty(start)) => {
                if let Some(problem) = element(&start) {
                    return Some(problem);
                }
                has_content |= start.local_name().as_ref() == "img";
            }
            Ok(Event::Text(text)) => has_content |= text.chars().any(|c| !c.is_whitespace()),
            Ok(Event::GeneralRef(_)) => has_content = true,
            Ok(Event::Eof) => break,
            Ok(_) => {}
            Err(error) => return Some(format!("it is not well-formed: {error}")),
        }
    }
    (!has_content).then(|| "it holds no text".to_owned())
}

fn element(start: &BytesStart<'_>) -> Option<String> {
    let name = start.local_name();
    let name = name.as_ref();
    if !ELEMENTS.contains(&name) {
        return Some(format!("element <{name}> is not allowed"));
    }
    for attribute in start.attributes().flatten() {
        let key = attribute.key.as_ref();
        if key == "xmlns" || key.starts_with("xmlns:") {
            continue;
        }
        if !ATTRIBUTES.contains(&key) {
            return Some(format!("attribute {key} of <{name}> is not allowed"));
        }
        let value = attribute.value.trim_start().to_ascii_lowercase();
        if value.starts_with("javascript:") || value.starts_with("vbscript:") {
            return Some(format!("attribute {key} of <{name}> runs a script"));
        }
    }
    None
}
