//! `dsf plugin new`: the hello world under a name of one's own, or the frame around files that
//! exist already.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use jiff::Zoned;

use crate::bpe::plugin::js::TYPES;
use crate::bpe::plugin::package::{Files, Named, scaffold};

/// The types of the host interface, for editors.
const TYPES_FILE: &str = "dsf.d.ts";

pub fn new(folder: &Path, domain: &str, from: Option<&Path>) -> anyhow::Result<ExitCode> {
    let name = folder
        .file_name()
        .and_then(|name| name.to_str())
        .context("the folder has no name")?;
    let well_named = |text: &str, more: &str| {
        !text.is_empty()
            && text
                .chars()
                .all(|letter| letter.is_ascii_alphanumeric() || more.contains(letter))
    };
    if !well_named(name, "-_.") {
        bail!("'{name}' is no name of a plugin: use letters, digits and hyphens");
    }
    if !well_named(domain, "-.") || !domain.contains('.') {
        bail!("'{domain}' is no domain like example.org (--domain)");
    }
    let files = match from {
        Some(source) => around(source, name)?,
        None => hello_world(name, domain),
    };
    let mut written = Vec::new();
    for (path, text) in files {
        let target = folder.join(path);
        if target.exists() {
            bail!(
                "{} exists already; nothing of it is changed",
                target.display()
            );
        }
        written.push((target, text));
    }
    for (target, text) in &written {
        write(target, text)?;
        println!("{}", target.display());
    }
    println!(
        "\nNext:\n  dsf plugin check {folder}\n  dsf plugin test {folder}\n  \
         dsf plugin deploy {folder} --link --to .dsf-dev/plugins    (beside a dsf dev up)",
        folder = folder.display()
    );
    Ok(ExitCode::SUCCESS)
}

fn write(target: &Path, text: &[u8]) -> anyhow::Result<()> {
    let folder = target.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(target, text))
        .with_context(|| format!("cannot write {}", target.display()))
}

/// The example, with its names replaced.
fn hello_world(name: &str, domain: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let camel = camel(name);
    let reversed: Vec<&str> = domain.split('.').rev().collect();
    let today = Zoned::now().date().to_string();
    let replaced = |text: &str| {
        text.replace("exampleorg_", &format!("{}_", domain.replace('.', "")))
            .replace("org.example.", &format!("{}.", reversed.join(".")))
            .replace("example.org", domain)
            .replace("hello-world", name)
            .replace("helloWorld", &camel)
            .replace("Hello World", &title(name))
            .replace("2026-11-21", &today)
    };
    let example = Files::example();
    let mut paths: Vec<String> = example.below(&["bpe", "tests"]).into_iter().collect();
    paths.extend(["plugin.toml".to_owned(), "main.js".to_owned()]);
    let mut files: Vec<(PathBuf, Vec<u8>)> = paths
        .iter()
        .filter_map(|path| {
            let text = example.text(path).ok()?;
            Some((PathBuf::from(replaced(path)), replaced(&text).into_bytes()))
        })
        .collect();
    files.push(types());
    files.sort();
    files
}

fn types() -> (PathBuf, Vec<u8>) {
    (PathBuf::from(TYPES_FILE), TYPES.as_bytes().to_vec())
}

/// Manifest and frame of the code for the models and resources of another plugin, and these.
fn around(source: &Path, name: &str) -> anyhow::Result<Vec<(PathBuf, Vec<u8>)>> {
    let found = Files::folder(source);
    let named = Named {
        name,
        version: "1.0.0.0",
        release_date: &Zoned::now().date().to_string(),
    };
    let made = scaffold(&found, &named).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("{} cannot be used:\n{}", source.display(), lines.join("\n"))
    })?;
    let mut files = vec![
        (PathBuf::from("plugin.toml"), made.manifest.into_bytes()),
        (PathBuf::from("main.js"), made.code.into_bytes()),
    ];
    for path in found.below(&["bpe", "bpmn", "fhir"]) {
        let bytes = found.bytes(&path).map_err(anyhow::Error::msg)?;
        files.push((PathBuf::from(path), bytes));
    }
    files.push(types());
    Ok(files)
}

/// `myProcess` of `my-process`.
fn camel(name: &str) -> String {
    let mut words = name.split(['-', '_', '.']).filter(|word| !word.is_empty());
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |mut text, word| {
        text.push_str(&capital(word));
        text
    })
}

fn title(name: &str) -> String {
    let words = name.split(['-', '_', '.']).filter(|word| !word.is_empty());
    words.map(capital).collect::<Vec<_>>().join(" ")
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}
