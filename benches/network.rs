//! A ping and its pong between organisations of `dsf dev up`: mailbox, engine, mailbox, engine, and
//! back. The baseline is one durable commit on the same disk, because a ping waits for some dozen of
//! them; only the ratio travels between machines.
//!
//! ```text
//! cargo bench --bench network          some 30 s
//! ```

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot set its stage fails by panicking"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Instant;

use dsf::store::Cluster;
use dsf::store::testing::temporary_folder;
use serde_json::Value;
use tokio_postgres::NoTls;

const ROUNDS: u32 = 30;

#[tokio::main]
async fn main() {
    let commit = commit().await;
    println!("one durable commit: p50 {commit:.2} ms");
    let network = Network(temporary_folder("network-bench"));
    let begun = Instant::now();
    network.run(&["up", "--organizations", "3", "--detach"]);
    println!(
        "three organisations ready after {:.1} s",
        begun.elapsed().as_secs_f64()
    );
    network.run(&["ping"]);
    let table = network.run(&["ping", "--count", &ROUNDS.to_string(), "--json"]);
    let pairs: Value = serde_json::from_slice(&table.stdout).unwrap();
    println!(
        "{:<24} {:>8} {:>10} {:>10} {:>9}",
        "", "pongs", "p50 ms", "max ms", "commits"
    );
    for pair in pairs.as_array().unwrap() {
        let text = |name: &str| pair[name].as_str().unwrap();
        let half: f64 = text("p50 ms").parse().unwrap();
        println!(
            "{:<24} {:>8} {:>10} {:>10} {:>9.0}",
            format!("{} -> {}", text("from"), text("to")),
            text("pongs"),
            text("p50 ms"),
            text("max ms"),
            half / commit,
        );
    }
}

/// Half of the durable one-row commits of one connection take at most so many milliseconds.
async fn commit() -> f64 {
    let cluster = Cluster::start(&temporary_folder("bench"), None)
        .await
        .unwrap();
    cluster.ensure_database("bench").await.unwrap();
    let url = cluster.url("bench");
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
        .batch_execute("CREATE TABLE bare (number integer)")
        .await
        .unwrap();
    let insert = client.prepare("INSERT INTO bare VALUES (1)").await.unwrap();
    let mut times = Vec::new();
    for _ in 0..500 {
        let begun = Instant::now();
        client.execute(&insert, &[]).await.unwrap();
        times.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    cluster.stop().await;
    times[times.len() / 2]
}

/// A network of `dsf dev`; it is taken down when this is dropped.
struct Network(PathBuf);

impl Network {
    fn run(&self, arguments: &[&str]) -> Output {
        let output = command(&self.0, arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        output
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // Nothing may be running.
        let _ = command(&self.0, &["reset"]).output();
    }
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dsf"));
    command.arg("dev").args(arguments).arg("--dir").arg(folder);
    command
}
