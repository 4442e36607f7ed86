//! The behaviour an operator relies on: layers, origins, and all problems at once.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::auth::Operation;
use crate::auth::roles::Claims;
use crate::r4::ResourceType;

const BOTH: Needs = Needs {
    fhir: true,
    bpe: true,
};
const FHIR: Needs = Needs {
    fhir: true,
    bpe: false,
};
const FILES: [&str; 8] = [
    "ca.crt",
    "server.crt",
    "server.key",
    "local.crt",
    "local.key",
    "bundle.xml",
    "roles.yaml",
    "password",
];

/// What an operator writes for a node with both roles, and nothing more.
const NODE: &str = r#"[organization]
identifier = "Test_Organization"

[fhir]
base-url = "https://localhost:8443/fhir"

[tls]
certificate = "server.crt"
private-key = "server.key"
client-cas = "ca.crt"

[client]
certificate = "local.crt"
private-key = "local.key"
"#;

/// A folder with a `dsf.toml` and the files it may name; gone at the end of the test.
struct Folder(PathBuf);

impl Folder {
    fn with(text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("dsf-config-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&path).unwrap();
        for name in FILES {
            fs::write(path.join(name), "swordfish\n").unwrap();
        }
        fs::write(path.join("dsf.toml"), text).unwrap();
        Self(path)
    }

    fn sources(&self) -> Sources {
        Sources {
            file: Some(self.0.join("dsf.toml")),
            ..Sources::default()
        }
    }

    fn problems(&self, needs: Needs) -> Vec<Problem> {
        self.sources().load(needs).unwrap_err().0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn line(problem: &Problem) -> Option<usize> {
    match problem.origin {
        Some(Origin::File { line, .. }) => line,
        _ => None,
    }
}

#[test]
fn a_node_needs_its_identifier_address_certificates_and_nothing_else() {
    let folder = Folder::with(NODE);
    let config = folder.sources().load(BOTH).unwrap();
    let fhir = config.fhir_role.unwrap();
    assert_eq!(fhir.base_url.as_str(), "https://localhost:8443/fhir");
    assert_eq!(fhir.tls.certificate, InputFile(folder.0.join("server.crt")));
    assert_eq!(config.bpe_role.unwrap().fhir_base_url, fhir.base_url);
    assert_eq!(config.fhir.max_body_size, ByteSize(8 << 20));
    assert_eq!(config.database.data_dir, Directory(folder.0.join("data")));
    assert!(config.database.url.is_none() && config.roles == crate::auth::roles::Roles::default());
}

#[test]
fn the_file_of_the_conformance_cases_is_a_complete_fhir_role() {
    let folder = Folder::with(
        r#"[organization]
identifier = "Test_Organization"

[fhir]
base-url = "https://localhost:8443/fhir"
listen = "127.0.0.1:8443"
initial-bundle = "bundle.xml"

[tls]                                  # our server side
certificate = "server.crt"
private-key = "server.key"
client-cas = "ca.crt"

[client]                               # our client side
certificate = "local.crt"
private-key = "local.key"
server-cas = "ca.crt"

[auth]
roles-file = "roles.yaml"

[status]
listen = "127.0.0.1:10001"
"#,
    );
    let config = folder.sources().load(FHIR).unwrap();
    assert_eq!(config.status.listen.port(), 10001);
    assert!(config.fhir_role.is_some() && config.client.is_some() && config.bpe_role.is_none());
}

#[test]
fn later_layers_win_key_by_key() {
    let folder = Folder::with(&format!(
        "{NODE}[log]\nlevel = \"warn\"\nformat = \"json\"\n"
    ));
    let mut sources = folder.sources();
    let level = |sources: &Sources| sources.load(BOTH).unwrap().log.level.0;
    assert_eq!(level(&sources), "warn");
    sources.environment = pairs(&[
        ("DSF_LOG__LEVEL", "debug"),
        ("DSF_FHIR__TRUSTED_PROXIES", "192.0.2.1,192.0.2.2"),
        ("DSF_SHARED", "a variable without a section is not ours"),
    ]);
    assert_eq!(level(&sources), "debug");
    sources.overrides = pairs(&[("log.level", "trace")]);
    assert_eq!(level(&sources), "trace");
    let config = sources.load(BOTH).unwrap();
    assert_eq!(config.log.format, crate::kernel::telemetry::Format::Json);
    assert_eq!(config.fhir.trusted_proxies.len(), 2);
    let shown = sources.values().unwrap();
    let origin = |key: &str| {
        let found = shown.iter().find(|effective| effective.key == key).unwrap();
        found.origin.as_ref().map(ToString::to_string)
    };
    let file = folder.0.join("dsf.toml");
    assert_eq!(origin("log.level").unwrap(), "--set");
    assert_eq!(
        origin("log.format").unwrap(),
        format!("{}:17", file.display())
    );
    assert_eq!(
        origin("fhir.trusted-proxies").unwrap(),
        "environment variable DSF_FHIR__TRUSTED_PROXIES"
    );
    assert_eq!(origin("fhir.listen").unwrap(), "default");
    assert_eq!(origin("bpe.plugin-dir"), None);
}

#[test]
fn all_problems_are_told_at_once_with_their_lines() {
    let folder = Folder::with(
        r#"[fhir]
base_url = "https://localhost:8443/fhir"
listen = "localhost"
page-count = 0

[tls]
certificate = "missing.crt"
private-key = "server.key"

[colour]
of = "money"
"#,
    );
    let mut sources = folder.sources();
    sources.environment = pairs(&[("DSF_LOG__LEVELS", "info"), ("DSF_LOG__FORMAT", "xml")]);
    let problems = sources.load(FHIR).unwrap_err();
    let found: Vec<_> = problems
        .0
        .iter()
        .map(|problem| (problem.key.as_str(), line(problem)))
        .collect();
    assert_eq!(
        found,
        [
            ("colour", Some(10)),
            ("fhir.base_url", Some(2)),
            ("log.levels", None),
            ("organization.identifier", None),
            ("fhir.base-url", None),
            ("fhir.listen", Some(3)),
            ("fhir.page-count", Some(4)),
            ("tls.certificate", Some(7)),
            ("tls.client-cas", None),
            ("log.format", None),
        ]
    );
    let text = problems.to_string();
    for part in [
        "did you mean base-url?",
        "did you mean level?",
        "environment variable DSF_LOG__FORMAT: \"xml\"",
        "missing.crt",
        "DSF_ORGANIZATION__IDENTIFIER",
        "IP address with a port",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn broken_toml_names_its_line() {
    let folder = Folder::with("[fhir]\nlisten = \n");
    let problems = folder.problems(FHIR);
    assert_eq!((problems.len(), line(&problems[0])), (1, Some(2)));
}

#[test]
fn a_secret_may_come_from_a_file_and_is_never_shown() {
    let folder = Folder::with(&format!("{NODE}[database]\nurl-file = \"password\"\n"));
    let sources = folder.sources();
    let config = sources.load(BOTH).unwrap();
    assert_eq!(config.database.url.as_ref().unwrap().expose(), "swordfish");
    assert!(!format!("{config:?}").contains("swordfish"));

    let folder = Folder::with(&format!("{NODE}[database]\nurl = \"swordfish\"\n"));
    let shown = format!("{:?}", folder.sources().values().unwrap());
    assert!(
        shown.contains("***") && !shown.contains("swordfish"),
        "{shown}"
    );

    let both = format!("{NODE}[database]\nurl = \"swordfish\"\nurl-file = \"password\"\n");
    let problems = Folder::with(&both).problems(BOTH);
    assert_eq!(problems[0].key, "database.url-file");
    assert!(!Problems(problems).to_string().contains("swordfish"));
}

#[test]
fn role_rules_are_tables_whose_faults_have_lines_too() {
    let rules = r#"
[[role]]
email = "reader@example.org"
dsf-role = ["CREATE", { READ = ["Task", "Group"] }]
practitioner-role = "http://dsf.dev/fhir/CodeSystem/practitioner-role|DSF_ADMIN"

[[role]]
e-mail = "reader@example.org"
dsf-role = [{ READ = ["Task"], SEARCH = ["Task"] }]

[[role]]
dsf-role = "WRITE"
"#;
    let valid = rules.split("\n\n").next().unwrap();
    let folder = Folder::with(&format!("{NODE}{valid}\n"));
    let roles = folder.sources().load(BOTH).unwrap().roles;
    let email = Some("reader@example.org");
    let granted = roles
        .granted(&Claims {
            email,
            ..Claims::default()
        })
        .unwrap();
    assert_eq!(granted.practitioner_roles.len(), 1);
    assert!(
        granted
            .rights
            .allow(Operation::Create, ResourceType::Patient)
    );
    assert!(granted.rights.allow(Operation::Read, ResourceType::Group));
    assert!(!granted.rights.allow(Operation::Read, ResourceType::Patient));

    let problems = Folder::with(&format!("{NODE}{rules}")).problems(BOTH);
    let found: Vec<_> = problems
        .iter()
        .map(|problem| (problem.key.as_str(), line(problem)))
        .collect();
    assert_eq!(
        found,
        [
            ("role[1].e-mail", Some(22)),
            ("role[1].dsf-role", Some(23)),
            ("role[2]", Some(25)),
        ]
    );
}

#[test]
fn keys_that_need_each_other_are_checked_together() {
    let text = NODE
        .replace("8443/fhir\"", "8443/fhir/\"")
        .replace("client-cas", "client-certificate = \"proxy\"\nclient-cas");
    let problems = Folder::with(&text).problems(FHIR);
    let keys: Vec<_> = problems
        .iter()
        .map(|problem| problem.key.as_str())
        .collect();
    assert_eq!(keys, ["fhir.base-url", "tls.client-certificate"]);
}

#[test]
fn the_generated_documents_are_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (file, text, command) in [
        (
            "dsf.toml.example",
            document::example(),
            "dsf config example",
        ),
        (
            "docs/configuration.md",
            document::reference(),
            "dsf config example --markdown",
        ),
    ] {
        let committed = fs::read_to_string(root.join(file)).unwrap_or_default();
        assert_eq!(committed, text, "write it anew: {command} > {file}");
    }
}

#[test]
fn the_example_uncommented_holds_only_known_keys_with_readable_values() {
    let lines = document::example()
        .lines()
        .map(uncommented)
        .collect::<Vec<_>>()
        .join("\n");
    let folder = Folder::with(&lines);
    let files = folder.problems(BOTH);
    let other: Vec<_> = files
        .iter()
        .filter(|problem| !problem.fault.starts_with("cannot be read"))
        .collect();
    assert!(other.is_empty(), "{other:#?}");
}

/// `# key = value` and `# [[role]]` without their hash.
fn uncommented(line: &str) -> String {
    let Some(rest) = line.strip_prefix("# ") else {
        return line.to_owned();
    };
    let name = rest.split(" = ").next().unwrap_or_default();
    let is_key = rest.contains(" = ") && !name.contains([' ', '.']);
    if is_key || rest == "[[role]]" {
        rest.to_owned()
    } else {
        line.to_owned()
    }
}
