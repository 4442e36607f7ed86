//! Configuration: one typed TOML file, read from four layers.
//!
//! Built-in defaults, then `dsf.toml`, then environment variables (`DSF_SECTION__KEY`), then
//! `--set section.key=value`; later layers win key by key (figment does the merging). The keys
//! stand in [`keys`], once, with their documentation; everything else is derived from that:
//! reading, `dsf.toml.example`, `docs/configuration.md`, `dsf config explain`.
//!
//! A faulty configuration is refused as a whole, and all its [`Problems`] are told at once.

#[macro_use]
mod section;

mod check;
pub mod document;
pub mod keys;
mod layer;
mod problem;
mod reader;
mod role;
mod settings;
mod suggest;
#[cfg(test)]
mod tests;
mod value;
pub mod watch;

use std::path::PathBuf;

pub use check::{BpeRole, Config, FhirRole, Needs};
pub use layer::Origin;
pub use problem::{Problem, Problems};
pub use section::{Key, Presence, Section};
pub use value::{
    AuditReads, Authorities, ByteSize, ClientCertificate, Directory, Encryption, ExtraInteraction,
    InputFile, RevocationList, Setting, Shape, WithoutList,
};

use layer::Layers;
use reader::Reader;

/// Where a configuration is read from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file; `None` when there is none, and environment and flags have to do.
    pub file: Option<PathBuf>,
    /// Environment variables; only those named `DSF_SECTION__KEY` count.
    pub environment: Vec<(String, String)>,
    /// `section.key` and value from the command line.
    pub overrides: Vec<(String, String)>,
}

impl Sources {
    /// The given file and overrides, and the environment of this process.
    #[must_use]
    pub fn of_process(file: Option<PathBuf>, overrides: Vec<(String, String)>) -> Self {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self {
            file,
            environment,
            overrides,
        }
    }

    /// Reads and checks everything that the given roles need.
    ///
    /// # Errors
    /// With every problem found, not only the first.
    pub fn load(&self, needs: Needs) -> Result<Config, Problems> {
        let layers = Layers::read(self)?;
        let mut reader = Reader::new(&layers);
        let config = Config::read(&mut reader, needs);
        match (config, reader.finish()) {
            (Some(config), None) => Ok(config),
            (_, Some(problems)) => Err(problems),
            // A reader that answers nothing has noted why.
            (None, None) => Err(Problems::default()),
        }
    }

    /// Every key with the value in force and where it came from; secrets are masked.
    ///
    /// # Errors
    /// When the file cannot be read at all.
    pub fn values(&self) -> Result<Vec<Effective>, Problems> {
        let layers = Layers::read(self)?;
        Ok(keys::sections()
            .flat_map(|section| section.keys.iter().map(move |key| (section, key)))
            .map(|(section, key)| layers.effective(section, key))
            .collect())
    }
}

/// One key as it is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    pub key: String,
    /// As written, `***` for a secret, `None` when not set.
    pub value: Option<String>,
    pub origin: Option<Origin>,
}
