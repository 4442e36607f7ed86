//! The full resources of a plugin, of which a recording keeps only the heads.

use std::path::Path;

use dsf::r4::{json, xml};
use serde_json::Value;

/// The files with their placeholders.
pub struct Plugin(Vec<String>);

impl Plugin {
    pub fn load(folder: &Path) -> Self {
        let mut files = Vec::new();
        collect(&folder.join("fhir"), &mut files);
        Self(files)
    }

    /// Puts the trimmed elements of a resource back.
    pub fn complete(&self, resource: &mut Value) {
        let Some(elements) = resource.as_object_mut() else {
            return;
        };
        let Some(Value::Array(trimmed)) = elements.shift_remove("(trimmed)") else {
            return;
        };
        let full = self.full(resource);
        for element in trimmed.iter().filter_map(Value::as_str) {
            resource[element] = full[element].clone();
        }
    }

    /// The file with this resource's URL, as deployed with its version and date.
    fn full(&self, resource: &Value) -> Value {
        let text = |element: &str| resource[element].as_str().unwrap_or_default();
        let url = format!("<url value=\"{}\"", text("url"));
        let file = self
            .0
            .iter()
            .find(|file| file.contains(&url))
            .expect("the resource's file");
        let file = file
            .replace("#{version}", text("version"))
            .replace("#{date}", text("date"))
            // What a Java engine changes in the resources of older plugins (bpe §5.5).
            .replace(
                "StructureDefinition/task-base\"",
                "StructureDefinition/task\"",
            )
            .replace("|1.0.0\"", "\"");
        let parsed = xml::parse(file.as_bytes()).expect("a valid resource");
        serde_json::from_slice(&json::write(&parsed, false)).unwrap()
    }
}

fn collect(folder: &Path, files: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.push(std::fs::read_to_string(path).unwrap());
        }
    }
}
