//! Everything that a client of the API can ask about.

use anyhow::{Context, anyhow};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;

use super::client::ApiClient;
use crate::eventually::{PATIENCE, poll_until};
use crate::{Argosy, ControlPlane, GitServer, Options};

/// The Secret that has the first password of `admin`.
pub const INITIAL_ADMIN_SECRET: &str = "argocd-initial-admin-secret";

/// A control plane, a controller, one API replica, and a Git host that asks for no
/// credentials.
pub struct ApiWorld {
    // Dropped in this order: replicas before what they work on.
    /// The API replica.
    pub server: Argosy,
    /// The controller replica.
    pub controller: Argosy,
    /// The cluster they run in.
    pub plane: ControlPlane,
    /// The Git host.
    pub git: GitServer,
}

// === impl ApiWorld ===

impl ApiWorld {
    /// Starts everything, with these entries in `argocd-cm`.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn start(options: Options, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let plane = ControlPlane::start(options).await?;
        plane.install().await?;
        plane.set_config("argocd-cm", settings)?;
        let server = Argosy::server(&plane).start().await.context("starting the API")?;
        let controller = Argosy::controller(&plane).start().await.context("starting the controller")?;
        Ok(Self { server, controller, plane, git: GitServer::start()? })
    }

    /// A caller without a session.
    ///
    /// # Errors
    /// When the API does not answer.
    pub async fn anybody(&self) -> anyhow::Result<ApiClient> {
        self.plane.api_client(&self.server).await
    }

    /// `admin`, signed in with the first password.
    ///
    /// # Errors
    /// When the API refuses.
    pub async fn admin(&self) -> anyhow::Result<ApiClient> {
        let password = self.plane.admin_password().await?;
        self.anybody().await?.sign_in("admin", &password).await
    }

    /// A local account with this password and these capabilities (`login`,
    /// `apiKey`), declared as an operator does it: the account in `argocd-cm`, the
    /// password by `admin`. Waits until it can sign in.
    ///
    /// # Errors
    /// When it cannot in time.
    pub async fn account(&self, name: &str, capabilities: &str, password: &str) -> anyhow::Result<ApiClient> {
        self.plane.set_config("argocd-cm", &[(&format!("accounts.{name}"), capabilities)])?;
        let admin = self.admin().await?;
        let request = argosy_proto::account::UpdatePasswordRequest {
            name: name.to_owned(),
            new_password: password.to_owned(),
            current_password: self.plane.admin_password().await?,
        };
        // The account is known once the settings' watch has told.
        poll_until(PATIENCE, || async { admin.accounts().update_password(request.clone()).await.map(drop) })
            .await
            .map_err(|status| anyhow!("account {name} gets no password: {status}"))?;
        let anybody = self.anybody().await?;
        let signed_in = poll_until(PATIENCE, || anybody.sign_in(name, password)).await;
        signed_in.map_err(|reason| anyhow!("account {name} cannot sign in: {reason}"))
    }
}

impl ControlPlane {
    /// A caller without a session, who trusts the certificate that the home
    /// namespace keeps for the API.
    ///
    /// # Errors
    /// When there is none, or the API does not answer.
    pub async fn api_client(&self, server: &Argosy) -> anyhow::Result<ApiClient> {
        ApiClient::connect(server, &self.api_certificate().await?).await
    }

    /// PEM of the certificate that API replicas present, once there is one.
    ///
    /// # Errors
    /// When no API replica starts.
    pub async fn api_certificate(&self) -> anyhow::Result<String> {
        let find = || async {
            match self.secret_text("argocd-server-tls", "tls.crt").await {
                Ok(certificate) => Ok(certificate),
                // Made by the API itself, it is with its other secrets.
                Err(_) => self.secret_text("argocd-secret", "tls.crt").await,
            }
        };
        poll_until(PATIENCE, find).await.map_err(anyhow::Error::msg)
    }

    /// The first password of `admin`.
    ///
    /// # Errors
    /// When no API replica has started yet.
    pub async fn admin_password(&self) -> anyhow::Result<String> {
        self.secret_text(INITIAL_ADMIN_SECRET, "password").await
    }

    /// A value of a Secret in the home namespace.
    ///
    /// # Errors
    /// When there is none.
    pub async fn secret_text(&self, name: &str, key: &str) -> anyhow::Result<String> {
        let secrets: Api<Secret> = Api::namespaced(self.client().await?, "argocd");
        let secret = secrets.get(name).await.with_context(|| format!("reading the Secret {name}"))?;
        let value = secret.data.unwrap_or_default().remove(key).with_context(|| format!("{name} has no {key}"))?;
        String::from_utf8(value.0).with_context(|| format!("{key} of {name} is no text"))
    }
}
