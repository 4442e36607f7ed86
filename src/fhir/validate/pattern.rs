//! Regular expressions of profiles, within bounds: matching takes linear time, and what would be
//! large when compiled is refused.

use regex::{Regex, RegexBuilder};

/// How large an expression may be when compiled, in bytes, and how much work a letter of the text
/// then is: the time for a letter grows with the size.
const SIZES: [(usize, usize); 4] = [(1 << 14, 1), (1 << 16, 4), (1 << 18, 16), (1 << 20, 64)];

/// A compiled expression.
#[derive(Clone, Debug)]
pub struct Pattern {
    pub regex: Regex,
    weight: usize,
}

impl Pattern {
    /// The steps of work that it is to look through a text.
    #[must_use]
    pub fn cost(&self, text: &str) -> usize {
        text.len().saturating_mul(self.weight) / 2
    }
}

/// Compiles; the error is for the author of the expression.
pub fn compile(text: &str) -> Result<Pattern, String> {
    // Java has no nested classes or set operations for a lone '[' or '&&' that authors mean
    // literally within a class (fhir-conformance §2.9).
    let text = literal_brackets(text);
    let mut refusal = String::new();
    for (size, weight) in SIZES {
        match RegexBuilder::new(&text).size_limit(size).build() {
            Ok(regex) => return Ok(Pattern { regex, weight }),
            Err(error) => refusal = error.to_string(),
        }
        if !refusal.contains("size limit") {
            break;
        }
    }
    Err(refusal.lines().last().unwrap_or_default().trim().to_owned())
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
        let regex = compile(r#"^[^\s\.,:;\'"\/|?!@#$%&*()\[\]{}]{1,64}$"#)
            .unwrap()
            .regex;
        assert!(regex.is_match("Task") && !regex.is_match("a.b"));
        let regex = compile("^[^[(|?]+$").unwrap().regex;
        assert!(regex.is_match("ab") && !regex.is_match("a[b"));
        assert!(compile("(a{1000}){1000}").is_err());
    }
}
