//! What a provider answers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::extract::{Query, State as Shared};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::header::{AUTHORIZATION, LOCATION};
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use url::{Url, form_urlencoded};

use super::{CLIENT_ID, CLIENT_SECRET, Grant, State, lock};

type Provider = Shared<Arc<Mutex<State>>>;
type Fields = HashMap<String, String>;

pub(super) fn router(state: Arc<Mutex<State>>) -> Router {
    Router::new()
        .route("/.well-known/openid-configuration", get(discovery))
        .route("/keys", get(keys))
        .route("/authorize", get(authorize))
        .route("/token", post(token))
        .route("/userinfo", get(user_info))
        .with_state(state)
}

async fn discovery(Shared(state): Provider) -> Json<Value> {
    let mut state = lock(&state);
    state.asked.discovery += 1;
    let issuer = &state.issuer;
    let algorithms: Vec<String> = super::Kind::ALL.map(|kind| format!("{:?}", kind.algorithm())).to_vec();
    let mut fields = super::object(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/keys"),
        "userinfo_endpoint": format!("{issuer}/userinfo"),
        "response_types_supported": ["code", "id_token"],
        "scopes_supported": ["openid", "offline_access"],
        "id_token_signing_alg_values_supported": algorithms,
        "code_challenge_methods_supported": ["S256"],
    }));
    fields.extend(state.metadata.clone());
    fields.retain(|_, value| !value.is_null());
    Json(Value::Object(fields))
}

async fn keys(Shared(state): Provider) -> Json<Value> {
    let keys: Vec<Value> = lock(&state).keys.iter().map(super::SigningKey::public).collect();
    Json(json!({ "keys": keys }))
}

/// Lets the user in and sends the browser back.
async fn authorize(Shared(state): Provider, Query(query): Query<Fields>) -> Response {
    let mut state = lock(&state);
    let field = |name: &str| query.get(name).cloned().unwrap_or_default();
    let Ok(mut back) = Url::parse(&field("redirect_uri")) else { return bad("invalid_request") };
    if field("client_id") != CLIENT_ID || !field("scope").split(' ').any(|scope| scope == "openid") {
        return bad("invalid_request");
    }
    let claims = super::object(json!({ "nonce": query.get("nonce") }));
    if field("response_type") == "id_token" {
        let claims = state.claims(claims);
        let token = state.signing_key().sign(&claims);
        let mut fragment = form_urlencoded::Serializer::new(String::new());
        fragment.append_pair("id_token", &token).append_pair("state", &field("state"));
        back.set_fragment(Some(&fragment.finish()));
    } else {
        let code = format!("canary-code-{}", state.next());
        let challenge = query.get("code_challenge").cloned();
        let user: Map<String, Value> = state.user.clone().into_iter().chain(claims).collect();
        state.codes.insert(code.clone(), Grant { claims: user, redirect_uri: field("redirect_uri"), challenge });
        back.query_pairs_mut()
            .append_pair("code", &code)
            .append_pair("state", &field("state"))
            .append_pair("iss", &state.issuer);
    }
    (StatusCode::FOUND, [(LOCATION, back.to_string())]).into_response()
}

async fn token(Shared(state): Provider, headers: HeaderMap, body: String) -> Response {
    let form: Fields = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    let mut state = lock(&state);
    let granted = if is_client(&headers, &form) { grant(&mut state, &form) } else { Err("invalid_client") };
    match granted {
        Ok(claims) => {
            state.asked.tokens += 1;
            Json(give(&mut state, claims)).into_response()
        }
        Err(error) => {
            state.asked.refused += 1;
            bad(error)
        }
    }
}

/// Whose tokens a form asks for. What was shown cannot be shown again.
fn grant(state: &mut State, form: &Fields) -> Result<Map<String, Value>, &'static str> {
    let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    match field("grant_type") {
        "authorization_code" => {
            let grant = state.codes.remove(field("code")).ok_or("invalid_grant")?;
            let proof = form.get("code_verifier").map(|text| URL_SAFE_NO_PAD.encode(Sha256::digest(text)));
            let is_proven = grant.challenge == proof && grant.redirect_uri == field("redirect_uri");
            if is_proven { Ok(grant.claims) } else { Err("invalid_grant") }
        }
        "refresh_token" => state.refresh.remove(field("refresh_token")).ok_or("invalid_grant"),
        _ => Err("unsupported_grant_type"),
    }
}

fn give(state: &mut State, mut user: Map<String, Value>) -> Value {
    let claims = state.claims(user.clone());
    let id_token = state.signing_key().sign(&claims);
    let (access, refresh) = (format!("canary-access-{}", state.next()), format!("canary-refresh-{}", state.next()));
    let subject = user.get("sub").and_then(Value::as_str).unwrap_or_default().to_owned();
    state.access.insert(access.clone(), subject);
    user.remove("nonce");
    state.refresh.insert(refresh.clone(), user);
    json!({"access_token": access, "refresh_token": refresh, "id_token": id_token, "token_type": "Bearer"})
}

async fn user_info(Shared(state): Provider, headers: HeaderMap) -> Response {
    let mut state = lock(&state);
    state.asked.user_info += 1;
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = header.and_then(|header| header.strip_prefix("Bearer ")).unwrap_or_default();
    let Some(subject) = state.access.get(token) else { return StatusCode::UNAUTHORIZED.into_response() };
    let mut claims = super::object(json!({ "sub": subject }));
    claims.extend(state.user_info.clone());
    Json(Value::Object(claims)).into_response()
}

fn is_client(headers: &HeaderMap, form: &Fields) -> bool {
    let basic = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|v| v.strip_prefix("Basic "));
    if let Some(basic) = basic {
        return STANDARD.decode(basic).is_ok_and(|pair| pair == format!("{CLIENT_ID}:{CLIENT_SECRET}").as_bytes());
    }
    let field = |name: &str| form.get(name).map(String::as_str);
    field("client_id") == Some(CLIENT_ID) && field("client_secret") == Some(CLIENT_SECRET)
}

fn bad(error: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "error": error, "error_description": CLIENT_SECRET }))).into_response()
}
