//! The provider of single sign-on as it is set: `oidc.config`, or `dex.config`
//! where there is none.
//!
//! References to Secrets are expanded here. A complaint names the field that is
//! wrong and never its value, for a value may be a secret written in plain.

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

use argosy_auth::oidc::{DEX_AUDIENCES, Expected, allowed_audiences};
use argosy_home::Settings;
use argosy_model::{Secret, duration};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use url::Url;

use super::dex;

/// Scopes that are asked for unless others are set.
const SCOPES: [&str; 4] = ["openid", "profile", "email", "groups"];
/// Dex then tells by which connector and under which name the user is known.
const FEDERATED: &str = "federated:id";

/// See the module's page.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Config {
    pub(crate) issuer: String,
    pub(crate) client_id: String,
    pub(crate) client_secret: Secret<String>,
    /// What the claims of its tokens are held against.
    pub(crate) expected: Expected,
    pub(crate) scopes: Vec<String>,
    /// Claims that the ID token is asked to have, with their requirements.
    pub(crate) claims: Map<String, Value>,
    /// Codes are bound to the browser even where the provider does not say that it
    /// understands that.
    pub(crate) pkce: bool,
    pub(crate) domain_hint: String,
    /// Where the browser goes after signing out; empty for the own page.
    pub(crate) logout_url: String,
    pub(crate) user_info: Option<UserInfo>,
    /// A token with less than this left is replaced with the help of its refresh
    /// token; zero is never.
    pub(crate) refresh_before: Duration,
    /// File of the token that stands for the client's secret.
    pub(crate) federated_token: Option<PathBuf>,
    /// PEM of the only authorities that are believed; empty for the system's.
    pub(crate) root_ca: String,
    /// Certificates are not verified.
    pub(crate) insecure: bool,
    /// The provider is the bundled Dex.
    pub(crate) is_dex: bool,
}

/// Groups are asked for at the provider, not read from the token.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct UserInfo {
    pub(crate) address: Url,
    /// How long an answer holds; zero for as long as the token does.
    pub(crate) keep: Duration,
}

/// Single sign-on cannot be set up from what is written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("{key} is not YAML: {reason}")]
    Yaml { key: &'static str, reason: String },
    #[error("{key} does not hold fields with values")]
    Shape { key: &'static str },
    #[error("the field '{0}' of oidc.config does not have the expected form")]
    Field(&'static str),
    #[error("the field '{0}' of oidc.config is not an http or https address")]
    Address(&'static str),
    #[error("the file of the federated token is not named by AZURE_FEDERATED_TOKEN_FILE")]
    FederatedToken,
    #[error("there is no server.secretkey to derive the secret of Dex's client from")]
    NoKey,
}

/// `oidc.config` with its references expanded.
struct Fields(Map<String, Value>);

// === impl Config ===

impl Config {
    /// What is set now; `None` where there is no single sign-on.
    ///
    /// # Errors
    /// When what is set cannot be used.
    pub(crate) fn read(settings: &Settings) -> Result<Option<Self>, ConfigError> {
        if !settings.api.oidc_config.trim().is_empty() {
            let fields = fields("oidc.config", &settings.api.oidc_config)?;
            return Self::of_provider(Fields(expand_map(settings, fields)), settings).map(Some);
        }
        if dex::is_configured(settings) {
            return Self::of_dex(settings).map(Some);
        }
        Ok(None)
    }

    fn of_provider(fields: Fields, settings: &Settings) -> Result<Self, ConfigError> {
        let issuer = fields.text("issuer")?;
        address("issuer", &issuer)?;
        let client_id = fields.text("clientID")?;
        let cli_client_id = fields.text("cliClientID")?;
        let configured: Vec<String> = fields.get("allowedAudiences")?;
        let azure: Map<String, Value> = fields.get("azure")?;
        let scopes: Vec<String> = fields.get("requestedScopes")?;
        Ok(Self {
            expected: Expected {
                issuer: issuer.clone(),
                audiences: allowed_audiences(&configured, &client_id, &cli_client_id),
                skip_audience_when_none: fields.get("skipAudienceCheckWhenTokenHasNoAudience")?,
            },
            client_secret: Secret::new(fields.text("clientSecret")?),
            scopes: if scopes.is_empty() { SCOPES.map(str::to_owned).to_vec() } else { scopes },
            claims: fields.get("requestedIDTokenClaims")?,
            pkce: fields.get("enablePKCEAuthentication")?,
            domain_hint: fields.text("domainHint")?.trim().to_owned(),
            logout_url: fields.text("logoutURL")?,
            user_info: user_info(&fields, &issuer)?,
            refresh_before: fields.duration("refreshTokenThreshold")?,
            federated_token: federated_token(&Fields(azure), settings)?,
            root_ca: fields.text("rootCA")?,
            insecure: settings.api.oidc_insecure,
            is_dex: false,
            issuer,
            client_id,
        })
    }

    fn of_dex(settings: &Settings) -> Result<Self, ConfigError> {
        let issuer = dex::issuer(settings);
        let scopes = SCOPES.into_iter().chain([FEDERATED]).map(str::to_owned).collect();
        Ok(Self {
            expected: Expected {
                issuer: issuer.clone(),
                audiences: DEX_AUDIENCES.map(str::to_owned).to_vec(),
                skip_audience_when_none: false,
            },
            client_id: dex::CLIENT_ID.to_owned(),
            client_secret: dex::client_secret(settings).ok_or(ConfigError::NoKey)?,
            scopes,
            claims: Map::new(),
            pkce: false,
            domain_hint: String::new(),
            logout_url: String::new(),
            user_info: None,
            refresh_before: Duration::ZERO,
            federated_token: None,
            root_ca: String::new(),
            insecure: settings.api.oidc_insecure,
            is_dex: true,
            issuer,
        })
    }
}

// === impl Fields ===

impl Fields {
    /// A field; the type's default where it is absent.
    fn get<T: DeserializeOwned + Default>(&self, name: &'static str) -> Result<T, ConfigError> {
        let Some(value) = self.0.get(name).filter(|value| !value.is_null()) else { return Ok(T::default()) };
        // The complaint of the parser would quote the value.
        T::deserialize(value).map_err(|_| ConfigError::Field(name))
    }

    fn text(&self, name: &'static str) -> Result<String, ConfigError> {
        self.get(name)
    }

    fn duration(&self, name: &'static str) -> Result<Duration, ConfigError> {
        match self.text(name)?.as_str() {
            "" => Ok(Duration::ZERO),
            text => duration::parse_go(text).map_err(|_| ConfigError::Field(name)),
        }
    }
}

/// The fields of a YAML document.
pub(super) fn fields(key: &'static str, text: &str) -> Result<Map<String, Value>, ConfigError> {
    let unreadable =
        |error: serde_saphyr::Error| ConfigError::Yaml { key, reason: error.without_snippet().to_string() };
    match serde_saphyr::from_str::<Value>(text).map_err(unreadable)? {
        Value::Object(fields) => Ok(fields),
        Value::Null => Ok(Map::new()),
        _ => Err(ConfigError::Shape { key }),
    }
}

/// The same with every reference replaced by what it refers to.
pub(super) fn expand_map(settings: &Settings, fields: Map<String, Value>) -> Map<String, Value> {
    fields.into_iter().map(|(name, value)| (name, expand(settings, value))).collect()
}

fn expand(settings: &Settings, value: Value) -> Value {
    match value {
        Value::String(text) => {
            let expanded = settings.expand(&text);
            if matches!(expanded, Cow::Borrowed(_)) && text.starts_with('$') {
                tracing::warn!("a reference to a Secret in the configuration of single sign-on leads nowhere");
            }
            Value::String(expanded.into_owned())
        }
        Value::Array(items) => items.into_iter().map(|item| expand(settings, item)).collect(),
        Value::Object(fields) => Value::Object(expand_map(settings, fields)),
        other => other,
    }
}

fn address(name: &'static str, text: &str) -> Result<Url, ConfigError> {
    let url = Url::parse(text).map_err(|_| ConfigError::Address(name))?;
    let is_web = matches!(url.scheme(), "http" | "https") && url.has_host();
    if is_web { Ok(url) } else { Err(ConfigError::Address(name)) }
}

fn user_info(fields: &Fields, issuer: &str) -> Result<Option<UserInfo>, ConfigError> {
    let path = fields.text("userInfoPath")?;
    if !fields.get::<bool>("enableUserInfoGroups")? || path.is_empty() {
        return Ok(None);
    }
    let base = fields.text("userInfoBaseURL")?;
    let base = if base.is_empty() { issuer } else { &base };
    let address = address("userInfoPath", &format!("{base}{path}"))?;
    Ok(Some(UserInfo { address, keep: fields.duration("userInfoCacheExpiration")? }))
}

fn federated_token(azure: &Fields, settings: &Settings) -> Result<Option<PathBuf>, ConfigError> {
    if !azure.get::<bool>("useWorkloadIdentity")? {
        return Ok(None);
    }
    let file = settings.raw.env.get("AZURE_FEDERATED_TOKEN_FILE").filter(|file| !file.is_empty());
    file.map(|file| Some(PathBuf::from(file))).ok_or(ConfigError::FederatedToken)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use argosy_home::settings::Sources;

    use super::*;

    fn settings(config: &[(&str, &str)]) -> Settings {
        let data = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let secrets = [("oidc.secret", " s3cret\n"), ("server.secretkey", "key")];
        let sources = Sources { config: data(config), secrets: Secret::new(data(&secrets)), ..Sources::default() };
        Settings::read(Arc::new(sources), &Settings::default())
    }

    #[test]
    fn a_provider_has_its_secrets_expanded_and_sensible_defaults() {
        let text = "issuer: https://idp.example/\nclientID: argo\nclientSecret: $oidc.secret\ncliClientID: cli\n\
                    enableUserInfoGroups: true\nuserInfoPath: me\nuserInfoCacheExpiration: 5m\nlogoutURL: ~\n\
                    refreshTokenThreshold: 2m";
        let config = Config::read(&settings(&[("oidc.config", text)])).unwrap().unwrap();
        assert_eq!(config.client_secret.expose(), "s3cret");
        assert_eq!(config.expected.audiences, ["argo", "cli"]);
        assert_eq!(config.scopes, SCOPES);
        assert_eq!(config.user_info.unwrap().address.as_str(), "https://idp.example/me");
        assert_eq!(config.refresh_before, Duration::from_secs(120));
        assert!(config.logout_url.is_empty() && !config.is_dex);
    }

    #[test]
    fn dex_is_a_provider_at_the_own_address() {
        let pairs = [("url", "https://argo.example/x/"), ("dex.config", "connectors: []")];
        let config = Config::read(&settings(&pairs)).unwrap().unwrap();
        assert!(config.is_dex);
        assert_eq!(config.issuer, "https://argo.example/x/api/dex");
        assert_eq!(config.expected.audiences, ["argo-cd", "argo-cd-cli"]);
        assert!(config.scopes.contains(&FEDERATED.to_owned()));
        assert_eq!(config.client_secret.expose().len(), 40);
    }

    #[test]
    fn a_complaint_names_the_field_and_never_the_value() {
        for (text, field) in [
            ("issuer: https://x\nenablePKCEAuthentication: canary", "enablePKCEAuthentication"),
            ("issuer: canary://x", "issuer"),
            ("issuer: https://x\nrefreshTokenThreshold: canary", "refreshTokenThreshold"),
            ("issuer: https://x\nclientSecret: [canary]", "clientSecret"),
        ] {
            let error = Config::read(&settings(&[("oidc.config", text)])).unwrap_err();
            let words = format!("{error} {error:?}");
            assert!(words.contains(field) && !words.contains("canary"), "{words}");
        }
    }

    #[test]
    fn without_configuration_there_is_no_single_sign_on() {
        assert!(Config::read(&settings(&[("url", "https://x")])).unwrap().is_none());
        assert!(Config::read(&settings(&[("dex.config", "connectors: []")])).unwrap().is_none());
    }
}
