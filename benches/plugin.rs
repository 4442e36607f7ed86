//! What a call of plugin code costs: activities with three host calls each, in JavaScript within
//! the process and in Python beside it. The host answers at once, so that the figure is that of
//! runner and host interface alone; a core is what the process itself has computed.
//!
//! ```text
//! cargo bench --bench plugin           some 10 s; SECONDS=5 for steadier figures
//! ```

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot set its stage fails by panicking"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use dsf::bpe::plugin::runner::{Limits, Outside, Runner};
use dsf::bpe::plugin::{js, worker};
use serde_json::{Value, json};

const JS: &str = "
export const activities = {
  work: async (api, variables) => {
    const own = await api.getEndpointProvider().getLocalEndpointIdentifierValue();
    const partner = await api.getEndpointProvider().getEndpoint('partner');
    const client = api.getDsfClientProvider().getLocal();
    const task = await client.read('Task', 't1');
    variables.setString('result', `${own} ${partner.id} ${task.id}`);
  },
};";

const PYTHON: &str = "
def work(api, variables):
    own = api.getEndpointProvider().getLocalEndpointIdentifierValue()
    partner = api.getEndpointProvider().getEndpoint('partner')
    task = api.getDsfClientProvider().getLocal().read('Task', 't1')
    variables.setString('result', f\"{own} {partner['id']} {task['id']}\")

activities = {'work': work}
";

/// Answers every question as if it were known already.
struct Ready;

#[async_trait]
impl Outside for Ready {
    fn log(&self, _: &str, _: &str) {}

    async fn ask(&self, question: String) -> String {
        let endpoint = json!({
            "resourceType": "Endpoint", "id": "e1", "status": "active",
            "identifier": [{ "system": "http://dsf.dev/sid/endpoint-identifier", "value": "own" }],
        });
        let value = if question.starts_with("{\"lookup\"") {
            json!([endpoint])
        } else {
            json!({ "status": 200, "body": { "resourceType": "Task", "id": "t1" } })
        };
        json!({ "value": value }).to_string()
    }
}

fn plugin() -> Value {
    json!({
        "baseUrl": "https://own/fhir", "definition": {}, "settings": {}, "logsData": false,
        "receivedResponse": "received",
    })
}

fn input() -> String {
    let task = json!({ "resourceType": "Task", "id": "t1", "status": "in-progress" });
    json!({
        "class": "work", "member": "call", "mayThrowBoundary": true, "context": {},
        "visible": [["target", ["string", "x"]]], "local": [], "fields": [], "values": null,
        "tasks": { "start": task, "current": [task], "all": [task] },
        "message": null, "exception": null, "form": null,
    })
    .to_string()
}

fn main() {
    let seconds = std::env::var("SECONDS")
        .ok()
        .and_then(|text| text.parse().ok());
    let period = Duration::from_secs(seconds.unwrap_or(3));
    let limits = Limits::default();
    let js = js::Pool::new(
        js::Program {
            entry: "main.js".to_owned(),
            modules: vec![("main.js".to_owned(), JS.to_owned())],
            maps: Arc::default(),
            plugin: plugin(),
        },
        limits,
    );
    let python = worker::Pool::new(
        worker::Program {
            entry: "main.py".to_owned(),
            command: Vec::new(),
            files: vec![("main.py".to_owned(), PYTHON.as_bytes().to_vec())],
            plugin: plugin(),
        },
        limits,
    );
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let runners: [(&str, Arc<dyn Runner>); 2] =
        [("js", Arc::new(js)), ("worker", Arc::new(python))];
    for (name, runner) in runners {
        runtime.block_on(measure(name, runner, period));
    }
}

/// Four callers at a time, as an engine with four threads.
async fn measure(name: &str, runner: Arc<dyn Runner>, period: Duration) {
    let calls = Arc::new(AtomicU64::new(0));
    runner.call(input(), Arc::new(Ready)).await.unwrap();
    let (start, computed) = (Instant::now(), computed());
    let callers = (0..4).map(|_| {
        let (runner, calls) = (Arc::clone(&runner), Arc::clone(&calls));
        tokio::spawn(async move {
            while start.elapsed() < period {
                let answer = runner.call(input(), Arc::new(Ready)).await.unwrap();
                assert!(answer.contains("own e1 t1"), "{answer}");
                calls.fetch_add(1, Ordering::Relaxed);
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
    let count = calls.load(Ordering::Relaxed) as f64;
    let wall = start.elapsed().as_secs_f64();
    let cores = (self::computed() - computed) / wall;
    println!(
        "{name:8} {:7.0} calls/s, {:7.0} calls/s per core of this process ({cores:.2} cores), 3 host calls each",
        count / wall,
        count / wall / cores,
    );
}

/// Seconds that this process has computed, on all cores.
fn computed() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let (_, after) = stat.rsplit_once(')').unwrap();
    let mut fields = after.split_whitespace().skip(11);
    let mut ticks = || {
        fields
            .next()
            .and_then(|text| text.parse::<f64>().ok())
            .unwrap()
    };
    // A tick is a hundredth of a second on every Linux that matters.
    (ticks() + ticks()) / 100.0
}
