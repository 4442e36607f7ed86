//! Material that tests use where it is at hand.

use std::io::{Write, stderr};
use std::path::{Path, PathBuf};

/// A folder of `../shared/data`, or of `data` in what `DSF_SHARED` names. Says on the terminal, which
/// tests that pass do not print to otherwise, when it is not there and its test is skipped.
pub fn shared(folder: &str) -> Option<PathBuf> {
    let given = std::env::var_os("DSF_SHARED").map(PathBuf::from);
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let path = given.unwrap_or_else(beside).join("data").join(folder);
    if path.is_dir() {
        return Some(path);
    }
    // Nobody can be told of a terminal that is gone.
    let _ = writeln!(stderr(), "SKIPPED: no {}", path.display());
    None
}
