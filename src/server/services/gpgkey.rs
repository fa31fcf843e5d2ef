//! OpenPGP public keys that commits may be signed with, in `argocd-gpg-keys-cm`
//! by their ids.
//!
//! Keys are taken apart here, without a program: what is stored of a key is what
//! it consists of, never what stood around it, and never a private key. Signatures
//! are not checked: who may add keys says whom to trust.

mod armor;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod key;
mod packet;
mod signature;

use std::collections::BTreeMap;
use std::sync::Arc;

use argosy_home::settings::Names;
use argosy_proto::gpgkey::gpg_key_service_server::GpgKeyService;
use argosy_proto::gpgkey::{
    GnuPgPublicKeyCreateRequest, GnuPgPublicKeyCreateResponse, GnuPgPublicKeyQuery, GnuPgPublicKeyResponse,
};
use argosy_proto::v1alpha1::{GnuPgPublicKey, GnuPgPublicKeyList};
use jiff::Timestamp;
use tonic::{Request, Response, Status};

use self::key::Key;
use crate::caller::{Caller, caller};
use crate::gateway::{Error, Gateway};
use crate::permission::{action, resource};
use crate::shared::Shared;
use crate::status::Refusal;

/// Digits of a key's id, and of its fingerprint, which ends with the id.
const ID_DIGITS: usize = 16;
const FINGERPRINT_DIGITS: usize = 40;
/// Longest text of keys that is read, in bytes: more fits into no ConfigMap.
const LONGEST: usize = 1 << 20;

/// See the module's page.
pub(crate) struct Service {
    shared: Arc<Shared>,
}

/// What became of keys that were to be added.
#[derive(Default)]
struct Added {
    created: Vec<GnuPgPublicKey>,
    skipped: Vec<String>,
}

// === impl Service ===

impl Service {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Binds the REST paths.
    ///
    /// # Errors
    /// When a name is not in the contract's table.
    pub(crate) fn bind(self: &Arc<Self>, gateway: &mut Gateway) -> Result<(), Error> {
        bind!(gateway, self, "gpgkey.GPGKeyService", {
            "List" => list, "Get" => get, "Create" => create, "Delete" => delete,
        });
        Ok(())
    }

    fn keys(&self, caller: &Caller) -> Result<GnuPgPublicKeyList, Status> {
        self.shared.enforce(caller, resource::GPG_KEYS, action::GET, "")?;
        let (settings, now) = (self.shared.home.settings(), (self.shared.clock)());
        let items = settings.raw.gpg_keys.iter().map(|(id, text)| match configured(id, text, now) {
            Ok(key) => GnuPgPublicKey { key_data: String::new(), ..key.into() },
            // It is listed, so that somebody can see and remove it.
            Err(reason) => GnuPgPublicKey {
                key_id: id.clone(),
                owner: reason,
                trust: key::UNKNOWN.to_owned(),
                sub_type: "invalid".to_owned(),
                ..Default::default()
            },
        });
        Ok(GnuPgPublicKeyList { metadata: Some(Default::default()), items: items.collect() })
    }

    fn one(&self, caller: &Caller, given: &str) -> Result<GnuPgPublicKey, Status> {
        self.shared.enforce(caller, resource::GPG_KEYS, action::GET, "")?;
        let id = id(given).ok_or_else(|| invalid_id(given))?;
        let settings = self.shared.home.settings();
        let stored = entry(&settings.raw.gpg_keys, &id);
        let (name, text) = stored.ok_or_else(|| Status::not_found(format!("no such key: {id}")))?;
        let key = configured(name, text, (self.shared.clock)()).map_err(Status::failed_precondition)?;
        Ok(key.into())
    }

    async fn add(
        &self,
        caller: &Caller,
        request: GnuPgPublicKeyCreateRequest,
    ) -> Result<GnuPgPublicKeyCreateResponse, Status> {
        self.shared.enforce(caller, resource::GPG_KEYS, action::CREATE, "")?;
        let text = request.publickey.unwrap_or_default().key_data;
        if text.trim().is_empty() {
            return Err(Status::invalid_argument("submitted key data is empty"));
        }
        let keys = read(&text, (self.shared.clock)())
            .map_err(|error| Status::invalid_argument(format!("error validating PGP keys from input: {error}")))?;
        let may_replace = || self.shared.enforce(caller, resource::GPG_KEYS, action::UPDATE, "");
        let mut added = Added::default();
        let change = |data: &mut BTreeMap<String, String>| {
            added = Added::default();
            for key in &keys {
                match entry(data, &key.id).map(|(name, text)| (name.to_owned(), text == key.armored)) {
                    Some((name, false)) if request.upsert => {
                        may_replace()?;
                        data.insert(name, key.armored.clone());
                    }
                    Some(_) => {
                        added.skipped.push(key.id.clone());
                        continue;
                    }
                    None => {
                        data.insert(key.id.clone(), key.armored.clone());
                    }
                }
                added.created.push(key.clone().into());
            }
            Ok::<_, Refusal>(())
        };
        self.shared.home.edit_settings_map(Names::GPG_KEYS, change).await?;
        tracing::info!(by = caller.username(), count = added.created.len(), "signing keys added");
        let created = GnuPgPublicKeyList { metadata: Some(Default::default()), items: added.created };
        Ok(GnuPgPublicKeyCreateResponse { created: Some(created), skipped: added.skipped })
    }

    async fn remove(&self, caller: &Caller, given: &str) -> Result<GnuPgPublicKeyResponse, Status> {
        self.shared.enforce(caller, resource::GPG_KEYS, action::DELETE, "")?;
        let change = |data: &mut BTreeMap<String, String>| {
            // An entry that is no key at all can be removed by its name.
            let by_id = id(given).and_then(|id| entry(data, &id).map(|(name, _)| name.to_owned()));
            let name = if data.contains_key(given) { given.to_owned() } else { by_id.unwrap_or_default() };
            match data.remove(&name) {
                Some(_) => Ok(()),
                None => Err(Refusal::from(Status::not_found(format!("no such key configured: {given}")))),
            }
        };
        self.shared.home.edit_settings_map(Names::GPG_KEYS, change).await?;
        tracing::info!(by = caller.username(), key = given, "signing key removed");
        Ok(GnuPgPublicKeyResponse {})
    }
}

#[tonic::async_trait]
impl GpgKeyService for Service {
    async fn list(&self, request: Request<GnuPgPublicKeyQuery>) -> Result<Response<GnuPgPublicKeyList>, Status> {
        self.keys(&caller(&request)?).map(Response::new)
    }

    async fn get(&self, request: Request<GnuPgPublicKeyQuery>) -> Result<Response<GnuPgPublicKey>, Status> {
        let caller = caller(&request)?;
        self.one(&caller, &request.into_inner().key_id).map(Response::new)
    }

    async fn create(
        &self,
        request: Request<GnuPgPublicKeyCreateRequest>,
    ) -> Result<Response<GnuPgPublicKeyCreateResponse>, Status> {
        let caller = caller(&request)?;
        self.add(&caller, request.into_inner()).await.map(Response::new)
    }

    async fn delete(&self, request: Request<GnuPgPublicKeyQuery>) -> Result<Response<GnuPgPublicKeyResponse>, Status> {
        let caller = caller(&request)?;
        self.remove(&caller, &request.into_inner().key_id).await.map(Response::new)
    }
}

/// The id in an id or a fingerprint.
fn id(given: &str) -> Option<String> {
    let is_known_length = matches!(given.len(), ID_DIGITS | FINGERPRINT_DIGITS);
    let is_hexadecimal = given.bytes().all(|b| b.is_ascii_hexdigit());
    (is_known_length && is_hexadecimal).then(|| given[given.len() - ID_DIGITS..].to_ascii_uppercase())
}

fn invalid_id(given: &str) -> Status {
    Status::invalid_argument(format!("'{given}' is not a valid GnuPG key ID"))
}

/// The entry of a key, and what it is called: by id or fingerprint, in letters of
/// any size.
fn entry<'a>(data: &'a BTreeMap<String, String>, key: &str) -> Option<(&'a str, &'a str)> {
    let found = data.iter().find(|(name, _)| id(name).is_some_and(|id| id == key));
    found.map(|(name, text)| (name.as_str(), text.as_str()))
}

/// Reads the keys in a text.
fn read(text: &str, now: Timestamp) -> Result<Vec<Key>, key::Invalid> {
    if text.len() > LONGEST {
        return Err(key::Invalid::TooLong);
    }
    let blocks = armor::blocks(text)?;
    key::read(&blocks, now)
}

/// The one key of an entry, which must be the one it is named after.
fn configured(name: &str, text: &str, now: Timestamp) -> Result<Key, String> {
    let expected = id(name).ok_or_else(|| invalid_id(name).message().to_owned())?;
    let keys = read(text, now).map_err(|error| format!("error parsing GPG key for entry \"{expected}\": {error}"))?;
    let [key] = <[Key; 1]>::try_from(keys).map_err(|_| "more than one key found in input data".to_owned())?;
    if key.id != expected {
        let found = key.id;
        return Err(format!("key parsed for entry with key ID '{expected}' had different key ID '{found}'"));
    }
    Ok(Key { armored: text.to_owned(), ..key })
}

#[cfg(test)]
#[path = "gpgkey/tests.rs"]
mod tests;
