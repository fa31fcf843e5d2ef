//! One simulated cluster: how it is reached, what its controllers did there, and what
//! they should have done.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, ensure};
use argosy_loadtest::simulated;
use argosy_sandbox::cluster::ClusterOptions;
use argosy_sandbox::controllers::{Controllers, Options, Surroundings};
use argosy_sandbox::identity::TokenKeys;
use argosy_sandbox::kinds::KUBERNETES_VERSION;
use argosy_sandbox::lifecycle::Bootstrap;
use argosy_sandbox::serve::{Sandbox, SandboxOptions};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, Role};
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::PATIENCE;
use crate::clusters::{NAMESPACE, name};
use crate::witness::{Effects, SELF, Witness};

/// Life of the declared token in seconds: longer than any run.
const DECLARED_FOR: i64 = 7 * 24 * 3600;
/// Objects of a kind that nobody changes: more than a watch brings bookmarks in a run, one
/// a minute.
const CALM: usize = 60;
/// The account that a fence is built on.
const ACCOUNT: &str = "argosy";

/// See the module's page.
pub(crate) struct Member {
    // Ended first: they write through the other one.
    _controllers: Controllers,
    sandbox: Sandbox,
    witness: Arc<Witness>,
    client: kube::Client,
    /// Numbers of the applications that go there.
    apps: Vec<usize>,
    /// What is to be done to their objects in all, by name.
    wanted: Mutex<BTreeMap<String, Effects>>,
}

// === impl Member ===

impl Member {
    pub(crate) async fn start(apps: Vec<usize>) -> anyhow::Result<Self> {
        let ClusterOptions { clock, random, .. } = simulated();
        let surroundings = Surroundings::new(TokenKeys::generate()?, Vec::new());
        let (witness, hooks) = (Arc::new(Witness::default()), surroundings.hooks());
        let watching = witness.clone();
        let options = SandboxOptions {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            hooks: Box::new(move |store, kinds, stamps| watching.before(hooks(store, kinds, stamps), store)),
            ..SandboxOptions::new(clock, random)
        };
        let sandbox = Sandbox::start(options).await?;
        let what = Bootstrap {
            node: None,
            user_facing_roles: false,
            version: KUBERNETES_VERSION.to_owned(),
            address: sandbox.address(),
        };
        let controllers = surroundings.inhabit(&sandbox, &what, Options { node: None, ..Options::default() })?;
        let kubeconfig = sandbox.kubeconfig(SELF, &["system:masters"])?;
        let kubeconfig = kube::config::Kubeconfig::from_yaml(&kubeconfig)?;
        let config =
            kube::Config::from_custom_kubeconfig(kubeconfig, &kube::config::KubeConfigOptions::default()).await?;
        let client = kube::Client::try_from(config)?;
        let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": NAMESPACE}}))?;
        Api::all(client.clone()).create(&PostParams::default(), &namespace).await.context("making the namespace")?;
        let wanted = apps.iter().map(|app| (name(*app), Effects::default())).collect();
        Ok(Self { _controllers: controllers, sandbox, witness, client, apps, wanted: Mutex::new(wanted) })
    }

    /// The address, and what a Secret of the cluster says besides: with a client
    /// certificate, or with a token of a service account that may do everything.
    pub(crate) async fn declaration(&self, by_token: bool) -> anyhow::Result<(String, Value)> {
        let authority = STANDARD.encode(self.sandbox.ca_pem());
        let config = if by_token {
            json!({"bearerToken": self.token().await?, "tlsClientConfig": {"caData": authority}})
        } else {
            let identity = self.sandbox.sign_client(ACCOUNT, &["system:masters"])?;
            json!({"tlsClientConfig": {
                "caData": authority,
                "certData": STANDARD.encode(&identity.certificate_pem),
                "keyData": STANDARD.encode(identity.key_pem.expose()),
            }})
        };
        Ok((self.url(), config))
    }

    async fn token(&self) -> anyhow::Result<String> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), "default");
        let account = serde_json::from_value(json!({"metadata": {"name": ACCOUNT}}))?;
        accounts.create(&PostParams::default(), &account).await.context("making an account")?;
        let binding: ClusterRoleBinding = serde_json::from_value(json!({
            "metadata": {"name": ACCOUNT},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "namespace": "default", "name": ACCOUNT}],
        }))?;
        let bindings = Api::all(self.client.clone());
        bindings.create(&PostParams::default(), &binding).await.context("binding an account")?;
        let request: TokenRequest =
            serde_json::from_value(json!({"spec": {"audiences": [], "expirationSeconds": DECLARED_FOR}}))?;
        let made = accounts.create_token_request(ACCOUNT, &PostParams::default(), &request).await;
        made.context("asking for a token")?.status.and_then(|status| status.token).context("a token")
    }

    pub(crate) fn url(&self) -> String {
        self.sandbox.url()
    }

    pub(crate) fn apps(&self) -> &[usize] {
        &self.apps
    }

    pub(crate) fn witness(&self) -> &Witness {
        &self.witness
    }

    /// Makes Roles that nobody ever changes, to tell by their events whether they are read
    /// again.
    pub(crate) async fn add_calm(&self) -> anyhow::Result<()> {
        let roles: Api<Role> = Api::namespaced(self.client.clone(), NAMESPACE);
        for number in 0..CALM {
            let role = serde_json::from_value(json!({"metadata": {"name": format!("calm-{number}")}, "rules": []}))?;
            roles.create(&PostParams::default(), &role).await.context("making a role")?;
        }
        Ok(())
    }

    /// How many Roles there are: what a list of them would bring.
    pub(crate) async fn calm(&self) -> anyhow::Result<usize> {
        let roles: Api<Role> = Api::all(self.client.clone());
        Ok(roles.list_metadata(&ListParams::default()).await.context("listing roles")?.items.len())
    }

    /// Something happens to an application that the controllers must answer with this.
    pub(crate) fn expect(&self, app: usize, more: Effects) {
        self.wanted().entry(name(app)).or_default().add(more);
    }

    /// Waits until all that was expected of an application has been done.
    pub(crate) async fn wait_done(&self, app: usize) -> anyhow::Result<()> {
        let name = name(app);
        let wanted = self.wanted().get(&name).copied().unwrap_or_default();
        self.witness.wait_for(&name, wanted, PATIENCE).await
    }

    /// Deletes the object of an application, and says when it is there again, counted
    /// from `since`.
    pub(crate) async fn repair(&self, app: usize, since: Instant) -> anyhow::Result<Duration> {
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), NAMESPACE);
        self.expect(app, Effects::WRITE);
        maps.delete(&name(app), &DeleteParams::default()).await.context("deleting an object")?;
        self.wait_done(app).await?;
        Ok(since.elapsed())
    }

    /// Holds what was done against what was to be done.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        for (name, wanted) in &*self.wanted() {
            let done = self.witness.effects(name);
            ensure!(
                done == *wanted,
                "{name} at {} was written {} and deleted {} times, and {} and {} were due",
                self.url(),
                done.writes,
                done.deletions,
                wanted.writes,
                wanted.deletions
            );
        }
        Ok(())
    }

    fn wanted(&self) -> MutexGuard<'_, BTreeMap<String, Effects>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
