use super::{Files, naming};
use crate::bpe::plugin::testing::{files, loaded, ping_pong};

#[test]
fn the_ping_pong_plugin_is_read_without_a_complaint() {
    let package = ping_pong();
    assert_eq!(package.manifest.version.resource_version(), "1.0");
    let ids: Vec<_> = package
        .processes
        .iter()
        .map(|one| one.id.to_string())
        .collect();
    assert_eq!(
        ids,
        [
            "dsfdev_ping|1.0",
            "dsfdev_pingAutostart|1.0",
            "dsfdev_pong|1.0"
        ]
    );
    assert_eq!(package.resources.len(), 17, "shared files are read once");
    assert!(!package.draft);
    assert_eq!(package.warnings, []);
    let task = package
        .resources
        .iter()
        .find(|one| one.file.ends_with("Task/task-start-ping.json"));
    let task = &task.unwrap().resource;
    assert_eq!(
        task.get("requester").unwrap()["identifier"]["value"],
        "Test_Organization"
    );
}

#[test]
fn a_manifest_tells_all_its_problems_at_once() {
    let manifest = r#"
        name = ""
        version = "1.0"
        color = "red"
        [[process]]
        id = "no.underscore"
        model = "bpe/a.bpmn"
        resources = []
        on-failure = "shrug"
        [runtime]
        kind = "wasm"
        [capabilities]
        local-fhir = "all"
    "#;
    let refused = loaded(&files(&[("plugin.toml", manifest)])).unwrap_err();
    let told: Vec<_> = refused.problems.iter().map(ToString::to_string).collect();
    for place in [
        "color",
        "name",
        "version",
        "release-date",
        "process[1].id",
        "process[1].resources",
        "process[1].on-failure",
        "runtime.kind",
        "runtime.entry",
        "capabilities.local-fhir",
    ] {
        let start = format!("plugin.toml: {place}: ");
        assert!(
            told.iter().any(|line| line.starts_with(&start)),
            "{place} in {told:#?}"
        );
    }
}

const MANIFEST: &str = r#"
    name = "hello"
    version = "1.0.0.0"
    release-date = 2026-11-21
    [[process]]
    id = "exampleorg_hello"
    model = "hello.bpmn"
    resources = ["activity.json", "profile.json", "../secret.json"]
    [runtime]
    kind = "js"
    entry = "main.js"
"#;

const MODEL: &str = r##"<?xml version="1.0" encoding="UTF-8"?>
<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL"
    xmlns:camunda="http://camunda.org/schema/1.0/bpmn" targetNamespace="http://example.org">
  <process id="exampleorg_hello" isExecutable="true" camunda:versionTag="#{version}"
      camunda:historyTimeToLive="P30D">
    <startEvent id="Start"><outgoing>a</outgoing></startEvent>
    <serviceTask id="Select" camunda:class="org.example.Select">
      <incoming>a</incoming><outgoing>b</outgoing>
    </serviceTask>
    <sendTask id="Send" camunda:class="org.example.Send">
      <extensionElements><camunda:field name="profile" stringValue="x"/></extensionElements>
      <incoming>b</incoming><outgoing>c</outgoing>
    </sendTask>
    <endEvent id="End"><incoming>c</incoming></endEvent>
    <sequenceFlow id="a" sourceRef="Start" targetRef="Select"/>
    <sequenceFlow id="b" sourceRef="Select" targetRef="Send"/>
    <sequenceFlow id="c" sourceRef="Send" targetRef="End"/>
  </process>
</definitions>"##;

const ACTIVITY: &str = r##"{
    "resourceType": "ActivityDefinition", "version": "2.0", "status": "unknown",
    "url": "http://example.org/bpe/Process/hello",
    "meta": { "profile": [
        "http://dsf.dev/fhir/StructureDefinition/activity-definition|2.0.0"] }
}"##;

const PROFILE: &str = r##"{
    "resourceType": "StructureDefinition", "version": "#{version}", "status": "unknown",
    "url": "http://example.org/fhir/StructureDefinition/#{hello.name}",
    "name": "Hello", "kind": "resource", "abstract": false, "type": "Task"
}"##;

#[test]
fn what_does_not_fit_together_is_named_with_its_file() {
    let refused = loaded(&files(&[
        ("plugin.toml", MANIFEST),
        ("hello.bpmn", MODEL),
        ("activity.json", ACTIVITY),
        ("profile.json", PROFILE),
        (
            "main.js",
            "export const activities = { 'org.example.Send': () => {} };",
        ),
    ]))
    .unwrap_err();
    let told: Vec<_> = refused.problems.iter().map(ToString::to_string).collect();
    for expected in [
        "activity.json: version is 2.0, must be #{version}, here 1.0",
        "profile.json: #{hello.name} has no value: set the environment variable HELLO_NAME",
        "../secret.json: is not a path inside of the package",
        "hello.bpmn: sendTask 'Send': needs the camunda:field messageName",
        "hello.bpmn: serviceTask 'Select': org.example.Select has no entry in activities",
        "hello.bpmn: sendTask 'Send': org.example.Send in activities of main.js must be an object",
    ] {
        assert!(
            told.iter().any(|line| line.starts_with(expected)),
            "{expected} in {told:#?}"
        );
    }
}

#[test]
fn a_package_cannot_reach_out_of_its_folder() {
    let home = std::env::temp_dir().join(format!("dsf-escape-{}", std::process::id()));
    let package = home.join("package");
    std::fs::create_dir_all(&package).unwrap();
    std::fs::write(home.join("secret"), "secret").unwrap();
    std::os::unix::fs::symlink(home.join("secret"), package.join("link")).unwrap();
    let files = Files::folder(&package);
    for path in ["../secret", "/etc/hostname", "link", "a/../../secret", ""] {
        assert!(files.bytes(path).is_err(), "{path}");
    }
    std::fs::remove_dir_all(&home).unwrap();
}

#[test]
fn process_ids_follow_from_urls() {
    let id = |url| naming::process_id(url);
    assert_eq!(
        id("http://dsf.dev/bpe/Process/ping").as_deref(),
        Some("dsfdev_ping")
    );
    assert_eq!(
        id("https://a-b.example.org/bpe/Process/x1").as_deref(),
        Some("a-bexampleorg_x1")
    );
    assert_eq!(id("http://dsf.dev/bpe/Process/ping/1"), None);
    assert_eq!(id("ftp://dsf.dev/bpe/Process/ping"), None);
    assert!(naming::is_draft("my-process-1.0-SNAPSHOT.dsf"));
    assert!(naming::is_draft("my-process-RC12"));
    assert!(!naming::is_draft("my-process-MINE.dsf"));
}

fn zipped(name: &str, entries: &[(&str, &[u8])]) -> std::path::PathBuf {
    use std::io::Write;
    let path = std::env::temp_dir().join(format!("dsf-{}-{name}.dsf", std::process::id()));
    let mut archive = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
    for (name, bytes) in entries {
        let options = zip::write::SimpleFileOptions::default();
        archive.start_file(*name, options).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap();
    path
}

/// Issue list of bad packages: a path that leads out, a file that grows without end, a package that
/// does, more files than anybody writes, and what is no archive at all.
#[test]
fn an_archive_is_refused_before_it_does_harm() {
    let refused = |name: &str, entries: &[(&str, &[u8])]| {
        let path = zipped(name, entries);
        let told = Files::archive(&path).unwrap_err();
        std::fs::remove_file(path).unwrap();
        told
    };
    for out in ["../evil.js", "/etc/evil", "a/../../evil", "a\\..\\evil"] {
        let told = refused("path", &[("plugin.toml", b""), (out, b"x")]);
        assert!(told.contains("leads out of the package"), "{told}");
    }
    let zeros = vec![0; 17 * 1024 * 1024];
    let told = refused("bomb", &[("main.js", &zeros)]);
    assert!(told.contains("main.js"), "{told}");
    let part = &zeros[..13 * 1024 * 1024];
    let names: Vec<String> = (0..6).map(|number| format!("{number}.json")).collect();
    let many: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), part)).collect();
    assert!(refused("large", &many).contains("json"));
    let names: Vec<String> = (0..2001).map(|number| format!("{number}")).collect();
    let many: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
    assert!(refused("many", &many).contains("more than 2000 files"));

    let path = std::env::temp_dir().join(format!("dsf-{}-text.dsf", std::process::id()));
    std::fs::write(&path, "not a zip").unwrap();
    assert!(
        Files::archive(&path)
            .unwrap_err()
            .contains("dsf plugin pack")
    );
    std::fs::remove_file(path).unwrap();
}

#[test]
fn resources_of_dsf_1_are_mended_when_the_package_says_so() {
    let files = |manifest: &str| {
        files(&[
            ("plugin.toml", manifest),
            (
                "hello.bpmn",
                &MODEL.replace(
                    "<camunda:field name=\"profile\" stringValue=\"x\"/>",
                    "<camunda:field name=\"profile\" stringValue=\"x\"/>\
                 <camunda:field name=\"messageName\" stringValue=\"x\"/>\
                 <camunda:field name=\"instantiatesCanonical\" stringValue=\"x\"/>",
                ),
            ),
            (
                "activity.json",
                &ACTIVITY
                    .replace("\"2.0\"", "\"#{version}\"")
                    .replace("|2.0.0", "|1.0.0"),
            ),
            (
                "profile.json",
                &PROFILE
                    .replace("#{hello.name}", "${hello.name:task-hello}")
                    .replace(
                        "\"abstract\"",
                        "\"baseDefinition\": \
                        \"http://dsf.dev/fhir/StructureDefinition/task-base\", \"abstract\"",
                    ),
            ),
            (
                "main.js",
                "export const activities = { 'org.example.Select': () => {} };",
            ),
        ])
    };
    let manifest = MANIFEST.replace(", \"../secret.json\"", "");
    let refused = loaded(&files(&manifest)).unwrap_err().to_string();
    assert!(refused.contains("task-base is of DSF 1"), "{refused}");
    assert!(refused.contains("api = 1"), "{refused}");

    let package = loaded(&files(&format!("api = 1\n{manifest}"))).unwrap();
    let base = package.resources[1].resource.str("baseDefinition");
    assert_eq!(base, Some("http://dsf.dev/fhir/StructureDefinition/task"));
    let profiles: Vec<_> = package.resources[0].resource.profiles().collect();
    assert_eq!(
        profiles,
        ["http://dsf.dev/fhir/StructureDefinition/activity-definition"]
    );
    let url = package.resources[1].resource.str("url").unwrap();
    assert!(url.ends_with("/task-hello"), "{url}");
}

#[test]
fn code_that_no_model_names_is_refused() {
    let built_in = Files::built_in();
    let ping_pong = built_in
        .iter()
        .find(|one| one.origin == "ping-pong")
        .unwrap();
    let main = ping_pong.text("main.js").unwrap();
    let mut all: Vec<(String, String)> = ping_pong
        .below(&["bpe", "fhir"])
        .into_iter()
        .map(|path| (path.clone(), ping_pong.text(&path).unwrap()))
        .collect();
    all.push((
        "plugin.toml".to_owned(),
        ping_pong.text("plugin.toml").unwrap(),
    ));
    let more = "export const activities = { 'org.example.Forgotten': () => {},";
    all.push((
        "main.js".to_owned(),
        main.replace("export const activities = {", more),
    ));
    let texts: Vec<(&str, &str)> = all.iter().map(|(path, text)| (&**path, &**text)).collect();
    let refused = loaded(&files(&texts)).unwrap_err().to_string();
    assert!(
        refused.contains("org.example.Forgotten: no model"),
        "{refused}"
    );
}
