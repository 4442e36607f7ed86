//! Plugins to run: models and resources as published, code of the tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use dsf::store::testing::temporary_folder;

use super::material::shared;

/// A folder that engines take as their `bpe.plugin-dir`.
pub struct Package(PathBuf);

/// What the manifest says of a package that is put together.
pub struct Manifest<'a> {
    pub name: &'a str,
    pub version: &'a str,
    /// The version of DSF's process API that it was written for.
    pub api: u8,
    /// Process ids and their models.
    pub processes: &'a [(&'a str, &'a str)],
    /// Resources of another package that these processes need as well.
    pub more: &'a str,
}

impl Package {
    /// A package of `tests/plugins`, as it is.
    pub fn of_tests(name: &str) -> Self {
        let folder = fresh_folder();
        copy(&tests().join(name), &folder.join(name));
        Self(folder)
    }

    /// Models and resources of a published plugin, unchanged, with the code in `tests/plugins`.
    /// Nothing, loudly, when the published files are not here.
    pub fn published(manifest: &Manifest<'_>) -> Option<Self> {
        let published = format!("data/plugins/{}", manifest.name);
        let source = shared(&published)?.join(published);
        let folder = fresh_folder();
        let package = folder.join(manifest.name);
        for part in ["bpmn", "fhir"] {
            copy(&source.join(part), &package.join(part));
        }
        copy(&tests().join(manifest.name), &package);
        let text = manifest.text(&package);
        fs::write(package.join("plugin.toml"), text).unwrap();
        Some(Self(folder))
    }

    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// Adds a file to the package of that name.
    pub fn add(&self, package: &str, file: &str, text: &str) {
        fs::write(self.0.join(package).join(file), text).unwrap();
    }

    /// Adds another package to the folder.
    pub fn with(self, other: &Self) -> Self {
        copy(&other.0, &self.0);
        self
    }
}

impl Manifest<'_> {
    fn text(&self, package: &Path) -> String {
        let mut resources = Vec::new();
        list(package, Path::new("fhir"), &mut resources);
        let mut text = format!(
            "name = \"{}\"\nversion = \"{}\"\nrelease-date = 2026-11-21\napi = {}\n",
            self.name, self.version, self.api
        );
        for (id, model) in self.processes {
            let mine = resources
                .iter()
                .filter(|file| self.belongs(package, id, file));
            let listed: Vec<_> = mine.map(|file| format!("\"{file}\"")).collect();
            text += &format!(
                "[[process]]\nid = \"{id}\"\nmodel = \"{model}\"\nresources = [{}]\n",
                listed.join(", ")
            );
        }
        text + "[runtime]\nkind = \"js\"\nentry = \"main.js\"\n" + self.more
    }

    /// Every process takes all resources but the ActivityDefinitions and draft Tasks of others.
    fn belongs(&self, package: &Path, id: &str, file: &str) -> bool {
        let text = fs::read_to_string(package.join(file)).unwrap();
        let name = id.split_once('_').map_or(id, |(_, name)| name);
        let of_this = |text: &str| text.contains(&format!("/bpe/Process/{name}"));
        if file.contains("/ActivityDefinition/") {
            text.contains(&format!("/bpe/Process/{name}\""))
        } else if file.contains("/Task/") {
            of_this(&text)
        } else {
            !file.contains("/Bundle/")
        }
    }
}

/// Of one package alone: tests that run beside each other do not meet their plugins.
fn fresh_folder() -> PathBuf {
    static ALL: OnceLock<PathBuf> = OnceLock::new();
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let all = ALL.get_or_init(|| temporary_folder("plugins"));
    all.join(COUNT.fetch_add(1, Ordering::Relaxed).to_string())
}

fn tests() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/plugins"))
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn list(package: &Path, folder: &Path, found: &mut Vec<String>) {
    let mut entries: Vec<_> = fs::read_dir(package.join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    entries.sort();
    for name in entries {
        let path = folder.join(name);
        if package.join(&path).is_dir() {
            list(package, &path, found);
        } else {
            found.push(path.display().to_string());
        }
    }
}
