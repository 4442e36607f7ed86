//! The files of a package, wherever they lie: a folder, a `.dsf` archive, or this program.
//!
//! Only what the package names is read, never more than a bound, and nothing outside of it: paths
//! that leave the package, also by symbolic links, are refused.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{Read, Seek};
use std::path::{Component, Path, PathBuf};

use rust_embed::RustEmbed;

/// Bytes of one file.
const LARGEST_FILE: u64 = 16 * 1024 * 1024;
/// Bytes of all files of an archive, unpacked.
const LARGEST_PACKAGE: u64 = 64 * 1024 * 1024;
const MOST_FILES: usize = 2_000;

const EXAMPLE: &str = "hello-world";

/// The packages that come with this program.
#[derive(RustEmbed)]
#[folder = "plugins/"]
struct BuiltIn;

/// The files of one package.
#[derive(Clone, Debug)]
pub struct Files {
    /// File or folder name, for messages and to tell drafts.
    pub origin: String,
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    Folder(PathBuf),
    Memory(BTreeMap<String, Vec<u8>>),
}

impl Files {
    /// A package in a folder; its files are read when they are asked for.
    #[must_use]
    pub fn folder(path: &Path) -> Self {
        Self {
            origin: file_name(path),
            source: Source::Folder(path.to_owned()),
        }
    }

    /// A package in a zip file.
    ///
    /// # Errors
    /// Why the file is not a package, in words.
    pub fn archive(path: &Path) -> Result<Self, String> {
        let file = File::open(path).map_err(|error| error.to_string())?;
        Ok(Self {
            origin: file_name(path),
            source: Source::Memory(unzip(file)?),
        })
    }

    /// Files that are in memory already.
    #[must_use]
    pub fn memory(origin: &str, files: BTreeMap<String, Vec<u8>>) -> Self {
        Self {
            origin: origin.to_owned(),
            source: Source::Memory(files),
        }
    }

    /// The package that new ones are copied from. It is in force nowhere.
    #[must_use]
    pub fn example() -> Self {
        let mut all = Self::embedded();
        Self::memory(EXAMPLE, all.remove(EXAMPLE).unwrap_or_default())
    }

    /// The packages that come with this program and are in force on every node.
    #[must_use]
    pub fn built_in() -> Vec<Self> {
        let mut all = Self::embedded();
        all.remove(EXAMPLE);
        all.into_iter()
            .map(|(origin, files)| Self::memory(&origin, files))
            .collect()
    }

    fn embedded() -> BTreeMap<String, BTreeMap<String, Vec<u8>>> {
        let mut packages: BTreeMap<String, BTreeMap<String, Vec<u8>>> = BTreeMap::new();
        for path in BuiltIn::iter() {
            if let Some((package, file)) = path.split_once('/')
                && let Some(content) = BuiltIn::get(&path)
            {
                let files = packages.entry(package.to_owned()).or_default();
                files.insert(file.to_owned(), content.data.into_owned());
            }
        }
        packages
    }

    /// The files below these folders of the package, in order. A folder that cannot be listed has
    /// none; what is named in the manifest is read all the same.
    #[must_use]
    pub fn below(&self, folders: &[&str]) -> BTreeSet<String> {
        match &self.source {
            Source::Memory(files) => files
                .keys()
                .filter(|path| {
                    path.split_once('/')
                        .is_some_and(|(first, _)| folders.contains(&first))
                })
                .cloned()
                .collect(),
            Source::Folder(root) => {
                let mut found = BTreeSet::new();
                for folder in folders {
                    list(&root.join(folder), folder, &mut found);
                }
                found
            }
        }
    }

    /// The bytes of a file.
    ///
    /// # Errors
    /// Why there are none, in words.
    pub fn bytes(&self, path: &str) -> Result<Vec<u8>, String> {
        if !is_inside(path) {
            return Err("is not a path inside of the package".to_owned());
        }
        match &self.source {
            Source::Memory(files) => files
                .get(path)
                .cloned()
                .ok_or_else(|| "is not in the package".to_owned()),
            Source::Folder(root) => read_inside(root, path),
        }
    }

    /// The text of a file.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub fn text(&self, path: &str) -> Result<String, String> {
        String::from_utf8(self.bytes(path)?).map_err(|_| "is not UTF-8 text".to_owned())
    }
}

fn list(folder: &Path, name: &str, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = format!("{name}/{}", entry.file_name().to_string_lossy());
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => list(&entry.path(), &path, found),
            Ok(_) if found.len() < MOST_FILES => {
                found.insert(path);
            }
            _ => {}
        }
    }
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned()
}

fn is_inside(path: &str) -> bool {
    let parts = || Path::new(path).components();
    !path.is_empty()
        && !path.contains('\\')
        && parts().all(|part| matches!(part, Component::Normal(_)))
}

fn read_inside(root: &Path, path: &str) -> Result<Vec<u8>, String> {
    let words = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => "is not in the package".to_owned(),
        _ => error.to_string(),
    };
    let root = root.canonicalize().map_err(words)?;
    let path = root.join(path).canonicalize().map_err(words)?;
    if !path.starts_with(&root) {
        return Err("leads out of the package".to_owned());
    }
    let file = File::open(&path).map_err(words)?;
    bounded(file, LARGEST_FILE)
}

fn bounded(reader: impl Read, limit: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    reader
        .take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    if bytes.len() as u64 > limit {
        return Err(format!("is larger than {} MiB", limit / (1024 * 1024)));
    }
    Ok(bytes)
}

fn unzip(file: impl Read + Seek) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let mut archive = zip::ZipArchive::new(file)
        .map_err(|error| format!("{error}; dsf plugin pack FOLDER makes one"))?;
    if archive.len() > MOST_FILES {
        return Err(format!("holds more than {MOST_FILES} files"));
    }
    let mut files = BTreeMap::new();
    let mut left = LARGEST_PACKAGE;
    for number in 0..archive.len() {
        let entry = archive
            .by_index(number)
            .map_err(|error| error.to_string())?;
        if entry.is_dir() {
            continue;
        }
        let name = entry.name().to_owned();
        if !is_inside(&name) || entry.is_symlink() {
            return Err(format!("{name} leads out of the package"));
        }
        let bytes =
            bounded(entry, left.min(LARGEST_FILE)).map_err(|error| format!("{name} {error}"))?;
        left -= bytes.len() as u64;
        files.insert(name, bytes);
    }
    Ok(files)
}

/// Packages below a plugin folder: folders with a `plugin.toml`, and `.dsf` files, by name.
///
/// # Errors
/// When the folder cannot be listed.
pub fn candidates(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_archive = path.extension().is_some_and(|extension| extension == "dsf");
        if is_archive || path.join("plugin.toml").is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
