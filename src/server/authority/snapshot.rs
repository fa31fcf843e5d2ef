//! One consistent view of everything that decides who may do what.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use argosy_auth::account::Accounts;
use argosy_auth::rbac::{MatchMode, Policy, ProjectPolicy};
use argosy_auth::token::SigningKey;
use argosy_home::{Home, Settings};

use super::policy;
use super::revocation::Revocations;

/// See the module's page.
pub(crate) struct Snapshot {
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) policy: Arc<Policy>,
    pub(crate) key: Option<Arc<SigningKey>>,
    /// Requests without a session are let in, as nobody.
    pub(crate) anonymous: bool,
    /// How long a session lasts.
    pub(crate) session: Duration,
    /// Compiled policies of projects by name, with the version they are of. Made
    /// when asked for, and gone with the snapshot, for the policy's mode of matching
    /// is in them.
    projects: Mutex<HashMap<String, (String, Arc<ProjectPolicy>)>>,
    pub(crate) revocations: Revocations,
    settings: Arc<Settings>,
    sessions: Arc<BTreeMap<String, String>>,
}

// === impl Snapshot ===

impl Snapshot {
    /// Reads what is set now; what has not changed is taken from the previous one.
    pub(super) fn read(home: &Home, previous: Option<&Self>) -> Self {
        let (settings, sessions) = (home.settings(), home.sessions());
        let same_settings = previous.filter(|p| Arc::ptr_eq(&p.settings, &settings));
        Self {
            accounts: same_settings.map_or_else(|| Arc::new(accounts(&settings)), |p| p.accounts.clone()),
            policy: same_settings.map_or_else(|| policy::compile(&settings, previous), |p| p.policy.clone()),
            key: same_settings.map_or_else(|| signing_key(&settings), |p| p.key.clone()),
            anonymous: settings.api.anonymous_enabled,
            session: settings.api.session_duration,
            projects: Mutex::default(),
            revocations: Revocations::read(&sessions),
            settings,
            sessions,
        }
    }

    /// Whether anything it was made of is another than before.
    pub(super) fn is_outdated(&self, home: &Home) -> bool {
        !Arc::ptr_eq(&self.settings, &home.settings()) || !Arc::ptr_eq(&self.sessions, &home.sessions())
    }

    /// The compiled policies of a project in a version, made by `compile` the first
    /// time.
    pub(crate) fn project_policy(
        &self,
        name: &str,
        version: &str,
        compile: impl FnOnce(MatchMode) -> ProjectPolicy,
    ) -> Arc<ProjectPolicy> {
        let mut projects = self.projects.lock().unwrap_or_else(PoisonError::into_inner);
        match projects.get(name) {
            Some((known, policy)) if known == version => policy.clone(),
            _ => {
                let policy = Arc::new(compile(self.policy.match_mode()));
                projects.insert(name.to_owned(), (version.to_owned(), policy.clone()));
                policy
            }
        }
    }
}

fn accounts(settings: &Settings) -> Accounts {
    let accounts = Accounts::read(&settings.raw.config, |key| settings.secret(key));
    for problem in accounts.problems() {
        tracing::warn!(
            account = problem.account,
            key = problem.key,
            "an account is misconfigured: {}",
            problem.message
        );
    }
    accounts
}

fn signing_key(settings: &Settings) -> Option<Arc<SigningKey>> {
    let value = settings.secret("server.secretkey")?;
    SigningKey::new(value.expose().as_bytes()).ok().map(Arc::new)
}
