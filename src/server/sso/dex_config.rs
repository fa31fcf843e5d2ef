//! The configuration that Dex is started with, made of `dex.config`.
//!
//! What users write there is Dex's own; what must fit this installation is put in or
//! replaced: the issuer, where it listens, the clients, and where connectors send
//! browsers back to. Dex reads `$NAME` in its connectors as a variable of its
//! environment, so dollars that come from a Secret are doubled, and those that users
//! wrote to name a variable are left.

use argosy_home::Settings;
use serde_json::{Map, Value, json};

use super::addresses;
use super::config::{self, ConfigError};
use super::dex::{self, CLIENT_ID};

/// Connectors that send browsers to a provider and need to be found again.
const REDIRECTING: [&str; 11] = [
    "oidc",
    "saml",
    "microsoft",
    "linkedin",
    "gitlab",
    "github",
    "bitbucket-cloud",
    "openshift",
    "gitea",
    "google",
    "oauth",
];

/// Dex cannot be configured from what is written.
#[derive(Debug, thiserror::Error)]
pub enum DexConfigError {
    /// `dex.config` itself.
    #[error("dex.config cannot be read: {0}")]
    Unreadable(String),
    /// A connector that is no connector.
    #[error("malformed Dex configuration found: {0}")]
    Malformed(&'static str),
    /// `url` is no address.
    #[error("url is not an address, which Dex's clients are sent back to")]
    Url,
    /// The key that the client's secret is made of.
    #[error("there is no server.secretkey to derive the secret of Dex's client from")]
    NoKey,
    /// The result.
    #[error("the configuration cannot be written as YAML")]
    Yaml(#[source] serde_saphyr::ser::Error),
}

/// The YAML of Dex's configuration; `None` where Dex is not configured. It holds
/// secrets.
///
/// # Errors
/// When `dex.config`, `url` or the server's key cannot be used.
pub fn generate(settings: &Settings) -> Result<Option<String>, DexConfigError> {
    if !dex::is_configured(settings) {
        return Ok(None);
    }
    let mut fields = config::fields("dex.config", &settings.api.dex_config).map_err(unreadable)?;
    fields.insert("issuer".to_owned(), dex::issuer(settings).into());
    fields.insert("storage".to_owned(), json!({"type": "memory"}));
    fields.insert("web".to_owned(), web(settings));
    fields.insert("grpc".to_owned(), json!({"addr": "0.0.0.0:5557"}));
    fields.insert("telemetry".to_owned(), json!({"http": "0.0.0.0:5558"}));
    set_defaults(&mut fields, "logger", &[("level", level(settings)), ("format", format(settings))]);
    set_defaults(&mut fields, "oauth2", &[]);
    let oauth2 = &mut fields["oauth2"]["skipApprovalScreen"];
    if !oauth2.is_boolean() {
        *oauth2 = true.into();
    }
    put_clients(&mut fields, settings)?;
    put_connectors(&mut fields, settings)?;
    serde_saphyr::to_string(&Value::Object(resolved(fields, settings))).map(Some).map_err(DexConfigError::Yaml)
}

fn unreadable(error: ConfigError) -> DexConfigError {
    DexConfigError::Unreadable(error.to_string())
}

/// Where it listens.
fn web(settings: &Settings) -> Value {
    let is_plain = option(settings, "ARGOCD_DEX_SERVER_DISABLE_TLS", "dexserver.disable.tls");
    if is_plain.is_some_and(|text| matches!(text, "true" | "1" | "t" | "T" | "TRUE" | "True")) {
        return json!({"http": "0.0.0.0:5556"});
    }
    let folder = settings.raw.env.get("TMPDIR").map_or("/tmp", String::as_str).trim_end_matches('/');
    json!({"https": "0.0.0.0:5556", "tlsCert": format!("{folder}/tls.crt"), "tlsKey": format!("{folder}/tls.key")})
}

/// Dex's word for the level of logs.
fn level(settings: &Settings) -> String {
    let known = option(settings, "ARGOCD_DEX_SERVER_LOGLEVEL", "dexserver.log.level");
    let level = known.or_else(|| settings.raw.env.get("ARGOCD_LOG_LEVEL").map(String::as_str)).unwrap_or("info");
    match level.to_ascii_lowercase().as_str() {
        "trace" | "debug" => "DEBUG".to_owned(),
        "info" => "INFO".to_owned(),
        "warn" | "warning" => "WARN".to_owned(),
        "error" | "fatal" | "panic" => "ERROR".to_owned(),
        _ => level.to_owned(),
    }
}

fn format(settings: &Settings) -> String {
    let known = option(settings, "ARGOCD_DEX_SERVER_LOGFORMAT", "dexserver.log.format");
    known.or_else(|| settings.raw.env.get("ARGOCD_LOG_FORMAT").map(String::as_str)).unwrap_or("json").to_owned()
}

/// A variable of the environment, or else a key of `argocd-cmd-params-cm`.
fn option<'s>(settings: &'s Settings, variable: &str, key: &str) -> Option<&'s str> {
    let is_set = |text: &&String| !text.trim().is_empty();
    let text = settings.raw.env.get(variable).filter(is_set).or_else(|| settings.raw.params.get(key).filter(is_set));
    text.map(|text| text.trim())
}

/// Sees to it that a field has fields, and these among them.
fn set_defaults(fields: &mut Map<String, Value>, name: &str, defaults: &[(&str, String)]) {
    if !fields.get(name).is_some_and(Value::is_object) {
        fields.insert(name.to_owned(), json!({}));
    }
    let Some(Value::Object(inner)) = fields.get_mut(name) else { return };
    for (name, value) in defaults {
        inner.entry((*name).to_owned()).or_insert_with(|| value.clone().into());
    }
}

fn put_clients(fields: &mut Map<String, Value>, settings: &Settings) -> Result<(), DexConfigError> {
    let secret = dex::client_secret(settings).ok_or(DexConfigError::NoKey)?;
    let redirects: Vec<String> =
        addresses::of_server(settings).map(|server| addresses::callback(&server).to_string()).collect();
    if redirects.is_empty() {
        return Err(DexConfigError::Url);
    }
    let mut clients = vec![
        json!({"id": CLIENT_ID, "name": "Argo CD", "secret": secret.expose(), "redirectURIs": redirects}),
        json!({
            "id": "argo-cd-cli",
            "name": "Argo CD CLI",
            "public": true,
            "redirectURIs": ["http://localhost", "http://localhost:8085/auth/callback"],
        }),
        json!({
            "id": "argo-cd-pkce",
            "name": "Argo CD PKCE",
            "public": true,
            "redirectURIs": ["http://localhost:4000/auth/callback"],
        }),
    ];
    if let Some(Value::Array(own)) = fields.remove("staticClients") {
        clients.extend(own);
    }
    fields.insert("staticClients".to_owned(), clients.into());
    Ok(())
}

fn put_connectors(fields: &mut Map<String, Value>, settings: &Settings) -> Result<(), DexConfigError> {
    use DexConfigError::Malformed;
    let back = format!("{}/callback", dex::issuer(settings));
    let connectors = fields.get_mut("connectors").and_then(Value::as_array_mut);
    for connector in connectors.ok_or(Malformed("there is no list of connectors"))? {
        let connector = connector.as_object_mut().ok_or(Malformed("a connector has no fields"))?;
        let kind = connector.get("type").and_then(Value::as_str).ok_or(Malformed("a connector has no type"))?;
        if REDIRECTING.contains(&kind) {
            let config = connector.get_mut("config").and_then(Value::as_object_mut);
            let config = config.ok_or(Malformed("a connector has no config"))?;
            config.insert("redirectURI".to_owned(), back.clone().into());
        }
    }
    Ok(())
}

/// Everything with its references expanded. In connectors dollars are doubled, except
/// where a variable of Dex's environment is named.
fn resolved(mut fields: Map<String, Value>, settings: &Settings) -> Map<String, Value> {
    let connectors = fields.remove("connectors");
    let mut fields = config::expand_map(settings, fields);
    let resolved = |connector: Value| {
        let Value::Object(mut connector) = connector else { return connector };
        let mut inner = connector.remove("config").unwrap_or_default();
        escape(&mut inner, settings);
        let mut connector = config::expand_map(settings, connector);
        connector.insert("config".to_owned(), inner);
        Value::Object(connector)
    };
    if let Some(Value::Array(connectors)) = connectors {
        fields.insert("connectors".to_owned(), connectors.into_iter().map(resolved).collect());
    }
    fields
}

fn escape(value: &mut Value, settings: &Settings) {
    match value {
        Value::String(text) => {
            let expanded = settings.expand(text).into_owned();
            // What nothing was found for names a variable; what begins with a dollar
            // after it was found is a value.
            let names_variable = expanded == *text && text.len() > 1 && text.starts_with('$');
            *text = if names_variable { expanded } else { expanded.replace('$', "$$") };
        }
        Value::Array(items) => items.iter_mut().for_each(|item| escape(item, settings)),
        Value::Object(fields) => fields.values_mut().for_each(|field| escape(field, settings)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use argosy_home::settings::Sources;
    use argosy_model::Secret;

    use super::*;

    const WRITTEN: &str = "connectors:\n- type: github\n  id: gh\n  name: GitHub\n  config:\n    clientID: id\n    \
                           clientSecret: $dex.github\n    host: $HOST\n    odd: a$b\n- type: ldap\n  id: l\n  \
                           name: L\n  config:\n    host: ldap:636\n\
                           staticClients:\n- id: more\noauth2:\n  responseTypes: [code]\nissuer: https://evil\n";

    fn settings(dex: &str) -> Settings {
        let data = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let secrets = data(&[("dex.github", "$ecret"), ("server.secretkey", "key")]);
        let sources = Sources {
            config: data(&[
                ("url", "https://argo.example"),
                ("dex.config", dex),
                ("additionalUrls", "[https://b.example/x]"),
            ]),
            secrets: Secret::new(secrets),
            ..Sources::default()
        };
        Settings::read(Arc::new(sources), &Settings::default())
    }

    fn generated(dex: &str) -> Value {
        serde_saphyr::from_str(&generate(&settings(dex)).unwrap().unwrap()).unwrap()
    }

    #[test]
    fn what_must_fit_the_installation_is_put_in_and_the_rest_is_kept() {
        let config = generated(WRITTEN);
        assert_eq!(config["issuer"], "https://argo.example/api/dex");
        assert_eq!(config["storage"], json!({"type": "memory"}));
        assert_eq!(config["web"]["https"], "0.0.0.0:5556");
        assert_eq!(config["web"]["tlsKey"], "/tmp/tls.key");
        assert_eq!(config["grpc"]["addr"], "0.0.0.0:5557");
        assert_eq!(config["telemetry"]["http"], "0.0.0.0:5558");
        assert_eq!(config["logger"], json!({"level": "INFO", "format": "json"}));
        assert_eq!(config["oauth2"], json!({"responseTypes": ["code"], "skipApprovalScreen": true}));
        let clients = config["staticClients"].as_array().unwrap();
        let ids: Vec<_> = clients.iter().map(|client| client["id"].as_str().unwrap()).collect();
        assert_eq!(ids, ["argo-cd", "argo-cd-cli", "argo-cd-pkce", "more"]);
        let redirects = json!(["https://argo.example/auth/callback", "https://b.example/x/auth/callback"]);
        assert_eq!(clients[0]["redirectURIs"], redirects);
        // Of the SHA-256 of "key".
        assert_eq!(clients[0]["secret"], "LHDhK3oGRvkiefQnx7OOczTY5Tic_xZ6HcMOc_gm");
        let back = "https://argo.example/api/dex/callback";
        assert_eq!(config["connectors"][0]["config"]["redirectURI"], back);
        assert_eq!(config["connectors"][1]["config"], json!({"host": "ldap:636"}));
    }

    #[test]
    fn dollars_of_secrets_are_doubled_and_variables_are_left() {
        let config = &generated(WRITTEN)["connectors"][0]["config"];
        assert_eq!(config["clientSecret"], "$$ecret");
        assert_eq!(config["host"], "$HOST");
        assert_eq!(config["odd"], "a$$b");
    }

    #[test]
    fn what_is_no_configuration_makes_none() {
        assert!(generate(&settings("")).unwrap().is_none());
        for dex in ["connectors: 1", "connectors: [1]", "connectors: [{}]", "connectors: [{type: oidc}]"] {
            assert!(matches!(generate(&settings(dex)), Err(DexConfigError::Malformed(_))), "{dex}");
        }
    }
}
