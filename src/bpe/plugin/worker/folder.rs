//! The files of a worker on the disk: its package, and the package of the host interface.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::Program;
use crate::bpe::plugin::runner::Error;

/// The Python side of the host interface, which comes with this program.
const PYTHON: [(&str, &str); 8] = [
    (
        "dsf/__init__.py",
        include_str!("../../../../runners/python/dsf/__init__.py"),
    ),
    (
        "dsf/__main__.py",
        include_str!("../../../../runners/python/dsf/__main__.py"),
    ),
    (
        "dsf/api.py",
        include_str!("../../../../runners/python/dsf/api.py"),
    ),
    (
        "dsf/client.py",
        include_str!("../../../../runners/python/dsf/client.py"),
    ),
    (
        "dsf/config.py",
        include_str!("../../../../runners/python/dsf/config.py"),
    ),
    (
        "dsf/form.py",
        include_str!("../../../../runners/python/dsf/form.py"),
    ),
    (
        "dsf/helpers.py",
        include_str!("../../../../runners/python/dsf/helpers.py"),
    ),
    (
        "dsf/variables.py",
        include_str!("../../../../runners/python/dsf/variables.py"),
    ),
];

/// A private folder that goes with its owner.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn of(program: &Program) -> Result<Self, Error> {
        let path = std::env::temp_dir().join(format!("dsf-plugin-{}", Uuid::new_v4()));
        let folder = Self(path);
        let failed = |error: io::Error| {
            Error::Start(format!("{} cannot be written: {error}", folder.0.display()))
        };
        DirBuilder::new()
            .mode(0o700)
            .create(&folder.0)
            .map_err(failed)?;
        for (name, content) in &program.files {
            folder
                .write(&folder.package().join(name), content)
                .map_err(failed)?;
        }
        for (name, content) in PYTHON {
            let path = folder.python().join(name);
            folder.write(&path, content.as_bytes()).map_err(failed)?;
        }
        Ok(folder)
    }

    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        fs::create_dir_all(path.parent().unwrap_or(&self.0))?;
        fs::write(path, content)
    }

    /// Where the worker runs.
    pub(super) fn package(&self) -> PathBuf {
        self.0.join("package")
    }

    /// Where Python finds the host interface.
    pub(super) fn python(&self) -> PathBuf {
        self.0.join("python")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What stays is in the folder for temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}
