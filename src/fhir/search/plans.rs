//! How PostgreSQL runs what the registry offers, on 100,000 resources of which half are hidden.
//!
//! No search reads a table from end to end, and one that finds a few resources looks at few.

use serde_json::{Value, json};

use super::registry::{GLOBAL, Kind, Parameter, parameters};
use super::{Handling, Totals, Visible, parse, run, terms};
use crate::r4::{Resource, ResourceType};
use crate::store::fhir::search::testing::{self, Filling};
use crate::store::testing::fresh_database;
use crate::store::{AsyncPgConnection, Error, Schema, Store};

/// Resources of each type; of Tasks so many that they are 100,000 in all.
const EACH: i32 = 2000;
const TASKS: i32 = 100_000 - 25 * EACH;
/// The one that is looked for; visible, and with the rarer code.
const WANTED: i32 = 400;
/// Rows that any search may look at.
const FEW: f64 = 300.0;

fn number(n: i32) -> String {
    format!("{n:012}")
}

fn uuid(kind: ResourceType, n: &str) -> String {
    format!("{:08x}-0000-0000-0000-{n}", kind.code())
}

fn all(kind: ResourceType) -> impl Iterator<Item = &'static Parameter> {
    GLOBAL.iter().chain(parameters(kind))
}

/// The element of a parameter in the pattern.
fn element(kind: Kind) -> Option<Value> {
    Some(match kind {
        Kind::Id | Kind::LastUpdated | Kind::Date | Kind::Text => return None,
        Kind::Identifier { .. } => json!({"system": "s", "value": "§"}),
        Kind::Concept => json!({"coding": [{"system": "s", "code": "§"}]}),
        Kind::Enumerated { .. } => json!("¤"),
        Kind::Boolean => json!(true),
        Kind::Plain | Kind::Version => json!("§"),
        Kind::Profile | Kind::Uri { .. } | Kind::Canonical { .. } => json!("http://u/§"),
        Kind::Reference(targets) => {
            json!({"reference": format!("{}/{}", targets[0], uuid(targets[0], "§"))})
        }
    })
}

/// Puts an element to its place: `a.b`, `a(b=c).d`.
fn set(target: &mut Value, path: &str, element: Value) {
    let (head, rest) = path
        .split_once('.')
        .map_or((path, None), |(h, r)| (h, Some(r)));
    let (name, only) = head
        .split_once('(')
        .map_or((head, None), |(n, o)| (n, Some(o)));
    let Some(rest) = rest else {
        target[name] = element;
        return;
    };
    if let Some((member, code)) = only.and_then(|only| only.trim_end_matches(')').split_once('=')) {
        target[name][member] = json!(code);
    }
    set(&mut target[name], rest, element);
}

/// Stores so many resources of a type that have a value for every parameter.
pub(super) async fn fill(conn: &mut AsyncPgConnection, kind: ResourceType, count: i32) {
    let mut pattern = json!({"resourceType": kind.name()});
    let (mut text, mut dates, mut codes) = (String::new(), Vec::new(), ("", ""));
    for parameter in all(kind) {
        match parameter.kind {
            Kind::Date => dates.push(parameter.name),
            Kind::Text => text = format!("{kind}:{}", parameter.name),
            Kind::Enumerated { codes: known, .. } if parameter.name == "status" => {
                codes = (known.codes[0], known.codes[1]);
            }
            _ => {}
        }
        if let Some(element) = element(parameter.kind) {
            set(&mut pattern, parameter.paths[0], element);
        }
    }
    let mut terms = terms(&Resource::from_value(pattern).expect("a pattern"));
    if let Some((_, name)) = text.split_once(':') {
        terms.values.insert(name.to_owned(), json!(["¶"]));
    }
    let filling = Filling {
        kind,
        count,
        terms,
        text: &text,
        dates: &dates,
        codes,
    };
    testing::fill(conn, &filling).await;
}

/// Searches by one parameter: the query, and whether it is for one resource.
fn searches(kind: ResourceType, parameter: &Parameter, text: &str) -> Vec<(String, bool)> {
    let (name, n) = (parameter.name, number(WANTED));
    let with = |value: &str, one| (format!("{name}={value}"), one);
    let modified = |modifier: &str, value: &str, one| (format!("{name}:{modifier}={value}"), one);
    let at = "2026-01-01T00:06:40Z";
    let dates = [
        ("", true),
        ("lt", false),
        ("le", false),
        ("gt", false),
        ("ge", false),
        ("ne", false),
    ];
    match parameter.kind {
        Kind::Id => vec![with(&uuid(kind, &n), true)],
        Kind::Date | Kind::LastUpdated => dates
            .iter()
            .map(|(prefix, one)| with(&format!("{prefix}{at}"), *one))
            .collect(),
        Kind::Identifier { negatable } => {
            let mut found = vec![
                with(&n, true),
                with(&format!("s|{n}"), true),
                with("s|", false),
            ];
            found.extend(negatable.then(|| modified("not", &n, false)));
            found
        }
        Kind::Concept => vec![
            with(&n, true),
            with(&format!("s|{n}"), true),
            modified("not", &n, false),
        ],
        Kind::Enumerated { codes, .. } => vec![
            with(codes.codes[0], name == "status"),
            with(codes.codes[1], false),
            modified("not", codes.codes[1], name == "status"),
        ],
        Kind::Plain | Kind::Version => vec![with(&n, true), modified("not", &n, false)],
        Kind::Boolean => vec![with("true", false), with("false", true)],
        Kind::Text => vec![
            with(text, true),
            modified("contains", &text[3..12], true),
            modified("contains", "a", false),
            modified("exact", text, true),
        ],
        Kind::Profile => vec![
            with(&format!("http://u/{n}"), true),
            modified("below", &format!("http://u/{n}"), false),
        ],
        Kind::Uri { .. } => vec![
            with(&format!("http://u/{n}"), true),
            modified("below", &format!("http://u/{n}"), true),
        ],
        Kind::Canonical { .. } => vec![with(&format!("http://u/{n}"), true)],
        Kind::Reference(targets) => vec![
            with(&uuid(targets[0], &n), true),
            with(&format!("{}/{}", targets[0], uuid(targets[0], &n)), true),
            modified("identifier", &format!("s|{n}"), true),
        ],
    }
}

/// What the nodes of a plan say of the table of resources.
#[derive(Debug, Default)]
struct Work {
    whole: bool,
    rows: f64,
}

impl Work {
    fn of(plan: &Value) -> Self {
        let mut work = Self::default();
        work.add(&plan[0]["Plan"]);
        work
    }

    fn add(&mut self, node: &Value) {
        let count = |name: &str| node[name].as_f64().unwrap_or_default();
        let kind = node["Node Type"].as_str().unwrap_or_default();
        let table = node["Relation Name"].as_str().unwrap_or_default();
        assert_ne!(table, "version", "a search looks at current versions only");
        if table == "resource" {
            self.whole |= kind == "Seq Scan";
            let passed = [
                "Actual Rows",
                "Rows Removed by Filter",
                "Rows Removed by Index Recheck",
            ];
            self.rows += count("Actual Loops") * passed.iter().map(|name| count(name)).sum::<f64>();
        }
        if kind == "Bitmap Index Scan" {
            // Entries of an index, which are cheaper than rows.
            self.rows += count("Actual Loops") * count("Actual Rows") / 4.0;
        }
        for part in node["Plans"].as_array().into_iter().flatten() {
            self.add(part);
        }
    }
}

/// Whoever sees one half, and whoever sees next to nothing.
fn callers() -> [Visible; 2] {
    let keys = |own: &str| Visible::Keys(vec!["ALL".to_owned(), format!("ORG:{own}")]);
    [
        keys("none"),
        Visible::Keys(vec!["ORG:1".to_owned(), "ORG:3".to_owned()]),
    ]
}

async fn work(
    conn: &mut AsyncPgConnection,
    kind: ResourceType,
    query: &str,
    caller: &Visible,
) -> Work {
    let pairs: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect();
    let query = parse(kind, &pairs, 20, Handling::Strict).expect("a good query");
    Work::of(&testing::plan(conn, &query.selection(caller)).await)
}

async fn total(
    conn: &mut AsyncPgConnection,
    kind: ResourceType,
    query: &str,
    caller: &Visible,
) -> i64 {
    let pairs: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect();
    let query = parse(kind, &pairs, 20, Handling::Strict).expect("a good query");
    let totals = Totals::default();
    let page = run(conn, &query, Some(&totals), caller, |_| Visible::Nothing).await;
    page.expect("an answer").total
}

#[tokio::test(flavor = "multi_thread")]
async fn no_search_reads_a_table_from_end_to_end() {
    let store = Store::open(&fresh_database().await, Schema::Fhir)
        .await
        .expect("a store");
    let outcome: Result<Vec<String>, Error> = store
        .read(async |conn: &mut AsyncPgConnection| {
            for kind in ResourceType::ALL {
                let count = if *kind == ResourceType::Task {
                    TASKS
                } else {
                    EACH
                };
                fill(conn, *kind, count).await;
            }
            testing::analyze(conn).await;
            let mut faults = Vec::new();
            for kind in ResourceType::ALL {
                faults.extend(faults_of(conn, *kind).await);
            }
            Ok(faults)
        })
        .await;
    let faults = outcome.expect("answers");
    assert!(
        faults.is_empty(),
        "{} searches:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

async fn faults_of(conn: &mut AsyncPgConnection, kind: ResourceType) -> Vec<String> {
    let text = testing::md5(conn, &number(WANTED)).await;
    let [half, little] = callers();
    let mut faults = Vec::new();
    let count = f64::from(if kind == ResourceType::Task {
        TASKS
    } else {
        EACH
    });
    // One in a hundred has the rarer code: total, page and the index entries of both.
    let rare = 3.0 * count / 100.0 + FEW;
    // Two of fifty organisations are shown one in fifty.
    let seen = 4.0 * count / 50.0 + FEW;
    let mut queries: Vec<(String, bool)> = vec![(String::new(), false)];
    for parameter in all(kind) {
        queries.extend(searches(kind, parameter, &text));
        queries.push((format!("_sort=-{}", parameter.name), false));
    }
    for (query, one) in queries {
        let found = work(conn, kind, &query, &half).await;
        if found.whole || (one && found.rows > rare) {
            faults.push(format!("{kind}?{query} for half: {found:?}"));
        }
        let found = work(conn, kind, &query, &little).await;
        if found.whole || found.rows > seen {
            faults.push(format!("{kind}?{query} for a few: {found:?}"));
        }
        if one && query != "active=false" && total(conn, kind, &query, &half).await == 0 {
            faults.push(format!("{kind}?{query} finds nothing"));
        }
    }
    faults
}
