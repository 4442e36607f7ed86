//! Role rules that change while a node runs.

use std::path::Path;
use std::time::{Duration, SystemTime};

use tokio::signal::unix::{SignalKind, signal};

use super::{Config, Needs, Sources};
use crate::auth::Roles;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// Hands on the rules when the configuration file or the roles file has changed, or on SIGHUP. All
/// other keys count from the next start. A configuration with a problem changes nothing.
pub async fn roles(sources: &Sources, config: &Config, changed: impl Fn(Roles)) {
    let mut hangup = match signal(SignalKind::hangup()) {
        Ok(hangup) => hangup,
        Err(error) => return tracing::error!(%error, "role rules will not be read again"),
    };
    let needs = Needs {
        fhir: config.fhir_role.is_some(),
        bpe: config.bpe_role.is_some(),
    };
    let (mut known, mut seen) = (config.roles.clone(), written(sources, config));
    loop {
        tokio::select! {
            _ = hangup.recv() => {}
            () = tokio::time::sleep(LOOK) => {
                if written(sources, config) == seen {
                    continue;
                }
            }
        }
        seen = written(sources, config);
        match sources.load(needs) {
            Ok(config) if config.roles == known => {}
            Ok(config) => {
                for warning in config.roles.warnings() {
                    tracing::warn!("{warning}");
                }
                tracing::info!("role rules reloaded");
                known = config.roles.clone();
                changed(config.roles);
            }
            Err(problems) => {
                tracing::error!(%problems, "role rules not reloaded; the old ones stay");
            }
        }
    }
}

/// When the files were last written.
fn written(sources: &Sources, config: &Config) -> [Option<SystemTime>; 2] {
    let time = |path: &Path| std::fs::metadata(path).and_then(|m| m.modified()).ok();
    let roles_file = config.auth.roles_file.as_ref();
    [
        sources.file.as_deref().and_then(time),
        roles_file.and_then(|file| time(&file.0)),
    ]
}
