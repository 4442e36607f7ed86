//! A partner sees twenty Tasks. What a page of these costs must not depend on the Tasks of others.

use crate::common::copies::copy;
use crate::common::wire::{Wire, connector, request};
use crate::common::{Figures, measure};
use crate::harness::{Process, Server};
use crate::{Stage, count};

const PARTNER: &str = "external";
const SEEN: usize = 20;

pub async fn run(stage: &Stage) {
    let database = stage.database("few").await;
    let url = database.url.clone().unwrap();
    let server = stage.launch(&database).start().await;
    let process = Process::deploy(&server.local()).await;
    for _ in 0..SEEN {
        let task = process.task("External_Organization");
        server.client(PARTNER).create(&task).await;
    }
    let hidden = server
        .local()
        .create(&process.task("Test_Organization"))
        .await;

    Figures::head();
    let alone = pages(stage, &server, PARTNER).await;
    alone.print("page of a partner's 20 Tasks, alone", None);
    drop(server);
    let most = i64::try_from(count("TASKS", 100_000)).unwrap();
    let mut own: Option<Figures> = None;
    let mut stored = 0;
    for among in [1_000, 100_000, 1_000_000] {
        if among > most {
            break;
        }
        copy(&url, &hidden, among - stored).await;
        stored = among;
        // A node that has counted nothing yet: the copies had no events.
        let server = stage.launch(&database).start().await;
        let found = pages(stage, &server, PARTNER).await;
        found.print(&format!("the same among {among} hidden ones"), Some(&alone));
        let found = pages(stage, &server, "local").await;
        found.print(
            &format!("page of 20 of {among} visible Tasks"),
            own.as_ref(),
        );
        own.get_or_insert(found);
    }
}

/// A page of twenty, the newest first, with its exact total.
async fn pages(stage: &Stage, server: &Server, name: &str) -> Figures {
    let page = request("GET", server.port, "Task?_sort=-_lastUpdated&_count=20", "");
    let connector = connector(&stage.world, name);
    let wires = Wire::several(&connector, server.port, 8).await;
    measure(&wires, |wire: Wire| wire.exchange(page.clone(), 200)).await
}
