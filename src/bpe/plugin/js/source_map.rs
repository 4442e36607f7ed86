//! Source maps (version 3): an exception in generated code is told by the line its author wrote.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

/// The first place of a stack that is in a module of the plugin, as its author knows it.
pub(super) fn place(stack: &str, maps: &BTreeMap<String, SourceMap>) -> Option<String> {
    let (path, line, column) = stack.lines().find_map(frame)?;
    let original = maps.get(path).and_then(|map| map.original(line, column));
    let (path, line, column) = original.unwrap_or((path, line, column));
    Some(format!("{path}:{line}:{column}"))
}

/// `at name (lib/text.js:4:12)` or `at lib/text.js:4:12`; the host's own parts are no files.
fn frame(text: &str) -> Option<(&str, u32, u32)> {
    let text = text.trim().trim_end_matches(')');
    let place = text.rsplit(['(', ' ']).next()?;
    let mut parts = place.rsplitn(3, ':');
    let (column, line, path) = (parts.next()?, parts.next()?, parts.next()?);
    let is_module = path.ends_with(".js") || path.ends_with(".mjs");
    is_module.then_some((path, line.parse().ok()?, column.parse().ok()?))
}

/// The map of one module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceMap {
    sources: Vec<String>,
    /// Per generated line, in order of columns.
    lines: Vec<Vec<Segment>>,
}

/// From this column on, up to the next segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Segment {
    column: u32,
    source: u32,
    line: u32,
    original_column: u32,
}

#[derive(Deserialize)]
struct File {
    version: u32,
    #[serde(default, rename = "sourceRoot")]
    root: String,
    sources: Vec<Option<String>>,
    mappings: String,
}

impl SourceMap {
    /// The text after `sourceMappingURL=` of a module, where it has one.
    #[must_use]
    pub fn url(module: &str) -> Option<&str> {
        let lines = module.lines().rev().take(5);
        lines
            .filter_map(|line| line.trim().strip_prefix("//# sourceMappingURL="))
            .map(str::trim)
            .next()
    }

    /// The text of a map that stands in the module itself.
    #[must_use]
    pub fn inline(url: &str) -> Option<String> {
        let data = url.strip_prefix("data:application/json")?;
        let (_, encoded) = data.split_once("base64,")?;
        String::from_utf8(STANDARD.decode(encoded).ok()?).ok()
    }

    /// Reads a map; nothing when it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let file: File = serde_json::from_str(text).ok()?;
        if file.version != 3 {
            return None;
        }
        let root = file.root.trim_end_matches('/');
        let named = |source: Option<String>| {
            let source = source.unwrap_or_else(|| "?".to_owned());
            if root.is_empty() {
                source
            } else {
                format!("{root}/{source}")
            }
        };
        Some(Self {
            sources: file.sources.into_iter().map(named).collect(),
            lines: lines(&file.mappings)?,
        })
    }

    /// The place in the source that this place of the generated module comes from; lines and
    /// columns count from 1.
    #[must_use]
    pub fn original(&self, line: u32, column: u32) -> Option<(&str, u32, u32)> {
        let segments = self
            .lines
            .get(usize::try_from(line.checked_sub(1)?).ok()?)?;
        let column = column.saturating_sub(1);
        let after = segments.partition_point(|segment| segment.column <= column);
        let segment = segments.get(after.saturating_sub(1))?;
        let source = self.sources.get(usize::try_from(segment.source).ok()?)?;
        Some((source, segment.line + 1, segment.original_column + 1))
    }
}

fn lines(mappings: &str) -> Option<Vec<Vec<Segment>>> {
    // Source, line and column go on through the whole file; the generated column starts anew.
    let (mut source, mut line, mut original_column) = (0, 0, 0);
    let mut lines = Vec::new();
    for group in mappings.split(';') {
        let mut column = 0;
        let mut segments = Vec::new();
        for text in group.split(',').filter(|text| !text.is_empty()) {
            let numbers = numbers(text)?;
            column += numbers.first()?;
            if let [_, by_source, by_line, by_column, ..] = numbers[..] {
                source += by_source;
                line += by_line;
                original_column += by_column;
                segments.push(Segment {
                    column: u32::try_from(column).ok()?,
                    source: u32::try_from(source).ok()?,
                    line: u32::try_from(line).ok()?,
                    original_column: u32::try_from(original_column).ok()?,
                });
            }
        }
        lines.push(segments);
    }
    Some(lines)
}

/// The numbers of a segment: base 64, five bits a digit, the sign in the lowest bit.
fn numbers(text: &str) -> Option<Vec<i64>> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut numbers = Vec::new();
    let (mut value, mut shift) = (0_i64, 0);
    for byte in text.bytes() {
        let digit = i64::try_from(DIGITS.iter().position(|one| *one == byte)?).ok()?;
        value |= (digit & 31).checked_shl(shift)?;
        shift += 5;
        if digit & 32 == 0 {
            let sign = if value & 1 == 1 { -1 } else { 1 };
            numbers.push(sign * (value >> 1));
            (value, shift) = (0, 0);
        } else if shift > 40 {
            return None;
        }
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_generated_code_leads_to_its_source() {
        // Generated line 2 begins at source line 3, column 5; its column 9 at line 4, column 1.
        let text = r#"{ "version": 3, "sourceRoot": "src/", "sources": ["main.ts"], "mappings": ";AAEI,QACJ" }"#;
        let map = SourceMap::parse(text).unwrap();
        assert_eq!(map.original(2, 1), Some(("src/main.ts", 3, 5)));
        assert_eq!(map.original(2, 8), Some(("src/main.ts", 3, 5)));
        assert_eq!(map.original(2, 30), Some(("src/main.ts", 4, 1)));
        assert_eq!(map.original(1, 1), None);
        assert_eq!(map.original(9, 1), None);
        for broken in [r#"{"version":2,"sources":[],"mappings":""}"#, "{}", "no"] {
            assert_eq!(SourceMap::parse(broken), None);
        }
    }

    #[test]
    fn a_map_is_found_beside_the_module_or_in_it() {
        assert_eq!(
            SourceMap::url("a\n//# sourceMappingURL=main.js.map\n"),
            Some("main.js.map")
        );
        let url = "data:application/json;charset=utf-8;base64,e30=";
        assert_eq!(SourceMap::inline(url).as_deref(), Some("{}"));
        assert_eq!(SourceMap::url("const sourceMappingURL = 1;"), None);
    }
}
