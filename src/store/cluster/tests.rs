//! The private cluster: refusals with a remedy, and what happens after sudden deaths.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio_postgres::NoTls;

use super::binaries::Binaries;
use super::directory::command_as;
use super::*;
use crate::store::testing::temporary_folder;

async fn start(home: &Path) -> Result<Cluster, Refusal> {
    Cluster::start_as(home, None, false).await
}

/// The value of a one-row table that survives restarts, `None` while the server is away.
async fn kept(cluster: &Cluster) -> Option<i32> {
    let (client, connection) = tokio_postgres::connect(&cluster.url("postgres"), NoTls)
        .await
        .ok()?;
    tokio::spawn(connection);
    client
        .batch_execute("CREATE TABLE IF NOT EXISTS kept AS SELECT 42 AS n")
        .await
        .ok()?;
    Some(
        client
            .query_one("SELECT n FROM kept", &[])
            .await
            .ok()?
            .get(0),
    )
}

#[tokio::test]
async fn a_folder_that_cannot_serve_is_refused_with_a_remedy() {
    let home = temporary_folder("cluster-refused");
    std::fs::create_dir_all(&home).unwrap();
    std::fs::write(home.join("thesis.txt"), "mine").unwrap();
    let says = |refusal: Result<Cluster, Refusal>, words: &str| {
        let text = refusal.err().unwrap().to_string();
        assert!(text.contains(words), "{text}");
    };
    says(start(&home).await, "not empty");
    std::fs::remove_file(home.join("thesis.txt")).unwrap();
    says(
        Cluster::start(&home, Some(Path::new("/nowhere"))).await,
        "apt-get install postgresql",
    );
    let cluster = start(&home).await.unwrap();
    says(
        start(&home).await,
        &format!("process {}", std::process::id()),
    );
    let data = cluster.directory.data.clone();
    cluster.stop().await;
    std::fs::write(data.join("PG_VERSION"), "9\n").unwrap();
    says(start(&home).await, "postgresql-9");
}

#[tokio::test]
async fn an_orphan_of_a_killed_dsf_makes_way_and_its_data_is_kept() {
    let home = temporary_folder("cluster-orphan");
    let cluster = start(&home).await.unwrap();
    assert_eq!(kept(&cluster).await, Some(42));
    let (data, socket) = (
        cluster.directory.data.clone(),
        cluster.directory.socket.clone(),
    );
    let account = cluster.directory.account;
    cluster.stop().await;
    let binaries = Binaries::find(None, None).unwrap();
    let mut orphan = command_as(&binaries.postgres(), account)
        .arg("-D")
        .arg(&data)
        .arg("-k")
        .arg(&socket)
        .args(["-c", "listen_addresses="])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while !std::fs::read_to_string(data.join("postmaster.pid")).is_ok_and(|s| s.contains("ready")) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Somebody must collect it; in life that is init.
    let collector = std::thread::spawn(move || orphan.wait());
    let cluster = start(&home).await.unwrap();
    assert!(collector.join().unwrap().unwrap().success());
    assert_eq!(kept(&cluster).await, Some(42));
    cluster.stop().await;
}

#[tokio::test]
async fn a_server_that_is_killed_is_started_again() {
    let home = temporary_folder("cluster-killed");
    let cluster = start(&home).await.unwrap();
    assert_eq!(kept(&cluster).await, Some(42));
    let status = std::fs::read_to_string(cluster.directory.data.join("postmaster.pid")).unwrap();
    let pid = status.lines().next().unwrap().parse().unwrap();
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(pid),
        nix::sys::signal::Signal::SIGKILL,
    )
    .unwrap();
    let again = async {
        while kept(&cluster).await != Some(42) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), again)
        .await
        .unwrap();
    cluster.stop().await;
}

#[tokio::test]
async fn a_long_path_and_a_private_parent_do_no_harm() {
    let parent = temporary_folder("cluster-deep");
    let home = parent.join("x".repeat(120));
    std::fs::create_dir_all(&home).unwrap();
    std::fs::set_permissions(&parent, std::fs::Permissions::from_mode(0o700)).unwrap();
    let cluster = start(&home).await.unwrap();
    assert_eq!(kept(&cluster).await, Some(42));
    let Directory { data, socket, .. } = &cluster.directory;
    let (data, socket) = (data.clone(), socket.clone());
    cluster.stop().await;
    let cluster = start(&home).await.unwrap();
    assert_eq!(kept(&cluster).await, Some(42));
    cluster.stop().await;
    // What lies outside of the temporary folder is ours to remove.
    if !data.starts_with(&home) {
        std::fs::remove_dir_all(data.parent().unwrap()).unwrap();
    }
    if socket != data {
        std::fs::remove_dir_all(socket).unwrap();
    }
}
