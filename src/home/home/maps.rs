//! Changing ConfigMaps and Secrets of the control plane's namespace.
//!
//! Editors see values as text. A Secret's value that is no text is left out of
//! their sight and stays as it is.

use std::collections::BTreeMap;

use argosy_model::{AppKey, names, object};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{DeserializeOwned, Error as _};
use serde_json::{Map, Value, json};

use super::Home;
use super::modify::Place;
use crate::call::{Call, Path};
use crate::error::{Error, Result};
use crate::settings::{Names, Settings};
use crate::store::Store;
use crate::watch::Watched;

/// Keys and their values.
pub(super) type Data = BTreeMap<String, String>;

/// One of the two kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Core {
    ConfigMap,
    Secret,
}

// === impl Core ===

impl Core {
    const fn kind(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
        }
    }

    const fn plural(self) -> &'static str {
        match self {
            Self::ConfigMap => "configmaps",
            Self::Secret => "secrets",
        }
    }

    /// Of a settings object.
    pub(super) fn of_setting(name: &str) -> Option<Self> {
        match name {
            Names::SECRET => Some(Self::Secret),
            name if Names::CONFIG_MAPS.contains(&name) => Some(Self::ConfigMap),
            _ => None,
        }
    }

    /// An empty object without any label.
    pub(super) fn bare(self, name: &str) -> Value {
        let mut object = json!({"apiVersion": "v1", "kind": self.kind(), "metadata": {"name": name}});
        if self == Self::Secret {
            object["type"] = json!("Opaque");
        }
        object
    }

    /// An empty object that is part of Argo CD.
    pub(super) fn part(self, name: &str) -> Value {
        let mut object = self.bare(name);
        object::set_label(&mut object, "app.kubernetes.io/name", name);
        object::set_label(&mut object, names::LABEL_PART_OF, names::PART_OF_VALUE);
        object
    }

    /// The object's values that are text.
    pub(super) fn data(self, object: &Value) -> Data {
        let Some(data) = object.get("data").and_then(Value::as_object) else { return Data::new() };
        let text = |value: &Value| match self {
            Self::ConfigMap => value.as_str().map(str::to_owned),
            Self::Secret => String::from_utf8(STANDARD.decode(value.as_str()?).ok()?).ok(),
        };
        data.iter().filter_map(|(key, value)| Some((key.clone(), text(value)?))).collect()
    }

    /// Lets `edit` change the values, and touches only those that it changed.
    pub(super) fn edit_data<E>(
        self,
        object: &mut Value,
        edit: impl FnOnce(&mut Data) -> Result<(), E>,
    ) -> Result<(), E> {
        let before = self.data(object);
        let mut after = before.clone();
        edit(&mut after)?;
        if before == after {
            return Ok(());
        }
        if !object["data"].is_object() {
            object["data"] = Value::Object(Map::new());
        }
        let Some(data) = object["data"].as_object_mut() else { return Ok(()) };
        data.retain(|key, _| !before.contains_key(key) || after.contains_key(key));
        for (key, value) in after {
            if before.get(&key) != Some(&value) {
                let value = if self == Self::Secret { STANDARD.encode(value) } else { value };
                data.insert(key, Value::String(value));
            }
        }
        Ok(())
    }
}

// === impl Home ===

impl Home {
    /// Changes the values of a settings object and returns the settings that
    /// follow. The objects are `argocd-cm`, `argocd-secret` and the others of
    /// [`Names`]; one that is missing is made, as a part of Argo CD. `edit` may run
    /// several times.
    ///
    /// # Errors
    /// `edit`'s own; [`Error::Rejected`] for a name that is none of a settings
    /// object; [`Error::Conflict`] when others were faster ten times; or another.
    pub async fn edit_settings_map<E: From<Error>>(
        &self,
        name: &str,
        mut edit: impl FnMut(&mut BTreeMap<String, String>) -> Result<(), E>,
    ) -> Result<std::sync::Arc<Settings>, E> {
        let Some(core) = Core::of_setting(name) else {
            return Err(Error::Rejected(format!("{name} is not a settings object")).into());
        };
        let place = self.core_place(core, name);
        let object =
            self.modify(&place, Some(&core.part(name)), None, |object| core.edit_data(object, &mut edit)).await?;
        match core {
            Core::ConfigMap => self.keep_core(&self.shared.inputs.config_maps, object).await?,
            Core::Secret => self.keep_core(&self.shared.inputs.secret, object).await?,
        }
        self.shared.documents.publish();
        self.shared.snapshots.catch_up(&self.shared.inputs).await;
        Ok(self.settings())
    }

    /// The values of a ConfigMap of the control plane's namespace as the API has
    /// them now, for those that are not among the settings.
    ///
    /// # Errors
    /// [`Error::NotFound`] or another.
    pub async fn config_map(&self, name: &str) -> Result<BTreeMap<String, String>> {
        let object = self.ask(&Call::get(self.core_place(Core::ConfigMap, name).object())).await?;
        Ok(Core::ConfigMap.data(&object))
    }

    /// Where an object is.
    pub(super) fn core_place(&self, core: Core, name: &str) -> Place {
        let collection = Path::new("/api/v1/namespaces").segment(self.namespace()).segment(core.plural());
        Place { collection, name: name.to_owned() }
    }

    /// Changes a Secret's values without any store hearing of it here. One that is
    /// missing is made from `missing`.
    pub(super) async fn edit_secret<E: From<Error>>(
        &self,
        name: &str,
        missing: &Value,
        mut edit: impl FnMut(&mut Data) -> Result<(), E>,
    ) -> Result<Value, E> {
        let place = self.core_place(Core::Secret, name);
        self.modify(&place, Some(missing), None, |object| Core::Secret.edit_data(object, &mut edit)).await
    }

    /// Makes a Secret that must not exist.
    pub(super) async fn create_secret(&self, object: &Value) -> Result<Value> {
        let place = self.core_place(Core::Secret, "");
        self.ask(&Call::create(place.collection, object)).await
    }

    /// Takes over the answer to a write.
    pub(super) async fn keep_core<T: Watched>(&self, store: &Store<T>, object: Value) -> Result<()> {
        let key = AppKey::new(object::namespace(&object), object::name(&object));
        let mut object: T = read_core(object)?;
        object.slim();
        store.keep(&key, object).await;
        Ok(())
    }
}

/// Reads an object; the complaint does not repeat what is in a Secret.
fn read_core<T: DeserializeOwned>(object: Value) -> Result<T> {
    let what = "a Secret or ConfigMap";
    let silent = |_| Error::Decode { what, source: serde_json::Error::custom("it does not have its kind's shape") };
    serde_json::from_value(object).map_err(silent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_are_no_text_survive_an_edit_of_the_others() {
        let mut secret = json!({"data": {"bytes": "/w==", "old": STANDARD.encode("o"), "same": STANDARD.encode("s")}});
        let edit = |data: &mut Data| {
            assert_eq!(data.len(), 2);
            data.remove("old");
            data.insert("new".to_owned(), "n".to_owned());
            Ok::<_, Error>(())
        };
        Core::Secret.edit_data(&mut secret, edit).expect("edited");
        let expected = json!({"bytes": "/w==", "new": STANDARD.encode("n"), "same": STANDARD.encode("s")});
        assert_eq!(secret["data"], expected);
    }

    #[test]
    fn an_edit_that_changes_nothing_leaves_the_object_alone() {
        let mut map = json!({"metadata": {"name": "a"}});
        Core::ConfigMap.edit_data(&mut map, |_| Ok::<_, Error>(())).expect("edited");
        assert_eq!(map, json!({"metadata": {"name": "a"}}));
    }
}
