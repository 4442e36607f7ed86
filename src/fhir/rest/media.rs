//! Media types: what a body is, what the client takes (fhir-api §2.1 to §2.3).

use actix_web::HttpRequest;
use actix_web::http::header;

use crate::fhir::fault::Fault;

/// A representation we can write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Json,
    Xml,
    Html,
}

/// A representation and the exact name the client knows it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Media {
    pub format: Format,
    pub name: &'static str,
}

const fn media(format: Format, name: &'static str) -> Media {
    Media { format, name }
}

pub const FHIR_XML: Media = media(Format::Xml, "application/fhir+xml");
const FHIR_JSON: Media = media(Format::Json, "application/fhir+json");
const HTML: Media = media(Format::Html, "text/html");

/// The types of bodies, and with HTML those of answers.
const BODIES: &[Media] = &[
    FHIR_XML,
    FHIR_JSON,
    media(Format::Xml, "application/xml"),
    media(Format::Json, "application/json"),
    media(Format::Xml, "application/xml+fhir"),
    media(Format::Json, "application/json+fhir"),
];

/// The format of a body with this content type; `None` if it is not FHIR.
#[must_use]
pub fn of_body(content_type: &str) -> Option<Format> {
    let name = content_type.split(';').next().unwrap_or_default().trim();
    BODIES
        .iter()
        .find(|media| media.name.eq_ignore_ascii_case(name))
        .map(|media| media.format)
}

/// The raw `Accept` header; no header is the same as any type.
#[must_use]
pub fn accept(request: &HttpRequest) -> String {
    let values = request.headers().get_all(header::ACCEPT);
    let texts: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
    let joined = texts.join(", ");
    if joined.trim().is_empty() {
        "*/*".to_owned()
    } else {
        joined
    }
}

/// One entry of an `Accept` header.
#[derive(Clone, Debug, PartialEq)]
pub struct Range {
    /// As written, without blanks at its ends.
    pub text: String,
    /// Type and subtype, lower case.
    pub essence: String,
    quality: f32,
}

/// The entries of an `Accept` header, the best first.
#[must_use]
pub fn ranges(accept: &str) -> Vec<Range> {
    let mut ranges: Vec<Range> = accept
        .split(',')
        .map(str::trim)
        .filter(|text| !text.is_empty())
        .map(|text| {
            let mut parts = text.split(';').map(str::trim);
            let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
            let quality = parts
                .find_map(|p| p.strip_prefix("q="))
                .and_then(|q| q.parse().ok());
            Range {
                text: text.to_owned(),
                essence,
                quality: quality.unwrap_or(1.0),
            }
        })
        .filter(|range| range.quality > 0.0)
        .collect();
    ranges.sort_by(|a, b| b.quality.total_cmp(&a.quality));
    ranges
}

/// Whether an entry takes a type.
#[must_use]
pub fn takes(range: &str, essence: &str) -> bool {
    match range.strip_suffix("/*") {
        Some("*") => true,
        Some(family) => essence.split('/').next() == Some(family),
        None => range == essence,
    }
}

/// The representation an `Accept` header asks for. Browsers get pages: they name HTML first.
#[must_use]
pub fn of_accept(accept: &str) -> Option<Media> {
    // As engines say it.
    if let Some(media) = BODIES.iter().find(|media| media.name == accept) {
        return Some(*media);
    }
    let ranges = ranges(accept);
    for range in &ranges {
        if range.essence == HTML.name {
            return Some(HTML);
        }
        if let Some(media) = BODIES
            .iter()
            .find(|media| takes(&range.essence, media.name))
        {
            return Some(*media);
        }
        if takes(&range.essence, HTML.name) {
            return Some(HTML);
        }
    }
    None
}

/// How the answer is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub media: Media,
    pub pretty: bool,
    pub summary: Option<Summary>,
}

/// Parts of a resource a client may ask for (§2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Summary {
    True,
    Text,
    Data,
    Count,
}

/// `_format`, else `Accept`, decides; told before anything is done.
pub fn wanted(request: &HttpRequest, pairs: &[(String, String)]) -> Result<Wanted, Fault> {
    let accepted = of_accept(&accept(request));
    let first = |name: &str| {
        pairs
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, v)| v.as_str())
    };
    let media = match first("_format").filter(|value| !value.trim().is_empty()) {
        Some(value) => of_format(value).ok_or_else(Fault::unsupported_media_type)?,
        None => accepted.ok_or_else(Fault::not_acceptable)?,
    };
    let summary = match first("_summary").map(str::to_ascii_lowercase).as_deref() {
        Some("true") => Some(Summary::True),
        Some("text") => Some(Summary::Text),
        Some("data") => Some(Summary::Data),
        Some("count") => Some(Summary::Count),
        _ => None,
    };
    Ok(Wanted {
        media,
        pretty: first("_pretty") == Some("true"),
        summary,
    })
}

fn of_format(value: &str) -> Option<Media> {
    match value {
        "xml" => Some(FHIR_XML),
        "json" => Some(FHIR_JSON),
        "html" | "text/html" => Some(HTML),
        "text/xml" => Some(media(Format::Xml, "text/xml")),
        // Only raw content can be shown inline; what else is read that way is a resource.
        "inline" => Some(FHIR_XML),
        _ => BODIES.iter().find(|media| media.name == value).copied(),
    }
}

/// How an error is written: by `Accept` alone, and always somehow (§2.3).
#[must_use]
pub fn of_error(request: &HttpRequest) -> Media {
    of_accept(&accept(request)).unwrap_or(FHIR_XML)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_types_browsers_and_anything_get_what_java_gives_them() {
        for (accept, name) in [
            ("application/json+fhir", Some("application/json+fhir")),
            (
                "application/fhir+json; fhirVersion=4.0",
                Some("application/fhir+json"),
            ),
            ("*/*", Some("application/fhir+xml")),
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                Some("text/html"),
            ),
            (
                "application/fhir+xml;q=0.1, application/json",
                Some("application/json"),
            ),
            ("text/xml", None),
            ("image/png", None),
        ] {
            assert_eq!(of_accept(accept).map(|media| media.name), name, "{accept}");
        }
    }
}
