//! From `Task.instantiatesCanonical` to a process (spec/bpe.md §3.3).

use crate::bpe::plugin::ProcessId;

/// The process that a canonical names: `http://dsf.dev/bpe/Process/ping|1.0` is version `1.0` of
/// `dsfdev_ping`. Nothing when the canonical has another form.
#[must_use]
pub fn process_of(canonical: &str) -> Option<ProcessId> {
    let (url, version) = canonical.split_once('|')?;
    let rest = url
        .strip_prefix("http://")
        .or_else(|| url.strip_prefix("https://"))?;
    let (domain, name) = rest.split_once("/bpe/Process/")?;
    let (major, minor) = version.split_once('.')?;
    let valid = is_domain(domain) && is_name(name) && is_number(major) && is_number(minor);
    valid.then(|| ProcessId {
        key: format!("{}_{name}", domain.replace('.', "")),
        version: version.to_owned(),
    })
}

/// Labels of two to 63 letters, digits and inner hyphens, and a last one without hyphens.
fn is_domain(text: &str) -> bool {
    let Some((labels, top)) = text.rsplit_once('.') else {
        return false;
    };
    let top_ok = (1..=63).contains(&top.len()) && top.bytes().all(|b| b.is_ascii_alphanumeric());
    top_ok
        && labels.split('.').all(|label| {
            (2..=63).contains(&label.len())
                && is_name(label)
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canonical_names_a_process_by_domain_and_name() {
        let process = process_of("http://dsf.dev/bpe/Process/ping|1.0").unwrap();
        assert_eq!(process.to_string(), "dsfdev_ping|1.0");
        let process = process_of("https://medizin.uni-x.example/bpe/Process/do-it|10.2").unwrap();
        assert_eq!(process.to_string(), "medizinuni-xexample_do-it|10.2");
    }

    #[test]
    fn other_forms_name_nothing() {
        for text in [
            "http://dsf.dev/bpe/Process/ping",
            "http://dsf.dev/bpe/Process/ping|1",
            "http://dsf.dev/bpe/Process/ping|1.0.0",
            "http://a.org/bpe/Process/ping|1.0",
            "http://-a.org/bpe/Process/ping|1.0",
            "ftp://dsf.dev/bpe/Process/ping|1.0",
            "http://dsf.dev/bpe/Process/pi_ng|1.0",
            "http://dsf/bpe/Process/ping|1.0",
        ] {
            assert_eq!(process_of(text), None, "{text}");
        }
    }
}
