//! Everything around the API's machinery, put together: identities, roles,
//! admission, reviews, tables, faults and the journal as hooks of a server, and the
//! controllers behind it.

use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use super::{Controllers, Options};
use crate::faults::{Faults, Observation};
use crate::hooks::Hooks;
use crate::identity::{Identities, StaticToken, TokenKeys};
use crate::journal::Journal;
use crate::kinds::Kinds;
use crate::lifecycle::{Bootstrap, bootstrap};
use crate::rbac::Rbac;
use crate::reviews::{Gate, Reviews};
use crate::serve::Sandbox;
use crate::stamp::Stamps;
use crate::store::{Store, StoreError};
use crate::tables::Printer;

/// Makes the hooks of a sandbox that starts.
pub type MakeHooks = Box<dyn FnOnce(&Store, &Kinds, &Stamps) -> Hooks + Send>;

/// What surrounds one sandbox.
#[derive(Clone, Debug)]
pub struct Surroundings {
    faults: Faults,
    journal: Journal,
    keys: Arc<RwLock<Option<TokenKeys>>>,
    tokens: Arc<[StaticToken]>,
    identities: Arc<OnceLock<Arc<Identities>>>,
}

// === impl Surroundings ===

impl Surroundings {
    /// For a sandbox whose tokens these keys sign, and that knows these besides.
    #[must_use]
    pub fn new(keys: TokenKeys, tokens: Vec<StaticToken>) -> Self {
        Self {
            faults: Faults::none(),
            journal: Journal::default(),
            keys: Arc::new(RwLock::new(Some(keys))),
            tokens: tokens.into(),
            identities: Arc::default(),
        }
    }

    /// What a test makes go wrong.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Who wrote what.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Who is known; `None` before the sandbox has started.
    #[must_use]
    pub fn identities(&self) -> Option<&Arc<Identities>> {
        self.identities.get()
    }

    /// The hooks to start the sandbox with.
    ///
    /// # Panics
    /// When they are used for a second sandbox.
    #[must_use]
    pub fn hooks(&self) -> MakeHooks {
        let this = self.clone();
        Box::new(move |store, _, stamps| {
            let keys = this.keys.write().unwrap_or_else(PoisonError::into_inner).take();
            let keys = keys.expect("surroundings are of one sandbox");
            let identities = Identities::new(store.clone(), stamps.clone(), keys, this.faults.clone());
            for StaticToken { token, user } in this.tokens.iter() {
                identities.add_token(token, &format!("static:{}", user.name), user.clone());
            }
            let identities = this.identities.get_or_init(|| Arc::new(identities)).clone();
            Hooks {
                authenticator: identities.clone(),
                authorizer: Arc::new(Rbac::new(store.clone())),
                admission: Arc::new(Gate::new(store.clone())),
                tables: Arc::new(Printer::new(stamps.clone())),
                virtuals: Arc::new(Reviews::new(store.clone(), stamps.clone(), identities)),
                observer: Arc::new(Observation::new(this.faults, this.journal)),
            }
        })
    }

    /// Puts into a started sandbox what every cluster has, and starts its controllers.
    /// The authority of the options is set to the sandbox's own.
    ///
    /// # Errors
    /// [`StoreError::Disk`].
    ///
    /// # Panics
    /// When the sandbox was started with other hooks.
    pub fn inhabit(&self, sandbox: &Sandbox, what: &Bootstrap, options: Options) -> Result<Controllers, StoreError> {
        let (store, stamps) = (sandbox.store().clone(), sandbox.stamps().clone());
        bootstrap(&store, &stamps, what)?;
        let identities = self.identities.get().expect("the sandbox was started with these hooks").clone();
        let options = Options { authority_pem: sandbox.ca_pem().to_owned(), ..options };
        Ok(Controllers::start(store, stamps, identities, options))
    }
}
