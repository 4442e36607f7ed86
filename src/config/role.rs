//! `[[role]]` tables: which persons hold which rights. Interpreted in `auth`, read here.

use std::path::Path;

use figment::value::Value;

use crate::config::Setting;
use crate::config::value::scalar;

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
        dsf_role "dsf-role": default Vec<RoleGrant> = "",
        /// Roles for starting processes and answering questionnaires, as system|code.
        practitioner_role "practitioner-role": default Vec<String> = "",
    }
}

/// One entry of `dsf-role`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleGrant {
    pub operation: String,
    /// Empty: all types.
    pub types: Vec<String>,
}

impl Setting for RoleGrant {
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
