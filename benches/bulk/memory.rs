//! What the role takes of the machine's memory: idle, and after many requests of every kind.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;

use crate::common::wire::{Wire, connector, request};
use crate::harness::memory::resident;
use crate::harness::sample::path;
use crate::harness::{Process, Server};
use crate::{Stage, count};

const MIB: usize = 1 << 20;
const CONNECTIONS: usize = 16;
/// How often is looked.
const PARTS: usize = 5;

pub async fn run(stage: &Stage) {
    let database = stage.database("memory").await;
    drop(stage.launch(&database).start().await);
    // Not the first start, which loads the built-in resources.
    let server = stage.launch(&database).start().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    line("idle after the start", &server);
    let process = Process::deploy(&server.local()).await;
    let task = process.task("Test_Organization");
    let stored = server.local().create(&task).await;
    let ask = |method, path: &str, body: &str| request(method, server.port, path, body);
    // One of ten creates, two search, the others read.
    let mut mix = vec![(ask("GET", &path(&stored), ""), 200); 6];
    mix.push((ask("POST", "Task", &task.to_string()), 201));
    mix.push((ask("GET", "Task?_sort=-_lastUpdated&_count=5", ""), 200));
    mix.push((
        ask("GET", "Organization?_include=Organization:endpoint", ""),
        200,
    ));
    mix.push((ask("GET", "metadata", ""), 200));

    let (requests, sent) = (count("REQUESTS", 20_000), AtomicUsize::new(0));
    let connector = connector(&stage.world, "local");
    let wires = Wire::several(&connector, server.port, CONNECTIONS).await;
    for part in 1..=PARTS {
        let until = requests * part / PARTS;
        let loops = wires.iter().map(|wire| async {
            loop {
                let number = sent.fetch_add(1, Ordering::Relaxed);
                if number >= until {
                    return;
                }
                let (request, status) = &mix[number % mix.len()];
                wire.clone().exchange(Arc::clone(request), *status).await;
            }
        });
        join_all(loops).await;
        line(&format!("after {until} requests"), &server);
    }
    drop(wires);
    tokio::time::sleep(Duration::from_secs(10)).await;
    line("ten seconds later", &server);
}

fn line(what: &str, server: &Server) {
    println!(
        "resident {what:<40} {:>6} MiB",
        resident(server.pid()) / MIB
    );
}
