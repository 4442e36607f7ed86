//! PostgreSQL's client programs, called for one database.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use super::BackupError;
use crate::store::{Error, Settings, cluster};

/// One program with the database it is for.
pub(super) struct Program {
    name: &'static str,
    path: PathBuf,
    /// Without its password: anybody may read the arguments of a process.
    address: String,
    password: Option<String>,
}

impl Program {
    /// The newest of those installed; it reads the databases of all servers before it.
    pub(super) fn find(name: &'static str, settings: &Settings) -> Result<Self, BackupError> {
        let bin_dir = settings.bin_dir.as_deref();
        let folders = bin_dir.map_or_else(cluster::usual_folders, |dir| vec![dir.to_owned()]);
        let versions = folders.iter().filter_map(|folder| {
            let path = folder.join(name);
            Some((cluster::major(&path)?, path))
        });
        let Some((_, path)) = versions.max_by_key(|(version, _)| *version) else {
            let looked = match bin_dir {
                Some(dir) => dir.display().to_string(),
                None => "the PATH and /usr/lib/postgresql/*/bin".to_owned(),
            };
            return Err(BackupError::NoProgram {
                program: name.to_owned(),
                looked,
            });
        };
        let (address, password) = split(settings.url.as_deref().unwrap_or_default())?;
        Ok(Self {
            name,
            path,
            address,
            password,
        })
    }

    /// Runs it on the database; fails with its own words.
    pub(super) async fn run(
        &self,
        arguments: &[String],
        out: Option<File>,
    ) -> Result<(), BackupError> {
        let mut command = Command::new(&self.path);
        command
            .arg(format!("--dbname={}", self.address))
            .args(arguments);
        if let Some(password) = &self.password {
            command.env("PGPASSWORD", password);
        }
        command.stdout(out.map_or_else(Stdio::null, Stdio::from));
        self.finish(command).await.map(|_| ())
    }

    /// The table of contents of an archive.
    pub(super) async fn list(&self, archive: &Path) -> Result<String, BackupError> {
        let mut command = Command::new(&self.path);
        command.arg("--list").arg(archive).stdout(Stdio::piped());
        self.finish(command).await
    }

    async fn finish(&self, mut command: Command) -> Result<String, BackupError> {
        let failed = |detail: String| BackupError::Failed {
            program: self.name.to_owned(),
            detail,
        };
        command
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let child = command.spawn().map_err(|error| failed(error.to_string()))?;
        let output = child.wait_with_output().await;
        let output = output.map_err(|error| failed(error.to_string()))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(failed(said.trim().replace('\n', "; ")));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// The URL without its password, and the password. By hand: a URL may name several hosts, which
/// is none to the library for URLs.
fn split(url: &str) -> Result<(String, Option<String>), Error> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err(Error::Configuration("database.url: not a URL".to_owned()));
    };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let Some((user, encoded)) = authority
        .rsplit_once('@')
        .and_then(|(login, _)| login.split_once(':'))
    else {
        return Ok((url.to_owned(), None));
    };
    let pair = format!("p={}", encoded.replace('+', "%2B"));
    let password = url::form_urlencoded::parse(pair.as_bytes())
        .next()
        .map(|(_, value)| value.into_owned());
    let behind = &rest[user.len() + 1 + encoded.len()..];
    Ok((format!("{scheme}://{user}{behind}"), password))
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn the_password_is_no_part_of_the_address() {
        let (address, password) =
            split("postgresql://dsf:p%40ss%2Bw+rd@db.example.org/dsf?sslmode=verify-full").unwrap();
        assert_eq!(
            address,
            "postgresql://dsf@db.example.org/dsf?sslmode=verify-full"
        );
        assert_eq!(password.as_deref(), Some("p@ss+w+rd"));
        let (address, _) = split("postgresql://dsf:x@a:5432,b:5432/dsf").unwrap();
        assert_eq!(address, "postgresql://dsf@a:5432,b:5432/dsf");
        let socket = "postgresql://dsf@%2Ftmp%2Fx%20y/dsf";
        assert_eq!(split(socket).unwrap(), (socket.to_owned(), None));
    }
}
