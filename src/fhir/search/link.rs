//! The links of a page (§5.8).

use std::fmt::Write;

use super::query::Query;

impl Query {
    /// The number of the last page.
    pub(super) fn last_page(&self, total: i64) -> i64 {
        let count = i64::from(self.count.max(1));
        (total + count - 1) / count
    }

    /// Whether the answer is the total alone: nothing asked for, or a page behind the last.
    #[must_use]
    pub fn is_count_only(&self, total: i64) -> bool {
        self.count < 1 || self.page < 1 || i64::from(self.page) > self.last_page(total)
    }

    /// Relation and url, `self` first. Each can be followed and means the same search.
    #[must_use]
    pub fn links(&self, base_url: &str, total: i64) -> Vec<(&'static str, String)> {
        if self.is_count_only(total) {
            return vec![("self", self.link(base_url, None))];
        }
        let (page, last) = (i64::from(self.page), self.last_page(total));
        let mut links = vec![
            ("self", self.link(base_url, Some(page))),
            ("first", self.link(base_url, Some(1))),
        ];
        if page > 1 {
            links.push(("previous", self.link(base_url, Some(page - 1))));
        }
        if page < last {
            links.push(("next", self.link(base_url, Some(page + 1))));
        }
        links.push(("last", self.link(base_url, Some(last))));
        links
    }

    fn link(&self, base_url: &str, page: Option<i64>) -> String {
        let mut url = format!("{base_url}/{}?", self.kind);
        for (name, value) in &self.echo {
            encode(name, &mut url);
            url.push('=');
            encode(value, &mut url);
            url.push('&');
        }
        // Writing to a String cannot fail.
        let _ = match page {
            Some(page) => write!(url, "_count={}&_page={page}", self.count),
            None => write!(url, "_count=0"),
        };
        url
    }
}

/// Percent-encodes all but unreserved characters.
fn encode(text: &str, url: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            let _ = write!(url, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Handling, parse};
    use crate::r4::ResourceType;

    #[test]
    fn links_repeat_what_was_understood_for_every_page_there_is() {
        let pairs: Vec<(String, String)> = url::form_urlencoded::parse(
            b"identifier:not=urn:x%7Cy&nonsense=1&_sort=-_lastUpdated&_count=2&_page=2&_summary=BOGUS",
        )
        .into_owned()
        .collect();
        let query = parse(ResourceType::Patient, &pairs, 20, Handling::Lenient).expect("lenient");
        let link = |page| {
            format!(
                "https://h/fhir/Patient?identifier%3Anot=urn%3Ax%7Cy&_sort=-_lastUpdated&_count=2&_page={page}"
            )
        };
        assert_eq!(
            query.links("https://h/fhir", 5),
            [
                ("self", link(2)),
                ("first", link(1)),
                ("previous", link(1)),
                ("next", link(3)),
                ("last", link(3))
            ]
        );
        assert_eq!(
            query.links("https://h/fhir", 2),
            [(
                "self",
                "https://h/fhir/Patient?identifier%3Anot=urn%3Ax%7Cy&_sort=-_lastUpdated&_count=0"
                    .to_owned()
            )]
        );
    }
}
