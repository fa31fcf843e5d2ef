//! What the custom resources have in common, and changing one without losing
//! what these types do not know.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::meta::ObjectMeta;
use crate::v1alpha1::{AppProject, Application, ApplicationSet};

/// A custom resource of the contract.
pub trait CustomResource: Serialize + DeserializeOwned + Default + PartialEq + Clone {
    /// Kind in CamelCase.
    const KIND: &'static str;
    /// Plural name, as in the resource's path.
    const PLURAL: &'static str;

    /// The object's metadata; empty when it was never set.
    fn metadata(&self) -> &ObjectMeta;

    /// The object's metadata, made when it was never set.
    fn metadata_mut(&mut self) -> &mut ObjectMeta;

    /// The object as Kubernetes writes it, with `apiVersion` and `kind`.
    ///
    /// # Errors
    /// When raw JSON inside the object is not JSON.
    fn to_object(&self) -> Result<Value, serde_json::Error> {
        let mut value = serde_json::to_value(self)?;
        if let Value::Object(map) = &mut value {
            map.insert("apiVersion".to_owned(), "argoproj.io/v1alpha1".into());
            map.insert("kind".to_owned(), Self::KIND.into());
        }
        Ok(value)
    }
}

static EMPTY: std::sync::LazyLock<ObjectMeta> = std::sync::LazyLock::new(ObjectMeta::default);

macro_rules! custom_resource {
    ($type:ty, $kind:literal, $plural:literal) => {
        impl CustomResource for $type {
            const KIND: &'static str = $kind;
            const PLURAL: &'static str = $plural;

            fn metadata(&self) -> &ObjectMeta {
                self.metadata.as_ref().unwrap_or(&EMPTY)
            }

            fn metadata_mut(&mut self) -> &mut ObjectMeta {
                self.metadata.get_or_insert_default()
            }
        }
    };
}

custom_resource!(Application, "Application", "applications");
custom_resource!(AppProject, "AppProject", "appprojects");
custom_resource!(ApplicationSet, "ApplicationSet", "applicationsets");

/// Changes a custom resource held as JSON through its type: what `edit` changes
/// is merged into the object, and every field the type does not know stays.
///
/// # Errors
/// When the object does not have the type's shape.
pub fn edit<T: CustomResource>(object: &mut Value, edit: impl FnOnce(&mut T)) -> Result<(), serde_json::Error> {
    let before: T = serde_json::from_value(object.clone())?;
    let mut after = before.clone();
    edit(&mut after);
    if let Some(patch) = merge_patch(&serde_json::to_value(&before)?, &serde_json::to_value(&after)?) {
        apply_merge_patch(object, &patch);
    }
    Ok(())
}

/// The RFC 7386 patch that turns `before` into `after`; `None` when they are equal.
pub fn merge_patch(before: &Value, after: &Value) -> Option<Value> {
    if before == after {
        return None;
    }
    let (Value::Object(old), Value::Object(new)) = (before, after) else { return Some(after.clone()) };
    let mut patch = Map::new();
    for (key, value) in new {
        match old.get(key) {
            None => {
                patch.insert(key.clone(), value.clone());
            }
            Some(previous) => {
                if let Some(change) = merge_patch(previous, value) {
                    patch.insert(key.clone(), change);
                }
            }
        }
    }
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    Some(Value::Object(patch))
}

/// Applies an RFC 7386 patch in place.
pub fn apply_merge_patch(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(map) = target else { return };
    for (key, change) in changes {
        if change.is_null() {
            map.remove(key);
        } else {
            apply_merge_patch(map.entry(key.clone()).or_insert(Value::Null), change);
        }
    }
}
