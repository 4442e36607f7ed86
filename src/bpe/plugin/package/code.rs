//! The JavaScript modules of a package, and whether they have an entry for all that models name.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::Site;
use super::files::Files;
use super::manifest::{self, Manifest};
use super::model::{FORM_MEMBERS, Model, Use, UseKind};
use super::placeholder::{Substitutes, variable};
use super::problem::Problems;
use crate::bpe::plugin::RECEIVED_RESPONSE;
use crate::bpe::plugin::js::{self, SourceMap};
use crate::bpe::plugin::runner::{self, Limits, Offer, Runner, Shape};
use crate::bpe::plugin::service::logs_data;
use crate::bpe::plugin::worker;

/// How long modules may compute when they are loaded: a node starts no sooner.
const LOADING: Duration = Duration::from_secs(10);

/// The code of a package, loaded once to know what it registers.
#[derive(Clone, Debug)]
pub struct Code {
    pub program: Program,
    pub shapes: HashMap<String, Shape>,
    /// It is to be told of deployments.
    pub listens: bool,
}

/// What runs it, and in which way.
#[derive(Clone, Debug)]
pub enum Program {
    Js(js::Program),
    Worker(worker::Program),
}

impl Program {
    /// The paths of its files in the package.
    pub fn files(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        match self {
            Self::Js(program) => Box::new(program.modules.iter().map(|(path, _)| path.as_str())),
            Self::Worker(program) => Box::new(program.files.iter().map(|(path, _)| path.as_str())),
        }
    }

    /// A runner of its own, with these limits; `proxy` is what `getProxyConfig` tells.
    #[must_use]
    pub fn runner(&self, limits: Limits, proxy: &Value) -> Arc<dyn Runner> {
        match self.clone() {
            Self::Js(mut program) => {
                program.plugin["proxy"] = proxy.clone();
                Arc::new(js::Pool::new(program, limits))
            }
            Self::Worker(mut program) => {
                program.plugin["proxy"] = proxy.clone();
                Arc::new(worker::Pool::new(program, limits))
            }
        }
    }

    fn offer(&self, limits: &Limits) -> Result<Offer, runner::Error> {
        match self {
            Self::Js(program) => js::offer(program, limits),
            Self::Worker(program) => worker::offer(program, limits),
        }
    }
}

/// Reads the modules of a package and compares them with what its models name.
pub(super) fn read(
    files: &Files,
    manifest: &Manifest,
    models: &[Model],
    site: &Site<'_>,
    problems: &mut Problems,
) -> Option<Code> {
    let Some(entry) = &manifest.entry else {
        refuse_classes(models, problems);
        return None;
    };
    let settings = settings(manifest, &site.substitutes, problems);
    let plugin = described(manifest, site.base_url, settings);
    let program = match program(files, manifest, entry, plugin) {
        Ok(program) => program,
        Err((file, message)) => {
            problems.error(&file, "", message);
            return None;
        }
    };
    let limits = Limits {
        compute: LOADING,
        ..Limits::default()
    };
    match program.offer(&limits) {
        Ok(offer) => {
            let shapes = offer
                .activities
                .into_iter()
                .map(|shape| (shape.key.clone(), shape))
                .collect();
            compare(entry, &shapes, models, problems);
            Some(Code {
                program,
                shapes,
                listens: offer.listens,
            })
        }
        Err(error) => {
            problems.error(entry, "", error.to_string());
            None
        }
    }
}

/// The code with all its files; else which file is wrong, and why.
fn program(
    files: &Files,
    manifest: &Manifest,
    entry: &str,
    plugin: Value,
) -> Result<Program, (String, String)> {
    let Some(worker) = &manifest.worker else {
        let modules = modules(files, entry)?;
        return Ok(Program::Js(js::Program {
            entry: entry.to_owned(),
            maps: Arc::new(maps(files, &modules)),
            modules,
            plugin,
        }));
    };
    let mut contents = Vec::new();
    for path in std::iter::once(entry).chain(worker.files.iter().map(String::as_str)) {
        let content = files.bytes(path);
        let content = content.map_err(|message| (path.to_owned(), message))?;
        contents.push((path.to_owned(), content));
    }
    Ok(Program::Worker(worker::Program {
        entry: entry.to_owned(),
        command: worker.command.clone(),
        files: contents,
        plugin,
    }))
}

/// The values of `[[setting]]`: of the environment variable, of the file that `…_FILE` names, or
/// the default; a setting without any refuses the package.
fn settings(
    manifest: &Manifest,
    substitutes: &Substitutes<'_>,
    problems: &mut Problems,
) -> Map<String, Value> {
    let mut settings = Map::new();
    for setting in &manifest.settings {
        let variable = variable(&setting.name);
        let of_file = || {
            let path = (substitutes.environment)(&format!("{variable}_FILE"))?;
            let text = std::fs::read_to_string(path).ok()?;
            Some(text.trim_end_matches(['\n', '\r']).to_owned())
        };
        let value = (substitutes.environment)(&variable).or_else(of_file);
        match value.or_else(|| setting.default.clone()) {
            Some(value) => {
                settings.insert(setting.name.clone(), value.into());
            }
            None => {
                let message = format!("has no value; set the environment variable {variable}");
                problems.error(manifest::FILE, &setting.name, message);
            }
        }
    }
    settings
}

fn described(manifest: &Manifest, base_url: &str, settings: Map<String, Value>) -> Value {
    json!({
        "baseUrl": base_url,
        "receivedResponse": RECEIVED_RESPONSE,
        "logsData": logs_data(),
        "settings": settings,
        "definition": {
            "name": manifest.name,
            "version": manifest.version.as_str(),
            "resourceVersion": manifest.version.resource_version(),
            "releaseDate": manifest.release_date,
            "title": manifest.title,
            "publisher": manifest.publisher,
            "license": manifest.license,
        },
    })
}

/// The entry and all modules of the package that it imports, each behind those it imports itself: the
/// engine must know these first.
fn modules(files: &Files, entry: &str) -> Result<Vec<(String, String)>, (String, String)> {
    let mut found = Vec::new();
    add_module(files, entry, &mut BTreeSet::new(), &mut found)?;
    Ok(found)
}

fn add_module(
    files: &Files,
    path: &str,
    seen: &mut BTreeSet<String>,
    found: &mut Vec<(String, String)>,
) -> Result<(), (String, String)> {
    if !seen.insert(path.to_owned()) {
        return Ok(());
    }
    let source = files
        .text(path)
        .map_err(|message| (path.to_owned(), message))?;
    for import in imports(path, &source) {
        add_module(files, &import, seen, found)?;
    }
    found.push((path.to_owned(), source));
    Ok(())
}

/// The source maps of generated modules: beside them, or in them. One that is missing or broken
/// costs the original lines in messages and nothing else.
fn maps(files: &Files, modules: &[(String, String)]) -> BTreeMap<String, SourceMap> {
    let map = |(path, source): &(String, String)| {
        let url = SourceMap::url(source)?;
        let text = SourceMap::inline(url).or_else(|| {
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            files.text(&resolve(folder, url)?).ok()
        })?;
        Some((path.clone(), SourceMap::parse(&text)?))
    };
    modules.iter().filter_map(map).collect()
}

/// The relative imports of a module. What merely looks like one does no harm unless the file is
/// missing, and then the message says which.
fn imports(path: &str, source: &str) -> Vec<String> {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    source
        .lines()
        .filter(|line| line.contains("from") || line.contains("import"))
        .filter_map(|line| {
            line.split(['"', '\''])
                .find(|text| text.starts_with("./") || text.starts_with("../"))
        })
        .filter_map(|import| resolve(folder, import))
        .collect()
}

/// As the engine resolves it; nothing when it leaves the package, where the engine finds nothing.
fn resolve(folder: &str, import: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in import.split('/') {
        match part {
            "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

fn refuse_classes(models: &[Model], problems: &mut Problems) {
    for model in models {
        for user in model.uses.iter().filter(|user| !user.kind.has_default()) {
            let message = format!("{} is code, but plugin.toml has no [runtime]", user.class);
            problems.error(&model.file, &user.element, message);
        }
    }
}

fn compare(
    entry: &str,
    shapes: &HashMap<String, Shape>,
    models: &[Model],
    problems: &mut Problems,
) {
    for model in models {
        for user in &model.uses {
            if let Some(message) = misfit(user, shapes.get(&user.class), entry) {
                problems.error(&model.file, &user.element, message);
            }
        }
    }
    for shape in shapes.values() {
        let used = models
            .iter()
            .flat_map(|model| &model.uses)
            .any(|one| one.class == shape.key);
        if !used {
            let message = "no model of the package names this activity; remove it, or correct its \
                           name to the camunda:class it is meant for";
            problems.error(entry, &shape.key, message);
        }
        if let Some(strategy) = &shape.business_key_strategy
            && !["SAME", "ALTERNATIVE", "NEW"].contains(&strategy.as_str())
        {
            let message = "businessKeyStrategy must be \"SAME\", \"ALTERNATIVE\" or \"NEW\"";
            problems.error(entry, &shape.key, message);
        }
    }
}

/// Why an entry cannot do what an element needs of it (docs/plugins.md §3).
fn misfit(user: &Use, shape: Option<&Shape>, entry: &str) -> Option<String> {
    let key = &user.class;
    let Some(shape) = shape else {
        return (!user.kind.has_default())
            .then(|| format!("{key} has no entry in activities of {entry}"));
    };
    let fits = match user.kind.member() {
        Some(member) => {
            let of_form = |member: &&str| user.kind == UseKind::TaskListener && shape.has(member);
            shape.is_function() || shape.has(member) || FORM_MEMBERS.iter().any(of_form)
        }
        None => shape.kind == "object",
    };
    let wanted = match user.kind.member() {
        Some(member) => format!("a function, or an object with {member}(api, variables)"),
        None => "an object: the host sends the message".to_owned(),
    };
    (!fits).then(|| format!("{key} in activities of {entry} must be {wanted}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpe::plugin::testing::files;

    #[test]
    fn modules_stand_behind_those_that_they_import() {
        let files = files(&[
            (
                "main.js",
                "import { z } from './lib/z.js';\nimport './other.js';",
            ),
            ("lib/z.js", "import '../other.js';\nexport const z = 1;"),
            ("other.js", "import './main.js';"),
        ]);
        let found = modules(&files, "main.js").unwrap();
        let order: Vec<_> = found.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(order, ["other.js", "lib/z.js", "main.js"]);
    }
}
