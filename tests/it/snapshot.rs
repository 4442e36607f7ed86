//! `StructureDefinition/$snapshot` shows nothing of definitions that who asks may not read
//! (`spec/auth-config.md` §4.10, §11.1 row 2).

use serde_json::{Value, json};

use super::harness::sample::{path, tag, word};
use super::harness::{Client, Server};

const R4: &str = "http://hl7.org/fhir/StructureDefinition";

/// What stands in hidden definitions only.
const SECRET: &str = "nobody but us knows this sentence";

fn definition(kind: &str, [url, base, tag_]: [&str; 3], elements: Value) -> Value {
    let mut definition = json!({
        "resourceType": "StructureDefinition", "meta": {"tag": [tag(tag_)]},
        "url": url, "version": "1.0", "name": "It", "status": "active",
        "date": "2026-01-01", "fhirVersion": "4.0.1",
        "kind": if kind == "Extension" { "complex-type" } else { "resource" },
        "abstract": false, "type": kind, "baseDefinition": base,
        "derivation": "constraint", "differential": {"element": elements},
    });
    if kind == "Extension" {
        definition["context"] = json!([{"type": "element", "expression": "Element"}]);
    }
    definition
}

/// A profile of Patient: its url, its base, its access tag.
fn patient(names: [&str; 3], elements: Value) -> Value {
    definition("Patient", names, elements)
}

fn about_birth(sentence: &str) -> Value {
    json!([{"id": "Patient.birthDate", "path": "Patient.birthDate", "short": sentence}])
}

/// Looks into an extension, so that its elements become elements of the snapshot.
fn with_extension(profile: &str) -> Value {
    json!([
        {"id": "Patient.extension", "path": "Patient.extension",
         "slicing": {"discriminator": [{"type": "value", "path": "url"}], "rules": "open"}},
        {"id": "Patient.extension:x", "path": "Patient.extension", "sliceName": "x",
         "type": [{"code": "Extension", "profile": [profile]}]},
        {"id": "Patient.extension:x.value[x]", "path": "Patient.extension.value[x]", "min": 1},
    ])
}

async fn asked(client: &Client, url: &str) -> (u16, String) {
    let answer = client
        .get(&format!("StructureDefinition/$snapshot?url={url}"))
        .await;
    (answer.status, answer.to_string())
}

async fn sent(client: &Client, profile: &Value) -> (u16, String) {
    let parameters = json!({"resourceType": "Parameters",
        "parameter": [{"name": "resource", "resource": profile}]});
    let answer = client
        .post("StructureDefinition/$snapshot", &parameters)
        .await;
    (answer.status, answer.to_string())
}

#[tokio::test]
async fn a_snapshot_tells_partners_nothing_of_what_is_hidden_from_them() {
    let server = Server::start().await;
    let (local, partner) = (server.local(), server.client("external"));
    let word = word();
    let name = |end: &str| format!("http://example.org/{word}/{end}");
    let [hidden, extension, open, looking] = ["hidden", "extension", "open", "looking"].map(name);
    let base = format!("{R4}/Patient");
    let stored = local
        .create(&patient([&hidden, &base, "LOCAL"], about_birth(SECRET)))
        .await;
    local
        .create(&definition(
            "Extension",
            [&extension, &format!("{R4}/Extension"), "LOCAL"],
            json!([
                {"id": "Extension.url", "path": "Extension.url", "fixedUri": extension},
                {"id": "Extension.value[x]", "path": "Extension.value[x]", "short": SECRET,
                 "type": [{"code": "string"}]},
            ]),
        ))
        .await;
    let gender = json!([{"id": "Patient.gender", "path": "Patient.gender", "min": 1}]);
    let derived = local
        .create(&patient([&open, &hidden, "ALL"], gender.clone()))
        .await;
    local
        .create(&patient(
            [&looking, &base, "ALL"],
            with_extension(&extension),
        ))
        .await;

    // By id and by url: as reading it.
    let by_id = format!("{}/$snapshot", path(&stored));
    assert_eq!(local.get(&by_id).await.status, 200);
    let refused = partner.get(&by_id).await;
    assert_eq!(refused.status, partner.get(&path(&stored)).await.status);
    assert!(!refused.to_string().contains(SECRET), "{refused}");
    assert_eq!(
        asked(&partner, &hidden).await,
        asked(&partner, &name("nothing")).await,
        "as if it were not there"
    );
    let posted = partner.post(&by_id, &json!(null)).await;
    assert_ne!(posted.status, 200, "{posted}");

    // Through what is open, and through profiles of the partner's own.
    let own = name("own");
    let mine = |base: &str, elements: Value| patient([&own, base, "ALL"], elements);
    let by_derived = format!("{}/$snapshot", path(&derived));
    let seen = local.get(&by_derived).await;
    assert!(seen.status == 200 && seen.to_string().contains(SECRET));
    let refused = partner.get(&by_derived).await;
    assert!(
        refused.status != 200 && !refused.to_string().contains(SECRET),
        "{refused}"
    );
    for url in [&open, &looking] {
        let (status, text) = asked(&local, url).await;
        assert!(status == 200 && text.contains(SECRET), "{url}: {text}");
        let (status, text) = asked(&partner, url).await;
        assert!(status != 200 && !text.contains(SECRET), "{url}: {text}");
    }
    let unknown = name("unknown");
    for (secret, elements) in [
        (&hidden, None),
        (&open, None),
        (&extension, Some(with_extension(&extension))),
        (&looking, None),
    ] {
        let elements = elements.as_ref();
        let through = |to: &str| match elements {
            None => mine(to, gender.clone()),
            Some(_) => mine(&base, with_extension(to)),
        };
        let (status, text) = sent(&local, &through(secret)).await;
        assert!(status == 200 && text.contains(SECRET), "{secret}: {text}");
        let (status, text) = sent(&partner, &through(secret)).await;
        assert!(status != 200 && !text.contains(SECRET), "{secret}: {text}");
        if secret == &hidden || secret == &extension {
            let (as_unknown, other) = sent(&partner, &through(&unknown)).await;
            let expected = other.replace(&unknown, secret);
            assert_eq!((status, text), (as_unknown, expected), "existence shows");
        }
    }
    let (status, text) = sent(&partner, &mine(&base, about_birth("open"))).await;
    assert_eq!(status, 200, "{text}");
}
