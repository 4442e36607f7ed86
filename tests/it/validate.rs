//! The interactions that the Java DSF has not, on a node that offers them (docs/adr/0034).

use std::sync::Arc;

use serde_json::{Value, json};
use uuid::Uuid;

use super::harness::client::Answer;
use super::harness::sample::{SID, path, patient, tag, with, word};
use super::harness::{Client, JSON, Launch, Process, Server, World, XML};

async fn offering() -> Server {
    let world = Arc::new(World::new());
    let launch = Launch::of(&world, "local");
    launch
        .set("fhir.extra-interactions=validate,search-by-post")
        .start()
        .await
}

/// Severity, code, rule and expression of the issues of an answer that is no fault.
fn issues(answer: &Answer) -> Vec<(String, String, String, String)> {
    assert_eq!(answer.status, 200, "{answer}");
    let outcome = answer.json();
    assert_eq!(outcome["resourceType"], "OperationOutcome", "{answer}");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let issues = outcome["issue"].as_array().unwrap().iter();
    issues
        .map(|issue| {
            (
                text(&issue["severity"]),
                text(&issue["code"]),
                text(&issue["details"]["coding"][0]["code"]),
                text(&issue["expression"][0]),
            )
        })
        .collect()
}

fn is_fine(answer: &Answer) -> bool {
    issues(answer)
        .iter()
        .all(|(severity, ..)| severity == "information" || severity == "warning")
}

fn parameters(resource: &Value, more: &[(&str, &str, &str)]) -> Value {
    let mut list = vec![json!({"name": "resource", "resource": resource})];
    for (name, element, value) in more {
        let mut parameter = json!({"name": name});
        parameter[*element] = json!(value);
        list.push(parameter);
    }
    json!({"resourceType": "Parameters", "parameter": list})
}

/// How many versions of how many resources there are.
async fn stored(client: &Client) -> Value {
    client.get("_history?_count=0").await.json()["total"].clone()
}

#[tokio::test]
async fn what_is_wrong_with_a_resource_is_told_with_its_place_in_the_text() {
    let server = offering().await;
    let local = server.local();
    assert!(is_fine(
        &local.post("Patient/$validate", &patient(&word())).await
    ));

    let json = "{\n \"resourceType\": \"Patient\",\n \"gender\": \"woman\",\n \"birthDate\": \"2026-01-01\"\n}";
    let xml = "<Patient xmlns=\"http://hl7.org/fhir\">\n  <gender value=\"woman\"/>\n</Patient>";
    let wrapped = parameters(&json!({"resourceType": "Patient", "gender": "woman"}), &[]);
    let wrapped = serde_json::to_string_pretty(&wrapped).unwrap();
    let line = wrapped.lines().position(|line| line.contains("gender"));
    let line = u64::try_from(line.unwrap()).unwrap() + 1;
    for (format, text, line) in [(JSON, json, 3), (XML, xml, 2), (JSON, &wrapped, line)] {
        let headers = [("content-type", format), ("accept", JSON)];
        let answer = local
            .send("POST", "Patient/$validate", &headers, text.to_owned())
            .await
            .unwrap();
        let found = issues(&answer);
        let gender = found.iter().find(|(.., place)| place == "Patient.gender");
        let (severity, code, rule, _) = gender.unwrap_or_else(|| panic!("{answer}"));
        assert_eq!((&**severity, &**code), ("error", "code-invalid"), "{rule}");
        let issue = &answer.json()["issue"][0];
        let extension = &issue["extension"][0];
        assert_eq!(extension["valueInteger"], line, "{answer}");
        let text = issue["diagnostics"].as_str().unwrap();
        assert!(text.contains("woman") && text.contains("female"), "{text}");
    }

    // The answer comes in the format that is asked for.
    let answer = local
        .send("POST", "Patient/$validate", &[("accept", XML)], json)
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&answer.body);
    assert!(text.starts_with("<OperationOutcome"), "{text}");

    // What cannot be read is found, too.
    let answer = local
        .send("POST", "Patient/$validate", &[], "{\n\"resourceType\": 1}")
        .await
        .unwrap();
    let found = issues(&answer);
    assert_eq!((&*found[0].0, &*found[0].2), ("fatal", "parse"), "{answer}");
}

/// Creates and updates that are refused tell lines and columns as well.
#[tokio::test]
async fn a_refused_write_tells_the_place_in_the_text() {
    let server = Server::start().await;
    let local = server.local();
    let tags = json!([tag("ALL")]);
    let json = format!(
        "{{\n \"resourceType\": \"Patient\",\n \"meta\": {{\"tag\": {tags}}},\n \"contact\": [{{\"name\": {{\"text\": \"a\"}}}},\n  {{\"gender\": \"male\"}}]\n}}"
    );
    let answer = local.send("POST", "Patient", &[], json).await.unwrap();
    assert_eq!(answer.status, 403, "{answer}");
    let issue = &answer.json()["issue"][0];
    assert_eq!(issue["details"]["coding"][0]["code"], "pat-1", "{answer}");
    let place = json!(["Patient.contact[1]", "Line[5] Col[3]"]);
    assert_eq!(issue["location"], place, "{answer}");
}

#[tokio::test]
async fn what_would_be_refused_is_told_and_nothing_is_stored() {
    let server = offering().await;
    let local = server.local();
    let there = local.create(&patient(&word())).await;
    let place = path(&there);
    let before = stored(&local).await;

    let new = patient(&word());
    assert!(is_fine(
        &local.post("Patient/$validate?mode=create", &new).await
    ));
    let asked = parameters(&new, &[("mode", "valueCode", "create")]);
    assert!(is_fine(&local.post("Patient/$validate", &asked).await));
    // It conforms, but refers to nothing.
    let organization = format!("Organization/{}", Uuid::new_v4());
    let dangling = with(
        &new,
        "managingOrganization",
        json!({ "reference": organization }),
    );
    assert!(is_fine(&local.post("Patient/$validate", &dangling).await));
    let asked = local.post("Patient/$validate?mode=create", &dangling).await;
    let refused = local.post("Patient", &dangling).await;
    assert_eq!((asked.status, refused.status), (200, 403), "{asked}");
    assert_eq!(asked.issue(), refused.issue());
    // The rules speak as they do for a create.
    let hidden = with(&new, "meta", json!({}));
    let asked = local.post("Patient/$validate?mode=create", &hidden).await;
    let refused = local.post("Patient", &hidden).await;
    assert_eq!((asked.status, refused.status), (403, 403), "{asked}");
    assert_eq!(asked.json(), refused.json());

    let changed = with(&there, "active", json!(false));
    let update = format!("{place}/$validate?mode=update");
    assert!(is_fine(&local.post(&update, &changed).await));
    let stale = [("if-match", "W/\"7\"")];
    let asked = local.post_with(&update, &stale, &changed).await;
    let refused = local.put_with(&place, &stale, &changed).await;
    assert_eq!((asked.status, refused.status), (200, 412), "{asked}");
    assert_eq!(asked.issue(), refused.issue());
    let other = with(&changed, "id", json!(Uuid::new_v4()));
    assert!(!is_fine(&local.post(&update, &other).await));

    let delete = format!("{place}/$validate?mode=delete");
    assert!(is_fine(&local.post(&delete, &Value::Null).await));

    assert_eq!(local.get(&place).await.json(), there);
    assert_eq!(stored(&local).await, before, "nothing is stored");
    let word = new["identifier"][0]["value"].as_str().unwrap();
    let found = local
        .search(&format!("Patient?identifier={SID}|{word}"))
        .await;
    assert!(found.is_empty(), "{found:?}");
}

#[tokio::test]
async fn a_stored_resource_is_judged_by_a_profile_that_is_given() {
    let server = offering().await;
    let local = server.local();
    let there = path(&local.create(&patient(&word())).await);
    assert!(is_fine(&local.get(&format!("{there}/$validate")).await));
    let url = "http://example.org/fhir/StructureDefinition/it-born";
    let unknown = local.get(&format!("{there}/$validate?profile={url}")).await;
    assert_eq!(issues(&unknown)[0].2, "profile-unknown", "{unknown}");
    local.create(&profile(url, "ALL")).await;
    for asked in [
        local.get(&format!("{there}/$validate?profile={url}")).await,
        local
            .get(&format!("{there}/$validate?profile={url}&mode=profile"))
            .await,
        local
            .post(
                "Patient/$validate",
                &parameters(&patient(&word()), &[("profile", "valueUri", url)]),
            )
            .await,
    ] {
        let found = issues(&asked);
        assert_eq!(found[0].2, "cardinality-min", "{asked}");
    }
}

/// A profile of Patient that asks for a date of birth.
fn profile(url: &str, readers: &str) -> Value {
    json!({
        "resourceType": "StructureDefinition",
        "meta": {"tag": [tag(readers)]},
        "url": url,
        "version": "1.0",
        "name": "ItBorn",
        "status": "active",
        "experimental": false,
        "date": "2026-01-01",
        "fhirVersion": "4.0.1",
        "kind": "resource",
        "abstract": false,
        "type": "Patient",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
        "derivation": "constraint",
        "differential": {"element": [
            {"id": "Patient.birthDate", "path": "Patient.birthDate", "min": 1},
        ]},
    })
}

#[tokio::test]
async fn who_may_not_do_it_may_not_ask_and_learns_of_nothing_hidden() {
    let server = offering().await;
    let (local, external, unknown) = (
        server.local(),
        server.client("external"),
        server.client("unknown"),
    );
    let process = Process::deploy(&local).await;
    let secret = with(&patient(&word()), "meta", json!({"tag": [tag("LOCAL")]}));
    let secret = path(&local.create(&secret).await);
    let url = "http://example.org/fhir/StructureDefinition/it-hidden";
    local.create(&profile(url, "LOCAL")).await;

    for asked in ["Patient/$validate", &format!("{secret}/$validate")] {
        let answer = unknown.post(asked, &patient(&word())).await;
        assert_eq!((answer.status, answer.body.len()), (403, 0), "{asked}");
    }
    // Only Tasks are for partners to create, nothing is for them to update or delete.
    for asked in [
        "Patient/$validate?mode=create".to_owned(),
        format!("{secret}/$validate?mode=update"),
        format!("{secret}/$validate?mode=delete"),
    ] {
        let answer = external.post(&asked, &patient(&word())).await;
        assert_eq!(answer.status, 403, "{asked}: {answer}");
    }
    // A hidden resource is as hidden as to a read.
    let read = external.get(&secret).await;
    for answer in [
        external.get(&format!("{secret}/$validate")).await,
        external
            .post(&format!("{secret}/$validate"), &patient(&word()))
            .await,
    ] {
        assert_eq!(answer.status, read.status, "{answer}");
    }
    // A hidden profile is unknown to those who may not read it.
    let asked = format!("Patient/$validate?profile={url}");
    let (seen, unseen) = (
        local.post(&asked, &patient(&word())).await,
        external.post(&asked, &patient(&word())).await,
    );
    assert_eq!(issues(&seen)[0].2, "cardinality-min", "{seen}");
    let rules: Vec<_> = issues(&unseen).into_iter().map(|issue| issue.2).collect();
    assert_eq!(rules, ["profile-unknown"], "{unseen}");
    // What a partner may create it may ask about.
    let task = process.task("External_Organization");
    assert!(is_fine(
        &external.post("Task/$validate?mode=create", &task).await
    ));
    let wrong = with(&task, "intent", json!("plan"));
    let answer = external.post("Task/$validate?mode=create", &wrong).await;
    assert!(!is_fine(&answer), "{answer}");
    let foreign = process.task("Third_Organization");
    let answer = external.post("Task/$validate?mode=create", &foreign).await;
    assert_eq!(answer.status, 403, "{answer}");
    assert_eq!(local.get("Task").await.json()["total"], 0);
}

#[tokio::test]
async fn a_question_that_makes_no_sense_is_refused_with_a_remedy() {
    let server = offering().await;
    let local = server.local();
    let there = path(&local.create(&patient(&word())).await);
    let new = patient(&word());
    let organization = json!({"resourceType": "Organization"});
    let twice = parameters(&new, &[("colour", "valueCode", "red")]);
    for (asked, body, remedy) in [
        ("Patient/$validate?mode=destroy", &new, "use create"),
        ("Patient/$validate?mode=update", &new, "id of the resource"),
        (
            &format!("{there}/$validate?mode=create"),
            &new,
            "for a type",
        ),
        (
            &format!("{there}/$validate?mode=update"),
            &Value::Null,
            "send the resource",
        ),
        ("Patient/$validate", &Value::Null, "send the resource"),
        ("Patient/$validate", &organization, "instead of Patient"),
        ("Patient/$validate", &twice, "use resource, mode"),
        ("Patient/$validate?colour=red", &new, "use resource, mode"),
        (
            &format!("{there}/$validate?mode=profile"),
            &Value::Null,
            "needs a profile",
        ),
    ] {
        let answer = local.post(asked, body).await;
        assert_eq!(answer.status, 400, "{asked}: {answer}");
        assert!(answer.issue().1.contains(remedy), "{asked}: {answer}");
    }
    let form = [("content-type", "text/plain")];
    let answer = local.post_with("Patient/$validate", &form, &new).await;
    assert_eq!(answer.status, 415, "{answer}");
    let answer = local.get("Patient/$validate").await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
}

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

#[tokio::test]
async fn a_search_by_form_finds_what_the_same_query_finds() {
    let server = offering().await;
    let local = server.local();
    let (one, two) = (word(), word());
    local.create(&patient(&one)).await;
    let hidden = with(&patient(&two), "meta", json!({"tag": [tag("LOCAL")]}));
    local.create(&hidden).await;
    let comparable = |answer: &Answer| {
        let mut bundle = answer.json();
        bundle["timestamp"] = Value::Null;
        bundle["id"] = Value::Null;
        (answer.status, bundle)
    };
    for name in ["local", "external", "practitioner"] {
        let client = server.client(name);
        for query in [
            format!("identifier={SID}%7C{one}"),
            format!("identifier={SID}%7C{two}"),
            "_count=1&_sort=-_lastUpdated&active=true".to_owned(),
            "_summary=count".to_owned(),
            "colour=red".to_owned(),
            String::new(),
        ] {
            let by_query = client.get(&format!("Patient?{query}")).await;
            let by_form = client
                .send("POST", "Patient/_search", &[FORM], query.clone())
                .await
                .unwrap();
            assert_eq!(
                comparable(&by_form),
                comparable(&by_query),
                "{name} {query}"
            );
        }
    }
    // Parameters may stand in both places, and so may what shapes the answer.
    let both = local
        .send(
            "POST",
            &format!("Patient/_search?identifier={SID}%7C{one}"),
            &[FORM],
            "_format=xml&active=false",
        )
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&both.body);
    assert!(text.contains("<total value=\"0\"/>"), "{text}");

    let strict = [FORM, ("prefer", "handling=strict")];
    let answer = local
        .send("POST", "Patient/_search", &strict, "colour=red")
        .await
        .unwrap();
    assert_eq!(answer.status, 400, "{answer}");
    let answer = local.post("Patient/_search", &patient(&one)).await;
    assert_eq!(answer.status, 415, "{answer}");
    let long = format!("active={}", "x".repeat(20_000));
    let answer = local
        .send("POST", "Patient/_search", &[FORM], long)
        .await
        .unwrap();
    assert_eq!(answer.status, 413, "{answer}");
    let answer = server
        .client("unknown")
        .send("POST", "Patient/_search", &[FORM], "active=true")
        .await
        .unwrap();
    assert_eq!((answer.status, answer.body.len()), (403, 0));
}

#[tokio::test]
async fn the_statement_names_what_is_offered_and_nothing_else_is() {
    let operations = |statement: &Value| -> Vec<String> {
        let resources = statement["rest"][0]["resource"].as_array().unwrap().iter();
        resources
            .flat_map(|resource| resource["operation"].as_array().into_iter().flatten())
            .map(|operation| operation["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let (plain, more) = tokio::join!(Server::start(), offering());
    let statement = plain.local().get("metadata").await.json();
    assert_eq!(operations(&statement), ["snapshot"]);
    assert_eq!(statement["rest"][0]["documentation"], Value::Null);
    let answer = plain.local().post("Patient/$validate", &json!({})).await;
    assert_eq!(answer.status, 405, "{answer}");

    let statement = more.local().get("metadata").await.json();
    let names = operations(&statement);
    let count = |name: &str| names.iter().filter(|known| *known == name).count();
    assert_eq!((count("validate"), count("snapshot")), (26, 1));
    let text = statement["rest"][0]["documentation"].as_str().unwrap();
    assert!(text.contains("_search"), "{text}");
}

/// Runs `dsf` with these arguments: whether all was well, and what it printed.
fn dsf(arguments: &[&str]) -> (bool, String) {
    let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_dsf"));
    let output = program.args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.success(), text)
}

#[test]
fn files_are_judged_without_a_server_with_their_lines() {
    let folder = dsf::store::testing::temporary_folder("validate");
    std::fs::create_dir_all(folder.join("profiles")).unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let url = "http://example.org/fhir/StructureDefinition/it-born";
    write("profiles/born.json", &profile(url, "ALL").to_string());
    let profiles = folder.join("profiles");
    let profiles = profiles.to_str().unwrap();
    let meta = json!({"tag": [tag("ALL")]});
    let sound = write("sound.json", &patient(&word()).to_string());
    let json = write(
        "wrong.json",
        &format!("{{\"resourceType\": \"Patient\", \"meta\": {meta},\n  \"gender\": \"woman\"}}"),
    );
    let xml = write(
        "wrong.xml",
        "<Patient xmlns=\"http://hl7.org/fhir\">\n <active value=\"true\"/>\n <gender value=\"woman\"/>\n</Patient>",
    );
    let broken = write("broken.json", "{\n  \"resourceType\": }");

    let (is_well, told) = dsf(&["validate", &sound]);
    assert!(is_well && told.contains("sound.json: valid"), "{told}");
    let (is_well, told) = dsf(&["validate", &sound, &json, &xml, &broken]);
    assert!(!is_well);
    for line in [
        format!("{json}:2:13: error: "),
        format!("{xml}:3:2: error: "),
        format!("{broken}:2:"),
    ] {
        assert!(told.contains(&line), "{line}\n{told}");
    }

    let by = ["--profile", url, "--with", profiles];
    let (is_well, told) = dsf(&[&["validate", &sound][..], &by].concat());
    assert!(!is_well && told.contains("[cardinality-min]"), "{told}");
    let (_, told) = dsf(&[&["validate", &sound, "--json"][..], &by].concat());
    let told: Value = serde_json::from_str(&told).unwrap();
    let finding = &told[0];
    assert_eq!(finding["rule"], "cardinality-min", "{told}");
    assert_eq!(finding["expression"], "Patient", "{told}");
    assert_eq!(finding["line"], 1, "{told}");
    assert_eq!(finding["severity"], "error", "{told}");
}

/// A package whose own example Task does not conform is refused with the list of what is wrong.
#[cfg(feature = "bpe")]
#[test]
fn a_package_whose_resources_do_not_conform_is_refused_with_the_places() {
    let folder = dsf::store::testing::temporary_folder("package-check").join("ping-pong");
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins/ping-pong");
    copy(&source, &folder);
    let path = folder.to_str().unwrap();
    let (is_well, told) = dsf(&["plugin", "check", path]);
    assert!(is_well, "{told}");

    let task = folder.join("fhir/Task/task-start-ping.json");
    let text = std::fs::read_to_string(&task).unwrap();
    let changed = text.replace("\"intent\": \"order\"", "\"intent\": \"plan\"");
    let line = changed.lines().position(|line| line.contains("plan"));
    let line = line.unwrap() + 1;
    std::fs::write(task, changed).unwrap();
    let (is_well, told) = dsf(&["plugin", "check", path]);
    let place = format!(": {line}:");
    assert!(!is_well && told.contains("intent"), "{told}");
    assert!(
        told.contains(&place) && told.contains("is refused"),
        "{told}"
    );
    let (is_well, told) = dsf(&["plugin", "check", path, "--json"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert!(!is_well);
    let place = told[0]["place"].as_str().unwrap();
    assert!(place.starts_with(&format!("{line}:")), "{told}");
    assert_eq!(told[0]["severity"], "error", "{told}");
}

#[cfg(feature = "bpe")]
fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// An initial Bundle is judged like any other, and a node does not start on a wrong one.
#[tokio::test]
async fn a_node_does_not_start_with_start_up_data_that_do_not_conform() {
    let world = Arc::new(World::new());
    // The node writes its files; then it goes again.
    drop(Launch::of(&world, "local").start().await);
    let bundle = world.path("bundle.json");
    let mut start: Value = serde_json::from_slice(&std::fs::read(&bundle).unwrap()).unwrap();
    let wrong = with(&patient(&word()), "gender", json!("woman"));
    let entry = json!({
        "fullUrl": format!("urn:uuid:{}", Uuid::new_v4()),
        "resource": wrong,
        "request": {"method": "POST", "url": "Patient"},
    });
    start["entry"].as_array_mut().unwrap().push(entry);
    std::fs::write(&bundle, start.to_string()).unwrap();
    let refused = Launch::of(&world, "local").refused().await;
    assert!(
        refused.contains("bundle.json") && refused.contains("gender"),
        "{refused}"
    );
}
