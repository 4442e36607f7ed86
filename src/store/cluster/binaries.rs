//! Finds `postgres` and `initdb`: the configured folder, the PATH, where Debian and others put them.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Refusal;

/// An installation of PostgreSQL.
#[derive(Clone, Debug)]
pub(super) struct Binaries {
    dir: PathBuf,
    /// Major version, the content of `PG_VERSION`.
    pub(super) major: String,
}

impl Binaries {
    /// The installation for a cluster of version `wanted` if there is one, else the newest.
    pub(super) fn find(configured: Option<&Path>, wanted: Option<&str>) -> Result<Self, Refusal> {
        let candidates = configured.map_or_else(usual_folders, |dir| vec![dir.to_owned()]);
        let mut found: Vec<Self> = candidates.iter().filter_map(|dir| Self::at(dir)).collect();
        found.sort_by_key(|binaries| binaries.major.parse::<u32>().unwrap_or(0));
        let fitting = found
            .iter()
            .find(|binaries| Some(binaries.major.as_str()) == wanted);
        fitting.or(found.last()).cloned().ok_or_else(|| {
            let looked = match configured {
                Some(dir) => dir.display().to_string(),
                None => "the PATH and /usr/lib/postgresql/*/bin".to_owned(),
            };
            Refusal::NoBinaries { looked }
        })
    }

    pub(super) fn postgres(&self) -> PathBuf {
        self.dir.join("postgres")
    }

    pub(super) fn initdb(&self) -> PathBuf {
        self.dir.join("initdb")
    }

    fn at(dir: &Path) -> Option<Self> {
        // Debian's PATH holds wrappers of some tools only; both must be there.
        if !dir.join("initdb").is_file() {
            return None;
        }
        let major = major(&dir.join("postgres"))?;
        Some(Self {
            dir: dir.to_owned(),
            major: major.to_string(),
        })
    }
}

/// The major version of a program of PostgreSQL; `None` if there is none.
pub(in crate::store) fn major(program: &Path) -> Option<u32> {
    let output = Command::new(program).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // "postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)"
    let version = text
        .split_whitespace()
        .find(|word| word.starts_with(char::is_numeric))?;
    let major = version.split(|c: char| !c.is_ascii_digit()).next()?;
    major.parse().ok()
}

/// Where programs of PostgreSQL may be.
pub(in crate::store) fn usual_folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = std::env::var_os("PATH")
        .map(|path| std::env::split_paths(&path).collect())
        .unwrap_or_default();
    for parent in ["/usr/lib/postgresql", "/usr/pgsql", "/opt/homebrew/opt"] {
        let versions = std::fs::read_dir(parent).into_iter().flatten().flatten();
        folders.extend(versions.map(|entry| entry.path().join("bin")));
    }
    folders
}
