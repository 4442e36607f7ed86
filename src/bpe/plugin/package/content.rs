//! Which files make a package when it is handed over.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use super::{Package, manifest};

/// What the package names, its scenarios, and its README.
///
/// # Errors
/// When the folder of the scenarios cannot be read.
pub fn content(package: &Package, folder: &Path) -> io::Result<BTreeSet<String>> {
    let mut paths = BTreeSet::from([manifest::FILE.to_owned()]);
    for process in &package.manifest.processes {
        paths.insert(process.model.clone());
        paths.extend(process.resources.iter().cloned());
    }
    let code = package.code.iter().flat_map(|code| code.program.files());
    paths.extend(code.map(str::to_owned));
    let readme = "README.md";
    if folder.join(readme).is_file() {
        paths.insert(readme.to_owned());
    }
    let tests = folder.join("tests");
    if tests.is_dir() {
        for entry in std::fs::read_dir(tests)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name.ends_with(".toml") {
                paths.insert(format!("tests/{name}"));
            }
        }
    }
    Ok(paths)
}
