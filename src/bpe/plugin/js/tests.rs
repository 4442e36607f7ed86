use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{Error, Limits, Outside, Pool, Program, shapes};

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

const LIMITS: Limits = Limits {
    time: Duration::from_millis(1_500),
    memory: 16 * 1024 * 1024,
    stack: 1024 * 1024,
    workers: 2,
};

fn program(modules: &[(&str, &str)]) -> Program {
    Program {
        entry: "main.js".to_owned(),
        modules: modules
            .iter()
            .map(|(path, text)| ((*path).into(), (*text).into()))
            .collect(),
        plugin: json!({ "baseUrl": "https://fhir.a.example/fhir", "definition": {} }),
    }
}

async fn call(pool: &Pool, class: &str) -> Result<Value, Error> {
    let input = json!({
        "class": class, "member": "call", "handles": false, "mayThrowBoundary": true,
        "context": {}, "visible": [], "tasks": { "start": null, "current": [], "all": [] },
        "fields": [], "values": null, "message": null, "exception": null,
    });
    let answer = pool
        .call(input.to_string(), Arc::new(Recorder::default()))
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
            Err(Error::Time(LIMITS.time)),
            "{class}"
        );
    }
    assert_eq!(call(&pool, "fine").await.unwrap()["value"], "fine");
}

#[tokio::test]
async fn code_that_eats_memory_fails_and_the_next_call_works() {
    let pool = pool(
        "export const activities = {
           eat: () => { const all = []; for (;;) all.push('x'.repeat(100_000) + all.length); },
           string: () => { let s = 'x'; for (;;) s += s; },
           fine: () => 'fine',
         };",
    );
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
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains("main.js:4"), "{message}");
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
    let error = shapes(&program(&[("main.js", outside)]), &LIMITS).unwrap_err();
    assert!(error.to_string().contains("fs"), "{error}");
}

#[test]
fn a_module_that_does_not_parse_is_refused_with_its_line() {
    let source = "export const activities = {\n  a: () => {{ },\n};\n";
    let error = shapes(&program(&[("main.js", source)]), &LIMITS).unwrap_err();
    assert!(error.to_string().contains("main.js"), "{error}");

    let none = shapes(&program(&[("main.js", "export const x = 1;")]), &LIMITS).unwrap_err();
    assert!(none.to_string().contains("activities"), "{none}");
}

#[tokio::test]
async fn a_warm_call_takes_about_a_millisecond() {
    let pool = pool("export const activities = { nothing: () => {} };");
    let mut times = Vec::new();
    for _ in 0..20 {
        let start = Instant::now();
        call(&pool, "nothing").await.unwrap();
        times.push(start.elapsed());
        // The next sandbox is made between calls, not in them.
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    times.sort();
    println!("median of warm calls: {:?}", times[times.len() / 2]);
    // Generous: the test machine may be busy.
    assert!(
        times[times.len() / 2] < Duration::from_millis(20),
        "{times:?}"
    );
}
