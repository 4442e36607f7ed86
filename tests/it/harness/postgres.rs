//! A database server of somebody else: PostgreSQL over TCP that takes TLS connections only.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid, User};

use super::world::free_port;
use super::{World, until};

pub struct Postgres {
    pub port: u16,
    server: Child,
}

impl Postgres {
    /// Presents `<certificate>.crt` of the world; its superuser is `dsf`.
    pub async fn start(world: &World, certificate: &str) -> Self {
        let (port, home) = (free_port(), world.path("postgres"));
        fs::create_dir(&home).unwrap();
        for end in ["crt", "key"] {
            let file = home.join(format!("server.{end}"));
            fs::copy(world.path(&format!("{certificate}.{end}")), &file).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        }
        fs::write(home.join("hba"), "hostssl all all all trust\n").unwrap();
        give_away(&home);
        let data = home.join("data");
        let mut initdb = command("initdb");
        initdb.args(["--username=dsf", "--auth=trust", "--encoding=UTF8"]);
        initdb
            .args(["--locale=C", "--no-sync", "--pgdata"])
            .arg(&data);
        assert!(initdb.output().unwrap().status.success(), "{initdb:?}");
        let mut server = command("postgres");
        server.arg("-D").arg(&data).arg("-k").arg(&home);
        server.args(["-p", &port.to_string()]);
        let setting = |name, file| format!("{name}={}", home.join(file).display());
        for setting in [
            "listen_addresses=localhost".to_owned(),
            "fsync=off".to_owned(),
            "ssl=on".to_owned(),
            setting("hba_file", "hba"),
            setting("ssl_cert_file", "server.crt"),
            setting("ssl_key_file", "server.key"),
        ] {
            server.args(["-c", &setting]);
        }
        let started = Self {
            port,
            server: server.spawn().unwrap(),
        };
        let patience = Duration::from_secs(30);
        until("PostgreSQL is ready", patience, async || {
            let pid_file = fs::read_to_string(data.join("postmaster.pid"));
            pid_file.is_ok_and(|text| text.contains("ready"))
        })
        .await;
        started
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let pid = Pid::from_raw(self.server.id().try_into().unwrap());
        // It may have ended by itself.
        let _ = kill(pid, Signal::SIGQUIT);
        let _ = self.server.wait();
    }
}

/// PostgreSQL refuses to run as root.
fn account() -> Option<User> {
    Uid::effective()
        .is_root()
        .then(|| User::from_name("postgres").unwrap().unwrap())
}

fn give_away(folder: &Path) {
    let Some(user) = account() else { return };
    let (uid, gid) = (Some(user.uid.as_raw()), Some(user.gid.as_raw()));
    for entry in fs::read_dir(folder).unwrap() {
        chown(entry.unwrap().path(), uid, gid).unwrap();
    }
    chown(folder, uid, gid).unwrap();
}

fn command(program: &str) -> Command {
    let mut command = Command::new(newest(program));
    command.current_dir("/").stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    if let Some(user) = account() {
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    command
}

/// Debian keeps each version in a folder of its own; elsewhere the program is on the path.
fn newest(program: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let found = versions.flatten().map(|version| version.path());
    let mut found: Vec<_> = found
        .map(|version| version.join("bin").join(program))
        .filter(|path| path.exists())
        .collect();
    found.sort();
    found.pop().unwrap_or_else(|| program.into())
}
