//! A Questionnaire: the form of a user task.

use serde_json::Value;

use crate::r4::{Canonical, Node, Resource};

/// A Questionnaire, read.
#[derive(Clone, Copy, Debug)]
pub struct Questionnaire<'a>(pub &'a Resource);

impl<'a> Questionnaire<'a> {
    /// Its URL with its version.
    #[must_use]
    pub fn canonical(self) -> Option<Canonical> {
        let version = self.0.str("version").map(str::to_owned);
        Some(Canonical {
            url: self.0.str("url")?.to_owned(),
            version,
        })
    }

    /// The items of the first level.
    pub fn items(self) -> impl Iterator<Item = &'a Value> {
        self.0.items("item")
    }
}
