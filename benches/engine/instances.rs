//! Whole instances: ten activities, of which one waits for a message and one for a timer. Beside
//! them, if `OPERATON` names the folder of the built program in `benches/operaton`, the same model
//! with the same code on Operaton, on the same PostgreSQL.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use dsf::bpe::engine::{Start, Trigger, WaitId};
use dsf::bpe::plugin::package::OnFailure;
use dsf::bpe::plugin::{Activity, Delivery, Host, Performance, ProcessId};
use dsf::bpe::runtime::{Advance, Begin, Jobs, Pace, Runtime, work};
use dsf::kernel::Shutdown;
use dsf::store::Store;
use dsf::store::bpe::instance;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use super::figures::{Figures, period};
use super::{done, node};

pub const KEY: &str = "ten";
/// Instances that a client has under way at once: a timer must not be what limits the rate.
const UNDER_WAY: usize = 4;

/// The model that both engines run; it is read by the Java program, too.
pub const MODEL: &str = include_str!("../operaton/src/main/resources/ten.bpmn");

/// Code that does nothing, and at the end of an instance lets its client go on.
#[derive(Default)]
struct Code {
    under_way: Mutex<HashMap<Uuid, OwnedSemaphorePermit>>,
    completed: AtomicUsize,
}

#[async_trait]
impl Host for Code {
    async fn perform(&self, activity: Activity) -> Performance {
        if activity.node == "last" {
            self.completed.fetch_add(1, Ordering::Relaxed);
            let mut under_way = self.under_way.lock().expect("nobody panics with the lock");
            under_way.remove(&activity.instance);
        }
        done()
    }

    fn on_failure(&self, _: &ProcessId) -> OnFailure {
        OnFailure::Incident
    }

    async fn delivered(&self, _: Activity, _: Delivery) -> Performance {
        done()
    }
}

/// Completed instances in the period, with so many clients that start them and send the message.
pub async fn ours(store: &Store, definition: Uuid, clients: usize) -> Figures {
    let code = Arc::<Code>::default();
    let host: Arc<dyn Host> = Arc::clone(&code) as _;
    let runtime = node(store, host);
    let shutdown = Shutdown::new();
    let worker = tokio::spawn(work(
        Jobs(runtime.clone()),
        shutdown.clone(),
        clients.max(8),
        Pace::default(),
    ));
    let running: Vec<_> = (0..clients)
        .map(|_| tokio::spawn(client(runtime.clone(), Arc::clone(&code), definition)))
        .collect();
    // The first ones prepare their statements.
    tokio::time::sleep(Duration::from_millis(1000)).await;
    let (before, begun) = (code.completed.load(Ordering::Relaxed), Instant::now());
    tokio::time::sleep(period()).await;
    let (after, whole) = (code.completed.load(Ordering::Relaxed), begun.elapsed());
    for client in running {
        client.abort();
    }
    shutdown.begin();
    worker.await.unwrap();
    shutdown.drain(Duration::from_secs(10)).await.unwrap();
    figures(after - before, whole)
}

fn figures(count: usize, whole: Duration) -> Figures {
    Figures {
        times: vec![whole / u32::try_from(count.max(1)).unwrap(); count],
        whole,
    }
}

async fn client(runtime: Runtime, code: Arc<Code>, definition: Uuid) {
    let slots = Arc::new(Semaphore::new(UNDER_WAY));
    loop {
        let permit = Arc::clone(&slots).acquire_owned().await.unwrap();
        let instance = Uuid::now_v7();
        code.under_way.lock().unwrap().insert(instance, permit);
        let key = instance.to_string();
        let begin = Begin {
            instance,
            definition: runtime.definition_by_id(definition).await.unwrap(),
            start: Start {
                business_key: Some(key.clone()),
                ..Start::default()
            },
            strict_errors: false,
        };
        assert!(matches!(runtime.begin(begin).await.unwrap(), Advance::Done));
        let candidates =
            async |conn: &mut _| instance::candidates(conn, KEY, "1.0", &key, ("go", None)).await;
        let found = runtime.store().read(candidates).await.unwrap();
        let subscription = found[0].subscription.expect("it waits for the message");
        let message = Trigger::Message {
            subscription: WaitId(u64::try_from(subscription).unwrap()),
            variables: Vec::new().into_iter().collect(),
            local: Vec::new().into_iter().collect(),
        };
        let advance = runtime.trigger(instance, message).await.unwrap();
        assert!(matches!(advance, Advance::Done), "{advance:?}");
        runtime.bells().jobs.notify_one();
    }
}

/// The same on Operaton. `None` without its program.
pub fn operaton(url: &str, clients: usize) -> Option<Figures> {
    let folder = PathBuf::from(std::env::var_os("OPERATON")?);
    let seconds = period().as_secs().to_string();
    let classes = format!("{0}/operaton-bench-1.jar:{0}/lib/*", folder.display());
    let output = Command::new("java")
        .args(["-cp", &classes, "bench.Bench", url])
        .args([&clients.to_string(), &seconds, &UNDER_WAY.to_string()])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().unwrap_or_default();
    let (count, millis) = line.split_once(' ').unwrap_or_else(|| {
        panic!("{}{text}", String::from_utf8_lossy(&output.stderr));
    });
    Some(figures(
        count.parse().unwrap(),
        Duration::from_millis(millis.parse().unwrap()),
    ))
}
