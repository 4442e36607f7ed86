//! Plans are kept for as long as a connection lives, and many are made while a table is nearly
//! empty, when any order of a join looks cheap. They must do when it has a hundred thousand rows.

use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Text};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use serde_json::Value;

use super::*;
use crate::store::bpe::{blob, control, history, page, user_task};

/// Walks through these end at the first row that is not due, or are what is asked for: the oldest
/// rows, those of a short table.
const WALKS: [&str; 7] = [
    "job_due",
    "outbox_due",
    "inbox_due",
    "user_task_due",
    "control_due",
    "start_timer_due",
    "definition_pkey",
];

#[derive(QueryableByName)]
struct Prepared {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    statement: String,
    #[diesel(sql_type = BigInt)]
    parameters: i64,
}

#[derive(QueryableByName)]
struct Plan {
    #[diesel(sql_type = Text)]
    plan: String,
}

/// Everything that nodes ask again and again, and each kind of step, alone and with others.
async fn everything(conn: &mut AsyncPgConnection) -> Result<(), Error> {
    let definition = definition::deploy(conn, PROCESS, 1).await?.id;
    let ids: Vec<Uuid> = (0..6).map(|_| Uuid::now_v7()).collect();
    let task = claimed(conn, ids[0], "key").await;
    let everything = Flush {
        blobs: Some(flush::Blobs {
            new: Vec::new(),
            gone: Vec::new(),
        }),
        pages: Some(page::Pages::default()),
        delete_subscriptions: vec![7],
        delete_jobs: vec![7],
        history: go_on(definition, ids[0]).history,
        ..start(definition, task.task, task.lease_epoch)
    };
    assert!(flush::run(conn, &everything).await?);
    let continued = Flush {
        sent: Some((ids[5], 1)),
        own: Own::Continue { rev: 1, epoch: 1 },
        ..everything.clone()
    };
    flush::run(conn, &continued).await?;
    for id in &ids[1..5] {
        assert!(flush::run(conn, &begin(definition, *id)).await?);
    }
    let all = [
        everything,
        continued,
        go_on(definition, ids[1]),
        go_on(definition, ids[2]),
    ];
    flush::run_together(conn, &all.iter().collect::<Vec<_>>()).await?;
    let held = leased(conn, ids[3]).await;
    assert!(flush::run(conn, &end(&held)).await?);

    for key in [None, Some("one")] {
        instance::candidates(conn, "dsfdev_ping", "1.0", "key", ("pong", key)).await?;
    }
    for page in [None, Some(1)] {
        page::read(conn, ids[0], (1, 1), page).await?;
    }
    let sent = outbox::take(conn, 10, 60.0).await?;
    outbox::spread_signal(conn, &sent[0], "signal", &[]).await?;
    outbox::next_due(conn).await?;
    job::take(conn, 10, 60.0).await?;
    job::next_due(conn).await?;
    job::postpone(conn, ids[0], 1, 1.0).await?;
    inbox::take(conn, 10, 60.0).await?;
    inbox::next_due(conn).await?;
    inbox::hold(conn, &task, 60.0, 60.0).await?;
    inbox::wake_held(conn, &["key".to_owned()]).await?;
    inbox::fail(conn, &task, "{}", 60.0).await?;
    inbox::of_instance(conn, ids[0]).await?;
    inbox::unknown(conn, &ids).await?;
    user_task::take(conn, 10, 60.0).await?;
    user_task::next_due(conn).await?;
    control::take(conn, 10, 60.0).await?;
    control::next_due(conn).await?;
    definition::due_timers(conn, 10).await?;
    definition::next_timer(conn).await?;
    history::sweep(conn, 30, 10).await?;
    blob::read(conn, ids[0], &["digest".to_owned()]).await?;
    Ok(())
}

/// The nodes of a plan that read a table from one end to the other.
fn walks(node: &Value, found: &mut Vec<String>) {
    let text = |name: &str| node[name].as_str().unwrap_or_default();
    let is_walk = match text("Node Type") {
        "Seq Scan" => true,
        "Index Scan" | "Index Only Scan" | "Bitmap Index Scan" => node["Index Cond"].is_null(),
        _ => false,
    };
    let is_short = text("Relation Name") == "start_timer";
    if is_walk && !is_short && !WALKS.contains(&text("Index Name")) {
        found.push(format!("{} {}", text("Relation Name"), text("Index Name")));
    }
    for part in node["Plans"].as_array().into_iter().flatten() {
        walks(part, found);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_plan_made_for_empty_tables_reads_a_table_from_one_end_to_the_other() {
    let store = store().await;
    let wrong = store
        .read(async |conn| {
            let function = "create function pg_temp.plan(query text) returns text as $$
                declare plan json;
                begin execute 'explain (format json) ' || query into plan; return plan; end
                $$ language plpgsql";
            conn.batch_execute(function).await?;
            // What a table without rows looks like to the planner, once it has been counted.
            conn.batch_execute("vacuum (analyze)").await?;
            everything(conn).await?;
            let all: Vec<Prepared> = diesel::sql_query(
                "select name, statement, cardinality(parameter_types)::bigint as parameters
                 from pg_prepared_statements
                 where not from_sql and statement not like '%pg_prepared%'",
            )
            .load(conn)
            .await?;
            assert!(all.len() > 30, "{} statements", all.len());
            let mut wrong = Vec::new();
            for prepared in all {
                let nulls = vec!["null"; usize::try_from(prepared.parameters).unwrap()].join(", ");
                let nulls = if nulls.is_empty() {
                    nulls
                } else {
                    format!("({nulls})")
                };
                let explain = format!("execute {}{nulls}", prepared.name);
                let plan: Plan = diesel::sql_query("select pg_temp.plan($1) as plan")
                    .bind::<Text, _>(explain)
                    .get_result(conn)
                    .await?;
                let plan: Value = serde_json::from_str(&plan.plan).unwrap();
                let mut found = Vec::new();
                walks(&plan[0]["Plan"], &mut found);
                if !found.is_empty() {
                    let text: String = prepared.statement.chars().take(300).collect();
                    wrong.push(format!("{found:?} in {text} …"));
                }
            }
            Ok::<_, Error>(wrong)
        })
        .await
        .unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
