//! Who takes too much slows itself, and nobody else (docs/security.md, ADR 23).

use std::sync::Arc;

use super::harness::{Launch, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partner_that_asks_too_much_is_told_so_and_others_notice_nothing() {
    let world = Arc::new(World::new());
    let server = Launch::of(&world, "local")
        .set("fhir.max-request-rate=20")
        .set("fhir.max-parallel-requests=2")
        .start()
        .await;
    let (greedy, modest, local) = (
        server.client("external"),
        server.client("third"),
        server.local(),
    );
    let flood = tokio::spawn(async move {
        let mut answers = Vec::new();
        for _ in 0..10 {
            let burst = (0..30).map(|_| greedy.get("Organization?_count=100"));
            answers.extend(futures_util::future::join_all(burst).await);
        }
        answers
    });
    // Slower than its own rate, as long as the flood lasts, and the own organisation at any rate.
    let mut turns = 0;
    while !flood.is_finished() || turns < 5 {
        assert_eq!(modest.get("Organization").await.status, 200);
        for _ in 0..30 {
            assert_eq!(local.get("metadata").await.status, 200);
        }
        turns += 1;
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let answers = flood.await.unwrap();
    let refused: Vec<_> = answers
        .iter()
        .filter(|answer| answer.status == 429)
        .collect();
    assert!(
        answers
            .iter()
            .all(|answer| matches!(answer.status, 200 | 429))
    );
    assert!(
        !refused.is_empty() && refused.len() < answers.len(),
        "{}",
        refused.len()
    );
    for answer in refused {
        assert_eq!(
            (answer.header("retry-after"), answer.body.len()),
            (Some("1"), 0),
            "{answer}"
        );
    }
    let told = server.log().matches("a certificate is slowed down").count();
    assert!((1..=60).contains(&told), "once a second at most: {told}");
}

#[tokio::test]
async fn connections_beyond_the_limit_are_of_no_use() {
    let world = Arc::new(World::new());
    let server = Launch::of(&world, "local")
        .set("fhir.max-connections=2")
        .start()
        .await;
    let fresh = |name: &str| super::harness::Client::new(&world, Some(name), &server.base_url);
    let clients: Vec<_> = (0..4).map(|_| fresh("external")).collect();
    let mut statuses = Vec::new();
    for client in &clients {
        statuses.push(client.get("metadata").await.status);
    }
    assert_eq!(statuses, [200, 200, 429, 429]);
    assert_eq!(fresh("third").get("metadata").await.status, 200);
    let own: Vec<_> = (0..4).map(|_| fresh("local")).collect();
    for client in &own {
        assert_eq!(
            client.get("metadata").await.status,
            200,
            "the own organisation is not limited"
        );
    }
}
