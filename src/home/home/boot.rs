//! The first start of an installation: what is missing is made, what is there is
//! left as it is, and replicas that start at once agree.

use argosy_auth::password;
use argosy_model::{AppKey, names, object};
use argosy_proto::meta::Time;
use argosy_proto::v1alpha1::{AppProject, AppProjectSpec, ApplicationDestination, ClusterResourceRestrictionItem};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::Value;

use super::Home;
use super::maps::{Core, Data};
use crate::call::Call;
use crate::error::{Error, Result};
use crate::settings::Names;

/// Where the first password of `admin` can be read.
const INITIAL_PASSWORD: &str = "argocd-initial-admin-secret";
const PASSWORD: &str = "password";
/// On that Secret while its password is not in force yet.
const PENDING: &str = "argosy.dev/pending";

const ADMIN_HASH: &str = "admin.password";
const ADMIN_MTIME: &str = "admin.passwordMtime";
const SERVER_KEY: &str = "server.secretkey";

/// What the first start found and made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prepared {
    /// Whether `admin` got a password just now; it is in
    /// `argocd-initial-admin-secret`.
    pub admin_password_made: bool,
    /// Whether the server's signing key was made just now.
    pub signing_key_made: bool,
    /// Whether the project `default` was made just now.
    pub default_project_made: bool,
    /// Whether a certificate for the server is missing; see
    /// [`Home::store_certificate`].
    pub certificate_missing: bool,
}

// === impl Home ===

impl Home {
    /// Makes what an installation cannot be without: the settings objects, the
    /// server's signing key, a password for `admin` unless that account is
    /// disabled, and the project `default`. [`Self::ready`] is to have returned.
    /// `random` fills a buffer with unpredictable bytes, `hash` makes the hash
    /// of a password that sign-in understands.
    ///
    /// # Errors
    /// When something can be neither read nor written. What was made stays, and
    /// the next call goes on from there.
    pub async fn prepare(
        &self,
        random: &mut (dyn FnMut(&mut [u8]) + Send),
        now: Timestamp,
        hash: impl Fn(&str) -> String,
    ) -> Result<Prepared> {
        let unchanged = |_: &mut Data| Ok::<_, Error>(());
        for name in Names::CONFIG_MAPS {
            self.edit_settings_map(name, unchanged).await?;
        }
        let signing_key_made = self.make_signing_key(random).await?;
        let admin_password_made = self.make_admin_password(random, now, hash).await?;
        let default_project_made = self.make_default_project().await?;
        let certificate_missing = self.server_certificate().is_none();
        Ok(Prepared { admin_password_made, signing_key_made, default_project_made, certificate_missing })
    }

    async fn make_signing_key(&self, random: &mut (dyn FnMut(&mut [u8]) + Send)) -> Result<bool> {
        let mut bytes = [0; 32];
        random(&mut bytes);
        let key = STANDARD.encode(bytes);
        let settings = self
            .edit_settings_map(Names::SECRET, |data| {
                if is_missing(data, SERVER_KEY) {
                    data.insert(SERVER_KEY.to_owned(), key.clone());
                }
                Ok::<_, Error>(())
            })
            .await?;
        Ok(settings.secret(SERVER_KEY).is_some_and(|inner| *inner.expose() == key))
    }

    /// A password comes into force in three steps: it is written where people read
    /// it, marked as pending; its hash is written; the mark is removed. While the
    /// mark is there nobody chooses another password, so all replicas that do this
    /// at once, and one that goes on after a crash, mean the same.
    async fn make_admin_password(
        &self,
        random: &mut (dyn FnMut(&mut [u8]) + Send),
        now: Timestamp,
        hash: impl Fn(&str) -> String,
    ) -> Result<bool> {
        if !self.settings().api.admin_enabled {
            return Ok(false);
        }
        let mtime = Time::from(now).timestamp().to_string();
        let mut made = false;
        if self.lacks_admin_password().await? {
            let password = self.propose_password(random).await?;
            if let Some(password) = password {
                let hash = hash(&password);
                self.edit_settings_map(Names::SECRET, |data| {
                    made = is_missing(data, ADMIN_HASH);
                    if made {
                        data.insert(ADMIN_HASH.to_owned(), hash.clone());
                        data.insert(ADMIN_MTIME.to_owned(), mtime.clone());
                    }
                    Ok::<_, Error>(())
                })
                .await?;
            }
        }
        self.confirm_password().await?;
        self.edit_settings_map(Names::SECRET, |data| {
            if is_missing(data, ADMIN_MTIME) {
                data.insert(ADMIN_MTIME.to_owned(), mtime.clone());
            }
            Ok::<_, Error>(())
        })
        .await?;
        Ok(made)
    }

    async fn lacks_admin_password(&self) -> Result<bool> {
        let place = self.core_place(Core::Secret, Names::SECRET);
        let secret = self.ask(&Call::get(place.object())).await?;
        Ok(is_missing(&Core::Secret.data(&secret), ADMIN_HASH))
    }

    /// Writes a new password where people read it, or finds the one that is
    /// pending there. `None` when `admin` has got one meanwhile.
    async fn propose_password(&self, random: &mut (dyn FnMut(&mut [u8]) + Send)) -> Result<Option<String>> {
        let place = self.core_place(Core::Secret, INITIAL_PASSWORD);
        let mut bytes = [0; 64];
        random(&mut bytes);
        let fresh = password::initial(&bytes);
        loop {
            let current = match self.ask(&Call::get(place.object())).await {
                Err(Error::NotFound(_)) => None,
                other => Some(other?),
            };
            if let Some(secret) = &current
                && object::annotation(secret, PENDING).is_some()
                && let Some(password) = Core::Secret.data(secret).remove(PASSWORD)
            {
                return Ok(Some(password));
            }
            // Looked at after the Secret above: if another replica's password is in
            // force, its mark had been removed before, or else the write below
            // conflicts with it.
            if !self.lacks_admin_password().await? {
                return Ok(None);
            }
            let mut next = current.clone().unwrap_or_else(|| Core::Secret.bare(INITIAL_PASSWORD));
            Core::Secret.edit_data(&mut next, |data| {
                data.insert(PASSWORD.to_owned(), fresh.expose().clone());
                Ok::<_, Error>(())
            })?;
            object::set_annotation(&mut next, PENDING, "true");
            let call = match current {
                Some(_) => Call::replace(place.object(), &next),
                None => Call::create(place.collection.clone(), &next),
            };
            match self.ask(&call).await {
                // Each round means that another replica has got further.
                Err(Error::Conflict(_) | Error::AlreadyExists(_) | Error::NotFound(_)) => {}
                other => return other.map(|_| Some(fresh.expose().clone())),
            }
        }
    }

    /// Removes the mark, once the password is in force.
    async fn confirm_password(&self) -> Result<()> {
        let place = self.core_place(Core::Secret, INITIAL_PASSWORD);
        loop {
            let secret = match self.ask(&Call::get(place.object())).await {
                // People delete it once they have read it.
                Err(Error::NotFound(_)) => return Ok(()),
                other => other?,
            };
            if object::annotation(&secret, PENDING).is_none() || self.lacks_admin_password().await? {
                return Ok(());
            }
            let confirm = |secret: &mut Value| {
                object::remove_annotation(secret, PENDING);
                Ok::<_, Error>(())
            };
            let version = object::resource_version(&secret);
            match self.modify(&place, None, Some(version), confirm).await {
                // Each round means that another replica has got further.
                Err(Error::Conflict(_)) => {}
                Err(Error::NotFound(_)) => return Ok(()),
                other => return other.map(drop),
            }
        }
    }

    async fn make_default_project(&self) -> Result<bool> {
        if self.projects().get(&AppKey::new(self.namespace(), names::DEFAULT_PROJECT)).is_some() {
            return Ok(false);
        }
        match self.create_project(&default_project()).await {
            Err(Error::AlreadyExists(_)) => Ok(false),
            other => other.map(|_| true),
        }
    }
}

fn is_missing(data: &Data, key: &str) -> bool {
    data.get(key).is_none_or(String::is_empty)
}

/// The project that permits everything.
fn default_project() -> AppProject {
    let any = || "*".to_owned();
    let spec = AppProjectSpec {
        source_repos: vec![any()],
        destinations: vec![ApplicationDestination { server: any(), namespace: any(), ..Default::default() }],
        cluster_resource_whitelist: vec![ClusterResourceRestrictionItem {
            group: any(),
            kind: any(),
            ..Default::default()
        }],
        ..AppProjectSpec::default()
    };
    let mut project = AppProject { spec: Some(spec), ..AppProject::default() };
    let metadata = argosy_proto::resource::CustomResource::metadata_mut(&mut project);
    names::DEFAULT_PROJECT.clone_into(&mut metadata.name);
    project
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_project_permits_everything_and_says_nothing_else() {
        use argosy_proto::resource::CustomResource;
        let object = default_project().to_object().expect("JSON");
        assert_eq!(
            object["spec"],
            serde_json::json!({
                "sourceRepos": ["*"],
                "destinations": [{"server": "*", "namespace": "*"}],
                "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
            })
        );
    }
}
