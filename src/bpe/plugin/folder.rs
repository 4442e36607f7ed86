//! The plugin folder, looked at again and again: what has changed in it is read, and what cannot be
//! used leaves the version before it in force.
//!
//! Files are compared by size and time, not by notifications of the operating system: those do not
//! come from network drives and container volumes, where hospitals keep their plugins.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::package::{Files, Found, Package, Problem, Refused, Site, candidates, load};

/// A package counts as written once so many looks in a row have found the same.
const AT_REST: u32 = 2;
/// One that is gone may be one that is being replaced.
const GONE: u32 = 10;
/// Files of one package folder that are looked at.
const MOST_FILES: usize = 2_000;

/// Says what is wrong with the resources of a package that was read without a complaint.
pub type Judge = dyn Fn(&Package) -> Vec<Problem> + Send + Sync;

/// All packages of a node: those of the folder, and the built-in ones.
#[derive(Default)]
pub struct Folder {
    path: Option<PathBuf>,
    slots: BTreeMap<PathBuf, Slot>,
    /// What comes with this program.
    built_in: Vec<Result<Package, Refused>>,
}

/// A place in the folder.
#[derive(Default)]
struct Slot {
    /// What was read last.
    stamp: Option<Stamp>,
    /// Not read yet, since somebody may still be writing; and how many looks have found just this.
    next: Option<(Stamp, u32)>,
    /// In force.
    current: Option<Package>,
    /// Read, and not yet in force.
    fresh: Option<Result<Package, Refused>>,
    /// The own FHIR server did not take what was read.
    refused: bool,
}

/// Size and time of all files of a package.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Stamp(BTreeMap<PathBuf, (u64, Option<SystemTime>)>);

impl Stamp {
    fn of(path: &Path) -> Self {
        let mut stamp = Self::default();
        stamp.add(path);
        stamp
    }

    fn add(&mut self, path: &Path) {
        let Ok(metadata) = path.metadata() else {
            return;
        };
        if !metadata.is_dir() {
            let seen = (metadata.len(), metadata.modified().ok());
            self.0.insert(path.to_owned(), seen);
            return;
        }
        for entry in path.read_dir().into_iter().flatten().flatten() {
            if self.0.len() < MOST_FILES {
                self.add(&entry.path());
            }
        }
    }
}

impl Folder {
    /// Reads everything.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn open(path: Option<&Path>, site: &Site<'_>, judge: &Judge) -> io::Result<Self> {
        let mut folder = Self {
            path: path.map(Path::to_owned),
            slots: BTreeMap::new(),
            built_in: Files::built_in()
                .iter()
                .map(|files| load(files, site))
                .collect(),
        };
        for path in folder.candidates()? {
            let slot = Slot {
                stamp: Some(Stamp::of(&path)),
                fresh: Some(read(&path, site, judge)),
                ..Slot::default()
            };
            folder.slots.insert(path, slot);
        }
        Ok(folder)
    }

    fn candidates(&self) -> io::Result<Vec<PathBuf>> {
        let listed = self.path.as_deref().map(candidates).transpose()?;
        Ok(listed.unwrap_or_default())
    }

    /// Looks for changes that have come to rest since the last look, and reads them. Whether there
    /// were any; [`Folder::found`] says what they led to.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn look(&mut self, site: &Site<'_>, judge: &Judge) -> io::Result<bool> {
        let there = self.candidates()?;
        for path in &there {
            self.slots.entry(path.clone()).or_default();
        }
        let mut changed = false;
        self.slots.retain(|path, slot| {
            let stamp = there.contains(path).then(|| Stamp::of(path));
            if stamp == slot.stamp {
                slot.next = None;
                return true;
            }
            if !slot.is_at_rest(stamp.as_ref()) {
                return true;
            }
            changed = true;
            slot.refused = false;
            slot.stamp = stamp;
            if slot.stamp.is_some() {
                let package = read(path, site, &slot.unless_known(judge));
                slot.fresh = Some(package);
            }
            slot.stamp.is_some()
        });
        Ok(changed)
    }

    /// Something has changed that has not come to rest yet.
    #[must_use]
    pub fn is_moving(&self) -> bool {
        self.slots.values().any(|slot| slot.next.is_some())
    }

    /// What is to be in force now. What is in force keeps its processes; a package that wants one
    /// of them is refused. Built-in packages make room for others.
    pub fn found(&mut self) -> Found {
        let mut found = Found::default();
        let (settled, moving): (Vec<_>, Vec<_>) = self
            .slots
            .values_mut()
            .partition(|slot| slot.fresh.is_none());
        for slot in settled {
            found.packages.extend(slot.current.clone());
        }
        let (known, new): (Vec<_>, Vec<_>) =
            moving.into_iter().partition(|slot| slot.current.is_some());
        for slot in known.into_iter().chain(new) {
            slot.settle(&mut found);
        }
        for built_in in &self.built_in {
            match built_in {
                Ok(package) if found.refusal(package).is_some() => {}
                Ok(package) => found.packages.push(package.clone()),
                Err(refused) => found.refused.push(refused.clone()),
            }
        }
        found
    }

    /// Takes back packages that the own FHIR server refuses: what was in force before stays.
    pub fn refuse(&mut self, before: &Found, refused: &[Refused]) {
        for slot in self.slots.values_mut() {
            let origin = slot.current.as_ref().map(|package| package.origin.as_str());
            let Some(refusal) = refused
                .iter()
                .find(|one| Some(one.origin.as_str()) == origin)
            else {
                continue;
            };
            slot.current = before
                .packages
                .iter()
                .find(|package| package.origin == refusal.origin)
                .cloned();
            slot.fresh = Some(Err(refusal.clone()));
            slot.refused = true;
        }
    }

    /// Reads packages anew that the own FHIR server has refused: it may have changed its mind.
    pub fn again(&mut self, site: &Site<'_>, judge: &Judge) {
        let refused = self.slots.iter_mut().filter(|(_, slot)| slot.refused);
        for (path, slot) in refused {
            slot.fresh = Some(read(path, site, judge));
            slot.refused = false;
        }
    }
}

impl Slot {
    /// Whether what this look has found was found often enough to be read.
    fn is_at_rest(&mut self, found: Option<&Stamp>) -> bool {
        let enough = if found.is_some() { AT_REST } else { GONE };
        let found = found.cloned().unwrap_or_default();
        let looks = match self.next.take() {
            Some((same, looks)) if same == found => looks + 1,
            _ => 1,
        };
        if looks < enough {
            self.next = Some((found, looks));
        }
        looks >= enough
    }

    /// Resources that are in force already are known to be valid: whoever edits code need not wait
    /// for them.
    fn unless_known<'a>(&'a self, judge: &'a Judge) -> impl Fn(&Package) -> Vec<Problem> + 'a {
        |package| match &self.current {
            Some(current) if current.resources == package.resources => Vec::new(),
            _ => judge(package),
        }
    }

    /// Brings what was read into force, unless it is refused. A package that others stand in the
    /// way of is tried again when they have changed.
    fn settle(&mut self, found: &mut Found) {
        let refused = match &self.fresh {
            Some(Ok(package)) => match found.refusal(package) {
                None => {
                    found.packages.push(package.clone());
                    self.current = self.fresh.take().and_then(Result::ok);
                    return;
                }
                Some(refused) => refused,
            },
            Some(Err(refused)) => refused.clone(),
            None => return,
        };
        found.packages.extend(self.current.clone());
        // Which processes a package has that cannot be read is unknown.
        found.incomplete |= self.current.is_none();
        found.refused.push(refused);
    }
}

fn read(
    path: &Path,
    site: &Site<'_>,
    judge: &dyn Fn(&Package) -> Vec<Problem>,
) -> Result<Package, Refused> {
    let files = if path.is_dir() {
        Files::folder(path)
    } else {
        Files::archive(path).map_err(|message| Refused::unreadable(path, message))?
    };
    let package = load(&files, site)?;
    let found = judge(&package);
    package.judged(found)
}

/// All packages of a node, read once.
///
/// # Errors
/// When the folder cannot be listed.
pub fn load_all(path: Option<&Path>, site: &Site<'_>, judge: &Judge) -> io::Result<Found> {
    Ok(Folder::open(path, site, judge)?.found())
}

#[cfg(test)]
#[path = "folder_tests.rs"]
mod tests;
