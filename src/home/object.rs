//! The objects that are watched, as far as they are read: Secrets and ConfigMaps
//! lose here what nobody needs, custom resources all of `managedFields` but that
//! they were made through the API.

use std::collections::BTreeMap;

use argosy_model::{Secret, names};
use argosy_proto::meta::{ManagedFieldsEntry, ObjectMeta};
use argosy_proto::resource::CustomResource;
use argosy_proto::v1alpha1::{AppProject, Application, ApplicationSet};
use serde::{Deserialize, Deserializer};

use crate::watch::Watched;

/// A Secret: its values are text to everything that reads them here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct SecretObject {
    pub(crate) metadata: ObjectMeta,
    #[serde(deserialize_with = "secret_data")]
    pub(crate) data: Secret<BTreeMap<String, String>>,
}

/// A ConfigMap.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ConfigMapObject {
    pub(crate) metadata: ObjectMeta,
    #[serde(deserialize_with = "argosy_proto::json::null_as_default")]
    pub(crate) data: BTreeMap<String, String>,
}

/// A Lease of a replica.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct LeaseObject {
    pub(crate) metadata: ObjectMeta,
    pub(crate) spec: LeaseSpec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct LeaseSpec {
    pub(crate) holder_identity: Option<String>,
    pub(crate) lease_duration_seconds: Option<i64>,
    pub(crate) renew_time: Option<jiff::Timestamp>,
}

/// Values that are not UTF-8 are left out: no key that is read here may hold them.
fn secret_data<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret<BTreeMap<String, String>>, D::Error> {
    let raw = argosy_proto::json::bytes_map::deserialize(deserializer)?;
    Ok(Secret::new(raw.into_iter().filter_map(|(k, v)| Some((k, String::from_utf8(v).ok()?))).collect()))
}

macro_rules! watched {
    ($type:ty, $sensitive:literal, |$object:ident| $metadata:expr, $metadata_mut:expr) => {
        impl Watched for $type {
            const SENSITIVE: bool = $sensitive;

            fn metadata(&self) -> &ObjectMeta {
                let $object = self;
                $metadata
            }

            fn slim(&mut self) {
                let $object = self;
                keep_origin(&mut $metadata_mut.managed_fields);
            }
        }
    };
}

watched!(Application, false, |app| CustomResource::metadata(app), CustomResource::metadata_mut(app));
watched!(AppProject, false, |project| CustomResource::metadata(project), CustomResource::metadata_mut(project));
watched!(ApplicationSet, false, |set| CustomResource::metadata(set), CustomResource::metadata_mut(set));
watched!(LeaseObject, false, |lease| &lease.metadata, lease.metadata);
watched!(SecretObject, true, |secret| &secret.metadata, secret.metadata);
watched!(ConfigMapObject, false, |config_map| &config_map.metadata, config_map.metadata);

/// Of the managers of an object only that it was made through the API is kept.
fn keep_origin(managers: &mut Vec<ManagedFieldsEntry>) {
    managers.retain(|entry| entry.manager == names::MANAGER_API);
    managers.truncate(1);
    for entry in managers {
        *entry = ManagedFieldsEntry { manager: std::mem::take(&mut entry.manager), ..Default::default() };
    }
}
