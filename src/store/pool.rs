//! The pool of one role: [`Store::read`], [`Store::write`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{HookError, Object, PoolError, TimeoutType};
use diesel::connection::InstrumentationEvent;
use diesel_async::pooled_connection::deadpool::{Hook, Pool};
use diesel_async::pooled_connection::{
    AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod,
};
use diesel_async::{
    AnsiTransactionManager, AsyncConnection, AsyncPgConnection, SimpleAsyncConnection,
    TransactionManager,
};
use futures_util::future::BoxFuture;
use rand::Rng;

use super::changes::Changes;
use super::connect::Connector;
use super::error::is_collision;
use super::{Error, Schema, Settings, migrate};

type Manager = AsyncDieselConnectionManager<AsyncPgConnection>;
type Transactions = AnsiTransactionManager;

/// How often a transaction that collided is tried again.
const RETRIES: u32 = 3;
/// A connection that rested longer than this proves that it lives before it is handed out.
const RESTED: Duration = Duration::from_secs(15);

/// An async closure whose future can be named, and so be asked to be `Send`: Rust has no stable way
/// to say that of `AsyncFnOnce` alone.
pub trait Statements<C, R>:
    AsyncFnOnce(C) -> R + FnOnce(C) -> <Self as Statements<C, R>>::Fut
{
    type Fut: Future<Output = R>;
}

impl<F, C, R, Fut> Statements<C, R> for F
where
    F: AsyncFnOnce(C) -> R + FnOnce(C) -> Fut,
    Fut: Future<Output = R>,
{
    type Fut = Fut;
}

/// The tables of one role. Cloning shares the pool.
#[derive(Clone)]
pub struct Store {
    pool: Pool<AsyncPgConnection>,
    connector: Connector,
    schema: Schema,
    changes: Changes,
    #[cfg(test)]
    faults: super::faults::Faults,
    /// How many statements transactions have run.
    #[cfg(test)]
    pub(crate) statements: Arc<std::sync::atomic::AtomicUsize>,
}

impl Store {
    /// Connects to `settings.url` and brings the schema up to date; see [`super::Database`] for the
    /// private cluster.
    pub async fn open(settings: &Settings, schema: Schema) -> Result<Self, Error> {
        let store = Self::connect(settings, schema)?;
        store
            .on_own_connection(async |conn| migrate::run(conn, schema).await)
            .await?;
        Ok(store)
    }

    /// The pool without migrations, for `dsf db status`.
    pub fn connect(settings: &Settings, schema: Schema) -> Result<Self, Error> {
        let connector = Connector::new(settings, schema)?;
        let pool = pool(settings, connector.clone())?;
        Ok(Self {
            pool,
            connector,
            schema,
            changes: Changes::default(),
            #[cfg(test)]
            faults: super::faults::Faults::default(),
            #[cfg(test)]
            statements: Arc::default(),
        })
    }

    /// The same tables over a line that fails when `faults` say so.
    #[cfg(test)]
    pub(crate) fn with_faults(&self, faults: super::faults::Faults) -> Self {
        Self {
            faults,
            ..self.clone()
        }
    }

    #[must_use]
    pub fn schema(&self) -> Schema {
        self.schema
    }

    /// What PostgreSQL knows this store by: its name, different in every process, and that of its
    /// connections.
    #[must_use]
    pub fn node(&self) -> (&str, &str) {
        (self.connector.node(), self.connector.application())
    }

    /// The transactions of this store and its clones.
    #[must_use]
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    pub(super) fn connector(&self) -> &Connector {
        &self.connector
    }

    /// Runs statements without a transaction: each sees the newest committed state.
    pub fn read<'a, T, E, F>(&'a self, query: F) -> BoxFuture<'a, Result<T, E>>
    where
        F: for<'r> AsyncFnOnce(&'r mut AsyncPgConnection) -> Result<T, E>
            + for<'r> Statements<&'r mut AsyncPgConnection, Result<T, E>, Fut: Send>
            + Send
            + 'a,
        T: Send + 'a,
        E: From<Error> + Send + 'a,
    {
        Box::pin(async move {
            #[cfg(test)]
            self.faults.before()?;
            let mut conn = self.connection().await?;
            let outcome = query(&mut conn).await;
            #[cfg(test)]
            self.faults.after()?;
            outcome
        })
    }

    /// Runs one transaction (read committed). `work` runs again after a serialisation failure or
    /// deadlock, at most three times, so it must not do anything but SQL.
    pub fn write<'a, T, E, F>(&'a self, work: F) -> BoxFuture<'a, Result<T, E>>
    where
        F: for<'r> AsyncFnOnce(&'r mut AsyncPgConnection) -> Result<T, E>
            + for<'r> Statements<&'r mut AsyncPgConnection, Result<T, E>, Fut: Send>
            + Clone
            + Send
            + 'a,
        T: Send + 'a,
        E: From<Error> + Send + 'a,
    {
        Box::pin(async move {
            #[cfg(test)]
            self.faults.before()?;
            let mut tries = 0;
            loop {
                let collided = Arc::new(AtomicBool::new(false));
                let outcome = self.attempt(work.clone(), &collided).await;
                let again = outcome.is_err() && collided.load(Ordering::Relaxed) && tries < RETRIES;
                if !again {
                    #[cfg(test)]
                    self.faults.after()?;
                    return outcome;
                }
                tries += 1;
                let pause = rand::rng().random_range(1..=10 * u64::from(tries));
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
        })
    }

    async fn attempt<T, E, F>(&self, work: F, collided: &Arc<AtomicBool>) -> Result<T, E>
    where
        F: for<'r> AsyncFnOnce(&'r mut AsyncPgConnection) -> Result<T, E>
            + for<'r> Statements<&'r mut AsyncPgConnection, Result<T, E>, Fut: Send>,
        E: From<Error>,
    {
        let mut lease = Lease::new(self.connection().await?);
        let change = self.changes.begin();
        let conn = lease.connection();
        self.watch(conn, collided);
        Transactions::begin_transaction(conn)
            .await
            .map_err(Error::from)?;
        let outcome = match work(conn).await {
            Ok(value) => match Transactions::commit_transaction(conn).await {
                Ok(()) => Ok(value),
                Err(error) => {
                    collided.fetch_or(is_collision(&error), Ordering::Relaxed);
                    return Err(Error::from(error).into());
                }
            },
            // The caller's own failure says more than one of the rollback; a connection that
            // could not roll back is not given back.
            Err(error) => match Transactions::rollback_transaction(conn).await {
                Ok(()) => Err(error),
                Err(_) => return Err(error),
            },
        };
        lease.clean = true;
        change.over();
        outcome
    }

    /// Asks diesel to tell of collisions, since the error type of the caller may hide them.
    #[cfg_attr(
        not(test),
        expect(clippy::unused_self, reason = "tests count statements")
    )]
    fn watch(&self, conn: &mut AsyncPgConnection, collided: &Arc<AtomicBool>) {
        let collided = Arc::clone(collided);
        #[cfg(test)]
        let statements = Arc::clone(&self.statements);
        conn.set_instrumentation(move |event: InstrumentationEvent<'_>| {
            #[cfg(test)]
            if matches!(event, InstrumentationEvent::StartQuery { .. }) {
                statements.fetch_add(1, Ordering::Relaxed);
            }
            if let InstrumentationEvent::FinishQuery {
                error: Some(error), ..
            } = event
            {
                collided.fetch_or(is_collision(error), Ordering::Relaxed);
            }
        });
    }

    /// A connection outside of the pool and without the statement time-out, for work that may wait
    /// long for others: migrations.
    pub(super) async fn on_own_connection<T>(
        &self,
        work: impl AsyncFnOnce(&mut AsyncPgConnection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let connection = self.connector.connect().await;
        let mut conn = connection.map_err(|error| Error::Unreachable(error.to_string()))?;
        conn.batch_execute("SET statement_timeout = 0").await?;
        work(&mut conn).await
    }

    async fn connection(&self) -> Result<Object<Manager>, Error> {
        self.pool.get().await.map_err(|error| match error {
            PoolError::Timeout(TimeoutType::Wait) => Error::Busy,
            other => Error::Unreachable(other.to_string()),
        })
    }
}

/// A connection within a transaction. A future that is dropped half-way must not give it back:
/// its locks would last until somebody else happens to take the connection.
struct Lease {
    connection: Option<Object<Manager>>,
    clean: bool,
}

impl Lease {
    fn new(connection: Object<Manager>) -> Self {
        Self {
            connection: Some(connection),
            clean: false,
        }
    }

    #[expect(clippy::expect_used, reason = "only drop takes the connection out")]
    fn connection(&mut self) -> &mut AsyncPgConnection {
        self.connection
            .as_mut()
            .expect("a lease holds its connection until dropped")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take().filter(|_| !self.clean) {
            // Closing it makes PostgreSQL roll back.
            drop(Object::take(connection));
        }
    }
}

fn pool(settings: &Settings, connector: Connector) -> Result<Pool<AsyncPgConnection>, Error> {
    let mut config = ManagerConfig::default();
    config.recycling_method = RecyclingMethod::Fast;
    config.custom_setup = Box::new(move |_| {
        let connector = connector.clone();
        Box::pin(async move { connector.connect().await })
    });
    Pool::builder(Manager::new_with_config("", config))
        .max_size(settings.pool_size.max(1))
        .wait_timeout(Some(settings.wait_timeout))
        .create_timeout(Some(settings.connect_timeout))
        .recycle_timeout(Some(settings.connect_timeout))
        .runtime(Runtime::Tokio1)
        .pre_recycle(Hook::async_fn(|conn: &mut AsyncPgConnection, metrics| {
            let rested = metrics.last_used() > RESTED;
            Box::pin(async move {
                if rested {
                    conn.batch_execute("")
                        .await
                        .map_err(|_| HookError::message("gone"))?;
                }
                Ok(())
            })
        }))
        .build()
        .map_err(|error| Error::Configuration(error.to_string()))
}
