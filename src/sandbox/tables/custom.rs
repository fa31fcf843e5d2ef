//! Tables of custom resources, by the printer columns of their definition.

use argosy_model::object;
use serde_json::Value;

use super::text::age;
use super::{Column, columns};

/// Columns and cells by `additionalPrinterColumns`; without any, name and age.
pub(super) fn table(printed: &Value, objects: &[&Value], now: jiff::Timestamp) -> (Vec<Column>, Vec<Vec<Value>>) {
    let printed: Vec<&Value> = printed.as_array().into_iter().flatten().collect();
    let mut all = columns::parse("Name");
    all.extend(printed.iter().map(|column| read(column)));
    if printed.is_empty() {
        all.extend(columns::parse("Age"));
        for column in all.iter_mut().skip(1) {
            column.kind = "date".to_owned();
        }
    }
    let cells = objects
        .iter()
        .map(|value| {
            let mut cells: Vec<Value> = vec![object::name(value).into()];
            cells.extend(printed.iter().map(|column| cell(column, value, now)));
            if printed.is_empty() {
                cells.push(age(&value["metadata"]["creationTimestamp"], now).into());
            }
            cells
        })
        .collect();
    (all, cells)
}

fn read(column: &Value) -> Column {
    let text = |field: &str| column[field].as_str().unwrap_or_default().to_owned();
    let description = match text("description") {
        empty if empty.is_empty() => {
            format!("Custom resource definition column (in JSONPath format): {}", text("jsonPath"))
        }
        description => description,
    };
    Column {
        name: text("name"),
        kind: text("type"),
        format: text("format"),
        priority: column["priority"].as_i64().unwrap_or(0),
        description,
    }
}

fn cell(column: &Value, value: &Value, now: jiff::Timestamp) -> Value {
    let path = column["jsonPath"].as_str().unwrap_or_default();
    let Some(found) = find(value, path).filter(|found| !found.is_null()) else { return Value::Null };
    match column["type"].as_str() {
        Some("integer") => match found {
            Value::Number(number) => {
                let whole = number.as_f64().map(|float| float.trunc() as i64);
                number.as_i64().or(whole).map_or(Value::Null, Value::from)
            }
            _ => Value::Null,
        },
        Some("number") => {
            if found.is_number() {
                found.clone()
            } else {
                Value::Null
            }
        }
        Some("boolean") => {
            if found.is_boolean() {
                found.clone()
            } else {
                Value::Null
            }
        }
        Some("date") => match found {
            Value::String(_) => match age(found, now) {
                unknown if unknown == "<unknown>" => "<invalid>".into(),
                age => age.into(),
            },
            _ => Value::Null,
        },
        _ => match found {
            Value::String(text) => text.as_str().into(),
            other => other.to_string().into(),
        },
    }
}

/// The first value at a simple JSON path: names, indexes and filters for equality.
fn find<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    let path = path.trim_start_matches('$');
    let mut found = vec![value];
    for step in Steps(path) {
        found = found.into_iter().flat_map(|value| take(value, &step)).collect();
    }
    found.into_iter().next()
}

enum Step<'a> {
    Field(String),
    Index(i64),
    All,
    /// Elements whose field equals a text.
    Where(&'a str, String),
}

/// The steps of a path; ends at what it does not understand.
struct Steps<'a>(&'a str);

impl<'a> Iterator for Steps<'a> {
    type Item = Step<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(rest) = self.0.strip_prefix('[') {
            let (inside, after) = rest.split_once(']')?;
            self.0 = after;
            return Some(match inside {
                "*" => Step::All,
                quoted if quoted.starts_with(['\'', '"']) => Step::Field(quoted.trim_matches(['\'', '"']).to_owned()),
                filter if filter.starts_with("?(@.") => {
                    let (field, wanted) = filter.strip_prefix("?(@.")?.strip_suffix(')')?.split_once("==")?;
                    Step::Where(field.trim(), wanted.trim().trim_matches(['\'', '"']).to_owned())
                }
                number => Step::Index(number.parse().ok()?),
            });
        }
        let rest = self.0.strip_prefix('.')?;
        let mut name = String::new();
        let mut end = rest.len();
        let mut letters = rest.char_indices();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '\\' => name.extend(letters.next().map(|(_, letter)| letter)),
                '.' | '[' => {
                    end = at;
                    break;
                }
                letter => name.push(letter),
            }
        }
        self.0 = &rest[end..];
        Some(if name == "*" { Step::All } else { Step::Field(name) })
    }
}

fn take<'a>(value: &'a Value, step: &Step<'_>) -> Vec<&'a Value> {
    let elements = || value.as_array().into_iter().flatten();
    match step {
        Step::Field(name) => value.get(name).into_iter().collect(),
        Step::Index(index) => {
            let length = i64::try_from(value.as_array().map_or(0, Vec::len)).unwrap_or(0);
            let index = if *index < 0 { length + index } else { *index };
            usize::try_from(index).ok().and_then(|index| value.get(index)).into_iter().collect()
        }
        Step::All => elements().chain(value.as_object().into_iter().flat_map(serde_json::Map::values)).collect(),
        Step::Where(field, wanted) => elements().filter(|one| one[*field] == wanted.as_str()).collect(),
    }
}
