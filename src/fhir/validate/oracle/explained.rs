//! Differences that stay, and why. docs/validation.md tells the same to people.

use super::Case;

const R4_EXTENSIONS: &str = "the definitions of R4's own extensions are not built in";

/// A word of an error of the only side that has some, and why the other has none.
const REASONS: [(&str, &str); 14] = [
    (
        "[parse]",
        "the parser of the reference drops JSON of a wrong shape, ours refuses it",
    ),
    (
        "[ext-1]",
        "the reference drops extensions without content before it judges",
    ),
    (
        "Named items are out of order in the slice",
        "slices of a differential may stand in another order than those of its base",
    ),
    (
        "this usually arises from a problem in the differential",
        "ids of elements in a differential are not looked at",
    ),
    (
        "Same id '",
        "ids of elements in a differential are not looked at",
    ),
    (
        "[profile-broken]",
        "a profile that contradicts its base is refused when it is stored, not when it is used",
    ),
    ("CodeSystem/hl7-work-group#", R4_EXTENSIONS),
    ("CodeSystem/standards-status#", R4_EXTENSIONS),
    (
        "fhir/StructureDefinition/structuredefinition-",
        R4_EXTENSIONS,
    ),
    (
        "[SD_EXTENSION_URL_M",
        "extensions of the material have another url than their definition",
    ),
    (
        "[TYPE_SPECIFIC_CHECKS_DT_ATT_HASH",
        "hashes of attachments are not compared",
    ),
    (
        "Error generating Snapshot: Cannot invoke",
        "a failure of the HL7 validator itself",
    ),
    (
        "Error processing Snapshot: Cannot invoke",
        "a failure of the HL7 validator itself",
    ),
    ("failed: ", "a failure of the HL7 validator itself"),
];

/// Why the two sides differ; `None` when nobody knows.
pub fn reason(case: &Case) -> Option<&'static str> {
    let errors = if case.ours.is_empty() {
        &case.theirs
    } else {
        &case.ours
    };
    let found = |(word, _): &&(&str, &str)| errors.iter().any(|error| error.contains(word));
    REASONS.iter().find(found).map(|(_, reason)| *reason)
}
