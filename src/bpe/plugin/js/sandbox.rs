//! One runtime with its limits: prepared with the prelude and the module, used for one call.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rquickjs::context::EvalOptions;
use rquickjs::promise::PromiseState;
use rquickjs::{Context, Ctx, Function, Module, Object, Promise, Runtime, Value};

use super::bridge::{Bridge, Line, native};
use super::{Error, Limits, Program};

const PRELUDE: &str = include_str!("prelude.js");

/// The moment at which running code is stopped, shared with the engine's interrupt handler.
#[derive(Clone, Debug)]
pub(super) struct Deadline {
    start: Instant,
    /// Milliseconds after `start`.
    at: Arc<AtomicU64>,
}

impl Default for Deadline {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            at: Arc::new(AtomicU64::new(u64::MAX)),
        }
    }
}

impl Deadline {
    pub(super) fn set(&self, patience: Duration) {
        let at = self.start.elapsed() + patience;
        self.at.store(
            u64::try_from(at.as_millis()).unwrap_or(u64::MAX),
            Ordering::Relaxed,
        );
    }

    fn left(&self) -> Duration {
        let at = Duration::from_millis(self.at.load(Ordering::Relaxed));
        at.saturating_sub(self.start.elapsed())
    }

    fn is_over(&self) -> bool {
        self.left().is_zero()
    }
}

/// A runtime in which nothing has run yet.
pub(super) struct Fresh {
    context: Context,
    limits: Limits,
    deadline: Deadline,
}

impl Fresh {
    pub(super) fn new(limits: &Limits, deadline: &Deadline) -> Result<Self, Error> {
        let runtime = Runtime::new().map_err(engine)?;
        runtime.set_memory_limit(limits.memory);
        runtime.set_max_stack_size(limits.stack);
        let watch = deadline.clone();
        runtime.set_interrupt_handler(Some(Box::new(move || watch.is_over())));
        let context = Context::full(&runtime).map_err(engine)?;
        Ok(Self {
            context,
            limits: *limits,
            deadline: deadline.clone(),
        })
    }

    pub(super) fn with<R>(&self, work: impl FnOnce(&Sandbox<'_>) -> R) -> R {
        self.context.with(|ctx| {
            work(&Sandbox {
                ctx,
                limits: self.limits,
                deadline: self.deadline.clone(),
            })
        })
    }
}

/// A runtime from inside.
pub(super) struct Sandbox<'js> {
    ctx: Ctx<'js>,
    limits: Limits,
    deadline: Deadline,
}

/// What the host calls once prelude and module are in place.
pub(super) struct Ready<'js> {
    host: Object<'js>,
    activities: Value<'js>,
}

impl<'js> Sandbox<'js> {
    /// Evaluates prelude and module.
    pub(super) fn prepare(
        &self,
        program: &Program,
        line: Option<&Line>,
    ) -> Result<Ready<'js>, Error> {
        let host = self
            .prelude(program, line)
            .map_err(|error| self.failure(&error))?;
        let activities = self.module(program)?;
        Ok(Ready { host, activities })
    }

    fn prelude(&self, program: &Program, line: Option<&Line>) -> rquickjs::Result<Object<'js>> {
        let mut options = EvalOptions::default();
        options.filename = Some("dsf:prelude".to_owned());
        let prelude: Function<'js> = self.ctx.eval_with_options(PRELUDE, options)?;
        let plugin = self.ctx.json_parse(program.plugin.to_string())?;
        prelude.call((native(&self.ctx, line)?, plugin))
    }

    /// Every module of the package is declared before the entry is evaluated, so that imports
    /// find them; there is no other place to import from.
    fn module(&self, program: &Program) -> Result<Value<'js>, Error> {
        let failure = |error| self.failure(&error);
        let mut entry = None;
        for (path, source) in &program.modules {
            let module = Module::declare(self.ctx.clone(), path.as_str(), source.as_str())
                .map_err(|error| self.syntax(path, &error))?;
            if *path == program.entry {
                entry = Some(module);
            }
        }
        let entry = entry
            .ok_or_else(|| Error::Code(format!("the package has no module {}", program.entry)))?;
        let (module, loading) = entry.eval().map_err(failure)?;
        self.settle(&loading)?;
        module.get("activities").map_err(failure)
    }

    /// The shapes of the entries, as JSON.
    pub(super) fn shapes(&self, ready: &Ready<'js>) -> Result<String, Error> {
        let shapes = || {
            let shapes: Function<'js> = ready.host.get("shapes")?;
            shapes.call((ready.activities.clone(),))
        };
        shapes().map_err(|error| self.failure(&error))
    }

    /// Runs one call to its end.
    pub(super) fn call(
        &self,
        ready: &Ready<'js>,
        input: &str,
        bridge: &Bridge,
    ) -> Result<String, Error> {
        self.try_call(ready, input, bridge)
            .unwrap_or_else(|error| Err(self.failure(&error)))
    }

    fn try_call(
        &self,
        ready: &Ready<'js>,
        input: &str,
        bridge: &Bridge,
    ) -> rquickjs::Result<Result<String, Error>> {
        let call: Function<'js> = ready.host.get("call")?;
        let settle: Function<'js> = ready.host.get("settle")?;
        let promise: Promise<'js> = call.call((ready.activities.clone(), input))?;
        loop {
            self.run_jobs();
            if let Some(result) = promise.result::<String>() {
                return result.map(Ok);
            }
            if self.deadline.is_over() {
                return Ok(Err(Error::Time(self.limits.time)));
            }
            if !bridge.is_busy() {
                return Ok(Err(Error::Stuck));
            }
            if let Some((id, answer)) = bridge.answer(self.deadline.left()) {
                let () = settle.call((id, answer))?;
            }
        }
    }

    /// Lets a promise that needs nothing from outside come to its end.
    fn settle(&self, promise: &Promise<'js>) -> Result<(), Error> {
        self.run_jobs();
        match promise.state() {
            PromiseState::Resolved => Ok(()),
            PromiseState::Pending if self.deadline.is_over() => Err(Error::Time(self.limits.time)),
            PromiseState::Pending => Err(Error::Stuck),
            PromiseState::Rejected => match promise.result::<Value<'js>>() {
                Some(Err(error)) => Err(self.failure(&error)),
                _ => Err(Error::Stuck),
            },
        }
    }

    fn run_jobs(&self) {
        while !self.deadline.is_over() && self.ctx.execute_pending_job() {}
    }

    /// Syntax errors tell the line in their stack, sometimes without the file.
    fn syntax(&self, path: &str, error: &rquickjs::Error) -> Error {
        match self.failure(error) {
            Error::Code(text) if !text.contains(path) => Error::Code(format!("{path}: {text}")),
            other => other,
        }
    }

    /// What an error of the engine's interface means.
    fn failure(&self, error: &rquickjs::Error) -> Error {
        match error {
            rquickjs::Error::Exception => self.exception(&self.ctx.catch()),
            rquickjs::Error::Allocation => self.out_of_memory(),
            other => Error::Engine(other.to_string()),
        }
    }

    fn exception(&self, thrown: &Value<'js>) -> Error {
        if self.deadline.is_over() {
            return Error::Time(self.limits.time);
        }
        let Some(exception) = thrown.as_exception() else {
            // The engine has no memory left to make an exception.
            return if thrown.is_null() {
                self.out_of_memory()
            } else {
                thrown_value(thrown)
            };
        };
        let name: String = exception.as_object().get("name").unwrap_or_default();
        let message = exception.message().unwrap_or_default();
        if message == "out of memory" {
            return self.out_of_memory();
        }
        let stack = exception.stack().unwrap_or_default();
        let place = stack.lines().next().map(str::trim).unwrap_or_default();
        Error::Code(format!("{name}: {message} {place}").trim_end().to_owned())
    }

    fn out_of_memory(&self) -> Error {
        Error::Memory(self.limits.memory / (1024 * 1024))
    }
}

fn thrown_value(thrown: &Value<'_>) -> Error {
    let text = thrown.as_string().and_then(|text| text.to_string().ok());
    Error::Code(text.unwrap_or_else(|| format!("threw a value of type {}", thrown.type_name())))
}

fn engine(error: rquickjs::Error) -> Error {
    Error::Engine(error.to_string())
}
