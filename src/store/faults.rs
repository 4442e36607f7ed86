//! A line to the database that fails when a test says so: before the statements have run, or after
//! them, when only their answer is lost.

use std::fmt;
use std::sync::Arc;

use super::Error;

/// Where a line breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    Before,
    After,
}

type Decision = Arc<dyn Fn(Moment) -> bool + Send + Sync>;

/// Decides about every use of the database; by default nothing fails.
#[derive(Clone, Default)]
pub(crate) struct Faults(Option<Decision>);

impl Faults {
    pub(crate) fn new(decide: impl Fn(Moment) -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(decide)))
    }

    pub(super) fn before(&self) -> Result<(), Error> {
        self.at(Moment::Before)
    }

    pub(super) fn after(&self) -> Result<(), Error> {
        self.at(Moment::After)
    }

    fn at(&self, moment: Moment) -> Result<(), Error> {
        match &self.0 {
            Some(fails) if fails(moment) => Err(Error::Unreachable(format!("broken {moment:?}"))),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults").finish_non_exhaustive()
    }
}
