//! Whom a certificate belongs to, found once for each directory and each set of role rules.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use arc_swap::ArcSwapOption;
use jiff::Timestamp;

use crate::auth::{self, Certificate, Identity, Refusal, Roles};
use crate::fhir::directory::Directory;

/// Certificates of persons are not on the allow list, so their number has a bound of its own.
const MOST: usize = 4096;

/// The identities found so far.
#[derive(Default)]
pub struct Known(ArcSwapOption<Found>);

/// By thumbprint, as of one directory and one set of role rules: with others, all is found anew.
struct Found {
    directory: Arc<Directory>,
    roles: Arc<Roles>,
    identities: RwLock<HashMap<String, Arc<Identity>>>,
}

impl Known {
    /// Whom the certificate belongs to at this moment, for the organisation `own`.
    pub fn identify(
        &self,
        certificate: &Certificate,
        (directory, roles): (&Arc<Directory>, &Arc<Roles>),
        own: &str,
        now: Timestamp,
    ) -> Result<Arc<Identity>, Refusal> {
        certificate.check(now)?;
        let found = self.found(directory, roles);
        let thumbprint = &certificate.thumbprint;
        let identities = found.identities.read();
        let identities = identities.unwrap_or_else(PoisonError::into_inner);
        if let Some(identity) = identities.get(thumbprint) {
            return Ok(Arc::clone(identity));
        }
        drop(identities);
        let allowed = directory.allowed(thumbprint, own);
        let identity = Arc::new(auth::identify(certificate, &allowed, roles, now)?);
        let identities = found.identities.write();
        let mut identities = identities.unwrap_or_else(PoisonError::into_inner);
        if identities.len() < MOST {
            identities.insert(thumbprint.clone(), Arc::clone(&identity));
        }
        Ok(identity)
    }

    fn found(&self, directory: &Arc<Directory>, roles: &Arc<Roles>) -> Arc<Found> {
        let found = self.0.load();
        if let Some(found) = found.as_ref()
            && Arc::ptr_eq(&found.directory, directory)
            && Arc::ptr_eq(&found.roles, roles)
        {
            return Arc::clone(found);
        }
        let found = Arc::new(Found {
            directory: Arc::clone(directory),
            roles: Arc::clone(roles),
            identities: RwLock::default(),
        });
        self.0.store(Some(Arc::clone(&found)));
        found
    }
}
