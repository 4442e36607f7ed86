//! Canonical URLs: `url` or `url|version`.

use std::fmt;

/// The address of a conformance resource or process, with the version if it names one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Canonical {
    pub url: String,
    pub version: Option<String>,
}

impl Canonical {
    /// Splits at the first `|`. A fragment stays part of the version, or of the URL.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text.split_once('|') {
            Some((url, version)) => Self::new(url, version),
            None => Self {
                url: text.to_owned(),
                version: None,
            },
        }
    }

    #[must_use]
    pub fn new(url: &str, version: &str) -> Self {
        Self {
            url: url.to_owned(),
            version: Some(version.to_owned()),
        }
    }

    /// Whether a resource that declares `declared` satisfies a rule that names `self`: equal, or
    /// declared without any version (`spec/auth-config.md` §4.7, step 2).
    #[must_use]
    pub fn is_satisfied_by(&self, declared: &Self) -> bool {
        self.url == declared.url && (declared.version.is_none() || declared.version == self.version)
    }
}

impl fmt::Display for Canonical {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)?;
        self.version
            .as_ref()
            .map_or(Ok(()), |version| write!(f, "|{version}"))
    }
}

impl From<&str> for Canonical {
    fn from(text: &str) -> Self {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::Canonical;

    #[test]
    fn an_unversioned_profile_satisfies_a_versioned_rule_but_not_the_other_way_round() {
        let versioned = Canonical::parse("http://dsf.dev/fhir/StructureDefinition/task-ping|2.0");
        let unversioned = Canonical::parse("http://dsf.dev/fhir/StructureDefinition/task-ping");
        assert!(versioned.is_satisfied_by(&unversioned));
        assert!(versioned.is_satisfied_by(&versioned));
        assert!(!unversioned.is_satisfied_by(&versioned));
        let text = "http://dsf.dev/fhir/StructureDefinition/task-ping|2.0";
        assert_eq!(versioned.to_string(), text);
    }
}
