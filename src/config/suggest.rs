//! "Did you mean": the known name that a mistyped one resembles most.

/// The closest of `known`, unless nothing is close.
pub(super) fn closest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|candidate| (distance(name, candidate), candidate))
        .min()
        .filter(|(distance, _)| *distance <= 1 + name.len() / 4)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance, underscores counted as hyphens.
fn distance(one: &str, other: &str) -> usize {
    let letters = |text: &str| {
        text.replace('_', "-")
            .to_lowercase()
            .chars()
            .collect::<Vec<_>>()
    };
    let (one, other) = (letters(one), letters(other));
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_name_is_offered_and_nothing_far_fetched() {
        let known = ["base-url", "listen", "page-count"];
        for (typed, meant) in [
            ("base_url", Some("base-url")),
            ("baseurl", Some("base-url")),
            ("lsiten", Some("listen")),
            ("pagecount", Some("page-count")),
            ("colour", None),
        ] {
            assert_eq!(closest(typed, known.into_iter()), meant, "{typed}");
        }
    }
}
