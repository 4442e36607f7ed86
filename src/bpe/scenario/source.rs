//! Model files as they are when a plugin is loaded: with its placeholders replaced.

use std::path::Path;

use toml::value::Table;

/// Stands for the own organisation in scenarios.
pub(super) const ORGANIZATION: &str = "test";

/// Reads a BPMN file. If it belongs to a plugin, the version and the date are the plugin's.
///
/// # Errors
/// When a file cannot be read, or the plugin's description is no TOML.
pub fn model(path: &Path) -> Result<String, String> {
    model_of(path, ORGANIZATION)
}

/// As [`model`], read by this organisation.
pub(super) fn model_of(path: &Path, organization: &str) -> Result<String, String> {
    let read = |path: &Path| {
        std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
    };
    let text = read(path)?;
    let plugin = path.parent().map(|folder| folder.join("../plugin.toml"));
    let Some(plugin) = plugin.filter(|plugin| plugin.is_file()) else {
        return Ok(text);
    };
    let described: Table = toml::from_str(&read(&plugin)?)
        .map_err(|error| format!("{}: {error}", plugin.display()))?;
    let entry = |name: &str| match described.get(name) {
        Some(toml::Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    // Resources and definitions carry the first two of four numbers.
    let version = entry("version");
    let version: Vec<_> = version.split('.').take(2).collect();
    Ok(text
        .replace("#{version}", &version.join("."))
        .replace("#{date}", &entry("release-date"))
        .replace("#{organization}", organization))
}
