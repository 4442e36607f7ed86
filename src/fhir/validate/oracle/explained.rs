//! Differences that stay, and why. docs/validation.md tells the same to people.

use super::Case;
use Side::{Ours, Theirs};

/// Who finds the error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Ours,
    Theirs,
}

const R4_EXTENSIONS: &str = "the definitions of R4's own extensions are not built in";
const FAILURE: &str = "a failure of the HL7 validator itself";
const IDS: &str = "ids of elements in a differential are not looked at";

/// Of documents that cannot be read, and of profiles without a snapshot, one side knows nothing else
/// and the other tells what it comes to.
const PARSE: &str = "[parse]";
const BROKEN: &str = "[profile-broken]";

/// How the reference begins what is said of its own failures; its constraints say `failed:` too.
const FAILED: &str = "failed: ";

/// A word of an error that one side alone finds, and why the other does not.
const REASONS: [(Side, &str, &str); 13] = [
    (
        Ours,
        PARSE,
        "the parser of the reference drops JSON of a wrong shape, ours refuses it",
    ),
    (
        Ours,
        "[ext-1]",
        "the reference drops extensions without content before it judges",
    ),
    (
        Ours,
        BROKEN,
        "a profile that contradicts its base is refused when it is stored, not when it is used",
    ),
    (
        Theirs,
        "Named items are out of order in the slice",
        "slices of a differential may stand in another order than those of its base",
    ),
    (
        Theirs,
        "this usually arises from a problem in the differential",
        IDS,
    ),
    (Theirs, "Same id '", IDS),
    (Theirs, "CodeSystem/hl7-work-group#", R4_EXTENSIONS),
    (Theirs, "CodeSystem/standards-status#", R4_EXTENSIONS),
    (
        Theirs,
        "fhir/StructureDefinition/structuredefinition-",
        R4_EXTENSIONS,
    ),
    (
        Theirs,
        "[SD_EXTENSION_URL_M",
        "extensions of the material have another url than their definition",
    ),
    (
        Theirs,
        "[TYPE_SPECIFIC_CHECKS_DT_ATT_HASH",
        "hashes of attachments are not compared",
    ),
    (Theirs, "Error generating Snapshot: Cannot invoke", FAILURE),
    (Theirs, "Error processing Snapshot: Cannot invoke", FAILURE),
];

/// Why the other side does not find this error; `None` when nobody knows.
pub fn reason(side: Side, error: &str) -> Option<&'static str> {
    if side == Theirs && error.starts_with(FAILED) {
        return Some(FAILURE);
    }
    let of_it = |(finder, word, _): &&(Side, &str, &str)| *finder == side && error.contains(word);
    REASONS.iter().find(of_it).map(|(.., reason)| *reason)
}

/// How the two sides compare.
#[derive(Debug, PartialEq, Eq)]
pub enum Comparison<'a> {
    /// Both accept, or both refuse for reasons that are no specialty of one of them.
    Same,
    /// They differ by errors each of which is explained.
    Explained(&'static str),
    /// One side refuses by these errors, which nobody explains, and the other has nothing of its
    /// own to say.
    Different(Side, Vec<&'a str>),
}

/// Compares the verdicts that are left without each explained error: an explained one excuses
/// itself, never another in the same resource.
pub fn compare(case: &Case) -> Comparison<'_> {
    let is_last = |error: &String| error.contains(PARSE) || error.contains(BROKEN);
    if case.ours.iter().any(is_last) && !case.theirs.is_empty() {
        return Comparison::Same;
    }
    let ours = left(Ours, &case.ours);
    let theirs = left(Theirs, &case.theirs);
    match (ours.is_empty(), theirs.is_empty()) {
        (false, true) => Comparison::Different(Ours, ours),
        (true, false) => Comparison::Different(Theirs, theirs),
        _ if case.ours.is_empty() == case.theirs.is_empty() => Comparison::Same,
        _ => {
            let ours = case.ours.iter().find_map(|error| reason(Ours, error));
            let theirs = case.theirs.iter().find_map(|error| reason(Theirs, error));
            ours.or(theirs)
                .map_or(Comparison::Same, Comparison::Explained)
        }
    }
}

fn left(side: Side, errors: &[String]) -> Vec<&str> {
    let errors = errors.iter().map(String::as_str);
    errors
        .filter(|error| reason(side, error).is_none())
        .collect()
}

#[test]
fn an_explained_error_excuses_no_other_in_the_same_resource() {
    let case = |ours: &[&str], theirs: &[&str]| Case {
        world: 0,
        change: String::new(),
        text: String::new(),
        ours: ours.iter().map(|error| (*error).to_owned()).collect(),
        theirs: theirs.iter().map(|error| (*error).to_owned()).collect(),
    };
    let verdict = |ours: &[&str], theirs: &[&str]| match compare(&case(ours, theirs)) {
        Comparison::Same => "same".to_owned(),
        Comparison::Explained(_) => "explained".to_owned(),
        Comparison::Different(side, errors) => format!("{side:?} {}", errors.join(", ")),
    };
    let (alone, other) = ("no content [ext-1]", "no status [cardinality-min]");
    let hash = "Patient.photo: hash [TYPE_SPECIFIC_CHECKS_DT_ATT_HASH]";
    assert_eq!(verdict(&[], &[]), "same");
    assert_eq!(verdict(&[other], &["minimum required = 1"]), "same");
    assert_eq!(verdict(&[alone], &[]), "explained");
    assert_eq!(verdict(&[], &[hash]), "explained");
    assert_eq!(verdict(&[alone, other], &[]), format!("Ours {other}"));
    // Both refuse, but only one of them for a reason that both should see.
    assert_eq!(verdict(&[other], &[hash]), format!("Ours {other}"));
    assert_eq!(
        verdict(&[alone], &["minimum required = 1"]),
        "Theirs minimum required = 1"
    );
    // A reason of one side is none of the other.
    assert_eq!(verdict(&[], &[alone]), format!("Theirs {alone}"));
    for last in ["a number [parse]", "no base [profile-broken]"] {
        assert_eq!(verdict(&[last], &["minimum required = 1"]), "same");
    }
    // Constraints that are broken are no failures of the reference.
    let broken = "Patient: Constraint failed: pat-1 [http://hl7.org/fhir]";
    assert_eq!(verdict(&[], &[broken]), format!("Theirs {broken}"));
    assert_eq!(verdict(&[], &["failed: java.lang.Error"]), "explained");
}
