//! GKE: an access token of the application default credentials: a file that a
//! variable or the home folder names, else the machine's service account.

use argosy_model::Secret;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Cloud, Token, from_now, http, read};
use crate::error::{Error, Result};

const SCOPES: &str = "https://www.googleapis.com/auth/cloud-platform https://www.googleapis.com/auth/userinfo.email";
const TOKENS: &str = "https://oauth2.googleapis.com/token";
const WELL_KNOWN: &str = ".config/gcloud/application_default_credentials.json";

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    expires_in: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Impersonated {
    access_token: String,
    expire_time: Timestamp,
}

pub(super) async fn token(cloud: &Cloud) -> Result<Token> {
    let named = cloud.variable("GOOGLE_APPLICATION_CREDENTIALS").map(std::path::PathBuf::from);
    let well_known = cloud.at_home(WELL_KNOWN).filter(|path| path.is_file());
    let Some(path) = named.or(well_known) else { return machine(cloud).await };
    let text = read("Google credentials", &path).await?;
    let unreadable = || Error::Credential(format!("Google credentials {}: not readable", path.display()));
    let file: Value = serde_json::from_str(text.expose()).map_err(|_| unreadable())?;
    match field(&file, "type") {
        "service_account" => service_account(cloud, &file).await,
        "authorized_user" => {
            let form = [
                ("grant_type", "refresh_token"),
                ("client_id", field(&file, "client_id")),
                ("client_secret", field(&file, "client_secret")),
                ("refresh_token", field(&file, "refresh_token")),
            ];
            exchange(cloud, &file, &form).await
        }
        "external_account" => external_account(cloud, &file).await,
        other => Err(Error::Credential(format!("Google credentials of type {other:?} are not supported"))),
    }
}

async fn machine(cloud: &Cloud) -> Result<Token> {
    let host = cloud.variable("GCE_METADATA_HOST").unwrap_or("169.254.169.254");
    let url = format!("http://{host}/computeMetadata/v1/instance/service-accounts/default/token");
    let request = http::client()?.get(url).header("Metadata-Flavor", "Google");
    let what = "no Google credentials are in the environment, and the machine's metadata";
    http::json(what, request).await.map(|answer| of(cloud, answer))
}

/// A service account's key signs for itself.
async fn service_account(cloud: &Cloud, file: &Value) -> Result<Token> {
    let now = cloud.now().as_second();
    let claims = json!({"iss": field(file, "client_email"), "scope": SCOPES, "aud": token_url(file),
        "iat": now, "exp": now + 3600});
    let head = json!({"alg": "RS256", "typ": "JWT", "kid": field(file, "private_key_id")});
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let statement = format!("{}.{}", encode(&head), encode(&claims));
    let signature = sign(field(file, "private_key"), &statement)?;
    let assertion = format!("{statement}.{}", URL_SAFE_NO_PAD.encode(signature));
    let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    exchange(cloud, file, &[("grant_type", grant), ("assertion", &assertion)]).await
}

fn sign(key: &str, statement: &str) -> Result<Vec<u8>> {
    let unusable = || Error::Credential("the Google service account's key is unusable".to_owned());
    let key = PrivatePkcs8KeyDer::from_pem_slice(key.as_bytes()).map_err(|_| unusable())?;
    let key = RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).map_err(|_| unusable())?;
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), statement.as_bytes(), &mut signature).map_err(|_| unusable())?;
    Ok(signature)
}

/// Workload identity federation: a token in a file is exchanged, perhaps for one
/// of a service account.
async fn external_account(cloud: &Cloud, file: &Value) -> Result<Token> {
    let source = &file["credential_source"];
    let Some(path) = source["file"].as_str() else {
        return Err(Error::Credential(
            "of external Google credentials only those from a file are supported".to_owned(),
        ));
    };
    let text = read("Google subject token", path).await?;
    let subject = match field(&source["format"], "subject_token_field_name") {
        "" => text,
        name => {
            let token: Option<Value> = serde_json::from_str(text.expose()).ok();
            let token = token.and_then(|token| token[name].as_str().map(str::to_owned));
            Secret::new(token.ok_or_else(|| Error::Credential(format!("{path} has no field {name}")))?)
        }
    };
    let form = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ("audience", field(file, "audience")),
        ("scope", SCOPES),
        ("subject_token_type", field(file, "subject_token_type")),
        ("subject_token", subject.expose()),
    ];
    let request = http::post(field(file, "token_url"), &form)?;
    let federated: Answer = http::json("Google's token exchange", request).await?;
    match field(file, "service_account_impersonation_url") {
        "" => Ok(of(cloud, federated)),
        url => {
            let scopes: Vec<&str> = SCOPES.split(' ').collect();
            let request =
                http::client()?.post(url).bearer_auth(&federated.access_token).json(&json!({"scope": scopes}));
            let answer: Impersonated = http::json("Google's service account credentials", request).await?;
            Ok(Token { text: Secret::new(answer.access_token), expires: answer.expire_time })
        }
    }
}

async fn exchange(cloud: &Cloud, file: &Value, form: &[(&str, &str)]) -> Result<Token> {
    let request = http::post(token_url(file), form)?;
    http::json("Google's token endpoint", request).await.map(|answer| of(cloud, answer))
}

fn of(cloud: &Cloud, answer: Answer) -> Token {
    Token { expires: from_now(cloud.now(), answer.expires_in), text: Secret::new(answer.access_token) }
}

fn token_url(file: &Value) -> &str {
    Some(field(file, "token_uri")).filter(|url| !url.is_empty()).unwrap_or(TOKENS)
}

fn field<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}
