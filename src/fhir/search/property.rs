//! Whatever a client writes, a search is refused or answered; it is never an error of the database.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::plans::fill;
use super::registry::{GLOBAL, parameters};
use super::{Handling, Totals, Visible, parse, run};
use crate::r4::ResourceType;
use crate::store::testing::fresh_database;
use crate::store::{AsyncPgConnection, Error, Schema, Store};

const SEARCHES: usize = 600;

/// Texts that mean something somewhere: to SQL, to dates, to tokens, to references, to numbers.
const PIECES: &[&str] = &[
    "'",
    "''",
    "\"",
    "\\",
    "$1",
    ";--",
    "%",
    "_",
    "|",
    "||",
    "/",
    "?",
    "&",
    ",",
    "{",
    "}",
    "\0",
    "\n",
    "\u{7f}",
    "\u{10ffff}",
    "\u{d7ff}",
    "é",
    "ß",
    "İ",
    " ",
    "+",
    "-",
    "true",
    "active",
    "requested",
    "http://",
    "urn:uuid:",
    "Organization/",
    "00000000-0000-0000-0000-000000000001",
    "eq",
    "ne",
    "gt",
    "sa",
    "2026",
    "2026-02",
    "2026-02-29",
    "0000",
    "9999-12-31",
    "T23:59:60Z",
    "T10:00",
    "+14:00",
    "-99:99",
    "99999999999999999999",
    "-1",
    "0",
    "2147483648",
    "1e999",
    "NaN",
    "null",
    "' OR 1=1) --",
    "') UNION SELECT 1 --",
];

fn value() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => proptest::sample::select(PIECES).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
    ];
    proptest::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

fn name(kind: ResourceType) -> impl Strategy<Value = String> {
    let mut known: Vec<String> = [
        "_sort",
        "_include",
        "_revinclude",
        "_count",
        "_page",
        "_summary",
        "_format",
    ]
    .map(str::to_owned)
    .to_vec();
    for parameter in GLOBAL.iter().chain(parameters(kind)) {
        known.push(parameter.name.to_owned());
        let modifiers = parameter.kind.modifiers().iter();
        known.extend(modifiers.map(|modifier| format!("{}:{modifier}", parameter.name)));
    }
    prop_oneof![9 => proptest::sample::select(known), 1 => value()]
}

/// Orders and includes are rarely hit by chance.
fn pair(kind: ResourceType) -> impl Strategy<Value = (String, String)> {
    let orders: Vec<String> = GLOBAL
        .iter()
        .chain(parameters(kind))
        .flat_map(|parameter| {
            [
                parameter.name.to_owned(),
                format!("-{},_id", parameter.name),
            ]
        })
        .collect();
    let order = proptest::sample::select(orders).prop_map(|order| ("_sort".to_owned(), order));
    prop_oneof![6 => (name(kind), value()), 1 => order]
}

fn search() -> impl Strategy<Value = (ResourceType, Vec<(String, String)>)> {
    proptest::sample::select(ResourceType::ALL)
        .prop_flat_map(|kind| (Just(kind), proptest::collection::vec(pair(kind), 0..5)))
}

#[tokio::test(flavor = "multi_thread")]
async fn random_searches_are_refused_or_answered() {
    let store = Store::open(&fresh_database().await, Schema::Fhir)
        .await
        .expect("a store");
    let totals = Totals::default();
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let searches: Vec<_> = (0..SEARCHES)
        .map(|_| search().new_tree(&mut runner).expect("a search").current())
        .collect();
    let outcome: Result<(), Error> = store
        .read(async |conn: &mut AsyncPgConnection| {
            for kind in ResourceType::ALL {
                fill(conn, *kind, 60).await;
            }
            for (kind, pairs) in &searches {
                let Ok(query) = parse(*kind, pairs, 20, Handling::Lenient) else {
                    continue;
                };
                for link in query.links("https://h/fhir", 3) {
                    url::Url::parse(&link.1).expect("a link can be followed");
                }
                for visible in [
                    Visible::Keys(vec!["ALL".to_owned()]),
                    Visible::Keys(vec!["ORG:1".to_owned(), "ORG:3".to_owned()]),
                    Visible::KeysOrContext(vec![
                        "ALL".to_owned(),
                        "ORG:1".to_owned(),
                        "it's".to_owned(),
                    ]),
                ] {
                    let answer =
                        run(conn, &query, Some(&totals), &visible, |_| visible.clone()).await;
                    assert!(answer.is_ok(), "{kind} {pairs:?}: {:?}", answer.err());
                }
            }
            Ok(())
        })
        .await;
    outcome.expect("a connection");
}

#[test]
fn a_search_with_too_many_parameters_is_refused_under_any_handling() {
    let pairs = vec![("status".to_owned(), "draft".to_owned()); 101];
    let refused = parse(ResourceType::Task, &pairs, 20, Handling::Lenient).expect_err("too many");
    assert_eq!(
        refused.to_string(),
        "parameter: *, error: UNSUPPORTED_NUMBER_OF_VALUES, \
         message: '101 query parameters, at most 100 are allowed'"
    );
    assert!(parse(ResourceType::Task, &pairs[1..], 20, Handling::Strict).is_ok());
}
