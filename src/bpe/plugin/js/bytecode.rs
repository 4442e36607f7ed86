//! Compiled modules: parsing costs five times what running them costs, and calls are many.

use rquickjs::{Context, Ctx, Module, Runtime, WriteOptions, module::Declared};

use super::prelude::SOURCES;
use super::program::Program;
use super::raw;
use crate::bpe::plugin::runner::Error;

/// A module as the engine of this very process has written it.
struct Compiled {
    name: String,
    bytes: Vec<u8>,
}

/// Prelude and modules of one plugin. Nothing else can make one, so what is loaded is what was
/// compiled here.
pub(super) struct Bytecode {
    prelude: Vec<Compiled>,
    modules: Vec<Compiled>,
}

impl Bytecode {
    /// Compiles a program that is known to parse.
    pub(super) fn of(program: &Program) -> Result<Self, Error> {
        let prelude = SOURCES
            .iter()
            .map(|(name, source)| (format!("dsf:{name}"), *source));
        let modules = program
            .modules
            .iter()
            .map(|(path, source)| (path.clone(), source.as_str()));
        Ok(Self {
            // Exceptions name lines of the plugin, never of the prelude.
            prelude: compile(prelude, true)?,
            modules: compile(modules, false)?,
        })
    }

    pub(super) fn prelude<'js>(
        &self,
        ctx: &Ctx<'js>,
        name: &str,
    ) -> rquickjs::Result<Module<'js, Declared>> {
        let found = self
            .prelude
            .iter()
            .find(|one| one.name.strip_prefix("dsf:") == Some(name));
        found.map_or(Err(rquickjs::Error::Unknown), |one| {
            raw::load(ctx, &one.bytes)
        })
    }

    /// All modules of the plugin, declared, so that they find each other.
    pub(super) fn modules<'js>(
        &self,
        ctx: &Ctx<'js>,
    ) -> rquickjs::Result<Vec<(&str, Module<'js, Declared>)>> {
        self.modules
            .iter()
            .map(|one| Ok((one.name.as_str(), raw::load(ctx, &one.bytes)?)))
            .collect()
    }
}

/// Source text is left out, and on demand what tells the lines.
fn compile<'a>(
    sources: impl Iterator<Item = (String, &'a str)>,
    strip_debug: bool,
) -> Result<Vec<Compiled>, Error> {
    let engine = |error: rquickjs::Error| Error::Engine(error.to_string());
    let runtime = Runtime::new().map_err(engine)?;
    let context = Context::full(&runtime).map_err(engine)?;
    let options = || WriteOptions {
        strip_source: true,
        strip_debug,
        ..WriteOptions::default()
    };
    context.with(|ctx| {
        let mut compiled = Vec::new();
        for (name, source) in sources {
            let module = Module::declare(ctx.clone(), name.as_str(), source).map_err(engine)?;
            let bytes = module.write(options()).map_err(engine)?;
            compiled.push(Compiled { name, bytes });
        }
        Ok(compiled)
    })
}
