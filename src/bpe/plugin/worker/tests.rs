use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{Pool, Program, offer};
use crate::bpe::plugin::runner::{Error, Limits, Outside, Runner};

struct Silence;

#[async_trait]
impl Outside for Silence {
    fn log(&self, _: &str, _: &str) {}

    async fn ask(&self, question: String) -> String {
        json!({ "value": { "asked": question } }).to_string()
    }
}

const LIMITS: Limits = Limits {
    compute: Duration::from_secs(3),
    time: Duration::from_secs(60),
    memory: 64 * 1024 * 1024,
    stack: 1024 * 1024,
    workers: 2,
};

const SOURCE: &str = "
import os, sys

def loop(api, variables):
    while True:
        pass

def eat(api, variables):
    return len(bytearray(4 * 1024 ** 3))

def leave(api, variables):
    print('gone', file=sys.stderr)
    sys.stderr.flush()
    os._exit(7)

def rubbish(api, variables):
    os.write(api._host.output.fileno(), b'rubbish\\n')

def chat(api, variables):
    print('this is not an answer')
    return 'fine'

def broken(api, variables):
    variables.setString('before', 'kept')
    raise ValueError('no')

activities = {'loop': loop, 'eat': eat, 'leave': leave, 'rubbish': rubbish, 'chat': chat, 'broken': broken}
";

fn program(source: &str) -> Program {
    Program {
        entry: "main.py".to_owned(),
        command: Vec::new(),
        files: vec![("main.py".to_owned(), source.as_bytes().to_vec())],
        plugin: json!({
            "baseUrl": "https://fhir.a.example/fhir", "definition": {}, "settings": {},
            "logsData": false, "receivedResponse": "received",
        }),
    }
}

async fn call(pool: &Pool, class: &str) -> Result<Value, Error> {
    let input = json!({
        "class": class, "member": "call", "mayThrowBoundary": true, "context": {}, "visible": [],
        "local": [], "tasks": { "start": null, "current": [], "all": [] }, "fields": [],
        "values": null, "message": null, "exception": null, "form": null,
    });
    let answer = pool.call(input.to_string(), Arc::new(Silence)).await?;
    Ok(serde_json::from_str(&answer).unwrap())
}

/// What harms one call harms no other: each is stopped with its reason, and the next one works.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_misbehaves_is_stopped_and_replaced() {
    let pool = Pool::new(program(SOURCE), LIMITS);
    assert_eq!(
        call(&pool, "loop").await,
        Err(Error::Compute(LIMITS.compute))
    );
    let Err(Error::Crashed(why)) = call(&pool, "leave").await else {
        panic!("it has left")
    };
    assert!(why.contains('7') && why.contains("gone"), "{why}");
    let Err(Error::Rubbish(why)) = call(&pool, "rubbish").await else {
        panic!("it answered rubbish")
    };
    assert!(why.contains("rubbish"), "{why}");
    let eaten = call(&pool, "eat").await.unwrap();
    assert_eq!(eaten["error"]["kind"], "MemoryError");
    let broken = call(&pool, "broken").await.unwrap();
    assert_eq!(broken["error"]["kind"], "ValueError");
    assert_eq!(
        broken["settings"],
        json!([["before", ["string", "kept"], false]])
    );
    let place = pool.place(broken["error"]["stack"].as_str().unwrap());
    assert_eq!(place.as_deref(), Some("main.py:25"), "{broken}");
    assert_eq!(call(&pool, "chat").await.unwrap()["value"], "fine");
}

#[test]
fn a_worker_tells_its_activities_or_why_it_cannot() {
    let found = offer(&program(SOURCE), &LIMITS).unwrap();
    assert!(!found.listens);
    assert!(
        found
            .activities
            .iter()
            .any(|shape| shape.key == "chat" && shape.is_function())
    );
    let error = offer(&program("activities = {\n  'a': 1 +\n}"), &LIMITS).unwrap_err();
    assert!(error.to_string().contains("main.py"), "{error}");
    let mut nothing = program(SOURCE);
    nothing.command = vec!["no-such-program".to_owned()];
    let error = offer(&nothing, &LIMITS).unwrap_err();
    assert!(matches!(error, Error::Start(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn starts_that_fail_are_tried_again_after_a_pause() {
    let mut program = program(SOURCE);
    program.command = vec!["/bin/false".to_owned()];
    let pool = Pool::new(program, LIMITS);
    let start = Instant::now();
    for _ in 0..4 {
        assert!(matches!(call(&pool, "chat").await, Err(Error::Start(_))));
    }
    assert!(
        start.elapsed() > Duration::from_millis(200),
        "{:?}",
        start.elapsed()
    );
}
