//! The naming rules of processes (spec/bpe.md §5.4).

/// `domain_name`: letters, digits and hyphens on both sides of one underscore.
pub(super) fn is_process_id(id: &str) -> bool {
    id.split_once('_')
        .is_some_and(|(domain, name)| is_word(domain) && is_word(name))
}

/// The process id that belongs to the url of an ActivityDefinition.
pub(super) fn process_id(url: &str) -> Option<String> {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"))?;
    let (domain, name) = rest.split_once("/bpe/Process/")?;
    let labels_fit = domain.split('.').all(is_word);
    (labels_fit && is_word(name)).then(|| format!("{}_{name}", domain.replace('.', "")))
}

fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Drafts say so in the name of their file or folder: `-SNAPSHOT`, `-M1`, `-RC1` (§5.1).
pub(super) fn is_draft(origin: &str) -> bool {
    let stem = origin.strip_suffix(".dsf").unwrap_or(origin);
    let numbered = |mark: &str| {
        stem.rsplit_once(mark).is_some_and(|(_, number)| {
            !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        })
    };
    stem.ends_with("-SNAPSHOT") || numbered("-M") || numbered("-RC")
}
