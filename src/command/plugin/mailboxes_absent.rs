//! A program without the FHIR role has no mailboxes to play with.

use std::path::Path;

use crate::bpe::scenario::{Mail, Member, Place, Postmaster};

pub struct Mailboxes;

impl Mailboxes {
    pub fn new(_: &Path) -> anyhow::Result<Self> {
        Ok(Self)
    }
}

impl Postmaster for Mailboxes {
    fn mail(&self, _: &[Member], _: &Place<'_>) -> Result<Box<dyn Mail>, String> {
        Err("this program was built without the FHIR role, which has the mailboxes".to_owned())
    }
}
