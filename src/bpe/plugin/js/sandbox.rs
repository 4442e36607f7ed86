//! One runtime with its limits: prepared with the prelude and the module, used for one call.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rquickjs::promise::PromiseState;
use rquickjs::{Context, Ctx, Function, Module, Object, Promise, Runtime, Value, module::Declared};

use super::bridge::{Bridge, Line, native};
use super::bytecode::Bytecode;
use super::prelude::{CORE_NAME, SOURCES};
use super::program::Program;
use crate::bpe::plugin::runner::{Error, Limits};

/// The moments at which running code is stopped, shared with the engine's interrupt handler.
#[derive(Clone, Debug)]
pub(super) struct Deadline {
    start: Instant,
    /// Milliseconds after `start`: the end of the computing time, moved on by every wait.
    compute: Arc<AtomicU64>,
    /// Milliseconds after `start`: the end of the call.
    end: Arc<AtomicU64>,
}

impl Default for Deadline {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            compute: Arc::new(AtomicU64::new(u64::MAX)),
            end: Arc::new(AtomicU64::new(u64::MAX)),
        }
    }
}

impl Deadline {
    pub(super) fn begin(&self, limits: &Limits) {
        let now = self.start.elapsed();
        set(&self.compute, now + limits.compute);
        set(&self.end, now + limits.time);
    }

    /// Time that passed in waiting does not count as computing.
    fn waited(&self, time: Duration) {
        set(&self.compute, moment(&self.compute) + time);
    }

    /// How long the call may still wait.
    fn patience(&self) -> Duration {
        moment(&self.end).saturating_sub(self.start.elapsed())
    }

    fn is_over(&self) -> bool {
        let now = self.start.elapsed();
        now >= moment(&self.compute) || now >= moment(&self.end)
    }

    /// Which limit was met.
    fn error(&self, limits: &Limits) -> Error {
        if self.start.elapsed() >= moment(&self.end) {
            Error::Time(limits.time)
        } else {
            Error::Compute(limits.compute)
        }
    }
}

fn set(moment: &AtomicU64, at: Duration) {
    let millis = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
    moment.store(millis, Ordering::Relaxed);
}

fn moment(moment: &AtomicU64) -> Duration {
    Duration::from_millis(moment.load(Ordering::Relaxed))
}

/// Where prelude and modules are taken from.
pub(super) enum Origin {
    /// Parsed: for a program that nobody has looked at.
    Source,
    Bytecode(Arc<Bytecode>),
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
        // Most calls end before there is anything worth collecting.
        runtime.set_gc_threshold(limits.memory / 8);
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
    exports: Object<'js>,
}

impl<'js> Sandbox<'js> {
    /// Evaluates prelude and module.
    pub(super) fn prepare(
        &self,
        program: &Program,
        origin: &Origin,
        line: Option<&Line>,
    ) -> Result<Ready<'js>, Error> {
        let host = self
            .prelude(program, origin, line)
            .map_err(|error| self.failure(&error))?;
        let exports = self.module(program, origin)?;
        Ok(Ready { host, exports })
    }

    fn prelude(
        &self,
        program: &Program,
        origin: &Origin,
        line: Option<&Line>,
    ) -> rquickjs::Result<Object<'js>> {
        let native = native(&self.ctx, line)?;
        let origin = match origin {
            Origin::Source => None,
            Origin::Bytecode(bytecode) => Some(Arc::clone(bytecode)),
        };
        let prelude = default_of(part(&self.ctx, origin.as_deref(), CORE_NAME)?)?;
        let more =
            move |ctx: Ctx<'js>, name: String| default_of(part(&ctx, origin.as_deref(), &name)?);
        native.set("part", Function::new(self.ctx.clone(), more)?)?;
        let plugin = self.ctx.json_parse(program.plugin.to_string())?;
        prelude.call((native, plugin))
    }

    /// Every module of the package is declared before the entry is evaluated, so that imports
    /// find them; there is no other place to import from.
    fn module(&self, program: &Program, origin: &Origin) -> Result<Object<'js>, Error> {
        let failure = |error| self.failure(&error);
        let mut entry = None;
        match origin {
            Origin::Source => {
                for (path, source) in &program.modules {
                    let module = Module::declare(self.ctx.clone(), path.as_str(), source.as_str())
                        .map_err(|error| self.syntax(path, &error))?;
                    if *path == program.entry {
                        entry = Some(module);
                    }
                }
            }
            Origin::Bytecode(bytecode) => {
                let modules = bytecode.modules(&self.ctx).map_err(failure)?;
                let found = modules.into_iter().find(|(path, _)| *path == program.entry);
                entry = found.map(|(_, module)| module);
            }
        }
        let entry = entry
            .ok_or_else(|| Error::Code(format!("the package has no module {}", program.entry)))?;
        let (module, loading) = entry.eval().map_err(failure)?;
        self.settle(&loading)?;
        module.namespace().map_err(failure)
    }

    /// What the module has for the host, as JSON.
    pub(super) fn offer(&self, ready: &Ready<'js>) -> Result<String, Error> {
        let offer = || {
            let offer: Function<'js> = ready.host.get("offer")?;
            offer.call((ready.exports.clone(),))
        };
        offer().map_err(|error| self.failure(&error))
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
        let promise: Promise<'js> = call.call((ready.exports.clone(), input))?;
        loop {
            self.run_jobs();
            if let Some(result) = promise.result::<String>() {
                return result.map(Ok);
            }
            if self.deadline.is_over() {
                return Ok(Err(self.deadline.error(&self.limits)));
            }
            if !bridge.is_busy() {
                return Ok(Err(Error::Stuck));
            }
            let since = Instant::now();
            let answer = bridge.answer(self.deadline.patience());
            self.deadline.waited(since.elapsed());
            if let Some((id, answer)) = answer {
                let () = settle.call((id, answer))?;
            }
        }
    }

    /// Lets a promise that needs nothing from outside come to its end.
    fn settle(&self, promise: &Promise<'js>) -> Result<(), Error> {
        self.run_jobs();
        match promise.state() {
            PromiseState::Resolved => Ok(()),
            PromiseState::Pending if self.deadline.is_over() => {
                Err(self.deadline.error(&self.limits))
            }
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
            return self.deadline.error(&self.limits);
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

/// A part of the prelude, declared.
fn part<'js>(
    ctx: &Ctx<'js>,
    bytecode: Option<&Bytecode>,
    name: &str,
) -> rquickjs::Result<Module<'js, Declared>> {
    if let Some(bytecode) = bytecode {
        return bytecode.prelude(ctx, name);
    }
    let source = SOURCES.iter().find(|(one, _)| *one == name);
    let (_, source) = source.ok_or(rquickjs::Error::Unknown)?;
    Module::declare(ctx.clone(), format!("dsf:{name}"), *source)
}

/// What a module that needs nothing from outside exports by default.
fn default_of<'js>(module: Module<'js, Declared>) -> rquickjs::Result<Function<'js>> {
    let (module, _) = module.eval()?;
    module.get("default")
}

fn thrown_value(thrown: &Value<'_>) -> Error {
    let text = thrown.as_string().and_then(|text| text.to_string().ok());
    Error::Code(text.unwrap_or_else(|| format!("threw a value of type {}", thrown.type_name())))
}

fn engine(error: rquickjs::Error) -> Error {
    Error::Engine(error.to_string())
}
