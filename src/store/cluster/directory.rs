//! The folder of a private cluster: whose it is, who may use it, how it comes to be.
//!
//! ```text
//! <data-dir>/dsf.lock    held while a dsf uses the folder, names its process
//! <data-dir>/cluster/    PostgreSQL's own data directory
//! ```
//! PostgreSQL refuses to run as root. Under root everything belongs to the account that the server
//! runs as; where that account cannot reach the folder (a home of root, say) the cluster lives in
//! `/var/lib/dsf/` and `cluster` is a link to it.

use std::fs::{DirBuilder, File, Permissions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::unistd::{Uid, User};
use sha2::{Digest, Sha256};

use super::Refusal;
use super::binaries::Binaries;
use crate::store::error::is_full_disk;

/// Longest path of a Unix socket that the kernel takes.
const SOCKET_PATH_LIMIT: usize = 107;
/// What PostgreSQL appends to the socket folder, lock file included.
const SOCKET_NAME: &str = "/.s.PGSQL.5432.lock";
const SHELTER: &str = "/var/lib/dsf";

/// The account that PostgreSQL runs as; `None` is our own.
pub(super) type Account = Option<(u32, u32)>;

/// A folder that this process holds the lock of.
pub(super) struct Directory {
    pub(super) data: PathBuf,
    pub(super) socket: PathBuf,
    pub(super) account: Account,
    /// Held open: the lock goes with it.
    _lock: File,
}

impl Directory {
    /// Takes the folder for this process; makes it if it is not there.
    pub(super) fn take(home: &Path) -> Result<Self, Refusal> {
        let home = std::path::absolute(home).map_err(|error| Refusal::files(home, error))?;
        make_private(&home, None)?;
        let lock = lock(&home)?;
        let account = account(&home.join("cluster"))?;
        let data = data_folder(&home, account)?;
        // A run that was killed within initdb left a half-made cluster.
        let torn = half_made(&data);
        if torn.exists() {
            std::fs::remove_dir_all(&torn).map_err(|error| Refusal::files(&torn, error))?;
        }
        let socket = socket_folder(&data, account)?;
        Ok(Self {
            data,
            socket,
            account,
            _lock: lock,
        })
    }

    /// The socket of the cluster that somebody else holds the lock of.
    pub(super) fn socket_of(home: &Path) -> Result<PathBuf, Refusal> {
        let home = std::path::absolute(home).map_err(|error| Refusal::files(home, error))?;
        let account = account(&home.join("cluster"))?;
        let data = home.join("cluster");
        let data = std::fs::read_link(&data).unwrap_or(data);
        socket_folder(&data, account)
    }

    /// Major version of the cluster in the folder, `None` where there is none yet.
    pub(super) fn version(&self) -> Option<String> {
        let text = std::fs::read_to_string(self.data.join("PG_VERSION")).ok()?;
        Some(text.trim().to_owned())
    }

    /// Makes the cluster. It appears under its name when it is whole.
    pub(super) fn create(&self, binaries: &Binaries, durable: bool) -> Result<(), Refusal> {
        let fresh = half_made(&self.data);
        make_private(&fresh, self.account)?;
        let mut command = command_as(&binaries.initdb(), self.account);
        command.args(["--username=dsf", "--auth-local=trust", "--auth-host=reject"]);
        command.args([
            "--encoding=UTF8",
            "--locale=C",
            "--no-instructions",
            "--pgdata",
        ]);
        command.arg(&fresh);
        if !durable {
            command.arg("--no-sync");
        }
        let output = command
            .output()
            .map_err(|error| Refusal::files(&binaries.initdb(), error))?;
        if !output.status.success() {
            let _ = std::fs::remove_dir_all(&fresh);
            let said = String::from_utf8_lossy(&output.stderr)
                .trim()
                .replace('\n', "; ");
            return Err(self.blame(said, |dir, detail| Refusal::Initdb { dir, detail }));
        }
        std::fs::rename(&fresh, &self.data).map_err(|error| Refusal::files(&self.data, error))
    }

    /// Tells a full disk from other failures by PostgreSQL's words.
    pub(super) fn blame(
        &self,
        detail: String,
        otherwise: impl FnOnce(PathBuf, String) -> Refusal,
    ) -> Refusal {
        let dir = self.data.clone();
        if is_full_disk(&detail) {
            return Refusal::DiskFull { dir, detail };
        }
        otherwise(dir, detail)
    }
}

/// A command that runs as the account, with a plain environment.
pub(super) fn command_as(program: &Path, account: Account) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("LC_ALL", "C")
        .env("PATH", "/usr/bin:/bin")
        .current_dir("/");
    command.stdin(std::process::Stdio::null());
    if let Some((uid, gid)) = account {
        command.uid(uid).gid(gid);
    }
    command
}

fn half_made(data: &Path) -> PathBuf {
    data.with_extension("new")
}

fn make_private(dir: &Path, account: Account) -> Result<(), Refusal> {
    let blame = |error| Refusal::files(dir, error);
    let existed = dir.exists();
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(dir)
        .map_err(blame)?;
    if !existed {
        std::fs::set_permissions(dir, Permissions::from_mode(0o700)).map_err(blame)?;
    }
    if let Some((uid, gid)) = account {
        chown(dir, Some(uid), Some(gid)).map_err(blame)?;
    }
    Ok(())
}

/// Whether the lock is ours now. A child that is just being started has a copy of every open file
/// of its parent until it becomes another program, so a lock that was given up may last a moment.
fn locked(file: &File) -> bool {
    (0..20).any(|tries| {
        if tries > 0 {
            std::thread::sleep(Duration::from_millis(100));
        }
        file.try_lock().is_ok()
    })
}

fn lock(home: &Path) -> Result<File, Refusal> {
    let path = home.join("dsf.lock");
    let blame = |error| Refusal::files(&path, error);
    if !path.exists() {
        let mut entries = std::fs::read_dir(home).map_err(blame)?;
        if entries.next().is_some() {
            return Err(Refusal::NotOurs {
                dir: home.to_owned(),
            });
        }
    }
    let mut options = File::options();
    let mut file = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(blame)?;
    if !locked(&file) {
        let mut owner = String::new();
        file.read_to_string(&mut owner).map_err(blame)?;
        return Err(Refusal::InUse {
            dir: home.to_owned(),
            owner: owner.trim().to_owned(),
        });
    }
    file.set_len(0)
        .and_then(|()| file.rewind())
        .map_err(blame)?;
    writeln!(file, "{}", std::process::id()).map_err(blame)?;
    Ok(file)
}

/// Who PostgreSQL runs as: we ourselves, or under root the owner of the cluster, else an account
/// made for such things.
fn account(cluster: &Path) -> Result<Account, Refusal> {
    let owner = std::fs::metadata(cluster)
        .ok()
        .map(|metadata| (metadata.uid(), metadata.gid()));
    if !Uid::effective().is_root() {
        return match owner {
            Some((uid, _)) if uid != Uid::effective().as_raw() => Err(Refusal::OtherOwner {
                dir: cluster.to_owned(),
                owner: uid,
            }),
            _ => Ok(None),
        };
    }
    if let Some((uid, gid)) = owner.filter(|(uid, _)| *uid != 0) {
        return Ok(Some((uid, gid)));
    }
    ["postgres", "nobody"]
        .iter()
        .find_map(|name| User::from_name(name).ok().flatten())
        .map(|user| Some((user.uid.as_raw(), user.gid.as_raw())))
        .ok_or(Refusal::NoAccount)
}

/// Where PostgreSQL's data directory is, or will be.
fn data_folder(home: &Path, account: Account) -> Result<PathBuf, Refusal> {
    let data = home.join("cluster");
    let Some((_, gid)) = account else {
        return Ok(data);
    };
    if let Ok(target) = std::fs::read_link(&data) {
        return Ok(target);
    }
    if home.ancestors().skip(1).all(passable) {
        // The account must pass through the folder, and may not read it.
        let blame = |error| Refusal::files(home, error);
        chown(home, None, Some(gid)).map_err(blame)?;
        let mode = std::fs::metadata(home).map_err(blame)?.mode();
        std::fs::set_permissions(home, Permissions::from_mode(mode | 0o010)).map_err(blame)?;
        return Ok(data);
    }
    let name = format!("{:x}", Sha256::digest(home.as_os_str().as_encoded_bytes()));
    let shelter = Path::new(SHELTER).join(&name[..16]);
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(&shelter)
        .map_err(|error| Refusal::files(&shelter, error))?;
    let target = shelter.join("cluster");
    std::os::unix::fs::symlink(&target, &data).map_err(|error| Refusal::files(&data, error))?;
    tracing::info!(data = %target.display(), link = %data.display(), "the database account cannot reach the data directory; the cluster lives elsewhere");
    Ok(target)
}

fn passable(dir: &Path) -> bool {
    std::fs::metadata(dir).is_ok_and(|metadata| metadata.mode() & 0o001 != 0)
}

/// The socket stands in the data directory, or in a private folder of /tmp where its path would be
/// too long for the kernel.
fn socket_folder(data: &Path, account: Account) -> Result<PathBuf, Refusal> {
    if data.as_os_str().len() + SOCKET_NAME.len() <= SOCKET_PATH_LIMIT {
        return Ok(data.to_owned());
    }
    let name = format!("{:x}", Sha256::digest(data.as_os_str().as_encoded_bytes()));
    let folder = std::env::temp_dir().join(format!("dsf-{}", &name[..16]));
    make_private(&folder, account)?;
    let metadata =
        std::fs::symlink_metadata(&folder).map_err(|error| Refusal::files(&folder, error))?;
    let owner = account.map_or(Uid::effective().as_raw(), |(uid, _)| uid);
    if !metadata.is_dir() || metadata.uid() != owner || metadata.mode() & 0o077 != 0 {
        return Err(Refusal::NotOurs { dir: folder });
    }
    Ok(folder)
}
