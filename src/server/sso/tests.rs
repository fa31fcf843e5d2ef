//! A client of a provider that runs in the test: what it believes and what it does not.

use std::time::Duration;

use argosy_auth::oidc::Expected;
use argosy_model::Secret;
use argosy_tests::openid::{self, CLIENT_ID, CLIENT_SECRET, Kind, OpenId, SigningKey};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use url::Url;

use super::client::Client;
use super::config::Config;
use super::dex::{DexAddress, Trust};
use super::flow::{Attempt, FlowError};
use super::provider::ProviderError;
use super::tokens::{Tokens, TokensError};
use super::transport::Transport;
use argosy_auth::seal::SealingKey;
use argosy_auth::token::SigningKey as ServerKey;

const BACK: &str = "https://argo.example/auth/callback";

fn config(provider: &OpenId) -> Config {
    Config {
        issuer: provider.issuer().to_owned(),
        client_id: CLIENT_ID.to_owned(),
        client_secret: Secret::new(CLIENT_SECRET.to_owned()),
        expected: Expected {
            issuer: provider.issuer().to_owned(),
            audiences: vec![CLIENT_ID.to_owned()],
            skip_audience_when_none: false,
        },
        scopes: vec!["openid".to_owned()],
        claims: Map::new(),
        pkce: false,
        domain_hint: String::new(),
        logout_url: String::new(),
        user_info: None,
        refresh_before: Duration::ZERO,
        federated_token: None,
        root_ca: provider.root_ca().unwrap_or_default().to_owned(),
        insecure: false,
        is_dex: false,
    }
}

fn client_of(config: Config) -> Client {
    let dex = DexAddress { url: Url::parse("http://127.0.0.1:1").unwrap(), trust: Trust::Plaintext };
    let transport = Transport::new(&config, &dex, &argosy_home::Settings::default()).unwrap();
    Client::new(config, transport)
}

#[expect(clippy::disallowed_methods, reason = "the provider lives in real time")]
fn now() -> Timestamp {
    Timestamp::now()
}

fn random(bytes: &mut [u8]) {
    let seed = (bytes.as_ptr() as usize).to_le_bytes();
    bytes.iter_mut().zip(seed.iter().cycle()).for_each(|(byte, seed)| *byte = *seed);
}

/// Signs in as a browser does, up to the answer of the provider.
async fn answer(client: &Client, attempt: &Attempt) -> Map<String, Value> {
    let known = client.provider.known().await.unwrap();
    let browser = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
    let sent = browser.get(attempt.address(&client.config, &known.metadata)).send().await.unwrap();
    let back = Url::parse(sent.headers()["location"].to_str().unwrap()).unwrap();
    assert!(back.as_str().starts_with(BACK), "{back}");
    back.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned().into())).collect()
}

async fn begin(client: &Client) -> Attempt {
    let known = client.provider.known().await.unwrap();
    Attempt::begin(&client.config, &known.metadata, "/".to_owned(), BACK.to_owned(), &random, now())
}

async fn sign_in(client: &Client) -> Result<(Attempt, Tokens), TokensError> {
    let attempt = begin(client).await;
    let answer = answer(client, &attempt).await;
    let tokens = client.redeem(answer["code"].as_str().unwrap(), BACK, attempt.verifier()).await?;
    Ok((attempt, tokens))
}

#[tokio::test]
async fn a_user_signs_in_with_a_code_and_its_proof() {
    let provider = OpenId::start().await.unwrap();
    let client = client_of(config(&provider));
    let (attempt, tokens) = sign_in(&client).await.unwrap();
    let identity = client.identify(tokens.id_token.expose(), now()).await.unwrap();
    attempt.check_nonce(&identity.claims).unwrap();
    assert_eq!((identity.subject.as_str(), identity.username()), ("alice-id", "alice@example.com"));
    assert!(tokens.refresh_token.is_some());
    // Discovery and keys are read once.
    assert_eq!(provider.asked().discovery, 1);
}

#[tokio::test]
async fn a_code_counts_once_and_only_with_its_proof_and_secret() {
    let provider = OpenId::start().await.unwrap();
    let client = client_of(config(&provider));
    let attempt = begin(&client).await;
    let code = answer(&client, &attempt).await["code"].as_str().unwrap().to_owned();
    assert!(matches!(client.redeem(&code, BACK, None).await, Err(TokensError::Refused { .. })));
    assert!(matches!(client.redeem(&code, BACK, attempt.verifier()).await, Err(TokensError::Refused { .. })));
    let stranger = client_of(Config { client_secret: Secret::new("canary-wrong".to_owned()), ..config(&provider) });
    let error = sign_in(&stranger).await.map(drop).unwrap_err();
    let words = format!("{} {error:?}", argosy_model::report(&error));
    assert!(words.contains("invalid_client") && !words.contains("canary"), "{words}");
}

#[tokio::test]
async fn the_secret_goes_where_the_provider_wants_it() {
    for methods in [json!(["client_secret_post"]), json!(["client_secret_basic"]), Value::Null] {
        let provider = OpenId::start().await.unwrap();
        provider.announce(json!({"token_endpoint_auth_methods_supported": methods}));
        sign_in(&client_of(config(&provider))).await.unwrap();
        assert_eq!(provider.asked().refused, 0);
    }
}

#[tokio::test]
async fn every_kind_of_key_is_understood_and_a_rotation_is_noticed_at_once() {
    let provider = OpenId::start().await.unwrap();
    let client = client_of(config(&provider));
    for kind in Kind::ALL {
        provider.rotate(kind).unwrap();
        let token = provider.token(json!({}));
        client
            .identify(&token, now())
            .await
            .unwrap_or_else(|error| panic!("{kind:?}: {}", argosy_model::report(&error)));
    }
    let old = provider.token(json!({}));
    provider.rotate(Kind::P256).unwrap();
    client.identify(&provider.token(json!({})), now()).await.unwrap();
    assert!(client.identify(&old, now()).await.is_err());
}

#[tokio::test]
async fn a_provider_that_makes_new_keys_under_old_names_is_believed_again() {
    let provider = OpenId::start().await.unwrap();
    let client = client_of(config(&provider));
    client.identify(&provider.token(json!({})), now()).await.unwrap();
    provider.rotate(Kind::Rsa).unwrap();
    let stranger = SigningKey::new("key-0", Kind::Rsa).unwrap();
    let claims = provider.claims(json!({}));
    assert!(client.identify(&stranger.sign(claims.as_object().unwrap()), now()).await.is_err());
    client.identify(&provider.token(json!({})), now()).await.unwrap();
}

#[tokio::test]
async fn forged_tokens_are_refused() {
    let provider = OpenId::start().await.unwrap();
    let client = client_of(config(&provider));
    let claims = provider.claims(json!({}));
    let public = provider.key().public();
    let name = public["kid"].as_str().unwrap();
    let stranger = SigningKey::new(name, Kind::Rsa).unwrap();
    let good = provider.token(json!({}));
    client.identify(&good, now()).await.unwrap();
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let other = provider.token(json!({"sub": "admin"}));
    let secret = |bytes: &[u8]| openid::forge(&json!({"alg": "HS256", "kid": name}), &claims, bytes);
    for forged in [
        openid::unsigned(&claims),
        format!("{signed}."),
        format!("{}.{signature}", other.rsplit_once('.').unwrap().0),
        stranger.sign(claims.as_object().unwrap()),
        secret(public["n"].as_str().unwrap().as_bytes()),
        secret(public.to_string().as_bytes()),
        secret(CLIENT_SECRET.as_bytes()),
        secret(b""),
        openid::forge(&json!({"alg": "RS256", "kid": name}), &claims, b"x"),
        openid::forge(&json!({"alg": "nonsense"}), &claims, b"x"),
        provider.key().sign_as("unknown", claims.as_object().unwrap()),
        "a.b.c".to_owned(),
        String::new(),
    ] {
        assert!(client.identify(&forged, now()).await.is_err(), "{forged}");
    }
    // Somebody's own key inside the token is no key of the provider.
    let own = stranger.public();
    let inside = openid::forge(&json!({"alg": "RS256", "jwk": own, "jku": "http://127.0.0.1:1"}), &claims, b"x");
    assert!(client.identify(&inside, now()).await.is_err());
}

#[tokio::test]
async fn tokens_for_others_or_other_times_are_refused() {
    let provider = OpenId::start().await.unwrap();
    let client = client_of(config(&provider));
    let second = now().as_second();
    for lie in [
        json!({"aud": "another"}),
        json!({"aud": []}),
        json!({"aud": null}),
        json!({"iss": "https://evil.example"}),
        json!({"iss": format!("{}/", provider.issuer())}),
        json!({"iss": "argocd"}),
        json!({"exp": second - 1}),
        json!({"exp": null}),
        json!({"nbf": second + 3600}),
        json!({"sub": null}),
    ] {
        let token = provider.token(lie.clone());
        assert!(client.identify(&token, now()).await.is_err(), "{lie}");
    }
    let attempt = begin(&client).await;
    for nonce in [json!({"nonce": "another"}), json!({"nonce": null})] {
        let identity = client.identify(&provider.token(nonce), now()).await.unwrap();
        assert_eq!(attempt.check_nonce(&identity.claims), Err(FlowError::Nonce));
    }
}

#[tokio::test]
async fn strangers_cannot_make_us_flood_the_provider() {
    let provider = OpenId::start().await.unwrap();
    let client = client_of(config(&provider));
    let claims = provider.claims(json!({}));
    for name in 0..50 {
        let forged = provider.key().sign_as(&format!("made-up-{name}"), claims.as_object().unwrap());
        assert!(client.identify(&forged, now()).await.is_err());
        assert!(client.identify(&provider.token(json!({"iss": "https://evil.example"})), now()).await.is_err());
    }
    assert!(provider.asked().discovery <= 9, "{:?}", provider.asked());
    client.identify(&provider.token(json!({})), now()).await.unwrap();
}

#[tokio::test]
async fn a_provider_is_known_by_its_name_and_its_certificate() {
    let secure = OpenId::start_tls().await.unwrap();
    let token = secure.token(json!({}));
    let untrusting = client_of(Config { root_ca: String::new(), ..config(&secure) });
    assert!(untrusting.identify(&token, now()).await.is_err());
    client_of(config(&secure)).identify(&token, now()).await.unwrap();
    client_of(Config { root_ca: String::new(), insecure: true, ..config(&secure) })
        .identify(&token, now())
        .await
        .unwrap();
    secure.announce(json!({"jwks_uri": "http://127.0.0.1:1/keys"}));
    let moved = client_of(config(&secure)).provider.known().await.map(drop);
    assert!(matches!(moved, Err(ProviderError::Plaintext("keys"))));
    secure.announce(json!({"issuer": "https://evil.example"}));
    let renamed = client_of(config(&secure)).provider.known().await.map(drop);
    assert!(matches!(renamed, Err(ProviderError::Issuer(_))));
}

#[tokio::test]
async fn the_algorithms_are_those_that_the_provider_announces() {
    let provider = OpenId::start().await.unwrap();
    provider.announce(json!({"id_token_signing_alg_values_supported": ["HS256", "none", "ES256"]}));
    assert!(client_of(config(&provider)).identify(&provider.token(json!({})), now()).await.is_err());
    provider.announce(json!({"id_token_signing_alg_values_supported": null}));
    client_of(config(&provider)).identify(&provider.token(json!({})), now()).await.unwrap();
}

#[tokio::test]
async fn an_answer_counts_in_the_browser_that_asked_and_for_five_minutes() {
    let provider = OpenId::start().await.unwrap();
    let client = client_of(config(&provider));
    let attempt = begin(&client).await;
    let state = answer(&client, &attempt).await["state"].as_str().unwrap().to_owned();
    let key = SealingKey::new(&ServerKey::new(b"key").unwrap(), super::flow::PURPOSE);
    let cookie = attempt.seal(&key, [7; 12]).unwrap();
    let open = |cookie: Option<&str>, state: &str, seconds: i64| {
        let at = now() + jiff::SignedDuration::from_secs(seconds);
        Attempt::open(cookie, state, &client.config, &key, at).map(|attempt| attempt.return_url)
    };
    assert_eq!(open(Some(&cookie), &state, 0), Ok("/".to_owned()));
    assert_eq!(open(Some(&cookie), &state, 301), Err(FlowError::NoAttempt));
    assert_eq!(open(Some(&cookie), "another", 0), Err(FlowError::State));
    assert_eq!(open(Some(&cookie), "", 0), Err(FlowError::State));
    assert_eq!(open(None, &state, 0), Err(FlowError::NoAttempt));
    assert_eq!(open(Some(&cookie.replace('0', "1")), &state, 0), Err(FlowError::NoAttempt));
}

#[tokio::test]
async fn what_is_asked_of_the_provider_is_what_was_set() {
    let provider = OpenId::start().await.unwrap();
    let claims = json!({"groups": {"essential": true}});
    let client = client_of(Config {
        domain_hint: "example.com".to_owned(),
        claims: claims.as_object().unwrap().clone(),
        refresh_before: Duration::from_secs(60),
        ..config(&provider)
    });
    let known = client.provider.known().await.unwrap();
    let address = begin(&client).await.address(&client.config, &known.metadata);
    let query: std::collections::HashMap<_, _> = address.query_pairs().into_owned().collect();
    assert_eq!(query["scope"], "openid offline_access");
    assert_eq!(query["domain_hint"], "example.com");
    assert_eq!(query["claims"], r#"{"id_token":{"groups":{"essential":true}}}"#);
    assert_eq!((query["response_type"].as_str(), query["code_challenge_method"].as_str()), ("code", "S256"));
    // Without codes there is nothing to prove.
    provider.announce(json!({"response_types_supported": ["id_token"]}));
    let client = client_of(config(&provider));
    let known = client.provider.known().await.unwrap();
    let address = begin(&client).await.address(&client.config, &known.metadata);
    assert!(address.query().unwrap().contains("response_type=id_token"));
    assert!(!address.query().unwrap().contains("code_challenge"));
}
