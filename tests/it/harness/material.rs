//! Material that tests use where it is at hand.

use std::io::{Write, stderr};
use std::path::{Path, PathBuf};

/// `../shared`, or what `DSF_SHARED` names, if it has this folder.
pub fn shared(folder: &str) -> Option<PathBuf> {
    let given = std::env::var_os("DSF_SHARED").map(PathBuf::from);
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let shared = given.unwrap_or_else(beside);
    if shared.join(folder).is_dir() {
        return Some(shared);
    }
    skipped(&format!("no {}", shared.join(folder).display()));
    None
}

/// Says on the terminal, which tests that pass do not print to otherwise, that a test is left out.
pub fn skipped(why: &str) {
    // Nobody can be told of a terminal that is gone.
    let _ = writeln!(stderr(), "SKIPPED: {why}");
}
