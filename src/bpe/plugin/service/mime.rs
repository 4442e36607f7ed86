//! Which media type content has, told by the content and the declared type together.
//!
//! Text has no signature: what is declared as some kind of text counts as that kind when the
//! content reads like it.

use serde_json::{Value, json};

/// What is declared and what was found, each as base and sub type.
///
/// # Errors
/// When the declared type is none.
pub(super) fn validate(data: &[u8], declared: &str) -> Result<Value, String> {
    let full = declared.split(';').next().unwrap_or_default().trim();
    let full = full.to_ascii_lowercase();
    let parts = full.split_once('/').filter(|(base, sub)| {
        let is_name = |text: &&str| !text.is_empty() && !text.contains(['/', ' ']);
        [base, sub].into_iter().all(is_name)
    });
    let Some((base, sub)) = parts else {
        return Err(format!("'{declared}' is not a media type such as text/csv"));
    };
    let detected = detect(data, &full);
    let (found_base, found_sub) = detected.split_once('/').unwrap_or((&detected, ""));
    Ok(json!({
        "declaredBaseType": base, "declaredSubType": sub,
        "detectedBaseType": found_base, "detectedSubType": found_sub,
    }))
}

fn detect(data: &[u8], declared: &str) -> String {
    let is = |kinds: &[&str]| kinds.contains(&declared);
    match signature(data) {
        Some("text/xml") if is_xml(declared) => declared.to_owned(),
        Some("text/xml") => "application/xml".to_owned(),
        Some(found) if found == "application/zip" && is_packed(declared) => declared.to_owned(),
        Some(found) => found.to_owned(),
        None => match text(data) {
            None => "application/octet-stream".to_owned(),
            Some(text) if looks_like_xml(text) && is_xml(declared) => declared.to_owned(),
            Some(text) if looks_like_xml(text) => "application/xml".to_owned(),
            Some(text) if is_ndjson(text) => ndjson(declared).to_owned(),
            Some(text) if is_json(text) && is_json_type(declared) => declared.to_owned(),
            Some(text) if is_json(text) => "application/json".to_owned(),
            Some(text) if is(&["text/csv"]) && is_csv(text) => declared.to_owned(),
            Some(_) if is(&["text/markdown", "text/css", "text/tab-separated-values"]) => {
                declared.to_owned()
            }
            Some(_) => "text/plain".to_owned(),
        },
    }
}

fn signature(data: &[u8]) -> Option<&'static str> {
    infer::get(data).map(|kind| kind.mime_type())
}

/// UTF-8, perhaps cut within a character, without control characters.
fn text(data: &[u8]) -> Option<&str> {
    let text = match std::str::from_utf8(data) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&data[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let is_control = |one: char| one.is_control() && !matches!(one, '\n' | '\r' | '\t' | '\u{c}');
    (!text.chars().any(is_control)).then(|| text.trim_start_matches('\u{feff}'))
}

fn is_xml(declared: &str) -> bool {
    matches!(declared, "application/xml" | "text/xml") || declared.ends_with("+xml")
}

fn is_json_type(declared: &str) -> bool {
    declared == "application/json" || declared.ends_with("+json")
}

/// Formats that are zip files by themselves.
fn is_packed(declared: &str) -> bool {
    declared.ends_with("+zip") || declared.starts_with("application/vnd.openxmlformats-")
}

fn looks_like_xml(text: &str) -> bool {
    let text = text.trim_start();
    let mut rest = text.strip_prefix('<').unwrap_or_default().chars();
    let first = rest.next();
    text.contains('>')
        && first.is_some_and(|one| one.is_alphabetic() || matches!(one, '?' | '!' | '_'))
}

/// Three lines, each a JSON object; the last of the content may be cut.
fn is_ndjson(text: &str) -> bool {
    let lines = text.lines().filter(|line| !line.trim().is_empty()).take(3);
    let is_object =
        |line: &str| serde_json::from_str::<Value>(line).is_ok_and(|value| value.is_object());
    let mut count = 0;
    lines.inspect(|_| count += 1).all(is_object) && count == 3
}

fn ndjson(declared: &str) -> &str {
    if declared.ends_with("ndjson") || declared.ends_with("json-seq") {
        declared
    } else {
        "application/x-ndjson"
    }
}

/// Begins as JSON does, and is it as far as it goes.
fn is_json(text: &str) -> bool {
    let text = text.trim_start();
    if !text.starts_with(['{', '[']) {
        return false;
    }
    match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Ok(_) => true,
        Err(error) => error.is_eof(),
    }
}

/// The same separator in the first lines.
fn is_csv(text: &str) -> bool {
    let first = text.lines().next().unwrap_or_default();
    [',', ';', '\t'].iter().any(|one| first.contains(*one)) || text.lines().nth(1).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cases of spec/bpe.md §12.2, row 15, and what must not pass for them.
    #[test]
    fn a_declared_type_is_compared_with_the_content() {
        let bundle = b"<?xml version=\"1.0\"?><Bundle xmlns=\"http://hl7.org/fhir\"/>";
        let ndjson = b"{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n";
        let zip = b"PK\x03\x04\x14\x00\x00\x00\x08\x00";
        for (data, declared, found) in [
            (&bundle[..], "application/fhir+xml", "application/fhir+xml"),
            (bundle, "application/xml; charset=utf-8", "application/xml"),
            (bundle, "text/csv", "application/xml"),
            (b"id;age\n1;70\n", "text/csv", "text/csv"),
            (b"id;age\n1;70\n", "application/pdf", "text/plain"),
            (ndjson, "application/x-ndjson", "application/x-ndjson"),
            (ndjson, "application/json", "application/x-ndjson"),
            (
                b"{\"resourceType\": \"Bun",
                "application/fhir+json",
                "application/fhir+json",
            ),
            (b"[1, 2]", "text/plain", "application/json"),
            (zip, "application/zip", "application/zip"),
            (zip, "text/csv", "application/zip"),
            (
                b"\x00\x01\x02\x03",
                "text/plain",
                "application/octet-stream",
            ),
            (b"%PDF-1.7\n", "application/pdf", "application/pdf"),
        ] {
            let result = validate(data, declared).unwrap();
            let detected = format!(
                "{}/{}",
                result["detectedBaseType"].as_str().unwrap(),
                result["detectedSubType"].as_str().unwrap()
            );
            assert_eq!(detected, found, "{declared}");
        }
        assert!(validate(b"", "csv").is_err());
    }
}
