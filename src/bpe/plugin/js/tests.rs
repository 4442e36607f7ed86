use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{Pool, Program, SourceMap, offer};
use crate::bpe::plugin::runner::{Error, Limits, Outside, Runner};

#[derive(Default)]
struct Recorder(Mutex<Vec<String>>);

#[async_trait]
impl Outside for Recorder {
    fn log(&self, level: &str, text: &str) {
        self.0.lock().unwrap().push(format!("{level}: {text}"));
    }

    async fn ask(&self, question: String) -> String {
        json!({ "value": { "body": question } }).to_string()
    }
}

pub(super) const LIMITS: Limits = Limits {
    compute: Duration::from_secs(4),
    time: Duration::from_secs(10),
    memory: 16 * 1024 * 1024,
    stack: 1024 * 1024,
    workers: 2,
};

pub(super) fn program(modules: &[(&str, &str)]) -> Program {
    Program {
        entry: "main.js".to_owned(),
        modules: modules
            .iter()
            .map(|(path, text)| ((*path).into(), (*text).into()))
            .collect(),
        maps: Arc::default(),
        plugin: json!({
            "baseUrl": "https://fhir.a.example/fhir", "definition": {}, "settings": {},
            "logsData": false, "receivedResponse": "received",
        }),
    }
}

fn input(class: &str) -> Value {
    json!({
        "class": class, "member": "call", "mayThrowBoundary": true,
        "context": {}, "visible": [], "local": [], "tasks": { "start": null, "current": [], "all": [] },
        "fields": [], "values": null, "message": null, "exception": null,
    })
}

pub(super) async fn call(pool: &Pool, class: &str) -> Result<Value, Error> {
    let answer = pool
        .call(input(class).to_string(), Arc::new(Recorder::default()))
        .await?;
    Ok(serde_json::from_str(&answer).unwrap())
}

fn pool(source: &str) -> Pool {
    Pool::new(program(&[("main.js", source)]), LIMITS)
}

#[tokio::test]
async fn an_endless_loop_ends_at_the_time_limit_and_the_next_call_works() {
    let pool = pool(
        "export const activities = {
           loop: () => { for (;;) {} },
           later: async () => { await null; for (;;) {} },
           caught: () => { try { for (;;) {} } catch { return 1 } finally { for (;;) {} } },
           fine: () => 'fine',
         };",
    );
    for class in ["loop", "later", "caught"] {
        assert_eq!(
            call(&pool, class).await,
            Err(Error::Compute(LIMITS.compute)),
            "{class}"
        );
    }
    assert_eq!(call(&pool, "fine").await.unwrap()["value"], "fine");
}

#[tokio::test]
async fn code_that_eats_memory_fails_and_the_next_call_works() {
    let source = "export const activities = {
           eat: () => { const all = []; for (;;) all.push('x'.repeat(100_000) + all.length); },
           string: () => { let s = 'x'; for (;;) s += s; },
           fine: () => 'fine',
         };";
    // Only memory is short here, however busy the machine is.
    let limits = Limits {
        compute: Duration::from_secs(60),
        time: Duration::from_secs(60),
        ..LIMITS
    };
    let pool = Pool::new(program(&[("main.js", source)]), limits);
    for class in ["eat", "string"] {
        let said = match call(&pool, class).await {
            Ok(answer) => answer["error"]["message"].to_string(),
            Err(error) => error.to_string(),
        };
        assert!(
            said.contains("memory") || said.contains("string"),
            "{class}: {said}"
        );
    }
    assert_eq!(call(&pool, "fine").await.unwrap()["value"], "fine");
}

#[tokio::test]
async fn recursion_without_end_is_an_exception() {
    let pool = pool("export const activities = { deep: () => { const f = () => f() + 1; f(); } };");
    let answer = call(&pool, "deep").await.unwrap();
    let said = answer["error"]["message"].as_str().unwrap();
    assert!(said.contains("stack"), "{said}");
}

#[tokio::test]
async fn an_exception_names_file_and_line() {
    let pool = pool(
        "export const activities = {
           broken: async (api, variables) => {
             variables.setString('before', 'kept');
             null.toString();
           },
         };",
    );
    let answer = call(&pool, "broken").await.unwrap();
    assert_eq!(answer["error"]["kind"], "TypeError");
    let stack = answer["error"]["stack"].as_str().unwrap();
    let place = pool.place(stack).unwrap();
    assert!(place.starts_with("main.js:4:"), "{stack}");
    assert_eq!(
        answer["settings"],
        json!([["before", ["string", "kept"], false]])
    );
}

#[tokio::test]
async fn nothing_survives_a_call() {
    let pool = pool(
        "let count = 0;
         export const activities = {
           count: () => { globalThis.seen ??= 0; Array.prototype.seen ??= 0;
                          return [++count, ++globalThis.seen, ++Array.prototype.seen]; },
         };",
    );
    for _ in 0..3 {
        assert_eq!(
            call(&pool, "count").await.unwrap()["value"],
            json!([1, 1, 1])
        );
    }
}

#[tokio::test]
async fn a_promise_that_nobody_resolves_is_reported_at_once() {
    let pool = pool("export const activities = { wait: () => new Promise(() => {}) };");
    assert_eq!(call(&pool, "wait").await, Err(Error::Stuck));
}

#[tokio::test]
async fn questions_are_answered_side_by_side() {
    let pool = pool(
        "export const activities = {
           ask: async (api) => {
             const client = api.getDsfClientProvider().getLocal();
             const all = await Promise.all([client.search('Task?a=1'), client.search('Task?a=2')]);
             return all.map((one) => JSON.parse(one).fhir.path);
           },
         };",
    );
    let answer = call(&pool, "ask").await.unwrap();
    assert_eq!(answer["value"], json!(["Task?a=1", "Task?a=2"]), "{answer}");
}

#[tokio::test]
async fn modules_import_each_other_within_the_package_only() {
    let main = "import { text } from './lib/text.js';
                export const activities = { say: () => text };";
    let modules = [
        ("lib/text.js", "export const text = 'said';"),
        ("main.js", main),
    ];
    let pool = Pool::new(program(&modules), LIMITS);
    assert_eq!(call(&pool, "say").await.unwrap()["value"], "said");

    let outside = "import fs from 'fs'; export const activities = {};";
    let error = offer(&program(&[("main.js", outside)]), &LIMITS).unwrap_err();
    assert!(error.to_string().contains("fs"), "{error}");
}

#[test]
fn a_module_that_does_not_parse_is_refused_with_its_line() {
    let source = "export const activities = {\n  a: () => {{ },\n};\n";
    let error = offer(&program(&[("main.js", source)]), &LIMITS).unwrap_err();
    assert!(error.to_string().contains("main.js"), "{error}");

    let none = offer(&program(&[("main.js", "export const x = 1;")]), &LIMITS).unwrap_err();
    assert!(none.to_string().contains("activities"), "{none}");
    let listener = "export const activities = {}; export const onProcessesDeployed = [];";
    let wrong = offer(&program(&[("main.js", listener)]), &LIMITS).unwrap_err();
    assert!(wrong.to_string().contains("must be a function"), "{wrong}");
}

/// A generated module is told by its source: line 1 of main.js comes from line 40 of main.ts.
#[tokio::test]
async fn an_exception_in_generated_code_names_the_line_of_its_source() {
    let source = "export const activities = { broken: () => { throw new RangeError('no'); } };";
    let map = r#"{ "version": 3, "sources": ["main.ts"], "mappings": "AAuCA" }"#;
    let mut program = program(&[("main.js", source)]);
    let maps = [("main.js".to_owned(), SourceMap::parse(map).unwrap())];
    program.maps = Arc::new(maps.into());
    let pool = Pool::new(program, LIMITS);
    let answer = call(&pool, "broken").await.unwrap();
    let place = pool.place(answer["error"]["stack"].as_str().unwrap());
    assert_eq!(place.as_deref(), Some("main.ts:40:1"), "{answer}");
}

/// Waiting for the host is not computing: only the longer limit holds for it.
#[tokio::test]
async fn a_call_may_wait_longer_than_it_may_compute() {
    struct Slow;
    #[async_trait]
    impl Outside for Slow {
        fn log(&self, _: &str, _: &str) {}
        async fn ask(&self, _: String) -> String {
            tokio::time::sleep(Duration::from_millis(400)).await;
            r#"{"value":null}"#.to_owned()
        }
    }
    let limits = |time| Limits {
        compute: Duration::from_millis(300),
        time: Duration::from_millis(time),
        ..LIMITS
    };
    let source = "export const activities = { wait: (api) => api.delay(1) };";
    let input = input("wait").to_string();
    let patient = Pool::new(program(&[("main.js", source)]), limits(5_000));
    let answer = patient.call(input.clone(), Arc::new(Slow)).await;
    assert!(answer.is_ok(), "{answer:?}");
    let short = Pool::new(program(&[("main.js", source)]), limits(200));
    let answer = short.call(input, Arc::new(Slow)).await;
    assert_eq!(answer, Err(Error::Time(Duration::from_millis(200))));
}
