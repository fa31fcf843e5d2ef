//! Between JSON and Lua.
//!
//! Lua has one kind of table and one kind of number. An empty table is read as an
//! empty array, as Argo CD does, unless it is the very table that an empty map
//! was made into. A number without a fraction is read as an integer.

use std::collections::HashMap;
use std::ffi::c_void;

use mlua::{Lua, Table, Value as LuaValue};
use serde_json::{Map, Number, Value};

use super::meter::Meter;

/// How deep a result may be nested; a table in itself is deeper than anything.
const DEPTH: usize = 128;

/// Bytes of text in a result. A table may be in it many times over.
const BYTES: usize = 16 << 20;

/// Tables made of empty maps. Holding them keeps their addresses theirs.
#[derive(Default)]
pub(super) struct Empties(HashMap<usize, Table>);

/// Reads results.
pub(super) struct Reader<'a> {
    meter: &'a Meter,
    empties: &'a Empties,
    bytes: usize,
}

// === impl Empties ===

impl Empties {
    fn add(&mut self, table: &Table) {
        self.0.insert(address(table.to_pointer()), table.clone());
    }

    fn contains(&self, table: &Table) -> bool {
        self.0.contains_key(&address(table.to_pointer()))
    }
}

fn address(pointer: *const c_void) -> usize {
    pointer.addr()
}

/// An object as a script sees it; null is nil.
pub(super) fn to_lua(lua: &Lua, value: &Value, empties: &mut Empties) -> mlua::Result<LuaValue> {
    Ok(match value {
        Value::Null => LuaValue::Nil,
        Value::Bool(yes) => LuaValue::Boolean(*yes),
        Value::Number(number) => LuaValue::Number(number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => LuaValue::String(lua.create_string(text)?),
        Value::Array(items) => {
            let table = lua.create_table_with_capacity(items.len(), 0)?;
            for (index, item) in items.iter().enumerate() {
                table.raw_set(index + 1, to_lua(lua, item, empties)?)?;
            }
            LuaValue::Table(table)
        }
        Value::Object(map) => {
            let table = lua.create_table_with_capacity(0, map.len())?;
            for (key, item) in map {
                table.raw_set(key.as_str(), to_lua(lua, item, empties)?)?;
            }
            if map.is_empty() {
                empties.add(&table);
            }
            LuaValue::Table(table)
        }
    })
}

// === impl Reader ===

impl<'a> Reader<'a> {
    pub(super) fn new(meter: &'a Meter, empties: &'a Empties) -> Self {
        Self { meter, empties, bytes: 0 }
    }

    /// A table as an array or a map.
    ///
    /// # Errors
    /// Why it is neither.
    pub(super) fn table(&mut self, table: &Table, depth: usize) -> Result<Value, String> {
        if depth > DEPTH {
            return Err("cannot encode recursively nested tables to JSON".to_owned());
        }
        let (mut fields, mut items, length) = (Map::new(), 0, table.raw_len());
        for pair in table.pairs::<LuaValue, LuaValue>() {
            let (key, item) = pair.map_err(|e| e.to_string())?;
            self.meter.charge(1).map_err(|e| e.to_string())?;
            match key {
                LuaValue::String(key) if items == 0 => {
                    let key = self.text(&key)?;
                    fields.insert(key, self.value(item, depth)?);
                }
                LuaValue::Integer(index) if fields.is_empty() => {
                    if !usize::try_from(index).is_ok_and(|i| (1..=length).contains(&i)) {
                        return Err("cannot encode sparse array".to_owned());
                    }
                    items += 1;
                }
                _ => return Err("cannot encode mixed or invalid key types".to_owned()),
            }
        }
        if !fields.is_empty() || (length == 0 && self.empties.contains(table)) {
            return Ok(Value::Object(fields));
        }
        if items != length {
            return Err("cannot encode sparse array".to_owned());
        }
        let mut array = Vec::new();
        for index in 1..=length {
            let item = table.raw_get(index).map_err(|e| e.to_string())?;
            array.push(self.value(item, depth)?);
        }
        Ok(Value::Array(array))
    }

    fn value(&mut self, value: LuaValue, depth: usize) -> Result<Value, String> {
        match value {
            LuaValue::Nil => Ok(Value::Null),
            LuaValue::Boolean(yes) => Ok(Value::Bool(yes)),
            LuaValue::Integer(number) => Ok(number.into()),
            LuaValue::Number(number) => to_number(number),
            LuaValue::String(text) => self.text(&text).map(Value::String),
            LuaValue::Table(table) => self.table(&table, depth + 1),
            other => Err(format!("cannot encode {} to JSON", type_name(&other))),
        }
    }

    fn text(&mut self, text: &mlua::LuaString) -> Result<String, String> {
        let text = text.to_string_lossy();
        self.bytes += text.len();
        if self.bytes > BYTES {
            return Err("the output of the script is too large".to_owned());
        }
        Ok(text)
    }
}

fn to_number(number: f64) -> Result<Value, String> {
    #[expect(clippy::cast_possible_truncation, reason = "checked by the range")]
    let whole = (number.fract() == 0.0 && number.abs() < 9.2e18).then_some(number as i64);
    match whole {
        Some(whole) => Ok(whole.into()),
        None => Number::from_f64(number).map(Value::Number).ok_or_else(|| format!("json: unsupported value: {number}")),
    }
}

/// The name of a value's type, as Lua says it.
pub(super) fn type_name(value: &LuaValue) -> &'static str {
    match value {
        LuaValue::Integer(_) => "number",
        LuaValue::LightUserData(_) | LuaValue::Error(_) => "userdata",
        other => other.type_name(),
    }
}
