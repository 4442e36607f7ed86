//! Why there is no private cluster, each with what to do about it.

use std::path::PathBuf;

/// A private cluster that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error(
        "PostgreSQL is not installed (looked in {looked}): install it \
         (Debian: apt-get install postgresql), name its folder in database.bin-dir, \
         or name an existing database in database.url"
    )]
    NoBinaries { looked: String },
    #[error(
        "{} holds data of PostgreSQL {found}, but the program here is {installed}: install \
         PostgreSQL {found} beside it (Debian: apt-get install postgresql-{found}) or name its \
         folder in database.bin-dir; to move to the newer one, run pg_upgrade", dir.display()
    )]
    OtherVersion {
        dir: PathBuf,
        found: String,
        installed: String,
    },
    #[error(
        "{} is not empty and not a cluster of dsf: name an empty or new folder in \
         database.data-dir", dir.display()
    )]
    NotOurs { dir: PathBuf },
    #[error(
        "{} belongs to another user (uid {owner}): start dsf as that user, give the folder to \
         the user dsf runs as (chown -R), or name another one in database.data-dir", dir.display()
    )]
    OtherOwner { dir: PathBuf, owner: u32 },
    #[error(
        "{} is in use by another dsf (process {owner}): stop that one, or give each its own \
         database.data-dir; to share one database set database.url in both", dir.display()
    )]
    InUse { dir: PathBuf, owner: String },
    #[error("no space left for {}: free some and start again ({detail})", dir.display())]
    DiskFull { dir: PathBuf, detail: String },
    #[error(
        "PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody: \
         create one (useradd --system postgres) or start dsf as an ordinary user"
    )]
    NoAccount,
    #[error(
        "initdb could not make a cluster in {} with encoding UTF8 and locale C: {detail}; check \
         that the files of PostgreSQL are complete (Debian: apt-get install --reinstall \
         postgresql)", dir.display()
    )]
    Initdb { dir: PathBuf, detail: String },
    #[error(
        "PostgreSQL in {} did not start: {detail}; if shared memory is short, give the machine or \
         container more (--shm-size); its own words stand in the log", dir.display()
    )]
    NotStarted { dir: PathBuf, detail: String },
    #[error("{}: {source}; dsf must be able to write there", path.display())]
    Files {
        path: PathBuf,
        source: std::io::Error,
    },
}

impl Refusal {
    /// An error of the file system, with a full disk told apart.
    pub(super) fn files(path: &std::path::Path, source: std::io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Self::DiskFull {
                dir: path,
                detail: source.to_string(),
            },
            _ => Self::Files { path, source },
        }
    }
}
