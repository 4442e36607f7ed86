//! A manifest and the frame of the code for BPMN and FHIR files that exist already: the way of a
//! published process plugin to this program. The files themselves stay as they are.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::files::Files;
use super::manifest::Api;
use super::model::{self, Use, UseKind};
use super::naming;
use super::placeholder::{Syntax, filled};
use super::problem::{Problem, Problems};
use super::renaming;
use super::resource::{DEPLOYED_TYPES, parse as parse_resource};
use crate::bpe::parse;
use crate::r4::{Resource, ResourceType};

/// What `plugin.toml` says that no file tells.
#[derive(Clone, Debug)]
pub struct Named<'a> {
    pub name: &'a str,
    /// Four numbers.
    pub version: &'a str,
    pub release_date: &'a str,
}

/// The files to be written beside those that exist.
#[derive(Clone, Debug)]
pub struct Scaffold {
    pub manifest: String,
    /// `main.js`, with an entry for all that the models name.
    pub code: String,
    pub processes: Vec<String>,
}

struct Found {
    /// Process id and file of each model.
    models: Vec<(String, String)>,
    uses: Vec<(String, Use)>,
    resources: Vec<(String, Resource)>,
    api: Api,
}

/// Describes the models and resources among `files`.
///
/// # Errors
/// The models and resources that cannot be read.
pub fn scaffold(files: &Files, named: &Named<'_>) -> Result<Scaffold, Vec<Problem>> {
    let mut problems = Problems::default();
    let found = read(files, &mut problems);
    if found.models.is_empty() {
        problems.error("*.bpmn", "", "there is no BPMN model");
    }
    if problems.errors() > 0 {
        return Err(problems.into_inner());
    }
    Ok(Scaffold {
        manifest: manifest(named, &found),
        code: code(&found.uses),
        processes: found.models.into_iter().map(|(id, _)| id).collect(),
    })
}

fn read(files: &Files, problems: &mut Problems) -> Found {
    let mut found = Found {
        models: Vec::new(),
        uses: Vec::new(),
        resources: Vec::new(),
        api: Api::Two,
    };
    for path in files.below(&["bpe", "bpmn", "fhir"]) {
        let text = match files.text(&path) {
            Ok(text) => text,
            Err(message) => {
                problems.error(&path, "", message);
                continue;
            }
        };
        if path.ends_with(".bpmn") {
            let text = filled(&text, Syntax::Model);
            read_model(&path, &text, &mut found, problems);
        } else if path.ends_with(".xml") || path.ends_with(".json") {
            let text = filled(&text, Syntax::of_resource(&path));
            match parse_resource(&path, &text) {
                Ok(resource) => {
                    found.api = older(found.api, api(&resource, &text));
                    found.resources.push((path, resource));
                }
                Err(message) => problems.error(&path, "", message),
            }
        }
    }
    found
}

fn read_model(path: &str, text: &str, found: &mut Found, problems: &mut Problems) {
    match parse::parse(text) {
        Ok(parsed) => {
            for graph in parsed.graphs {
                // What is wrong with the model is told when the package is checked.
                let uses = model::uses(path, &graph, &mut Problems::default());
                found
                    .uses
                    .extend(uses.into_iter().map(|one| (path.to_owned(), one)));
                found.models.push((graph.key, path.to_owned()));
            }
        }
        Err(wrong) => {
            for one in wrong {
                problems.error(path, one.element, one.message);
            }
        }
    }
}

fn manifest(named: &Named<'_>, found: &Found) -> String {
    let mut text = format!(
        "name         = {:?}\nversion      = {:?}\nrelease-date = {}\n",
        named.name, named.version, named.release_date
    );
    text.push_str(match found.api {
        Api::Zero => "api          = 0   # of before DSF 1: mended when they are deployed\n",
        Api::One => "api          = 1   # resources of DSF 1: mended when they are deployed\n",
        Api::Two => "",
    });
    for (id, model) in &found.models {
        let lines: Vec<String> = found
            .resources
            .iter()
            .filter(|(_, resource)| belongs(resource, id))
            .map(|(path, _)| format!("  {path:?},\n"))
            .collect();
        // Writing to a text cannot fail.
        let _ = write!(
            text,
            "\n[[process]]\nid        = {id:?}\nmodel     = {model:?}\nresources = [\n{}]\n",
            lines.concat()
        );
    }
    text.push_str("\n[runtime]\nkind  = \"js\"\nentry = \"main.js\"\n");
    text
}

fn older(one: Api, other: Api) -> Api {
    match (one, other) {
        (Api::Zero, _) | (_, Api::Zero) => Api::Zero,
        (Api::One, _) | (_, Api::One) => Api::One,
        (Api::Two, Api::Two) => Api::Two,
    }
}

/// Resources of DSF 1 know its base profile or its versions, those before it other names.
fn api(resource: &Resource, text: &str) -> Api {
    if renaming::is_old(text) {
        return Api::Zero;
    }
    let old_base = resource
        .str("baseDefinition")
        .is_some_and(|base| base.contains("/task-base"));
    let old_profile = resource.profiles().any(|profile| {
        profile.starts_with("http://dsf.dev/fhir/StructureDefinition/")
            && profile.ends_with("|1.0.0")
    });
    if old_base || old_profile {
        Api::One
    } else {
        Api::Two
    }
}

/// Definitions and drafts belong to one process; what they are made of may belong to all. Examples
/// that lie beside them belong to none.
fn belongs(resource: &Resource, process: &str) -> bool {
    let kind = resource.resource_type();
    if !kind.is_some_and(|kind| DEPLOYED_TYPES.contains(&kind)) {
        return false;
    }
    let url = match kind {
        Some(ResourceType::ActivityDefinition) => resource.str("url"),
        Some(ResourceType::Task) if resource.str("status") != Some("draft") => None,
        Some(ResourceType::Task) => resource
            .str("instantiatesCanonical")
            .and_then(|canonical| canonical.split('|').next()),
        _ => return true,
    };
    url.and_then(naming::process_id).as_deref() == Some(process)
}

fn code(uses: &[(String, Use)]) -> String {
    let mut keys: BTreeMap<&str, (BTreeSet<String>, BTreeSet<&str>)> = BTreeMap::new();
    for (file, one) in uses {
        let (places, members) = keys.entry(&one.class).or_default();
        places.insert(format!("{} of {file}", one.element));
        members.extend(one.kind.member());
        if one.kind == UseKind::Message {
            members.insert("");
        }
    }
    let mut text = String::from(
        "// Everything that the models name. Write what each has to do: docs/plugins.md, section 3.\n\n\
         export const activities = {\n",
    );
    for (key, (places, members)) in keys {
        for place in places {
            // Writing to a text cannot fail.
            let _ = writeln!(text, "  // {place}");
        }
        let short = key.rsplit('.').next().unwrap_or(key);
        let body = format!(
            "api.logger.warn({:?});",
            format!("{short} does nothing yet")
        );
        let entry = if members.iter().all(|member| member.is_empty()) {
            "{\n    // additionalInputParameters(api, variables, sendTaskValues, target) { return []; },\n  }".to_owned()
        } else if members.len() == 1 {
            format!("async (api, variables) => {{\n    {body}\n  }}")
        } else {
            let functions: Vec<String> = members
                .iter()
                .filter(|member| !member.is_empty())
                .map(|member| {
                    format!("    async {member}(api, variables) {{\n      {body}\n    }},\n")
                })
                .collect();
            format!("{{\n{}  }}", functions.concat())
        };
        let _ = writeln!(text, "  {key:?}: {entry},\n");
    }
    text.push_str("};\n");
    text
}
