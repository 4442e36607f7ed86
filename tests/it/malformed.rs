//! What `spec/auth-config.md` calls malformed is refused or ignored, told in the log, and never
//! opens more than is written: access tags (§4.3), process authorisation (§4.7), organisations and
//! affiliations (§2.2, §4.4, §6), role rules (§2.7).

use std::sync::Arc;
use std::time::Duration;

use dsf::store::testing::fresh_database;
use serde_json::{Value, json};
use tokio_postgres::NoTls;
use uuid::Uuid;

use super::harness::sample::{SID, path, patient, tag, with, word};
use super::harness::{Client, Launch, ORGANIZATION, Server, World, until};

const DSF: &str = "http://dsf.dev/fhir";
const ROLES: &str = "http://dsf.dev/fhir/CodeSystem/organization-role";

fn extension(name: &str, more: Value) -> Value {
    let mut extension = json!({"url": format!("{DSF}/StructureDefinition/extension-{name}")});
    let members = extension.as_object_mut().unwrap();
    members.extend(more.as_object().unwrap().clone());
    extension
}

fn organization_tag(more: Value) -> Value {
    let mut tag = tag("ORGANIZATION");
    tag["extension"] = json!([extension("read-access-organization", more)]);
    tag
}

fn role_tag(parts: Value) -> Value {
    let mut tag = tag("ROLE");
    let more = json!({ "extension": parts });
    tag["extension"] = json!([extension("read-access-parent-organization-role", more)]);
    tag
}

fn parent(identifier: &str) -> Value {
    json!({"url": "parent-organization", "valueIdentifier": {"system": ORGANIZATION, "value": identifier}})
}

fn role(code: &str) -> Value {
    json!({"url": "organization-role", "valueCoding": {"system": ROLES, "code": code}})
}

/// Lines of the log that tell of a refusal for this reason.
fn told(server: &Server, reason: &str) -> usize {
    let log = server.log();
    let lines = log.lines().filter(|line| line.contains("denied"));
    lines.filter(|line| line.contains(reason)).count()
}

/// As the only entry of a transaction; its status.
async fn in_bundle(client: &Client, method: &str, url: &str, resource: &Value) -> u16 {
    let full_url = match method {
        "POST" => format!("urn:uuid:{}", Uuid::new_v4()),
        _ => format!("{}/{url}", client.base_url()),
    };
    let entry = json!({"fullUrl": full_url, "resource": resource,
        "request": {"method": method, "url": url}});
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [entry]});
    client.post("", &bundle).await.status
}

#[tokio::test]
async fn malformed_access_tags_are_refused_by_every_way_of_writing() {
    let server = Server::start().await;
    let local = server.local();
    let partner =
        json!({"valueIdentifier": {"system": ORGANIZATION, "value": "External_Organization"}});
    let mut twice = organization_tag(partner.clone());
    let again = twice["extension"][0].clone();
    twice["extension"].as_array_mut().unwrap().push(again);
    let beside_local = |tag_: Value| json!([tag("LOCAL"), tag_]);
    let malformed = [
        json!([]),
        json!([{"system": "http://dsf.dev/fhir/CodeSystem/read-access-tag"}]),
        json!([{"code": "ALL"}]),
        json!([tag("all")]),
        json!([tag("ALL"), tag("LOCAL")]),
        json!([organization_tag(partner.clone())]),
        beside_local(tag("PARTNERS")),
        beside_local(tag("ORGANIZATION")),
        beside_local(twice),
        beside_local(organization_tag(
            json!({"valueString": "External_Organization"}),
        )),
        beside_local(organization_tag(
            json!({"valueIdentifier": {"value": "External_Organization"}}),
        )),
        beside_local(organization_tag(
            json!({"valueIdentifier": {"system": ORGANIZATION, "value": "Nobody"}}),
        )),
        beside_local(tag("ROLE")),
        beside_local(role_tag(json!([parent("Parent_Organization")]))),
        beside_local(role_tag(json!([role("DIC")]))),
        beside_local(role_tag(json!([
            parent("Parent_Organization"),
            role("BOSS")
        ]))),
        beside_local(role_tag(json!([parent("Nobody"), role("DIC")]))),
        beside_local(role_tag(json!([
            parent("Parent_Organization"),
            role("DIC"),
            role("DIC")
        ]))),
        beside_local(role_tag(
            json!([{"url": "parent-organization", "valueString": "Parent_Organization"}, role("DIC")]),
        )),
    ];
    let stored = local
        .create(&with(
            &patient(&word()),
            "meta",
            json!({"tag": [tag("LOCAL")]}),
        ))
        .await;
    let at = path(&stored);
    for (index, tags) in malformed.iter().enumerate() {
        let meta = json!({ "tag": tags });
        let new = with(&patient(&word()), "meta", meta.clone());
        let changed = with(&stored, "meta", meta);
        let answers = [
            local.post("Patient", &new).await.status,
            local.put(&at, &changed).await.status,
            in_bundle(&local, "POST", "Patient", &new).await,
            in_bundle(&local, "PUT", &at, &changed).await,
        ];
        assert_eq!(answers, [403; 4], "{tags}");
        assert_eq!(told(&server, "bad-read-tags"), 4 * (index + 1), "{tags}");
    }
    assert_eq!(server.client("external").get(&at).await.status, 403);
    let unchanged = local.get(&at).await;
    assert_eq!(unchanged.json()["meta"]["versionId"], "1", "{unchanged}");
}

/// A process with one authorisation of these parts.
fn process(parts: &[Value]) -> Value {
    let name = word();
    json!({
        "resourceType": "ActivityDefinition", "meta": {"tag": [tag("ALL")]},
        "extension": [extension("process-authorization", json!({"extension": parts}))],
        "url": format!("http://dsf.dev/bpe/Process/{name}"), "version": "1.0", "name": name,
        "status": "active", "date": "2026-01-01", "kind": "Task",
    })
}

#[tokio::test]
async fn process_authorisations_with_missing_parts_are_refused_and_told() {
    let server = Server::start().await;
    let local = server.local();
    let message = json!({"url": "message-name", "valueString": "start"});
    let profile = json!({"url": "task-profile", "valueCanonical": "http://example.org/task|1.0"});
    let party = |side: &str, code: &str, details: Value| {
        let system = format!("{DSF}/CodeSystem/process-authorization");
        let mut coding = json!({"system": system, "code": code});
        if details != json!([]) {
            coding["extension"] = details;
        }
        json!({"url": side, "valueCoding": coding})
    };
    let of_role = |parts: Value| {
        json!([extension(
            "process-authorization-parent-organization-role",
            json!({"extension": parts})
        )])
    };
    let requester = party("requester", "REMOTE_ALL", json!([]));
    let recipient = party("recipient", "LOCAL_ALL", json!([]));
    let good = [message, profile, requester.clone(), recipient.clone()];
    local.create(&process(&good)).await;
    let whole = of_role(json!([parent("Parent_Organization"), role("DIC")]));
    let mut by_role = good.clone();
    by_role[2] = party("requester", "REMOTE_ROLE", whole.clone());
    local.create(&process(&by_role)).await;

    let mut malformed: Vec<Vec<Value>> = (0..good.len())
        .map(|without| {
            let mut parts = good.to_vec();
            parts.remove(without);
            parts
        })
        .collect();
    let mut codeless = requester.clone();
    codeless["valueCoding"]
        .as_object_mut()
        .unwrap()
        .remove("code");
    let replacements = [
        (0, json!({"url": "message-name", "valueString": " "})),
        (
            1,
            json!({"url": "task-profile", "valueString": "http://example.org/task|1.0"}),
        ),
        (2, codeless),
        (2, json!({"url": "requester"})),
        (2, party("requester", "EVERYBODY", json!([]))),
        (2, party("requester", "REMOTE_ROLE", json!([]))),
        (
            2,
            party("requester", "REMOTE_ROLE", of_role(json!([role("DIC")]))),
        ),
        (
            2,
            party(
                "requester",
                "REMOTE_ROLE",
                of_role(json!([parent("Parent_Organization")])),
            ),
        ),
        (2, party("requester", "REMOTE_ORGANIZATION", json!([]))),
        (2, party("requester", "REMOTE_ORGANIZATION", whole)),
        (2, party("requester", "LOCAL_ALL_PRACTITIONER", json!([]))),
        (3, party("recipient", "REMOTE_ALL", json!([]))),
    ];
    for (at, part) in replacements {
        let mut parts = good.to_vec();
        parts[at] = part;
        malformed.push(parts);
    }
    for (index, parts) in malformed.iter().enumerate() {
        let refused = local.post("ActivityDefinition", &process(parts)).await;
        assert_eq!(refused.status, 403, "{parts:?}: {refused}");
        assert_eq!(
            told(&server, "bad-process-authorization"),
            index + 1,
            "{parts:?}"
        );
    }
}

/// A copy of an organisation under another identifier, without id.
fn another(organization: &Value, identifiers: Value) -> Value {
    let mut other = with(organization, "identifier", identifiers);
    let members = other.as_object_mut().unwrap();
    members.remove("id");
    members.remove("endpoint");
    other
}

async fn found(client: &Client, identifier: &str) -> Value {
    let query = format!("Organization?identifier={ORGANIZATION}|{identifier}");
    client.search(&query).await.remove(0)
}

#[tokio::test]
async fn organisations_without_identifier_or_with_a_thumbprint_of_others_are_refused() {
    let server = Server::start().await;
    let (local, external) = (server.local(), server.client("external"));
    let organization = found(&local, "External_Organization").await;
    for identifiers in [
        json!([]),
        json!([{"system": SID, "value": "x"}]),
        json!([{"system": ORGANIZATION}]),
        json!([{"system": ORGANIZATION, "value": "x"}, {"system": ORGANIZATION, "value": "y"}]),
    ] {
        let new = another(&organization, identifiers);
        let before = told(&server, "bad-organization");
        assert_eq!(local.post("Organization", &new).await.status, 403, "{new}");
        assert_eq!(
            in_bundle(&local, "POST", "Organization", &new).await,
            403,
            "{new}"
        );
        assert_eq!(told(&server, "bad-organization"), before + 2, "{new}");
    }

    // A second organisation with the thumbprint: as a new one, and by an update.
    let impostor = another(
        &organization,
        json!([{"system": ORGANIZATION, "value": "Impostor"}]),
    );
    assert_eq!(local.post("Organization", &impostor).await.status, 403);
    assert_eq!(
        in_bundle(&local, "POST", "Organization", &impostor).await,
        403
    );
    let third = found(&local, "Third_Organization").await;
    let taking = with(&third, "extension", organization["extension"].clone());
    assert_eq!(local.put(&path(&third), &taking).await.status, 403);
    assert_eq!(told(&server, "already-exists"), 3);
    assert_eq!(
        external.get("metadata").await.status,
        200,
        "who had it stays"
    );
    assert_eq!(server.client("third").get("metadata").await.status, 200);
}

/// §2.2: more than one Organization for a certificate is none. No request can bring that about, a
/// database that somebody else has written to can.
#[tokio::test]
async fn a_certificate_of_two_organisations_is_of_nobody_and_the_log_says_so() {
    let (world, database) = (Arc::new(World::new()), fresh_database().await);
    let server = Launch::of(&world, "local")
        .database(&database)
        .start()
        .await;
    let thumbprint = |name: &str| world.member(name).thumbprint.clone();
    let (admin, connection) = tokio_postgres::connect(database.url.as_deref().unwrap(), NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let take_over = format!(
        "UPDATE fhir.resource SET document = replace(document, '{}', '{}'); \
         UPDATE fhir.directory SET generation = generation + 1",
        thumbprint("third"),
        thumbprint("external"),
    );
    let (external, third) = (server.client("external"), server.client("third"));
    assert_eq!(external.get("metadata").await.status, 200);
    admin.batch_execute(&take_over).await.unwrap();
    for client in [&external, &third] {
        let answer = client.get("metadata").await;
        assert_eq!((answer.status, answer.body.len()), (403, 0), "{answer}");
    }
    let reason = "is in more than one active Organization";
    assert!(server.log().contains(reason), "{}", server.log());
    assert_eq!(server.local().get("metadata").await.status, 200);

    // Without identifier it is no organisation at all (§2.2): neither lets in nor stands in a way.
    let forget = "UPDATE fhir.resource SET document = replace(document, 'Third_Organization', '') \
                  WHERE document LIKE '%\"resourceType\":\"Organization\"%'; \
                  UPDATE fhir.directory SET generation = generation + 1";
    admin.batch_execute(forget).await.unwrap();
    assert_eq!(third.get("metadata").await.status, 403);
}

/// §6.3: roles are not handed down, and a parent has no rights for being one.
#[tokio::test]
async fn circles_of_parents_end_and_give_no_role_to_anybody() {
    let server = Server::start().await;
    let local = server.local();
    let [external, third] = [
        found(&local, "External_Organization").await,
        found(&local, "Third_Organization").await,
    ];
    let query = format!(
        "OrganizationAffiliation?participating-organization:identifier={ORGANIZATION}|External_Organization"
    );
    let affiliation = local.search(&query).await.remove(0);
    let reference =
        |organization: &Value| json!({"reference": path(organization), "type": "Organization"});
    let join = async |parent: &Value, member: &Value, code: &str| {
        let mut new = affiliation.clone();
        new.as_object_mut().unwrap().remove("id");
        new["organization"] = reference(parent);
        new["participatingOrganization"] = reference(member);
        new["endpoint"] = member["endpoint"].clone();
        new["code"] = json!([{"coding": [{"system": ROLES, "code": code}]}]);
        local.create(&new).await
    };
    // Each is the parent of the other, one is its own; and each is a part of the other.
    join(&third, &external, "HRP").await;
    join(&external, &third, "TTP").await;
    join(&external, &external, "UAC").await;
    for (whole, part) in [(&third, &external), (&external, &third)] {
        let current = local.get(&path(part)).await.json();
        let put = local
            .put(&path(part), &with(&current, "partOf", reference(whole)))
            .await;
        assert_eq!(put.status, 200, "{put}");
    }

    let readers = async |parent_: &str, code: &str| {
        let tags = json!([tag("LOCAL"), role_tag(json!([parent(parent_), role(code)]))]);
        let stored = local
            .create(&with(&patient(&word()), "meta", json!({ "tag": tags })))
            .await;
        let mut readers = Vec::new();
        for name in ["external", "third"] {
            if server.client(name).get(&path(&stored)).await.status == 200 {
                readers.push(name);
            }
        }
        readers
    };
    let [e, t] = ["External_Organization", "Third_Organization"];
    assert_eq!(readers(t, "HRP").await, ["external"]);
    assert_eq!(readers(e, "TTP").await, ["third"]);
    assert_eq!(readers(e, "UAC").await, ["external"]);
    for (parent, code) in [
        (t, "TTP"),
        (t, "UAC"),
        (e, "HRP"),
        ("Parent_Organization", "TTP"),
    ] {
        assert!(readers(parent, code).await.is_empty(), "{parent} {code}");
    }
    let circle = "Organization?_include=Organization:partof&_include:iterate=Organization:partof";
    let answer = local.get(circle).await;
    assert!(matches!(answer.status, 200 | 400), "{answer}");
}

#[tokio::test]
async fn unknown_words_of_a_role_file_are_told_and_widen_nothing() {
    let world = Arc::new(World::new());
    let pem = std::fs::read(world.path("unknown.crt")).unwrap();
    let der = openssl::x509::X509::from_pem(&pem)
        .unwrap()
        .to_der()
        .unwrap();
    let thumbprint = dsf::net::tls::Thumbprint::of(&der).to_string();
    let rules = format!(
        "- clerk:\n    thumbprint: [{thumbprint}, {upper}, abc]\n    email: nobody@localhost\n    \
         colour: blue\n    dsf-role:\n      - READ: [Group]\n      - SEARCH: [Group, Everything]\n      \
         - WRITE\n      - create\n      - {{UPDATE: [Group], DELETE: [Group]}}\n    \
         practitioner-role: [DSF_ADMIN, 'a|b|c']\n- [nothing]\n",
        upper = thumbprint.to_uppercase(),
    );
    std::fs::write(world.path("roles.yaml"), rules).unwrap();
    let server = Launch::of(&world, "local")
        .set(format!(
            "auth.roles-file={}",
            world.path("roles.yaml").display()
        ))
        .start()
        .await;
    let lines = [
        format!("'{}' is no SHA-512 thumbprint", thumbprint.to_uppercase()),
        "'abc' is no SHA-512 thumbprint".to_owned(),
        "'nobody@localhost' is no e-mail address".to_owned(),
        "unknown key 'colour'".to_owned(),
        "dsf-role SEARCH names the unknown type 'Everything'".to_owned(),
        "dsf-role 'WRITE' is no operation".to_owned(),
        "dsf-role 'create' is no operation".to_owned(),
        "a dsf-role is neither an operation nor one operation with its types".to_owned(),
        "practitioner-role 'DSF_ADMIN' is not system|code".to_owned(),
        "practitioner-role 'a|b|c' is not system|code".to_owned(),
        "a role rule is no map of name and properties".to_owned(),
    ];
    until("the log tells", Duration::from_secs(30), async || {
        lines.iter().all(|line| server.log().contains(line))
    })
    .await;

    let clerk = server.client("unknown");
    let group = server
        .local()
        .create(&json!({"resourceType": "Group", "meta": {"tag": [tag("LOCAL")]}, "type": "person", "actual": true}))
        .await;
    let at = path(&group);
    assert_eq!(clerk.get(&at).await.status, 200, "what is right counts");
    let refused = [
        clerk.get("Group").await.status,
        clerk.get("Patient").await.status,
        clerk.post("Group", &group).await.status,
        clerk.put(&at, &group).await.status,
        clerk.delete(&at).await.status,
        clerk.get("_history").await.status,
    ];
    assert_eq!(refused, [403; 6], "no more than is written");
}
