//! What a node does until it is killed.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::stage::{
    candidates, claim, code, due, go_on, mark, post, process, signals, timed_start,
};
use super::*;
use crate::bpe::engine::{End, InstanceId};
use crate::bpe::model::NodeIx;
use crate::bpe::runtime::Incoming;
use crate::r4::json;
use crate::store::faults::{Faults, Moment};

/// Where it ends, among the things that the runtime tells.
#[derive(Clone)]
enum At {
    Storing,
    /// So many microseconds after it began to store.
    Flying(u64),
    Stored,
    Began,
    Busy,
    Failed,
    Conflicted,
    /// It does not: from now on the line to the database is broken.
    Broken(Arc<AtomicBool>),
    Nowhere,
}

/// Ends the process when its point has been reached so often.
struct Trap {
    at: At,
    left: AtomicU32,
}

impl Trap {
    fn reach(&self, reached: bool) {
        if reached && self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            std::process::abort();
        }
    }
}

impl Watch for Trap {
    fn storing(&self) {
        match &self.at {
            At::Flying(delay) if self.left.fetch_sub(1, Ordering::Relaxed) == 1 => {
                abort_in(*delay);
            }
            At::Broken(broken) => broken.store(true, Ordering::Relaxed),
            at => self.reach(matches!(at, At::Storing)),
        }
    }

    fn stepped(&self, _: usize, _: Duration) {
        self.reach(matches!(self.at, At::Stored));
    }

    fn ended(&self, _: Uuid, _: &End) {}

    fn began_job(&self, _: Duration) {
        self.reach(matches!(self.at, At::Began));
    }

    fn failed_job(&self) {
        self.reach(matches!(self.at, At::Failed));
    }

    fn busy(&self) {
        self.reach(matches!(self.at, At::Busy));
    }

    fn conflicted(&self) {
        self.reach(matches!(self.at, At::Conflicted));
    }
}

/// Whatever this process is doing then.
fn abort_in(microseconds: u64) {
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_micros(microseconds));
        std::process::abort();
    });
}

/// What the process was told.
pub(super) struct Script {
    store: Store,
    point: u32,
    round: u32,
    subject: Uuid,
    effects: PathBuf,
}

impl Script {
    pub fn given() -> Option<Self> {
        let given = |name: &str| std::env::var(format!("DSF_VICTIM_{name}")).ok();
        let settings = crate::store::Settings {
            url: Some(given("URL")?),
            ..crate::store::Settings::default()
        };
        Some(Self {
            store: Store::connect(&settings, Schema::Bpe).unwrap(),
            point: given("POINT")?.parse().ok()?,
            round: given("ROUND")?.parse().ok()?,
            subject: given("SUBJECT")?.parse().ok()?,
            effects: given("EFFECTS")?.into(),
        })
    }

    /// A node that ends where it is told to.
    fn node(&self, at: At, nth: u32) -> Runtime {
        self.node_with(
            code(self.point, self.subject, self.effects.clone()),
            at,
            nth,
        )
    }

    fn node_with(&self, host: Arc<dyn Host>, at: At, nth: u32) -> Runtime {
        let left = AtomicU32::new(nth);
        node(&self.store, host).watched(Arc::new(Trap { at, left }))
    }

    /// Another moment in each round.
    fn delay(&self) -> u64 {
        u64::from(self.round) * 67 % 3000
    }

    pub async fn run(&self) {
        match self.point {
            1 => drop(post(&self.node(At::Storing, 1)).await),
            2 => drop(post(&self.node(At::Stored, 1)).await),
            3 => run_jobs(&self.node(At::Began, 1)).await,
            4 => self.call().await,
            5 | 10 => self.one_step().await,
            6 => self.lose_the_lease().await,
            7 => self.fire_twice().await,
            8 => {
                post(&self.node(At::Nowhere, 1)).await;
                std::process::abort();
            }
            9 => self.offer_twice().await,
            11 => self.deploy().await,
            12 => self.broadcast().await,
            13 | 20 => self.fail().await,
            14 => self.sweep().await,
            15 => self.panic().await,
            17 => self.meet_a_lease().await,
            18 => self.lose_the_line().await,
            _ => self.go_on().await,
        }
        // Whoever is killed in flight comes no further.
        tokio::time::sleep(Duration::from_secs(10)).await;
    }

    async fn one_step(&self) {
        let node = self.node(At::Flying(self.delay()), 1);
        let taken = due(&self.store, InstanceId(self.subject)).await.remove(0);
        let _ = node.run_job(self.subject, taken.job).await;
    }

    async fn call(&self) {
        let effects = self.effects.clone();
        let host = Code::new(move |activity| {
            mark(&effects, activity);
            std::process::abort()
        });
        run_jobs(&self.node_with(host, At::Nowhere, 1)).await;
    }

    /// While code runs, the lease goes to another node, which does the same job.
    async fn lose_the_lease(&self) {
        let other = self.node(At::Nowhere, 1);
        let host = Arc::new(Slow(other, AtomicBool::new(false)));
        run_jobs(&self.node_with(host, At::Conflicted, 1)).await;
    }

    async fn fire_twice(&self) {
        let job = due(&self.store, InstanceId(self.subject))
            .await
            .remove(0)
            .job;
        let expire = async |conn: &mut _| snapshot::expire_leases(conn).await;
        self.store.read(expire).await.unwrap();
        let first = self.node(At::Nowhere, 1);
        let advance = first.run_job(self.subject, job).await.unwrap();
        assert!(matches!(advance, Advance::Done), "{advance:?}");
        let second = self.node(At::Conflicted, 1);
        let _ = second.run_job(self.subject, job).await;
    }

    /// Two messages have found the same receiver.
    async fn offer_twice(&self) {
        let first = self.node(At::Nowhere, 1);
        let second = self.node(At::Conflicted, 1);
        let mut receiver = None;
        for node in [first, second] {
            let take = async |conn: &mut _| inbox::take(conn, 1, 0.0).await;
            let entry = self.store.read(take).await.unwrap().remove(0);
            claim(&self.store, &entry).await;
            if receiver.is_none() {
                let found = candidates(&node, &entry).await.remove(0);
                receiver = found.subscription;
            }
            let incoming = Incoming {
                task: entry.task,
                epoch: entry.lease_epoch,
                document: json::parse(entry.document.as_bytes()).unwrap(),
            };
            let _ = node
                .receive(self.subject, receiver.unwrap(), incoming)
                .await;
        }
    }

    async fn deploy(&self) {
        let source = timed_start(self.round + 1);
        let done: Result<(), DeployError> = self
            .store
            .write(async |conn| {
                let deployment = definition::next_deployment(conn).await?;
                let digest = Sha256::digest(&source);
                let model = Model {
                    key: "hourly",
                    version_tag: "1.0",
                    plugin: "test",
                    source: &source,
                    sha256: &digest,
                };
                deploy(
                    conn,
                    model,
                    deployment,
                    &Clock::manual(Timestamp::UNIX_EPOCH),
                )
                .await?;
                std::process::abort()
            })
            .await;
        done.unwrap();
    }

    async fn broadcast(&self) {
        let node = self.node(At::Nowhere, 1);
        run_jobs(&node).await;
        for _ in 0..self.round % 3 {
            signals(&node, 1).await;
        }
        std::process::abort();
    }

    /// Before or while a failure is counted, the first, the second or the last.
    async fn fail(&self) {
        let at = match self.round % 2 {
            0 => At::Failed,
            _ if self.point == 20 => At::Failed,
            _ => At::Flying(self.delay()),
        };
        run_jobs(&self.node(at, self.round % 3 + 1)).await;
    }

    async fn sweep(&self) {
        abort_in(self.delay());
        let sweep = async |conn: &mut _| history::sweep(conn, 0, 1).await;
        while self.store.read(sweep).await.unwrap() > 0 {}
    }

    /// A bug in the interpreter: a flow that leads nowhere.
    async fn panic(&self) {
        let node = self.node(At::Nowhere, 1);
        let mut definition = node.definition(&process("work")).await.unwrap().unwrap();
        Arc::make_mut(&mut definition.graph).flows[0].target = NodeIx(9999);
        let begin = Begin {
            instance: self.subject,
            definition,
            start: Start::default(),
            strict_errors: false,
        };
        let advance = node.begin(begin).await.unwrap();
        assert!(matches!(advance, Advance::Failed(_)), "{advance:?}");
        std::process::abort();
    }

    async fn meet_a_lease(&self) {
        let node = self.node(At::Busy, 1);
        node.clock
            .advance(jiff::SignedDuration::from_hours(1_000_000));
        let waiting = state(&self.store, self.subject).await.unwrap();
        let job = waiting.jobs().next().unwrap().id;
        let _ = node
            .run_job(self.subject, i64::try_from(job.0).unwrap())
            .await;
    }

    async fn lose_the_line(&self) {
        let broken = Arc::new(AtomicBool::new(false));
        let line = Arc::clone(&broken);
        let decide = move |moment| moment == Moment::Before && line.load(Ordering::Relaxed);
        let line = self.store.with_faults(Faults::new(decide));
        let trap = Trap {
            at: At::Broken(broken),
            left: AtomicU32::new(1),
        };
        let node = node(&line, Code::new(|_| Performed::Done)).watched(Arc::new(trap));
        let taken = due(&self.store, InstanceId(self.subject)).await.remove(0);
        assert!(node.run_taken(&taken).await.is_err());
        std::process::abort();
    }

    async fn go_on(&self) {
        let node = self.node(At::Flying(self.delay()), 1);
        let waiting = state(&self.store, self.subject).await.unwrap();
        let frame = waiting.waiting().next().unwrap().0;
        let _ = node.trigger(self.subject, go_on(frame)).await;
    }
}

/// Code during which another node gets the lease and does all there is to do.
struct Slow(Runtime, AtomicBool);

#[async_trait]
impl Host for Slow {
    async fn perform(&self, _: Activity) -> Performance {
        if !self.1.swap(true, Ordering::Relaxed) {
            let expire = async |conn: &mut _| snapshot::expire_leases(conn).await;
            self.0.store.read(expire).await.unwrap();
            run_jobs(&self.0).await;
        }
        performance(Performed::Done)
    }

    fn on_failure(&self, _: &ProcessId) -> OnFailure {
        OnFailure::Incident
    }

    async fn delivered(&self, _: Activity, _: Delivery) -> Performance {
        performance(Performed::Done)
    }
}
