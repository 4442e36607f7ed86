//! Regular expressions of profiles, within bounds: matching takes linear time, and what would be
//! large when compiled is refused.

use regex::{Regex, RegexBuilder};

const MOST_BYTES: usize = 1 << 20;

/// Compiles; the error is for the author of the expression.
pub fn compile(text: &str) -> Result<Regex, String> {
    // Java has no nested classes or set operations for a lone '[' or '&&' that authors mean
    // literally within a class (fhir-conformance §2.9).
    let built = RegexBuilder::new(&literal_brackets(text))
        .size_limit(MOST_BYTES)
        .build();
    built.map_err(|error| {
        let error = error.to_string();
        error.lines().last().unwrap_or_default().trim().to_owned()
    })
}

/// Escapes `[` within classes, where it opens nothing.
fn literal_brackets(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let (mut in_class, mut first) = (false, false);
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => {
                result.push(letter);
                result.extend(letters.next());
                first = false;
                continue;
            }
            '[' if in_class => result.push('\\'),
            '[' => {
                in_class = true;
                first = true;
                result.push(letter);
                continue;
            }
            '^' if first => {
                result.push(letter);
                continue;
            }
            ']' if in_class && first => result.push('\\'),
            ']' => in_class = false,
            _ => {}
        }
        first = false;
        result.push(letter);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::compile;

    #[test]
    fn brackets_in_classes_are_plain_letters() {
        let regex = compile(r#"^[^\s\.,:;\'"\/|?!@#$%&*()\[\]{}]{1,64}$"#).unwrap();
        assert!(regex.is_match("Task") && !regex.is_match("a.b"));
        let regex = compile("^[^[(|?]+$").unwrap();
        assert!(regex.is_match("ab") && !regex.is_match("a[b"));
        assert!(compile("(a{1000}){1000}").is_err());
    }
}
