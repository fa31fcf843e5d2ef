use http::HeaderValue;
use serde_json::json;

use super::*;
use crate::rbac::{GROUP, MASTERS};
use crate::store::ObjectKey;

const POD: &str = "pods";

struct Cluster {
    store: Store,
    identities: Identities,
    faults: Faults,
    time: std::sync::Arc<std::sync::atomic::AtomicI64>,
}

impl Cluster {
    fn new() -> Self {
        let time = std::sync::Arc::new(std::sync::atomic::AtomicI64::new(1_000_000));
        let now = time.clone();
        let second = move || now.load(std::sync::atomic::Ordering::Relaxed);
        let clock = std::sync::Arc::new(move || jiff::Timestamp::from_second(second()).unwrap());
        let stamps = Stamps::new(clock, std::sync::Arc::new(|buffer: &mut [u8]| buffer.fill(7)));
        let (store, faults) = (Store::in_memory(), Faults::none());
        let keys = TokenKeys::generate().unwrap();
        let identities = Identities::new(store.clone(), stamps, keys, faults.clone());
        let cluster = Self { store, identities, faults, time };
        cluster.put("serviceaccounts", "bot", json!({"metadata": {"name": "bot", "namespace": "web", "uid": "u-1"}}));
        cluster
    }

    fn put(&self, resource: &str, name: &str, value: Value) {
        self.store.create(&ObjectKey::new("", resource, "web", name), value).unwrap();
    }

    fn token(&self, spec: Value) -> Result<String, Failure> {
        let answer = self.identities.request_token("web", "bot", &json!({"spec": spec}))?;
        Ok(answer["status"]["token"].as_str().unwrap().to_owned())
    }

    fn who(&self, token: &str) -> Result<Caller, AuthenticationError> {
        self.identities.authenticate_token(token, &[]).map(|(caller, _)| caller)
    }
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
        .collect()
}

#[test]
fn a_requested_token_names_its_account_until_it_expires() {
    let cluster = Cluster::new();
    let token = cluster.token(json!({"expirationSeconds": 600})).unwrap();
    let caller = cluster.who(&token).unwrap();
    assert_eq!(caller.name, "system:serviceaccount:web:bot");
    assert_eq!(caller.uid, "u-1");
    assert_eq!(caller.groups, ["system:serviceaccounts", "system:serviceaccounts:web", AUTHENTICATED]);
    assert!(caller.extra[CREDENTIAL_ID][0].starts_with("JTI="));
    cluster.time.fetch_add(661, std::sync::atomic::Ordering::Relaxed);
    let expired = AuthenticationError::Token("service account token has expired".to_owned());
    assert_eq!(cluster.who(&token), Err(expired));
}

#[test]
fn a_bound_token_ends_with_what_it_is_bound_to() {
    for (resource, kind) in [("secrets", "Secret"), (POD, "Pod")] {
        let cluster = Cluster::new();
        let value =
            json!({"metadata": {"name": "x", "namespace": "web", "uid": "u-2"}, "spec": {"serviceAccountName": "bot"}});
        cluster.put(resource, "x", value.clone());
        let bound = json!({"boundObjectRef": {"apiVersion": "v1", "kind": kind, "name": "x", "uid": "u-2"}});
        let token = cluster.token(bound.clone()).unwrap();
        assert!(cluster.who(&token).is_ok());
        cluster.store.delete(&ObjectKey::new("", resource, "web", "x"), None).unwrap();
        assert!(cluster.who(&token).is_err());
        // Another of the same name is not the same.
        let mut other = value;
        other["metadata"]["uid"] = "u-3".into();
        cluster.put(resource, "x", other);
        assert!(cluster.who(&token).is_err());
        assert_eq!(cluster.token(bound).map_err(|failure| failure.code.as_u16()), Err(409));
    }
}

#[test]
fn a_token_ends_with_its_account_and_is_refused_to_other_audiences() {
    let cluster = Cluster::new();
    let token = cluster.token(json!({"audiences": ["vault"]})).unwrap();
    assert!(cluster.who(&token).is_err());
    let (_, audiences) = cluster.identities.authenticate_token(&token, &["vault".to_owned(), "x".to_owned()]).unwrap();
    assert_eq!(audiences, ["vault"]);
    let token = cluster.token(json!({})).unwrap();
    cluster.store.delete(&ObjectKey::new("", "serviceaccounts", "web", "bot"), None).unwrap();
    assert!(cluster.who(&token).is_err());
}

#[test]
fn short_lives_and_missing_things_are_refused_in_the_servers_words() {
    let cluster = Cluster::new();
    let refused = cluster.token(json!({"expirationSeconds": 5})).unwrap_err();
    assert_eq!(
        refused.message,
        "TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid value: 5: \
         may not specify a duration less than 10 minutes"
    );
    let missing = cluster.token(json!({"boundObjectRef": {"apiVersion": "v1", "kind": "Secret", "name": "no"}}));
    assert_eq!(missing.unwrap_err().message, "secrets \"no\" not found");
    let missing = cluster.identities.request_token("web", "nobody", &json!({"spec": {}}));
    assert_eq!(missing.unwrap_err().code, http::StatusCode::NOT_FOUND);
}

#[test]
fn tokens_of_another_key_are_nobodys() {
    let (one, other) = (Cluster::new(), Cluster::new());
    let token = one.token(json!({})).unwrap();
    assert_eq!(other.who(&token), Err(AuthenticationError::UnknownToken));
    let mut forged = token.clone();
    forged.truncate(token.len() - 4);
    assert_eq!(one.who(&forged), Err(AuthenticationError::UnknownToken));
    assert_eq!(one.who("nonsense"), Err(AuthenticationError::UnknownToken));
}

#[test]
fn a_key_that_was_kept_goes_on_verifying() {
    let keys = TokenKeys::generate().unwrap();
    let token = keys.sign(&json!({"a": 1})).unwrap();
    let again = TokenKeys::from_pem(&keys.to_pem()).unwrap();
    // The second time it is remembered.
    for _ in 0..2 {
        assert_eq!(again.open(&token).as_deref(), Some(&json!({"a": 1})));
    }
    assert_eq!(again.open(&token[..token.len() - 1]), None);
}

#[test]
fn static_tokens_certificates_and_nobody() {
    let cluster = Cluster::new();
    cluster.identities.add_token(&Secret::new("s3cret".to_owned()), "admin", user("root", &[MASTERS]));
    let with = |header: &str| cluster.identities.authenticate(&headers(&[("authorization", header)]), None);
    let root = with("Bearer s3cret").unwrap();
    assert_eq!((root.name.as_str(), root.token_id.as_deref()), ("root", Some("admin")));
    assert_eq!(with("Bearer other").unwrap_err().code, http::StatusCode::UNAUTHORIZED);
    assert_eq!(cluster.identities.authenticate(&HeaderMap::new(), None).unwrap(), anonymous());
    cluster.faults.expire_token("admin");
    assert!(with("Bearer s3cret").is_err());

    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, "jane");
    params.distinguished_name.push(rcgen::DnType::OrganizationName, "ops");
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let jane = cluster.identities.authenticate(&HeaderMap::new(), Some(certificate.der())).unwrap();
    assert_eq!((jane.name.as_str(), jane.groups), ("jane", vec!["ops".to_owned(), AUTHENTICATED.to_owned()]));
    assert!(cluster.identities.authenticate(&HeaderMap::new(), Some(b"no certificate")).is_err());
}

#[test]
fn impersonation_needs_permission_for_each_part() {
    let cluster = Cluster::new();
    let put = |resource: &str, value: Value| {
        cluster.store.create(&ObjectKey::new(GROUP, resource, "", "i"), value).unwrap();
    };
    put(
        "clusterroles",
        json!({"metadata": {"name": "i"}, "rules": [
        {"apiGroups": [""], "resources": ["users"], "verbs": ["impersonate"]}]}),
    );
    put(
        "clusterrolebindings",
        json!({"metadata": {"name": "i"}, "subjects": [{"kind": "User", "name": "jane"}],
        "roleRef": {"kind": "ClusterRole", "name": "i"}}),
    );
    let jane = user("jane", &[]);
    let as_joe = impersonate(&headers(&[("impersonate-user", "joe")]), jane.clone(), &cluster.store).unwrap();
    assert_eq!((as_joe.name.as_str(), as_joe.impersonator.as_deref()), ("joe", Some("jane")));
    assert_eq!(as_joe.groups, [AUTHENTICATED]);
    let refused = impersonate(
        &headers(&[("impersonate-user", "joe"), ("impersonate-group", "system:masters")]),
        jane.clone(),
        &cluster.store,
    );
    assert_eq!(
        refused.unwrap_err().message,
        "groups \"system:masters\" is forbidden: User \"jane\" cannot impersonate resource \"groups\" in API group \"\" at the cluster scope"
    );
    let nobody = impersonate(&headers(&[("impersonate-group", "g")]), jane.clone(), &cluster.store);
    assert_eq!(nobody.unwrap_err().code, http::StatusCode::BAD_REQUEST);
    let root = user("root", &[MASTERS]);
    let bot = impersonate(&headers(&[("impersonate-user", "system:serviceaccount:web:bot")]), root, &cluster.store);
    assert_eq!(bot.unwrap().groups, ["system:serviceaccounts", "system:serviceaccounts:web", AUTHENTICATED]);
    assert_eq!(impersonate(&HeaderMap::new(), jane.clone(), &cluster.store), Ok(jane));
}
