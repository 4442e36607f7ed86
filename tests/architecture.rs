//! The floors of `docs/architecture.md`, held by a test: imports go down only, and each foreign
//! library stays where it belongs. Reads the sources as text; comments and strings do not count,
//! nor do files called `tests.rs`, which may set up whatever surroundings they need.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read the sources fails"
)]

use std::fs;
use std::path::Path;

/// Modules and their floors. `fhir` and `bpe` share one, so neither may import the other.
const FLOORS: [(&str, u8); 11] = [
    ("kernel", 0),
    ("r4", 0),
    ("net", 1),
    ("store", 1),
    ("auth", 2),
    ("fhir", 3),
    ("bpe", 3),
    ("app", TOP),
    ("cli", TOP),
    ("command", TOP),
    ("config", TOP),
];
/// On the top floor everybody knows everybody.
const TOP: u8 = 4;

/// Crates and the only places that may name them.
const HOMES: [(&str, &[&str]); 12] = [
    ("diesel", &["store/"]),
    ("diesel_async", &["store/"]),
    ("diesel_migrations", &["store/"]),
    ("tokio_postgres", &["store/"]),
    ("actix_http", WEB),
    ("actix_server", WEB),
    ("actix_service", WEB),
    ("actix_web", WEB),
    ("actix_ws", WEB),
    ("reqwest", &["net/"]),
    ("rquickjs", &["bpe/plugin/js"]),
    ("anyhow", &["command/"]),
];
const WEB: &[&str] = &[
    "fhir/rest",
    "fhir/subscribe/socket",
    "fhir/ui",
    "bpe/ui",
    "net/tls",
];

#[test]
fn every_source_file_keeps_to_its_floor() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut breaches = Vec::new();
    let mut files = 0;
    visit(&root, &mut |path| {
        let name = path
            .strip_prefix(&root)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        breaches.extend(breaches_in(&name, &fs::read_to_string(path).unwrap()));
        files += 1;
    });
    assert!(files > 10, "the sources were not found");
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn a_breach_is_found_however_it_is_written() {
    for (file, text, breach) in [
        (
            "store/pool.rs",
            "use crate::fhir::Service;",
            "store imports fhir",
        ),
        (
            "fhir/rest/mod.rs",
            "use crate::{auth::Identity, bpe};",
            "fhir imports bpe",
        ),
        (
            "net/http.rs",
            "fn f() { crate::store::open() }",
            "net imports store",
        ),
        (
            "r4/json.rs",
            "use crate::{\n    kernel,\n};",
            "r4 imports kernel",
        ),
        (
            "kernel/clock.rs",
            "pub use crate::config::Config;",
            "kernel imports config",
        ),
        (
            "fhir/service.rs",
            "use diesel::sql_query;",
            "diesel outside of",
        ),
        (
            "bpe/runtime/mod.rs",
            "fn f(c: &reqwest::Client) {}",
            "reqwest outside of",
        ),
        ("auth/mod.rs", "use actix_web::web;", "actix_web outside of"),
        (
            "bpe/plugin/mod.rs",
            "use rquickjs::Ctx;",
            "rquickjs outside of",
        ),
        (
            "fhir/mod.rs",
            "fn f() -> anyhow::Result<()> {}",
            "anyhow outside of",
        ),
        (
            "app.rs",
            "fn f() {\n    #[cfg(feature = \"x\")]\n    g();\n}",
            "inside a function",
        ),
        (
            "app.rs",
            "impl A { fn f() { if cfg!(feature = \"x\") {} } }",
            "inside a function",
        ),
    ] {
        let found = breaches_in(file, text);
        assert!(
            found.len() == 1 && found[0].contains(breach),
            "{file}: {text}: {found:?}"
        );
    }
}

#[test]
fn what_is_allowed_is_no_breach() {
    for (file, text) in [
        (
            "fhir/service.rs",
            "use crate::{auth::Identity, fhir::Fault, r4, store::{Store, fhir}};",
        ),
        (
            "store/fhir/read.rs",
            "use diesel::prelude::*;\nuse crate::store::Error;",
        ),
        (
            "app.rs",
            "#[cfg(feature = \"fhir\")]\nasync fn start() {}\nuse crate::cli::Cli;",
        ),
        (
            "app.rs",
            "enum Role {\n    #[cfg(feature = \"fhir\")]\n    Fhir,\n}",
        ),
        (
            "auth/mod.rs",
            "//! See [`crate::fhir`].\nconst A: &str = \"crate::bpe\"; // crate::app",
        ),
        (
            "kernel/a.rs",
            "const Q: char = '\"'; const B: &str = r#\"use \"diesel\"\"#;",
        ),
    ] {
        assert_eq!(breaches_in(file, text), Vec::<String>::new(), "{file}");
    }
}

fn visit(folder: &Path, each: &mut impl FnMut(&Path)) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            visit(&path, each);
        } else if is_source(&path) {
            each(&path);
        }
    }
}

fn is_source(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs")
}

/// What is wrong with the file `name` (relative to `src`).
fn breaches_in(name: &str, text: &str) -> Vec<String> {
    let code = without_comments_and_strings(text);
    let module = name.split(['/', '.']).next().unwrap_or_default();
    let mut breaches = Vec::new();
    if let Some(own) = floor(module) {
        for target in imports(&code) {
            let sound =
                floor(&target).is_none_or(|floor| target == module || floor < own || own == TOP);
            if !sound {
                breaches.push(format!("src/{name}: {module} imports {target}"));
            }
        }
    }
    for (library, homes) in HOMES {
        let at_home = homes.iter().any(|home| name.starts_with(home));
        if !at_home && words(&code).any(|word| word == library) {
            breaches.push(format!(
                "src/{name}: {library} outside of {}",
                homes.join(", ")
            ));
        }
    }
    if features_in_functions(&code) {
        breaches.push(format!("src/{name}: cfg(feature) inside a function"));
    }
    breaches
}

fn floor(module: &str) -> Option<u8> {
    FLOORS
        .iter()
        .find(|(name, _)| *name == module)
        .map(|(_, floor)| *floor)
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !c.is_alphanumeric() && c != '_')
}

/// The modules named directly after `crate::`, also in a group.
fn imports(code: &str) -> Vec<String> {
    let mut modules = Vec::new();
    for (at, path) in code.match_indices("crate::") {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let rest = code[at + path.len()..].trim_start();
        match rest.strip_prefix('{') {
            Some(group) => modules.extend(heads(group)),
            None => modules.extend(words(rest).next().map(str::to_owned)),
        }
    }
    modules
}

/// The first word of every item of a `use` group, nested groups left out.
fn heads(group: &str) -> Vec<String> {
    let (mut heads, mut depth, mut fresh) = (Vec::new(), 0, true);
    for piece in group.split_inclusive(['{', '}', ',']) {
        if depth == 0 && fresh {
            heads.extend(words(piece.trim_start()).next().map(str::to_owned));
        }
        match piece.chars().last() {
            Some('{') => depth += 1,
            Some('}') if depth == 0 => break,
            Some('}') => depth -= 1,
            _ => {}
        }
        fresh = depth == 0 && piece.ends_with(',');
    }
    heads
}

fn features_in_functions(code: &str) -> bool {
    let mut open = Vec::new();
    let mut start = 0;
    for (at, sign) in code.char_indices() {
        match sign {
            '{' => open.push(words(&code[start..at]).any(|word| word == "fn")),
            '}' => drop(open.pop()),
            'c' if open.contains(&true) => {
                let here = &code[at..];
                if here.starts_with("cfg(feature") || here.starts_with("cfg!(feature") {
                    return true;
                }
            }
            _ => {}
        }
        if matches!(sign, '{' | '}' | ';') {
            start = at + 1;
        }
    }
    false
}

fn without_comments_and_strings(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = comment(rest)
            .or_else(|| string(rest, &code))
            .or_else(|| letter(rest));
        match skipped {
            Some(length) => {
                code.push(' ');
                rest = &rest[length..];
            }
            None => {
                code.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    code
}

fn comment(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    rest.starts_with("/*")
        .then(|| rest.find("*/").map_or(rest.len(), |end| end + 2))
}

/// The length of a plain or raw string literal that starts here.
fn string(rest: &str, before: &str) -> Option<usize> {
    let hashes = rest
        .strip_prefix('r')
        .map(|raw| raw.len() - raw.trim_start_matches('#').len());
    let in_word = before.ends_with(|c: char| c.is_alphanumeric() && c != 'b' || c == '_');
    if let Some(hashes) = hashes.filter(|hashes| !in_word && rest[1 + hashes..].starts_with('"')) {
        let end = format!("\"{}", "#".repeat(hashes));
        let start = hashes + 2;
        return Some(
            rest[start..]
                .find(&end)
                .map_or(rest.len(), |at| start + at + end.len()),
        );
    }
    if !rest.starts_with('"') {
        return None;
    }
    let mut escaped = false;
    for (at, sign) in rest.char_indices().skip(1) {
        match sign {
            '"' if !escaped => return Some(at + 1),
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    Some(rest.len())
}

/// The length of a character literal that could be taken for the start of something.
fn letter(rest: &str) -> Option<usize> {
    ["'\"'", "'\\\"'", "'{'", "'}'", "'/'"]
        .iter()
        .find(|literal| rest.starts_with(**literal))
        .map(|literal| literal.len())
}
