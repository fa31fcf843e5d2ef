//! Paths into an object and their removal: JSON pointers, and what jq names.

use serde_json::Value;

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// Into a list; negative from its end.
    Index(i64),
    /// A part of a list, bounds as in jq.
    Slice(Option<i64>, Option<i64>),
    /// Into a map.
    Key(String),
}

/// From the root of an object downwards.
pub(super) type Path = Vec<Step>;

/// A JSON pointer's tokens, unescaped (`~1` is `/`, `~0` is `~`). `None` when it
/// is no pointer, or names the whole object.
pub(super) fn parse_pointer(pointer: &str) -> Option<Vec<String>> {
    let rest = pointer.strip_prefix('/')?;
    Some(rest.split('/').map(|token| token.replace("~1", "/").replace("~0", "~")).collect())
}

/// Whether a pointer leads anywhere.
pub(super) fn has_pointer(value: &Value, tokens: &[String]) -> bool {
    tokens
        .iter()
        .try_fold(value, |value, token| match value {
            Value::Object(map) => map.get(token),
            Value::Array(items) => items.get(list_index(token)?),
            _ => None,
        })
        .is_some()
}

/// Removes what a pointer leads to, if it leads anywhere.
pub(super) fn remove_pointer(value: &mut Value, tokens: &[String]) {
    let Some((last, parents)) = tokens.split_last() else { return };
    let parent = parents.iter().try_fold(value, |value, token| match value {
        Value::Object(map) => map.get_mut(token),
        Value::Array(items) => items.get_mut(list_index(token)?),
        _ => None,
    });
    match parent {
        Some(Value::Object(map)) => {
            map.remove(last);
        }
        Some(Value::Array(items)) => {
            if let Some(index) = list_index(last).filter(|i| *i < items.len()) {
                items.remove(index);
            }
        }
        _ => {}
    }
}

fn list_index(token: &str) -> Option<usize> {
    if token.len() > 1 && token.starts_with('0') {
        return None;
    }
    token.parse().ok()
}

/// Removes all the paths at once, as jq's `del` does: indices mean the lists as
/// they were. Returns whether anything was there to remove.
pub(super) fn remove_paths(value: &mut Value, paths: &[Path]) -> bool {
    let mut found: Vec<Path> = paths.iter().flat_map(|path| resolve(value, path)).collect();
    found.sort_unstable();
    found.dedup();
    // From the end, so that an index is not moved by an earlier removal.
    for path in found.iter().rev() {
        remove(value, path);
    }
    !found.is_empty()
}

/// Paths that exist, with plain indices only.
fn resolve(value: &Value, path: &[Step]) -> Vec<Path> {
    let Some((step, rest)) = path.split_first() else { return vec![Vec::new()] };
    match (step, value) {
        (Step::Key(key), Value::Object(map)) => {
            map.get(key).into_iter().flat_map(|v| below(step.clone(), v, rest)).collect()
        }
        (Step::Index(index), Value::Array(items)) => {
            let index = bounded(*index, items.len());
            index.and_then(|i| Some((i, items.get(i)?))).into_iter().flat_map(|(i, v)| below(at(i), v, rest)).collect()
        }
        (Step::Slice(from, to), Value::Array(items)) => {
            let clamp = |bound: i64| bounded(bound, items.len()).unwrap_or(0).min(items.len());
            let from = from.map_or(0, clamp);
            let to = to.map_or(items.len(), clamp);
            (from..to.max(from)).flat_map(|i| below(at(i), &items[i], rest)).collect()
        }
        _ => Vec::new(),
    }
}

fn below(step: Step, value: &Value, rest: &[Step]) -> Vec<Path> {
    let mut paths = resolve(value, rest);
    paths.iter_mut().for_each(|path| path.insert(0, step.clone()));
    paths
}

fn at(index: usize) -> Step {
    Step::Index(i64::try_from(index).unwrap_or(i64::MAX))
}

fn bounded(index: i64, len: usize) -> Option<usize> {
    if index < 0 { len.checked_sub(usize::try_from(index.unsigned_abs()).ok()?) } else { usize::try_from(index).ok() }
}

fn remove(value: &mut Value, path: &[Step]) {
    let Some((last, parents)) = path.split_last() else {
        *value = Value::Null;
        return;
    };
    let parent = parents.iter().try_fold(value, |value, step| match (step, value) {
        (Step::Key(key), Value::Object(map)) => map.get_mut(key),
        (Step::Index(i), Value::Array(items)) => items.get_mut(usize::try_from(*i).ok()?),
        _ => None,
    });
    match (parent, last) {
        (Some(Value::Object(map)), Step::Key(key)) => {
            map.remove(key);
        }
        (Some(Value::Array(items)), Step::Index(i)) => {
            if let Some(i) = usize::try_from(*i).ok().filter(|i| *i < items.len()) {
                items.remove(i);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pointers_are_unescaped_and_reach_into_lists() {
        let mut value = json!({"a": {"x/y~z": 1}, "l": [1, 2, 3]});
        for pointer in ["/a/x~1y~0z", "/l/1", "/missing/x", "/l/9", "/l/01"] {
            remove_pointer(&mut value, &parse_pointer(pointer).expect("parses"));
        }
        assert_eq!(value, json!({"a": {}, "l": [1, 3]}));
        assert_eq!(parse_pointer("a"), None);
    }

    #[test]
    fn several_items_of_a_list_go_at_once() {
        let mut value = json!({"l": [0, 1, 2, 3, 4, 5]});
        let l = || Step::Key("l".to_owned());
        let paths = [
            vec![l(), Step::Index(0)],
            vec![l(), Step::Index(1)],
            vec![l(), Step::Index(-1)],
            vec![l(), Step::Slice(Some(2), Some(4))],
            vec![l(), Step::Index(77)],
        ];
        assert!(remove_paths(&mut value, &paths));
        assert_eq!(value, json!({"l": [4]}));
        assert!(!remove_paths(&mut value, &[vec![l(), Step::Index(-9)]]));
    }
}
