//! Line and column of an element in the text of its document. Where the way cannot be followed to
//! its end, the place is that of the nearest element around.

use quick_xml::Reader;
use quick_xml::events::Event;

/// A step of a path: the JSON name, and the place in a list.
struct Step {
    name: String,
    index: usize,
}

/// Where the element of a FHIRPath as the validator writes it starts.
pub fn position(text: &str, path: &str) -> Option<(u32, u32)> {
    let steps = steps(path);
    let offset = if text
        .trim_start_matches('\u{feff}')
        .trim_start()
        .starts_with('<')
    {
        in_xml(text, &steps)?
    } else {
        in_json(text, &steps)
    };
    let before = text.get(..offset)?;
    let line = before.matches('\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .unwrap_or_default()
        .chars()
        .count()
        + 1;
    Some((u32::try_from(line).ok()?, u32::try_from(column).ok()?))
}

/// `Task.input[0].value.ofType(string)` is `input` 0, `valueString` 0.
fn steps(path: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for part in path.split('.').skip(1) {
        if let Some(type_name) = part.strip_prefix("ofType(") {
            let type_name = type_name.split(')').next().unwrap_or_default();
            if let Some(last) = steps.last_mut() {
                let (first, rest) = type_name.split_at(type_name.len().min(1));
                last.name = format!("{}{}{rest}", last.name, first.to_uppercase());
            }
            continue;
        }
        let (name, index) = part.split_once('[').unwrap_or((part, "0"));
        steps.push(Step {
            name: name.to_owned(),
            index: index.trim_end_matches(']').parse().unwrap_or_default(),
        });
    }
    steps
}

fn in_json(text: &str, steps: &[Step]) -> usize {
    let mut at = blanks(text, 0);
    for step in steps {
        let Some(mut value) = member(text, at, &step.name) else {
            break;
        };
        if from(text, value).starts_with('[') {
            match item(text, value, step.index) {
                Some(found) => value = found,
                None => break,
            }
        }
        at = value;
    }
    at
}

/// The text from here on; nothing behind its end.
fn from(text: &str, at: usize) -> &str {
    text.get(at..).unwrap_or_default()
}

fn blanks(text: &str, at: usize) -> usize {
    let rest = from(text, at);
    at + rest.len()
        - rest
            .trim_start_matches(['\u{feff}', ' ', '\t', '\n', '\r'])
            .len()
}

/// The end of the string that starts here.
fn behind_string(text: &str, at: usize) -> Option<usize> {
    let mut is_escaped = false;
    for (offset, byte) in text.bytes().enumerate().skip(at + 1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return Some(offset + 1),
            _ => {}
        }
    }
    None
}

/// The end of the value that starts here.
fn behind_value(text: &str, at: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut at, mut depth) = (at, 0_usize);
    loop {
        match bytes.get(at)? {
            b'"' => {
                at = behind_string(text, at)?;
                if depth == 0 {
                    return Some(at);
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth <= 1 => return Some(at + usize::from(depth == 1)),
            b'}' | b']' => depth -= 1,
            b',' if depth == 0 => return Some(at),
            _ => {}
        }
        at += 1;
    }
}

/// The value of a member of the object that starts here.
fn member(text: &str, object: usize, name: &str) -> Option<usize> {
    let mut at = blanks(text, object + 1);
    while from(text, at).starts_with('"') {
        let end = behind_string(text, at)?;
        let is_it = text.get(at + 1..end - 1) == Some(name);
        let colon = blanks(text, end);
        let value = blanks(text, colon + 1);
        if is_it {
            return Some(value);
        }
        at = blanks(text, behind_value(text, value)?);
        at = blanks(text, at + usize::from(from(text, at).starts_with(',')));
    }
    None
}

fn item(text: &str, list: usize, index: usize) -> Option<usize> {
    let mut at = blanks(text, list + 1);
    for _ in 0..index {
        at = blanks(text, behind_value(text, at)?);
        if !from(text, at).starts_with(',') {
            return None;
        }
        at = blanks(text, at + 1);
    }
    Some(at)
}

fn in_xml(text: &str, steps: &[Step]) -> Option<usize> {
    let mut reader = Reader::from_str(text);
    // Depth in the document, and how many steps are taken; resources stand in an element of
    // their own, which is no step.
    let (mut depth, mut taken, mut base) = (0_usize, 0_usize, 1_usize);
    let (mut best, mut seen) = (None, 0_usize);
    loop {
        let before = usize::try_from(reader.buffer_position()).ok()?;
        let (name, is_empty) = match reader.read_event() {
            Ok(Event::Start(start)) => (start.local_name().as_ref().to_owned(), false),
            Ok(Event::Empty(start)) => (start.local_name().as_ref().to_owned(), true),
            Ok(Event::End(_)) => {
                depth = depth.saturating_sub(1);
                if depth < base {
                    return best;
                }
                continue;
            }
            Ok(Event::Eof) | Err(_) => return best,
            Ok(_) => continue,
        };
        let is_type = name.starts_with(|first: char| first.is_ascii_uppercase());
        if depth == 0 {
            best = Some(before);
        } else if depth == base && is_type && !is_empty {
            base += 1;
        } else if let Some(step) = steps
            .get(taken)
            .filter(|step| depth == base && step.name == name)
        {
            if seen == step.index {
                best = Some(before);
                taken += 1;
                seen = 0;
                base = depth + 1;
                if taken == steps.len() || is_empty {
                    return best;
                }
            } else {
                seen += 1;
            }
        }
        depth += usize::from(!is_empty);
    }
}

#[cfg(test)]
mod tests {
    use super::position;

    #[test]
    fn elements_are_found_in_both_formats() {
        let json = "{\n  \"resourceType\": \"Bundle\",\n  \"entry\": [{\"x\": \"}]\"},\n    {\"resource\": {\n      \"valueString\": \"a\"}}]\n}";
        assert_eq!(position(json, "Bundle"), Some((1, 1)));
        assert_eq!(position(json, "Bundle.entry[1]"), Some((4, 5)));
        assert_eq!(
            position(json, "Bundle.entry[1].resource.value.ofType(string)"),
            Some((5, 22))
        );
        assert_eq!(
            position(json, "Bundle.entry[1].resource.status"),
            Some((4, 18))
        );
        let xml = "<Bundle>\n <entry/>\n <entry>\n  <resource><Task>\n   <status value='x'/></Task></resource></entry></Bundle>";
        assert_eq!(position(xml, "Bundle.entry[1]"), Some((3, 2)));
        assert_eq!(
            position(xml, "Bundle.entry[1].resource.status"),
            Some((5, 4))
        );
        assert_eq!(
            position(xml, "Bundle.entry[1].resource.intent"),
            Some((4, 3))
        );
    }
}
