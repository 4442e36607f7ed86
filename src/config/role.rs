//! `[[role]]` tables: which persons hold which rights. Read here, interpreted in `auth`.
//!
//! The YAML form of the Java DSF drops what it does not understand with a warning; in a form of
//! our own, what is not understood is a problem.

use std::path::Path;

use figment::value::Value;

use crate::auth::roles::{GrantText, Roles, RuleText};
use crate::config::keys::Auth;
use crate::config::reader::Reader;
use crate::config::value::scalar;
use crate::config::{InputFile, Setting};

section! {
    /// One rule for persons; repeat the table for more. Whoever matches any of thumbprint or
    /// email holds all of the rule's rights; the rights of all matching rules add up.
    RoleRule "role" {
        /// SHA-512 thumbprints of client certificates: `dsf cert thumbprint FILE`.
        thumbprint "thumbprint": default Vec<String> = "",
        /// E-mail addresses in client certificates.
        email "email": default Vec<String> = "",
        /// Rights at the FHIR role: CREATE, READ, UPDATE, DELETE, PERMANENT_DELETE, SEARCH,
        /// HISTORY, WEBSOCKET; for some types only as `{ READ = ["Task", "Group"] }`.
        dsf_role "dsf-role": default Vec<GrantText> = "",
        /// Roles for starting processes and answering questionnaires, as system|code.
        practitioner_role "practitioner-role": default Vec<String> = "",
    }
}

impl Setting for GrantText {
    const EXPECTED: &'static str = "an operation, or { OPERATION = [\"Type\", …] }";

    fn parse(text: &str, base: &Path) -> Result<Self, String> {
        Ok(Self {
            operation: String::parse(text, base)?,
            types: Vec::new(),
        })
    }

    fn read(value: &Value, base: &Path) -> Result<Self, String> {
        let Value::Dict(_, grant) = value else {
            return Self::parse(&scalar(value)?, base);
        };
        let mut entries = grant.iter();
        let (Some((operation, types)), None) = (entries.next(), entries.next()) else {
            return Err("holds a table without exactly one operation".to_owned());
        };
        let types = Vec::<String>::read(types, base)?;
        if types.is_empty() {
            return Err(format!("grants {operation} for no type"));
        }
        Ok(Self {
            operation: operation.clone(),
            types,
        })
    }
}

impl RoleRule {
    fn text(self, name: &str) -> RuleText {
        RuleText {
            name: name.to_owned(),
            thumbprints: self.thumbprint,
            emails: self.email,
            dsf_roles: self.dsf_role,
            practitioner_roles: self.practitioner_role,
            ..RuleText::default()
        }
    }
}

/// The rules of all `[[role]]` tables and of `auth.roles-file`.
pub(super) fn roles(reader: &mut Reader<'_>, auth: Option<&Auth>) -> Option<Roles> {
    let mut all = Some(Roles::default());
    for table in reader.role_tables() {
        let rule = RoleRule::read(reader, &table).map(|rule| rule.text(&table));
        let read = rule.map(|text| Roles::from_texts(&[text]));
        for warning in read.iter().flat_map(Roles::warnings) {
            reader.table_fault(&table, warning);
        }
        all = all.zip(read).map(|(all, read)| all.and(read));
    }
    let file = auth.and_then(|auth| auth.roles_file.as_ref());
    file.map_or(all.clone(), |file| {
        all.zip(roles_file(reader, file))
            .map(|(all, more)| all.and(more))
    })
}

fn roles_file(reader: &mut Reader<'_>, InputFile(path): &InputFile) -> Option<Roles> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string());
    match text.and_then(|text| Roles::from_yaml(&text).map_err(|error| error.to_string())) {
        Ok(roles) => Some(roles),
        Err(error) => {
            let fault = format!("names a file that is no YAML ({error})");
            reader.fault(
                "auth",
                "roles-file",
                &fault,
                "mend the file, or use [[role]] tables",
            );
            None
        }
    }
}
