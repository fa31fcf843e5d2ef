//! Tables as `kubectl get` shows them: columns and cells of the kinds people look
//! at, and of custom resources by their printer columns.
//!
//! A kind is a row of [`columns::of`], which names its columns, and a function of
//! [`cells`], which fills one row of them. Ages are told as of the moment of asking.

mod cells;
mod columns;
mod custom;
#[cfg(test)]
mod tests;
mod text;
mod workloads;

use argosy_model::object;
use serde_json::{Value, json};

use crate::hooks::Tables;
use crate::stamp::Stamps;

/// Prints objects as tables.
#[derive(Clone, Debug)]
pub struct Printer {
    stamps: Stamps,
}

/// A column: its name, type, format and priority. Zero is always shown, others with `-o wide`.
pub(crate) struct Column {
    name: String,
    kind: String,
    format: String,
    priority: i64,
    description: String,
}

// === impl Printer ===

impl Printer {
    /// Tells ages by this clock.
    #[must_use]
    pub fn new(stamps: Stamps) -> Self {
        Self { stamps }
    }
}

impl Tables for Printer {
    fn table(
        &self,
        group: &str,
        kind: &str,
        objects: &[&Value],
        columns: Option<&Value>,
        include: &str,
    ) -> Option<Value> {
        let now = self.stamps.timestamp();
        let builtin = columns.is_none().then(|| columns::of(group, kind)).flatten();
        let (columns, cells): (Vec<Column>, Vec<Vec<Value>>) = match (builtin, columns) {
            (Some(spec), _) => {
                let cells = objects.iter().map(|value| cells::of(group, kind, value, now)).collect();
                (columns::parse(spec), cells)
            }
            (None, Some(printed)) => custom::table(printed, objects, now),
            (None, None) => return None,
        };
        let rows: Vec<Value> = objects
            .iter()
            .zip(cells)
            .map(|(value, cells)| {
                let mut row = json!({"cells": cells, "object": included(value, include)});
                if let Some(condition) = cells::row_condition(group, kind, value) {
                    row["conditions"] = json!([condition]);
                }
                row
            })
            .collect();
        let columns: Vec<Value> = columns.iter().map(Column::write).collect();
        Some(json!({
            "kind": "Table",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": {},
            "columnDefinitions": columns,
            "rows": rows,
        }))
    }
}

// === impl Column ===

impl Column {
    fn write(&self) -> Value {
        json!({
            "name": self.name,
            "type": self.kind,
            "format": self.format,
            "description": self.description,
            "priority": self.priority,
        })
    }
}

fn included(value: &Value, include: &str) -> Option<Value> {
    match include {
        "None" => None,
        "Object" => Some(value.clone()),
        _ => Some(json!({
            "kind": "PartialObjectMetadata",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": object::get(value, &["metadata"]).cloned().unwrap_or_default(),
        })),
    }
}
