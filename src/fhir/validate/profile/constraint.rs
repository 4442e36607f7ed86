//! Constraints: expressions, and the few that are judged by hand because the published expression
//! does not say what is meant (fhir-conformance §2.11) or because nearly every element has them.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use serde_json::Value;

use crate::fhir::validate::fhirpath::Expression;
use crate::r4::Node as _;

#[derive(Clone, Debug)]
pub struct Constraint {
    pub key: Box<str>,
    pub is_error: bool,
    pub human: Box<str>,
    pub test: Test,
    /// It holds where this child is absent.
    pub only_with: Option<&'static str>,
}

#[derive(Clone, Debug)]
pub enum Test {
    Expression(Arc<Expression>),
    Native(Native),
    /// The expression cannot be understood, for this reason.
    Unparsable(Box<str>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Native {
    /// ele-1: a value or children.
    HasContent,
    /// ext-1: extensions or a value.
    ExtensionOrValue,
    /// dom-3: contained resources are referred to.
    ContainedIsUsed,
    /// ref-1: local references lead to contained resources.
    LocalReference,
    /// per-1: a period does not end before it starts.
    Period,
    /// txt-1 and txt-2.
    Narrative,
}

/// Published expressions that are judged by hand; `None`: by another check or not at all.
const NATIVE: [(&str, &str, Option<Native>); 8] = [
    (
        "ele-1",
        "hasValue() or (children().count() > id.count())",
        Some(Native::HasContent),
    ),
    (
        "ext-1",
        "extension.exists() != value.exists()",
        Some(Native::ExtensionOrValue),
    ),
    ("dom-3", "contained.where(((", Some(Native::ContainedIsUsed)),
    (
        "ref-1",
        "reference.startsWith('#').not() or",
        Some(Native::LocalReference),
    ),
    (
        "per-1",
        "start.hasValue().not() or end.hasValue().not() or",
        Some(Native::Period),
    ),
    ("txt-1", "htmlChecks()", Some(Native::Narrative)),
    // The same check as txt-1.
    ("txt-2", "htmlChecks()", None),
    // A resource without narrative is no worse here (fhir-conformance §2.3).
    ("dom-6", "text.`div`.exists()", None),
];

/// What published expressions mean (fhir-conformance §2.11).
const MEANT: [(&str, &str, &str); 6] = [
    (
        "",
        "name.matches('[A-Z]([A-Za-z0-9_]){0,254}')",
        "name.matches('^[A-Z]([A-Za-z0-9_]){0,254}$')",
    ),
    (
        "que-12",
        "enableWhen.count() > 2",
        "enableWhen.count() < 2 or enableBehavior.exists()",
    ),
    (
        "eld-19",
        "path.matches(",
        r#"path.matches('^[^\\s\\.,:;\\\'"\\/|?!@#$%&*()\\[\\]{}]{1,64}(\\.[^\\s\\.,:;\\\'"\\/|?!@#$%&*()\\[\\]{}]{1,64}(\\[x\\])?(\\:[^\\s\\.]+)?)*$')"#,
    ),
    (
        "eld-20",
        "path.matches(",
        r"path.matches('^[A-Za-z][A-Za-z0-9]*(\\.[a-z][A-Za-z0-9]*(\\[x])?)*$')",
    ),
    (
        "tim-9",
        "offset.empty() or",
        "offset.empty() or (when.exists() and when.all(($this in ('C' | 'CM' | 'CD' | 'CV')).not()))",
    ),
    (
        "que-7",
        "operator = 'exists'",
        "operator = 'exists' implies (answer is boolean)",
    ),
];

/// Children without which a constraint holds, by the beginning of its expression.
const ONLY_WITH: [(&str, &str, &str); 7] = [
    ("bdl-8", "fullUrl.", "fullUrl"),
    ("", "name.matches('[A-Z]", "name"),
    ("dom-2", "contained.", "contained"),
    ("dom-3", "contained.", "contained"),
    ("dom-4", "contained.", "contained"),
    ("dom-5", "contained.", "contained"),
    ("ref-1", "reference.", "reference"),
];

impl Constraint {
    /// Reads an entry of `ElementDefinition.constraint`; `None` for what is not judged.
    #[must_use]
    pub fn read(value: &Value) -> Option<Self> {
        let key = value.text("key").unwrap_or("?");
        let expression = value.text("expression")?;
        let fits = |(own, begin, _): &(&str, &str, _)| {
            (own.is_empty() || *own == key) && expression.starts_with(begin)
        };
        let native = NATIVE
            .iter()
            .find(|(own, begin, _)| *own == key && expression.starts_with(begin));
        let test = match native {
            Some((_, _, None)) => return None,
            Some((_, _, Some(native))) => Test::Native(*native),
            None => {
                let meant = MEANT
                    .iter()
                    .find(|row| fits(row))
                    .map(|(_, _, meant)| *meant);
                match parsed(meant.unwrap_or(expression)) {
                    Ok(expression) => Test::Expression(expression),
                    Err(reason) => Test::Unparsable(reason.into()),
                }
            }
        };
        let only_with = ONLY_WITH
            .iter()
            .find(|row| fits(row))
            .map(|(_, _, child)| *child);
        Some(Self {
            key: key.into(),
            is_error: value.text("severity") != Some("warning"),
            human: value.text("human").unwrap_or_default().into(),
            test,
            only_with,
        })
    }
}

/// Expressions that were parsed before. Few are distinct: those of R4 and of the profiles.
static KNOWN: LazyLock<RwLock<HashMap<String, Arc<Expression>>>> = LazyLock::new(RwLock::default);
const MOST_KNOWN: usize = 2_000;

fn parsed(text: &str) -> Result<Arc<Expression>, String> {
    if let Some(known) = KNOWN
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .get(text)
    {
        return Ok(Arc::clone(known));
    }
    let expression = Arc::new(Expression::parse(text)?);
    let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    if known.len() < MOST_KNOWN {
        known.insert(text.to_owned(), Arc::clone(&expression));
    }
    Ok(expression)
}
