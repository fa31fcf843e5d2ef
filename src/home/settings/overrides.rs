//! `resource.customizations`: a YAML map, and a key for each part of each kind.

use std::collections::BTreeMap;

use argosy_proto::v1alpha1::{KnownTypeField, OverrideIgnoreDiff, ResourceOverride};
use serde::Deserialize;
use serde_json::Value;

use super::lookup::{Lookup, parse_yaml};
use super::parse;
use super::resources::{CompareOptions, StatusField};

type Overrides = BTreeMap<String, ResourceOverride>;

const WHOLE: &str = "resource.customizations";
const SPLIT: &str = "resource.customizations.";
const EVERYTHING: &str = "*/*";

/// An entry of the YAML map; rules about fields are YAML in a text.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Entry {
    #[serde(rename = "health.lua")]
    health_lua: String,
    #[serde(rename = "health.lua.useOpenLibs")]
    use_open_libs: bool,
    actions: String,
    ignore_differences: Value,
    ignore_resource_updates: Value,
    known_type_fields: Vec<KnownTypeField>,
}

/// Reads all of them, with the rule about `/status` added.
pub(super) fn read(lookup: &mut Lookup<'_>, previous: &Overrides, compare: &CompareOptions) -> Overrides {
    let mut overrides = Overrides::new();
    let sources = lookup.sources();
    if let Some(text) = sources.config.get(WHOLE) {
        read_map(lookup, text, previous, &mut overrides);
    }
    for (key, value) in &sources.config {
        let Some((part, kind)) = key.strip_prefix(SPLIT).and_then(|rest| rest.split_once('.')) else { continue };
        match override_key(kind) {
            Some(kind) => {
                let entry = overrides.entry(kind.clone()).or_default();
                if let Err(message) = set_part(entry, part, value) {
                    if let Some(previous) = previous.get(&kind) {
                        keep_part(entry, part, previous);
                    }
                    lookup.complain(key, message);
                }
            }
            None => lookup.complain(key, "its last part is not group_Kind, Kind or all"),
        }
    }
    ignore_status(&mut overrides, compare);
    overrides
}

fn read_map(lookup: &mut Lookup<'_>, text: &str, previous: &Overrides, overrides: &mut Overrides) {
    let entries: BTreeMap<String, Value> = match parse_yaml(text) {
        Ok(entries) => entries,
        Err(message) => {
            lookup.complain(WHOLE, message);
            overrides.clone_from(previous);
            return;
        }
    };
    for (kind, entry) in entries {
        match read_entry(entry) {
            Ok(entry) => {
                overrides.insert(kind, entry);
            }
            Err(message) => {
                lookup.complain(WHOLE, format!("{kind}: {message}"));
                if let Some(previous) = previous.get(&kind) {
                    overrides.insert(kind, previous.clone());
                }
            }
        }
    }
}

fn read_entry(entry: Value) -> Result<ResourceOverride, String> {
    let entry: Entry = serde_json::from_value(entry).map_err(|e| e.to_string())?;
    Ok(ResourceOverride {
        health_lua: entry.health_lua,
        use_open_libs: entry.use_open_libs,
        actions: entry.actions,
        ignore_differences: rules(entry.ignore_differences)?,
        ignore_resource_updates: rules(entry.ignore_resource_updates)?,
        known_type_fields: entry.known_type_fields,
    })
}

fn rules(value: Value) -> Result<Option<OverrideIgnoreDiff>, String> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => parse_yaml(&text).map(Some),
        other => serde_json::from_value(other).map(Some).map_err(|e| e.to_string()),
    }
}

/// `group_Kind` becomes `group/Kind`, `all` everything.
fn override_key(text: &str) -> Option<String> {
    match text.split('_').collect::<Vec<_>>()[..] {
        ["all"] => Some(EVERYTHING.to_owned()),
        [kind] if !kind.is_empty() => Some(kind.to_owned()),
        [group, kind] => Some(format!("{group}/{kind}")),
        _ => None,
    }
}

fn set_part(entry: &mut ResourceOverride, part: &str, value: &str) -> Result<(), String> {
    match part {
        "health" => entry.health_lua = value.to_owned(),
        "useOpenLibs" => entry.use_open_libs = parse::boolean(value)?,
        "actions" => entry.actions = value.to_owned(),
        "ignoreDifferences" => entry.ignore_differences = Some(parse_yaml(value)?),
        "ignoreResourceUpdates" => entry.ignore_resource_updates = Some(parse_yaml(value)?),
        "knownTypeFields" => entry.known_type_fields = parse_yaml(value)?,
        other => return Err(format!("{other:?} is no kind of customization")),
    }
    Ok(())
}

fn keep_part(entry: &mut ResourceOverride, part: &str, previous: &ResourceOverride) {
    match part {
        "useOpenLibs" => entry.use_open_libs = previous.use_open_libs,
        "ignoreDifferences" => entry.ignore_differences.clone_from(&previous.ignore_differences),
        "ignoreResourceUpdates" => entry.ignore_resource_updates.clone_from(&previous.ignore_resource_updates),
        "knownTypeFields" => entry.known_type_fields.clone_from(&previous.known_type_fields),
        _ => {}
    }
}

fn ignore_status(overrides: &mut Overrides, compare: &CompareOptions) {
    let kind = match compare.ignore_resource_status_field {
        StatusField::All => EVERYTHING,
        StatusField::Crd => "apiextensions.k8s.io/CustomResourceDefinition",
        StatusField::None => return,
    };
    let rules = overrides.entry(kind.to_owned()).or_default().ignore_differences.get_or_insert_default();
    // What was kept from the previous snapshot has the rule already.
    if !rules.j_son_pointers.iter().any(|pointer| pointer == "/status") {
        rules.j_son_pointers.push("/status".to_owned());
    }
}
