//! `metadata.managedFields`: read, changed by a write, written back.

use argosy_engine::schema::TypeRef;
use serde_json::{Map, Value, json};

use super::set::{Comparison, FieldSet, compare};
use crate::failure::Failure;

/// Who writes, and how.
#[derive(Clone, Copy, Debug)]
pub struct Writer<'a> {
    /// The field manager.
    pub manager: &'a str,
    /// `Apply` or `Update`.
    pub operation: &'a str,
    /// Of the version that is written.
    pub api_version: &'a str,
    /// `status` and the like; empty for the object itself.
    pub subresource: &'a str,
    /// Metadata's time; `None` leaves times as they are.
    pub now: Option<&'a str>,
}

/// What a server-side apply asks for.
#[derive(Clone, Copy, Debug)]
pub struct Applied<'a> {
    /// The fields.
    pub value: &'a Value,
    /// Whether they are taken from whoever owns them.
    pub force: bool,
}

/// One entry.
#[derive(Clone, Debug, PartialEq)]
pub struct ManagedEntry {
    manager: String,
    operation: String,
    api_version: String,
    subresource: String,
    time: Option<String>,
    fields: FieldSet,
}

/// All entries of an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Managed {
    entries: Vec<ManagedEntry>,
}

/// What stands in the way: fields of one other manager.
#[derive(Debug)]
pub struct Conflict {
    manager: String,
    /// With subresource, version and time, as messages show it.
    shown: String,
    fields: Vec<String>,
}

// === impl ManagedEntry ===

impl ManagedEntry {
    fn is_of(&self, writer: &Writer<'_>) -> bool {
        self.manager == writer.manager
            && self.operation == writer.operation
            && self.subresource == writer.subresource
            && (self.operation == "Apply" || self.api_version == writer.api_version)
    }

    fn shown(&self) -> String {
        let mut text = format!("\"{}\"", self.manager);
        if !self.subresource.is_empty() {
            text = format!("{text} with subresource \"{}\"", self.subresource);
        }
        if self.operation == "Update" {
            text = format!("{text} using {}", self.api_version);
        }
        text
    }

    fn write(&self) -> Value {
        let mut entry = Map::new();
        let texts = [
            ("manager", &self.manager),
            ("operation", &self.operation),
            ("apiVersion", &self.api_version),
            ("subresource", &self.subresource),
        ];
        for (name, text) in texts {
            if !text.is_empty() {
                entry.insert(name.to_owned(), text.as_str().into());
            }
        }
        if let Some(time) = &self.time {
            entry.insert("time".to_owned(), time.as_str().into());
        }
        entry.insert("fieldsType".to_owned(), "FieldsV1".into());
        entry.insert("fieldsV1".to_owned(), self.fields.write());
        Value::Object(entry)
    }
}

// === impl Managed ===

impl Managed {
    /// Reads an object's entries.
    pub fn read(object: &Value) -> Self {
        let list = object.pointer("/metadata/managedFields").and_then(Value::as_array);
        let text = |entry: &Value, field: &str| entry.get(field).and_then(Value::as_str).unwrap_or("").to_owned();
        let entries = list.into_iter().flatten().map(|entry| ManagedEntry {
            manager: text(entry, "manager"),
            operation: text(entry, "operation"),
            api_version: text(entry, "apiVersion"),
            subresource: text(entry, "subresource"),
            time: entry.get("time").and_then(Value::as_str).map(str::to_owned),
            fields: FieldSet::parse(entry.get("fieldsV1").unwrap_or(&Value::Null)),
        });
        Self { entries: entries.collect() }
    }

    /// Whether nobody owns anything.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// After `old` became `new` by an ordinary write. `reset` are fields that this
    /// writer cannot write.
    pub fn update(
        &mut self,
        old: &Value,
        new: &Value,
        ty: Option<TypeRef<'_>>,
        writer: &Writer<'_>,
        reset: &[&[&str]],
    ) {
        let Comparison { changed, removed } = compare(old, new, ty);
        let (mut changed, mut removed) = (changed.without_identity(), removed.without_identity());
        for path in reset {
            changed.remove_field(path);
            removed.remove_field(path);
        }
        if changed.is_empty() && removed.is_empty() {
            return;
        }
        for entry in self.entries.iter_mut().filter(|e| !e.is_of(writer)) {
            entry.fields = std::mem::take(&mut entry.fields).difference(&changed).difference(&removed);
        }
        let before = self.entries.iter().find(|e| e.is_of(writer)).map(|e| e.fields.clone()).unwrap_or_default();
        self.set(writer, before.difference(&removed).union(&changed));
    }

    /// After an apply of `applied` turned `old` into `new`.
    ///
    /// # Errors
    /// 409 when others own what has changed and it is not forced.
    pub fn apply(
        &mut self,
        old: &Value,
        new: &Value,
        applied: Applied<'_>,
        ty: Option<TypeRef<'_>>,
        writer: &Writer<'_>,
        reset: &[&[&str]],
    ) -> Result<(), Failure> {
        let Comparison { mut changed, removed } = compare(old, new, ty);
        let mut fields = FieldSet::of(applied.value, ty).without_identity();
        for path in reset {
            changed.remove_field(path);
            fields.remove_field(path);
        }
        let mut conflicts = Vec::new();
        for entry in self.entries.iter().filter(|e| !e.is_of(writer)) {
            let contested = entry.fields.intersection(&changed).intersection(&fields);
            if !contested.is_empty() {
                let fields = contested.paths();
                conflicts.push(Conflict { manager: entry.manager.clone(), shown: entry.shown(), fields });
            }
        }
        if !conflicts.is_empty() && !applied.force {
            return Err(apply_conflict(&conflicts));
        }
        for entry in self.entries.iter_mut().filter(|e| !e.is_of(writer)) {
            entry.fields = std::mem::take(&mut entry.fields).difference(&changed).difference(&removed);
        }
        let is_change = !changed.is_empty() || !removed.is_empty();
        self.set(&Writer { now: writer.now.filter(|_| is_change), ..*writer }, fields);
        Ok(())
    }

    /// As `managedFields` has it.
    pub fn write(&self) -> Value {
        self.entries.iter().map(ManagedEntry::write).collect()
    }

    fn set(&mut self, writer: &Writer<'_>, fields: FieldSet) {
        match self.entries.iter_mut().find(|e| e.is_of(writer)) {
            Some(entry) if entry.fields == fields && entry.api_version == writer.api_version => {}
            Some(entry) => {
                entry.fields = fields;
                if let Some(now) = writer.now {
                    entry.time = Some(now.to_owned());
                }
                writer.api_version.clone_into(&mut entry.api_version);
            }
            None => self.entries.push(ManagedEntry {
                manager: writer.manager.to_owned(),
                operation: writer.operation.to_owned(),
                api_version: writer.api_version.to_owned(),
                subresource: writer.subresource.to_owned(),
                time: writer.now.map(str::to_owned),
                fields,
            }),
        }
        self.entries.retain(|entry| !entry.fields.is_empty());
        self.entries.sort_by(|a, b| (&a.operation, &a.time, &a.manager).cmp(&(&b.operation, &b.time, &b.manager)));
    }
}

/// The refusal of an apply.
pub fn apply_conflict(conflicts: &[Conflict]) -> Failure {
    let count: usize = conflicts.iter().map(|c| c.fields.len()).sum();
    let causes: Vec<Value> = conflicts
        .iter()
        .flat_map(|c| {
            let message = format!("conflict with {}", c.shown);
            c.fields.iter().map(move |f| json!({"reason": "FieldManagerConflict", "message": message, "field": f}))
        })
        .collect();
    let what = match conflicts {
        [one] if one.fields.len() == 1 => format!("conflict with {}: {}", one.shown, one.fields[0]),
        many => {
            let mut sorted: Vec<&Conflict> = many.iter().collect();
            sorted.sort_by(|a, b| a.manager.cmp(&b.manager));
            let parts = sorted.iter().map(|c| {
                let (word, lines) = ("conflicts with", c.fields.iter().map(|f| format!("\n- {f}")).collect::<String>());
                format!("{word} {}:{lines}", c.shown)
            });
            parts.collect::<Vec<_>>().join("\n")
        }
    };
    let plural = if count == 1 { "conflict" } else { "conflicts" };
    let message = format!("Apply failed with {count} {plural}: {what}");
    let failure = Failure::new(http::StatusCode::CONFLICT, "Conflict", message);
    failure.with([("causes".to_owned(), Value::Array(causes))].into_iter().collect())
}
