//! One Lua state, and running a script in it.
//!
//! Every run gets a fresh world: new globals and new copies of the libraries, so
//! what a script changes is gone with it; only compiled scripts stay. A machine
//! that ran out of something or grew fat is not used again.
//!
//! Bounds. Lua calls the meter every few instructions; once the fuel is used up
//! it is called at every instruction and raises an error each time, so that a
//! `pcall` cannot go on. What runs long inside one instruction is either replaced
//! ([`strings`]) or charged by its size ([`world`]). What neither sees, such as
//! joining long strings over and over, meets the memory limit or the deadline.

mod meter;
mod pattern;
mod strings;
mod time;
mod value;
mod world;

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use mlua::chunk::ChunkMode;
use mlua::{Function, HookTriggers, Lua, LuaOptions, StdLib};
use serde_json::Value;

use crate::ScriptError;
use meter::Meter;
use time::Now;
use world::Libraries;

/// Bytes a state may hold. The largest object etcd stores (1.5 MiB) takes about
/// a third of it.
const MEMORY: usize = 32 << 20;

/// A state that holds more after a run is not kept.
const LEAN: usize = 4 << 20;

/// Instructions between two looks at the meter: rare enough to cost a few
/// percent, often enough to stop a script whose instructions are slow.
const STRIDE: u32 = 250;

/// The longest script: what a ConfigMap can hold.
const SCRIPT_BYTES: usize = 1 << 20;

/// Compiled scripts a machine remembers.
const CHUNKS: usize = 64;

/// What a script is given.
pub(crate) struct Input<'a> {
    /// The global `obj`.
    pub(crate) object: &'a Value,
    /// The global `actionParams`.
    pub(crate) parameters: &'a [(String, String)],
    /// Whether `string` and `math` are there.
    pub(crate) open_libs: bool,
    /// What `os.time` and `os.date` say.
    pub(crate) now: Timestamp,
}

/// What a script returned last.
#[derive(Debug)]
pub(crate) enum Output {
    /// Nothing, or nil.
    Nothing,
    /// A table; an empty one is an empty array.
    Table(Value),
    /// Something else, by the name of its type.
    Other(&'static str),
}

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Machine {
    lua: Lua,
    meter: Arc<Meter>,
    now: Now,
    libraries: Libraries,
    chunks: HashMap<String, Function>,
    spent: bool,
}

// === impl Machine ===

impl Machine {
    pub(crate) fn new() -> Result<Self, ScriptError> {
        Self::build().map_err(|error| ScriptError::Sandbox(error.to_string()))
    }

    fn build() -> mlua::Result<Self> {
        let lua = Lua::new_with(StdLib::TABLE | StdLib::STRING | StdLib::MATH, LuaOptions::new())?;
        lua.set_memory_limit(MEMORY)?;
        let (meter, now) = (Arc::new(Meter::default()), Now::default());
        let libraries = Libraries::new(&lua, &meter, &now)?;
        let machine = Self { lua, meter, now, libraries, chunks: HashMap::new(), spent: false };
        machine.watch(STRIDE)?;
        Ok(machine)
    }

    /// Whether another script may run here.
    pub(crate) fn is_reusable(&self) -> bool {
        !self.spent && self.lua.used_memory() < LEAN
    }

    pub(crate) fn run(&mut self, script: &str, input: &Input<'_>) -> Result<Output, ScriptError> {
        self.meter.refill();
        self.now.set(input.now);
        let outcome = self.attempt(script, input);
        // Errors may be caught by the script, running out may not.
        if self.meter.is_empty() {
            self.spent = true;
            return Err(ScriptError::OutOfFuel);
        }
        outcome.map_err(|error| {
            self.spent |= matches!(error, Failure::Lua(mlua::Error::MemoryError(_)));
            error.into()
        })
    }

    fn attempt(&mut self, script: &str, input: &Input<'_>) -> Result<Output, Failure> {
        let chunk = self.compile(script)?;
        let world = self.libraries.world(&self.lua, input.open_libs)?;
        let mut empties = value::Empties::default();
        world.raw_set("obj", value::to_lua(&self.lua, input.object, &mut empties)?)?;
        let parameters = self.lua.create_table()?;
        for (name, value) in input.parameters {
            parameters.raw_set(name.as_str(), value.as_str())?;
        }
        world.raw_set("actionParams", parameters)?;
        chunk.set_environment(world)?;
        let returned: mlua::MultiValue = chunk.call(())?;
        match returned.into_iter().next_back().unwrap_or_default() {
            mlua::Value::Nil => Ok(Output::Nothing),
            mlua::Value::Table(table) => {
                let mut reader = value::Reader::new(&self.meter, &empties);
                Ok(Output::Table(reader.table(&table, 0).map_err(Failure::Output)?))
            }
            other => Ok(Output::Other(value::type_name(&other))),
        }
    }

    fn compile(&mut self, script: &str) -> Result<Function, Failure> {
        if let Some(chunk) = self.chunks.get(script) {
            return Ok(chunk.clone());
        }
        if script.len() > SCRIPT_BYTES {
            return Err(Failure::TooLong);
        }
        // Text only: compiled code can break out of the machine.
        let chunk = self.lua.load(script).set_name("=<string>").set_mode(ChunkMode::Text).into_function()?;
        if self.chunks.len() >= CHUNKS {
            self.chunks.clear();
        }
        self.chunks.insert(script.to_owned(), chunk.clone());
        Ok(chunk)
    }

    /// Has Lua call the meter every `stride` instructions.
    fn watch(&self, stride: u32) -> mlua::Result<()> {
        let meter = self.meter.clone();
        self.lua.set_hook(HookTriggers::new().every_nth_instruction(stride), move |lua, _| {
            if meter.is_empty() {
                return Err(meter::exhausted());
            }
            meter.charge(u64::from(stride)).inspect_err(|_| {
                // Where even this fails, the next look comes a stride later.
                let _ = lua.set_hook(HookTriggers::new().every_nth_instruction(1), |_, _| Err(meter::exhausted()));
            })?;
            Ok(mlua::VmState::Continue)
        })
    }
}

/// How a run ends early.
enum Failure {
    Lua(mlua::Error),
    Output(String),
    TooLong,
}

// === impl Failure ===

impl From<mlua::Error> for Failure {
    fn from(error: mlua::Error) -> Self {
        Self::Lua(error)
    }
}

impl From<Failure> for ScriptError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Output(reason) => Self::Output(reason),
            Failure::TooLong => Self::TooLong(SCRIPT_BYTES),
            Failure::Lua(error) => match root(error) {
                mlua::Error::MemoryError(_) => Self::OutOfMemory,
                mlua::Error::SyntaxError { message, .. } => Self::Syntax(message),
                other => Self::Raised(message(&other)),
            },
        }
    }
}

/// The error that the others tell of.
fn root(error: mlua::Error) -> mlua::Error {
    match error {
        mlua::Error::CallbackError { cause, .. } => root(mlua::Error::clone(&cause)),
        other => other,
    }
}

/// What an error says, without where in Lua it came from.
fn message(error: &mlua::Error) -> String {
    let whole = match error {
        mlua::Error::RuntimeError(text) => text.clone(),
        other => other.to_string(),
    };
    whole.split("\nstack traceback:").next().unwrap_or_default().trim_end().to_owned()
}
