//! What clients must know of the installation before and after signing in.
//!
//! Anybody reads what a sign-in page needs; rules of comparison, the banner and
//! the namespace are for those who are signed in. No secret is in any of it:
//! references such as `$oidc.clientSecret` are not even expanded.

use std::collections::BTreeMap;
use std::sync::Arc;

use argosy_home::Settings as Known;
use argosy_model::tracking::Method;
use argosy_proto::cluster::settings_service_server::SettingsService;
use argosy_proto::cluster::{
    Connector, DexConfig, GoogleAnalyticsConfig, Help, OidcConfig, Settings, SettingsPluginsResponse, SettingsQuery,
};
use argosy_proto::oidc::Claim;
use argosy_proto::v1alpha1::KustomizeOptions;
use serde::Deserialize;
use tonic::{Request, Response, Status};

use crate::caller::{Caller, anyone, caller};
use crate::gateway::{self, Gateway};
use crate::shared::Shared;

/// See the module's page.
pub(crate) struct Service {
    shared: Arc<Shared>,
}

/// `oidc.config`, as far as clients are told of it.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PublicOidc {
    name: String,
    issuer: String,
    #[serde(rename = "clientID")]
    client_id: String,
    #[serde(rename = "cliClientID")]
    cli_client_id: String,
    requested_scopes: Vec<String>,
    #[serde(rename = "requestedIDTokenClaims")]
    requested_claims: BTreeMap<String, Claim>,
    #[serde(rename = "enablePKCEAuthentication")]
    pkce: bool,
}

/// `dex.config`, as far as clients are told of it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct PublicDex {
    connectors: Vec<PublicConnector>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PublicConnector {
    name: String,
    r#type: String,
}

// === impl Service ===

impl Service {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    pub(crate) fn bind(self: &Arc<Self>, gateway: &mut Gateway) -> Result<(), gateway::Error> {
        bind!(gateway, self, "cluster.SettingsService", { "Get" => get, "GetPlugins" => get_plugins });
        Ok(())
    }

    fn answer(&self, caller: &Caller) -> Settings {
        let known = self.shared.home.settings();
        let signed_in = caller.has_name();
        let mut settings = self.public(&known);
        if signed_in || caller.is_everybody() {
            settings.ui_banner_content.clone_from(&known.api.ui_banner_content);
            settings.ui_banner_url.clone_from(&known.api.ui_banner_url);
            settings.ui_banner_permanent = known.api.ui_banner_permanent;
            settings.ui_banner_position.clone_from(&known.api.ui_banner_position);
            settings.controller_namespace = self.shared.home.namespace().to_owned();
            settings.resource_overrides = known.overrides.clone().into_iter().collect();
        }
        if signed_in {
            settings.password_pattern.clone_from(&known.api.password_pattern);
        }
        settings
    }

    fn public(&self, known: &Known) -> Settings {
        let options = &self.shared.options;
        Settings {
            url: known.api.url.clone(),
            additional_urls: known.additional_urls.clone(),
            dex_config: dex(known),
            oidc_config: oidc(known),
            app_label_key: known.tracking.label_key.clone(),
            tracking_method: tracking_method(known).to_owned(),
            installation_id: known.tracking.installation_id.clone(),
            status_badge_enabled: known.api.status_badge_enabled,
            status_badge_root_url: known.api.status_badge_url.clone(),
            google_analytics: Some(GoogleAnalyticsConfig {
                tracking_id: known.api.ga_tracking_id.clone(),
                anonymize_users: known.api.ga_anonymize_users,
            }),
            kustomize_options: Some(KustomizeOptions {
                build_options: known.kustomize.build_options.clone(),
                ..Default::default()
            }),
            kustomize_versions: known.kustomize.versions.keys().cloned().collect(),
            help: Some(help(known)),
            user_logins_disabled: !self.shared.authority.somebody_may_sign_in(),
            ui_css_url: known.api.ui_css_url.clone(),
            exec_enabled: known.api.exec_enabled,
            apps_in_any_namespace_enabled: options
                .application_namespaces
                .as_ref()
                .map_or(!known.controller.application_namespaces.is_empty(), |all| !all.is_empty()),
            impersonation_enabled: known.general.impersonation_enabled,
            hydrator_enabled: known.controller.hydrator_enabled,
            sync_with_replace_allowed: options.sync_with_replace_allowed,
            ..Default::default()
        }
    }
}

#[tonic::async_trait]
impl SettingsService for Service {
    async fn get(&self, request: Request<SettingsQuery>) -> Result<Response<Settings>, Status> {
        Ok(Response::new(self.answer(&anyone(&request))))
    }

    async fn get_plugins(&self, request: Request<SettingsQuery>) -> Result<Response<SettingsPluginsResponse>, Status> {
        caller(&request)?;
        Ok(Response::new(SettingsPluginsResponse::default()))
    }
}

const fn tracking_method(known: &Known) -> &'static str {
    match known.tracking.method {
        Method::Annotation => "annotation",
        Method::Label => "label",
        Method::AnnotationAndLabel => "annotation+label",
    }
}

fn help(known: &Known) -> Help {
    let chat_url = known.api.help_chat_url.clone();
    let chat_text = if chat_url.is_empty() { String::new() } else { known.api.help_chat_text.clone() };
    Help { chat_url, chat_text, binary_urls: known.downloads.clone() }
}

/// Connectors by name and type; everything else of the configuration is private.
fn dex(known: &Known) -> Option<DexConfig> {
    let config: PublicDex = yaml("dex.config", &known.api.dex_config)?;
    let connectors = config.connectors.into_iter().map(|c| Connector { name: c.name, r#type: c.r#type });
    Some(DexConfig { connectors: connectors.collect() })
}

fn oidc(known: &Known) -> Option<OidcConfig> {
    let config: PublicOidc = yaml("oidc.config", &known.api.oidc_config)?;
    Some(OidcConfig {
        name: config.name,
        issuer: known.expand(&config.issuer).into_owned(),
        client_id: known.expand(&config.client_id).into_owned(),
        cli_client_id: known.expand(&config.cli_client_id).into_owned(),
        scopes: config.requested_scopes,
        id_token_claims: config.requested_claims.into_iter().collect(),
        enable_pkce_authentication: config.pkce,
    })
}

/// A value of `argocd-cm` in YAML; `None` where it is empty or not YAML.
fn yaml<T: serde::de::DeserializeOwned>(key: &str, text: &str) -> Option<T> {
    if text.trim().is_empty() {
        return None;
    }
    match serde_saphyr::from_str(text) {
        Ok(value) => Some(value),
        Err(error) => {
            tracing::warn!(key, error = %error.without_snippet(), "a setting is not YAML of the expected form");
            None
        }
    }
}
