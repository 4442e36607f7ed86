//! What a plugin may ask of the host: `[capabilities]` of `plugin.toml`.

use super::Refusal;

/// What code may do on a kind of FHIR server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    #[default]
    None,
    Read,
    Write,
}

/// All of it. Nothing unless the plugin says so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// The own FHIR server.
    pub local_fhir: Access,
    /// FHIR servers of partners: active Endpoints that the own server knows.
    pub remote_fhir: Access,
    /// Ids of configured connections; `*` stands for all.
    pub fhir_connections: Vec<String>,
    /// OpenID providers that the code names itself.
    pub oidc: bool,
    pub mail: bool,
    /// Passwords, tokens and keys of the proxy and of the connections that it may use.
    pub secrets: bool,
}

impl Capabilities {
    /// # Errors
    /// What `plugin.toml` would have to say.
    pub(super) fn permit(&self, key: &str, granted: Access, writes: bool) -> Result<(), Refusal> {
        let (needed, name) = if writes {
            (Access::Write, "write")
        } else {
            (Access::Read, "read")
        };
        if granted >= needed {
            return Ok(());
        }
        Err(Refusal::new(format!(
            "plugin.toml must say [capabilities] {key} = \"{name}\" for this"
        )))
    }

    /// # Errors
    /// What `plugin.toml` would have to say.
    pub(super) fn wants(&self, key: &str, granted: bool) -> Result<(), Refusal> {
        if granted {
            return Ok(());
        }
        Err(Refusal::new(format!(
            "plugin.toml must say [capabilities] {key} = true for this"
        )))
    }

    /// # Errors
    /// What `plugin.toml` would have to say.
    pub(super) fn connection(&self, id: &str) -> Result<(), Refusal> {
        if self
            .fhir_connections
            .iter()
            .any(|one| one == "*" || one == id)
        {
            return Ok(());
        }
        Err(Refusal::new(format!(
            "plugin.toml must say [capabilities] fhir-connections = [\"{id}\"] for this"
        )))
    }
}
