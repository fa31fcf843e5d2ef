//! The globals of a run: what a script may call.
//!
//! Always: the base functions, `table`, `os.time`, `os.date` and `require("os")`,
//! which is what Argo CD gives. With open libraries also `string` and `math`.
//! Never: files, processes, the environment, other code (`load` and its kin),
//! `debug`, coroutines, and what reaches out of a run (`setfenv`, `newproxy`,
//! `collectgarbage`). Each run has its own copies, so it can break only its own.

use std::sync::Arc;

use mlua::{Function, IntoLuaMulti as _, Lua, MultiValue, Table, Value, Variadic};

use super::meter::Meter;
use super::strings;
use super::time::{self, Now};
use super::{message, root};

const BASE: [&str; 16] = [
    "_VERSION",
    "assert",
    "error",
    "getmetatable",
    "ipairs",
    "next",
    "pairs",
    "rawequal",
    "rawget",
    "rawset",
    "select",
    "setmetatable",
    "tonumber",
    "tostring",
    "type",
    "unpack",
];

/// Entries to copy into each world.
type Entries = Vec<(String, Value)>;

/// What worlds are made of.
#[derive(Debug)]
pub(super) struct Libraries {
    base: Entries,
    closed: Vec<(&'static str, Entries)>,
    open: Vec<(&'static str, Entries)>,
}

// === impl Libraries ===

impl Libraries {
    pub(super) fn new(lua: &Lua, meter: &Arc<Meter>, now: &Now) -> mlua::Result<Self> {
        let globals = lua.globals();
        let mut base: Entries = Vec::new();
        for name in BASE {
            base.push((name.to_owned(), globals.raw_get(name)?));
        }
        base.push(("pcall".to_owned(), Value::Function(pcall(lua, meter)?)));
        base.push(("xpcall".to_owned(), Value::Function(xpcall(lua, meter)?)));
        // A script may print; nobody listens.
        base.push(("print".to_owned(), Value::Function(lua.create_function(|_, _: MultiValue| Ok(()))?)));
        let string = strings::library(lua, meter)?;
        guard_methods(lua, &string)?;
        let math: Table = globals.raw_get("math")?;
        math.raw_set("randomseed", lua.create_function(|_, _: MultiValue| Ok(()))?)?;
        Ok(Self {
            base,
            closed: vec![("table", entries(&tables(lua, meter)?)?), ("os", entries(&time::library(lua, now)?)?)],
            open: vec![("string", entries(&string)?), ("math", entries(&math)?)],
        })
    }

    /// Fresh globals.
    pub(super) fn world(&self, lua: &Lua, open_libs: bool) -> mlua::Result<Table> {
        let world = lua.create_table_with_capacity(0, 32)?;
        for (name, value) in &self.base {
            world.raw_set(name.as_str(), value)?;
        }
        let open = self.open.iter().filter(|_| open_libs);
        let modules = lua.create_table()?;
        for (name, entries) in self.closed.iter().chain(open) {
            let library = lua.create_table_with_capacity(0, entries.len())?;
            for (name, value) in entries {
                library.raw_set(name.as_str(), value)?;
            }
            world.raw_set(*name, &library)?;
            modules.raw_set(*name, library)?;
        }
        let require = lua.create_function(move |_, name: String| match modules.raw_get::<Value>(name.as_str())? {
            Value::Nil => Err(mlua::Error::runtime(format!("module {name} not found"))),
            module => Ok(module),
        })?;
        world.raw_set("require", require)?;
        world.raw_set("_G", &world)?;
        Ok(world)
    }
}

fn entries(library: &Table) -> mlua::Result<Entries> {
    library.pairs().collect()
}

/// `("x"):find(..)` must meet the guarded functions too, and nobody may reach
/// what all runs share.
fn guard_methods(lua: &Lua, string: &Table) -> mlua::Result<()> {
    let metatable = lua.create_table()?;
    metatable.raw_set("__index", string)?;
    metatable.raw_set("__metatable", false)?;
    lua.set_type_metatable::<mlua::LuaString>(Some(metatable));
    Ok(())
}

/// `table`, each function charged by the size of the table it walks.
fn tables(lua: &Lua, meter: &Arc<Meter>) -> mlua::Result<Table> {
    let original: Table = lua.globals().raw_get("table")?;
    let guarded = lua.create_table()?;
    for pair in original.pairs::<String, Value>() {
        let (name, value) = pair?;
        let Value::Function(function) = value else { continue };
        let sorts = name == "sort";
        let shifts = matches!(&*name, "insert" | "remove");
        let cost = move |arguments: &MultiValue| {
            let Some(Value::Table(table)) = arguments.front() else { return 0 };
            let length = table.raw_len() as u64;
            match () {
                // Some twenty comparisons an item in the largest that fits.
                () if sorts => length * 20,
                // Moving an item takes a tenth of an instruction.
                () if shifts => length / 16,
                () => length,
            }
        };
        guarded.raw_set(name, charged(lua, meter, function, cost)?)?;
    }
    Ok(guarded)
}

/// A function that is paid for before it runs.
pub(super) fn charged(
    lua: &Lua,
    meter: &Arc<Meter>,
    function: Function,
    cost: impl Fn(&MultiValue) -> u64 + Send + 'static,
) -> mlua::Result<Function> {
    let meter = meter.clone();
    lua.create_function(move |_, arguments: MultiValue| {
        meter.charge(cost(&arguments))?;
        meter.nested(|| function.call::<MultiValue>(arguments))
    })
}

/// `pcall` catches what a script raised, as text, and not that the run is over.
fn pcall(lua: &Lua, meter: &Arc<Meter>) -> mlua::Result<Function> {
    let meter = meter.clone();
    lua.create_function(move |lua, (function, arguments): (Function, Variadic<Value>)| {
        match caught(&meter, || function.call::<MultiValue>(arguments))? {
            Ok(returned) => succeeded(returned),
            Err(text) => (false, text).into_lua_multi(lua),
        }
    })
}

fn xpcall(lua: &Lua, meter: &Arc<Meter>) -> mlua::Result<Function> {
    let meter = meter.clone();
    lua.create_function(move |_, (function, handler): (Function, Function)| {
        match caught(&meter, || function.call::<MultiValue>(()))? {
            Ok(returned) => succeeded(returned),
            Err(text) => {
                let mut handled = meter.nested(|| handler.call::<MultiValue>(text))?;
                handled.push_front(Value::Boolean(false));
                Ok(handled)
            }
        }
    })
}

fn succeeded(mut returned: MultiValue) -> mlua::Result<MultiValue> {
    returned.push_front(Value::Boolean(true));
    Ok(returned)
}

/// What a call came to; the outer error is one that nobody may catch.
fn caught<T>(meter: &Meter, call: impl FnOnce() -> mlua::Result<T>) -> mlua::Result<Result<T, String>> {
    match meter.nested(call) {
        Ok(done) => Ok(Ok(done)),
        Err(_) if meter.is_empty() => Err(super::meter::exhausted()),
        Err(error) => match root(error) {
            error @ mlua::Error::MemoryError(_) => Err(error),
            error => Ok(Err(message(&error))),
        },
    }
}
