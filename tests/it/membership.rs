//! A change of the allow list counts at once and costs the same however much is stored
//! (`spec/auth-config.md` §5.2, §6). `DSF_MEMBERSHIP_RESOURCES` says how much that is.

use std::sync::Arc;
use std::time::Instant;

use dsf::store::testing::fresh_database;
use serde_json::{Value, json};
use tokio_postgres::NoTls;
use uuid::Uuid;

use super::harness::sample::{SID, path, tag, with, word};
use super::harness::{ENDPOINT, JSON, Launch, ORGANIZATION, World, XML};

const DSF: &str = "http://dsf.dev/fhir";
const ROLES: &str = "http://dsf.dev/fhir/CodeSystem/organization-role";
/// Members of the consortium besides those of the world.
const MEMBERS: usize = 200;

fn resources() -> i64 {
    let wanted = std::env::var("DSF_MEMBERSHIP_RESOURCES");
    wanted.map_or(2000, |count| count.parse().unwrap())
}

/// Open to the members of Parent_Organization that are DIC.
fn group(word: &str) -> Value {
    let mut role = tag("ROLE");
    role["extension"] = json!([{
        "url": format!("{DSF}/StructureDefinition/extension-read-access-parent-organization-role"),
        "extension": [
            {"url": "parent-organization", "valueIdentifier": {"system": ORGANIZATION, "value": "Parent_Organization"}},
            {"url": "organization-role", "valueCoding": {"system": ROLES, "code": "DIC"}},
        ],
    }]);
    json!({
        "resourceType": "Group", "meta": {"tag": [tag("LOCAL"), role]}, "type": "person",
        "actual": true, "identifier": [{"system": SID, "value": word}],
    })
}

/// A member of Parent_Organization as three entries.
fn member(index: usize, parent: &str) -> Vec<Value> {
    let [organization, endpoint, affiliation] =
        [(); 3].map(|()| format!("urn:uuid:{}", Uuid::new_v4()));
    let meta = |profile: &str| json!({"profile": [format!("{DSF}/StructureDefinition/{profile}")], "tag": [tag("ALL")]});
    let name = format!("member-{index}.example.org");
    let thumbprint = format!("{index:0128x}");
    let post = |urn: &str, resource: Value| {
        let kind = resource["resourceType"].clone();
        json!({"fullUrl": urn, "request": {"method": "POST", "url": kind}, "resource": resource})
    };
    vec![
        post(
            &organization,
            json!({
                "resourceType": "Organization", "meta": meta("organization"), "active": true, "name": name,
                "extension": [{"url": format!("{DSF}/StructureDefinition/extension-certificate-thumbprint"), "valueString": thumbprint}],
                "identifier": [{"system": ORGANIZATION, "value": name}],
                "endpoint": [{"reference": endpoint, "type": "Endpoint"}],
            }),
        ),
        post(
            &endpoint,
            json!({
                "resourceType": "Endpoint", "meta": meta("endpoint"), "status": "active", "name": name,
                "identifier": [{"system": ENDPOINT, "value": name}],
                "connectionType": {"system": "http://terminology.hl7.org/CodeSystem/endpoint-connection-type", "code": "hl7-fhir-rest"},
                "managingOrganization": {"reference": organization, "type": "Organization"},
                "payloadType": [{"coding": [{"system": "http://hl7.org/fhir/resource-types", "code": "Task"}]}],
                "payloadMimeType": [JSON, XML], "address": format!("https://{name}/fhir"),
            }),
        ),
        post(
            &affiliation,
            json!({
                "resourceType": "OrganizationAffiliation", "meta": meta("organization-affiliation"), "active": true,
                "organization": {"reference": parent, "type": "Organization"},
                "participatingOrganization": {"reference": organization, "type": "Organization"},
                "code": [{"coding": [{"system": ROLES, "code": "DIC"}]}],
                "endpoint": [{"reference": endpoint, "type": "Endpoint"}],
            }),
        ),
    ]
}

async fn copies(url: &str, id: &str, count: i64) {
    let (admin, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    let copy = format!(
        "INSERT INTO fhir.resource (id, type, version, last_updated, document, access, audience, \
         tokens, terms) SELECT gen_random_uuid(), type, version, last_updated + i * interval '1 ms', \
         document, access, audience, tokens, terms \
         FROM fhir.resource, generate_series(1, {count}) i WHERE id = '{id}'"
    );
    admin.batch_execute(&copy).await.unwrap();
    admin
        .batch_execute("VACUUM ANALYZE fhir.resource")
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_membership_that_changes_opens_and_closes_everything_at_once() {
    let (world, database) = (Arc::new(World::new()), fresh_database().await);
    let url = database.url.clone().unwrap();
    let server = Launch::of(&world, "local")
        .database(&database)
        .start()
        .await;
    let (local, external) = (server.local(), server.client("external"));
    let parent = local
        .search(&format!(
            "Organization?identifier={ORGANIZATION}|Parent_Organization"
        ))
        .await
        .remove(0);
    let entries: Vec<Value> = (0..MEMBERS)
        .flat_map(|index| member(index, &path(&parent)))
        .collect();
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
    let began = Instant::now();
    let stored = local.post("", &bundle).await;
    assert_eq!(stored.status, 200, "{stored}");
    println!("{MEMBERS} members stored in {:?}", began.elapsed());

    let one = local.create(&group(&word())).await;
    copies(&url, one["id"].as_str().unwrap(), resources()).await;
    // A node that has counted nothing yet: the copies had no events.
    drop(server);
    let server = Launch::of(&world, "local")
        .database(&database)
        .elsewhere()
        .start()
        .await;
    let other = Launch::of(&world, "local")
        .database(&database)
        .elsewhere()
        .start()
        .await;
    let (local, external_here, external_there) = (
        server.local(),
        server.client("external"),
        other.client("external"),
    );
    drop(external);
    let total = async |client: &super::harness::Client| {
        client.get("Group?_count=0").await.json()["total"]
            .as_i64()
            .unwrap()
    };
    let all = resources() + 1;
    assert_eq!(
        (total(&external_here).await, total(&external_there).await),
        (all, all)
    );

    let query = format!(
        "OrganizationAffiliation?primary-organization:identifier={ORGANIZATION}|Parent_Organization\
         &participating-organization:identifier={ORGANIZATION}|External_Organization"
    );
    let affiliation = local.search(&query).await.remove(0);
    let roles = |codes: &[&str]| {
        let codings: Vec<Value> = codes
            .iter()
            .map(|code| json!({"coding": [{"system": ROLES, "code": code}]}))
            .collect();
        Value::Array(codings)
    };
    // Java drops the roles that stay (§5.2): here a role more takes nothing away.
    for (change, value, visible) in [
        ("code", roles(&["DIC", "HRP"]), all),
        ("code", roles(&["HRP"]), 0),
        ("code", roles(&["DIC"]), all),
        ("active", json!(false), 0),
        ("active", json!(true), all),
    ] {
        let current = local.get(&path(&affiliation)).await.json();
        let began = Instant::now();
        let put = local
            .put(&path(&affiliation), &with(&current, change, value))
            .await;
        assert_eq!(put.status, 200, "{put}");
        println!("{change}: {:?} with {all} resources", began.elapsed());
        assert_eq!(total(&external_here).await, visible, "{change}");
        assert_eq!(
            total(&external_there).await,
            visible,
            "{change} on another node"
        );
        let read = external_there.get(&path(&one)).await.status;
        assert_eq!(read == 200, visible > 0, "{change}");
    }
    let began = Instant::now();
    let gone = local.delete(&path(&affiliation)).await;
    assert_eq!(gone.status, 200, "{gone}");
    println!("deleted: {:?}", began.elapsed());
    assert_eq!(
        (total(&external_here).await, total(&external_there).await),
        (0, 0)
    );
}
