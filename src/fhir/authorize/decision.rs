//! The outcome of the rules, with the reason for logs and for local identities.

use std::fmt;

/// What the rules say. Anything they do not name is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    Allow(Reason),
    Deny(Reason),
}

impl Decision {
    #[must_use]
    pub const fn is_allowed(self) -> bool {
        matches!(self, Self::Allow(_))
    }

    #[must_use]
    pub const fn reason(self) -> Reason {
        match self {
            Self::Allow(reason) | Self::Deny(reason) => reason,
        }
    }
}

/// Declares the reasons: id for logs and documentation, sentence for people.
macro_rules! reasons {
    ($($name:ident = $id:literal, $sentence:literal;)+) => {
        /// Why the rules allow or deny. Logged always, told to local identities only.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason { $($name),+ }

        impl Reason {
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// A short name that never changes: log field and anchor of `docs/security.md`.
            #[must_use]
            pub const fn id(self) -> &'static str {
                match self { $(Self::$name => $id),+ }
            }

            #[must_use]
            pub const fn sentence(self) -> &'static str {
                match self { $(Self::$name => $sentence),+ }
            }
        }
    };
}

reasons! {
    HasRight = "has-right", "the identity has the right for this operation";
    ReadTag = "read-tag", "a read-access tag of the resource covers the identity";
    SecurityContext = "security-context", "the identity may read the resource that is the Binary's security context";
    RecipientOfTask = "task-recipient", "the identity's organisation is the recipient of the Task";
    RequesterOfTask = "task-requester", "the identity is the requester of the Task";
    LocalDraft = "local-draft", "the Task is a draft for the identity's organisation";
    ProcessAllows = "process-allows", "the process admits the requester and the recipient of the Task";
    TransitionAllowed = "transition-allowed", "the change of status is allowed and keeps what must stay";
    NamedByQuestionnaire = "questionnaire-names", "the user task names the person or one of its roles";
    OpenQuestionnaire = "questionnaire-open", "the user task names nobody, so every local person may see and answer it";

    NoRight = "no-right", "the identity lacks the right for this operation on this type";
    NotLocal = "not-local", "only identities of the local organisation may do this";
    NotAdmin = "not-admin", "only the local organisation or a person with DSF_ADMIN may do this";
    NoReadTag = "no-read-tag", "no read-access tag of the resource covers the identity";
    NoSecurityContext = "no-security-context", "the Binary's security context is gone or closed to the identity";
    BadReadTags = "bad-read-tags", "the read-access tags are missing, contradict each other or name something unknown";
    BadSecurityContext = "bad-security-context", "a Binary needs either read-access tags or a security context on this server, which is neither a Binary nor a Task";
    BadStatus = "bad-status", "the status is not one this operation allows";
    BadCanonical = "bad-canonical", "url, version or base definition is missing";
    BadProcessAuthorization = "bad-process-authorization", "the process authorisation extensions are missing or incomplete";
    BadEndpoint = "bad-endpoint", "an Endpoint needs one endpoint identifier and a plain https address";
    BadOrganization = "bad-organization", "an Organization needs one organisation identifier and well-formed thumbprints";
    BadAffiliation = "bad-affiliation", "an affiliation needs references to parent, member and one endpoint, and at least one role";
    BadPractitionerRole = "bad-practitioner-role", "a PractitionerRole needs references to organization and practitioner";
    BadNamingSystem = "bad-naming-system", "a NamingSystem needs a name and distinct unique ids";
    BadSubscription = "bad-subscription", "a Subscription needs a websocket channel, a FHIR payload or none, and a supported search as criteria";
    AlreadyExists = "already-exists", "another resource has the same key";
    ImmutableChanged = "immutable-changed", "an element that must stay was changed";
    TransitionForbidden = "transition-forbidden", "this change of status is not allowed";
    BadDraft = "bad-draft", "the draft Task lacks its identifier, message name or process, has output, or is not from and for the local organisation";
    BadTask = "bad-task", "the Task has a task identifier or output, or not exactly one message name";
    BadRequester = "bad-requester", "the requester is not the identity itself";
    BadRecipient = "bad-recipient", "the recipient is not the local organisation";
    BadProcessReference = "bad-process-reference", "instantiatesCanonical is no versioned process url";
    UnknownProcess = "unknown-process", "no draft or active process matches url, version, message name and profile of the Task";
    RequesterNotAdmitted = "requester-not-admitted", "the process does not admit the requester";
    RecipientNotAdmitted = "recipient-not-admitted", "the process does not admit the local organisation as recipient";
    UnchangedSetChanged = "unchanged-set-changed", "requester, restriction, process or input of the Task was changed";
    OutputTooEarly = "output-too-early", "a Task that starts has no output yet";
    NotDraft = "not-draft", "only draft Tasks may be deleted";
    NotInvolved = "not-involved", "the identity is neither requester nor recipient";
    BadQuestionnaireResponse = "bad-questionnaire-response", "the user task lacks its id, its questionnaire or a well-formed authorisation";
    BadAuthor = "bad-author", "the author is not the identity itself, or authored is missing";
    NotNamedByQuestionnaire = "questionnaire-names-others", "the user task names other persons and roles";
    NotStored = "not-stored", "the resource of this request is missing or of another type";
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

#[cfg(test)]
mod tests {
    use super::Reason;

    #[test]
    fn every_reason_is_explained_in_the_security_guide() {
        let guide = include_str!("../../../docs/security.md");
        for reason in Reason::ALL {
            let (id, sentence) = (reason.id(), reason.sentence());
            let line = format!("| <a id=\"{id}\"></a>`{id}` | {sentence} |");
            assert!(guide.lines().any(|known| known == line), "missing: {line}");
        }
    }
}
