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
const DROPPED: &str = "the reference drops extensions without content before it judges";
const FAILURE: &str = "a failure of the HL7 validator itself";
const IDS: &str = "ids of elements in a differential are not looked at";

/// Of documents that cannot be read, and of profiles without a snapshot, one side knows nothing else
/// and the other tells what it comes to.
const PARSE: &str = "[parse]";
const BROKEN: &str = "[profile-broken]";

/// What an extension lacks that has nothing but its url; where it has, `ext-1` is not broken.
const ALONE: [&str; 2] = [
    "Extension.extension: minimum required = … but only found 0",
    "Extension.value[x]: minimum required = … but only found 0",
];

/// How the reference begins what is said of its own failures; its constraints say `failed:` too.
const FAILED: &str = "failed: ";

/// What is in an error that one side alone finds, `…` for anything, and why the other does not.
const REASONS: [(Side, &str, &str); 21] = [
    (
        Ours,
        PARSE,
        "the parser of the reference drops JSON of a wrong shape, ours refuses it",
    ),
    (Ours, "[ext-1]", DROPPED),
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
    (
        Ours,
        ", which is sliced: ",
        "given values of elements that are sliced are not looked at by the reference",
    ),
    (Ours, ALONE[0], DROPPED),
    (Ours, ALONE[1], DROPPED),
    (Theirs, "CodeSystem/hl7-work-group#", R4_EXTENSIONS),
    (Theirs, "[VALIDATION_HL7_PUBLISHER_MISMATCH]", R4_EXTENSIONS),
    (Theirs, "[VALIDATION_HL7_WG_UNKNOWN]", R4_EXTENSIONS),
    (Theirs, ".extension[ … FHIR-version#", R4_EXTENSIONS),
    (
        Theirs,
        ".extension[ … ValueSet/FHIR-version|",
        R4_EXTENSIONS,
    ),
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
    (
        Theirs,
        "Error processing unit '",
        "units are held to the letters of UCUM, not to its grammar",
    ),
    (Theirs, "Error generating Snapshot: Cannot invoke", FAILURE),
    (Theirs, "Error processing Snapshot: Cannot invoke", FAILURE),
];

/// Why the other side does not find this error, one of these; `None` when nobody knows.
fn reason(side: Side, error: &str, all: &[String]) -> Option<&'static str> {
    if side == Theirs && error.starts_with(FAILED) {
        return Some(FAILURE);
    }
    let of_it = |(finder, words, _): &&(Side, &str, &str)| {
        let is_alone = !ALONE.contains(words) || all.iter().any(|other| other.contains("[ext-1]"));
        *finder == side && is_alone && words.split('…').all(|word| error.contains(word.trim()))
    };
    REASONS.iter().find(of_it).map(|(.., reason)| *reason)
}

/// The same error in the words of the reference and in ours, where only ours is explained: what it
/// finds at some sliced elements only, and extensions that it misses because it dropped them.
const SAME: [(&str, &str); 3] = [
    ("value has type '", ", which is sliced: "),
    (".extension: minimum required = ", "[ext-1]"),
    ("for extension '", "[ext-1]"),
];

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
    let mut theirs = left(Theirs, &case.theirs);
    for (word, own) in SAME {
        if case.ours.iter().any(|error| error.contains(own)) {
            theirs.retain(|error| !error.contains(word));
        }
    }
    match (ours.is_empty(), theirs.is_empty()) {
        (false, true) => Comparison::Different(Ours, ours),
        (true, false) => Comparison::Different(Theirs, theirs),
        _ if case.ours.is_empty() == case.theirs.is_empty() => Comparison::Same,
        _ => {
            let first = |side, errors: &[String]| {
                errors.iter().find_map(|error| reason(side, error, errors))
            };
            first(Ours, &case.ours)
                .or(first(Theirs, &case.theirs))
                .map_or(Comparison::Same, Comparison::Explained)
        }
    }
}

fn left(side: Side, errors: &[String]) -> Vec<&str> {
    let is_left = |error: &&str| reason(side, error, errors).is_none();
    errors.iter().map(String::as_str).filter(is_left).collect()
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
    // Of an extension with content nothing is dropped.
    let parts = "Extension.extension: minimum required = 4, but only found 0 [cardinality-min]";
    assert_eq!(verdict(&[alone, parts], &[]), "explained");
    assert_eq!(verdict(&[parts], &[]), format!("Ours {parts}"));
    // It is dropped, and then it is missing.
    let missing = "Task.extension: minimum required = 1, but only found 0";
    assert_eq!(verdict(&[alone, parts], &[missing]), "same");
    for last in ["a number [parse]", "no base [profile-broken]"] {
        assert_eq!(verdict(&[last], &["minimum required = 1"]), "same");
    }
    // Constraints that are broken are no failures of the reference.
    let broken = "Patient: Constraint failed: pat-1 [http://hl7.org/fhir]";
    assert_eq!(verdict(&[], &[broken]), format!("Theirs {broken}"));
    assert_eq!(verdict(&[], &["failed: java.lang.Error"]), "explained");
}
