use serde_json::{Value, json};

use super::*;
use crate::faults::Faults;
use crate::hooks::{Admission, Admitted, Attributes};
use crate::identity::{TokenKeys, user};
use crate::rbac::{GROUP, MASTERS};
use crate::store::ObjectKey;

fn reviews(store: &Store) -> Reviews {
    let stamps = crate::stamp::fixed();
    let keys = TokenKeys::generate().unwrap();
    let identities = Identities::new(store.clone(), stamps.clone(), keys, Faults::none());
    Reviews::new(store.clone(), stamps, Arc::new(identities))
}

fn attributes(group: &str, resource: &str) -> Attributes {
    Attributes {
        verb: "create".to_owned(),
        group: group.to_owned(),
        resource: resource.to_owned(),
        ..Attributes::default()
    }
}

fn ask(reviews: &Reviews, caller: &Caller, attributes: &Attributes, body: Value) -> Result<Value, Failure> {
    let request = Request { caller, attributes, query: &[], body, dry_run: false };
    match reviews.answer_now(&request).expect("it is answered")? {
        Answer::Object(StatusCode::CREATED, value) => Ok(value),
        _ => panic!("not an object"),
    }
}

#[test]
fn one_learns_who_one_is_and_what_one_may() {
    let reviews = reviews(&Store::in_memory());
    let root = user("root", &[MASTERS]);
    let me = ask(&reviews, &root, &attributes(AUTHENTICATION, "selfsubjectreviews"), json!({})).unwrap();
    assert_eq!(me["status"]["userInfo"]["username"], "root");
    let may = json!({"spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}});
    let access = attributes(AUTHORIZATION, "selfsubjectaccessreviews");
    assert_eq!(ask(&reviews, &root, &access, may.clone()).unwrap()["status"]["allowed"], true);
    assert_eq!(ask(&reviews, &user("jane", &[]), &access, may).unwrap()["status"]["allowed"], false);
    let neither = ask(&reviews, &root, &access, json!({"spec": {}})).unwrap_err();
    assert_eq!(neither.code, StatusCode::UNPROCESSABLE_ENTITY);
}

#[test]
fn a_review_is_about_whom_it_names() {
    let store = Store::in_memory();
    let reviews = reviews(&store);
    let review = attributes(AUTHORIZATION, "subjectaccessreviews");
    let of = |spec: Value| ask(&reviews, &user("root", &[MASTERS]), &review, json!({"spec": spec}));
    let path = json!({"user": "jane", "groups": ["g"], "nonResourceAttributes": {"verb": "get", "path": "/metrics"}});
    assert_eq!(of(path.clone()).unwrap()["status"], json!({"allowed": false}));
    let put = |resource: &str, value: Value| store.create(&ObjectKey::new(GROUP, resource, "", "m"), value).unwrap();
    put(
        "clusterroles",
        json!({"metadata": {"name": "m"}, "rules": [{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}]}),
    );
    put(
        "clusterrolebindings",
        json!({"metadata": {"name": "m"}, "subjects": [{"kind": "Group", "name": "g"}],
        "roleRef": {"kind": "ClusterRole", "name": "m"}}),
    );
    let allowed = of(path).unwrap();
    assert_eq!(
        allowed["status"],
        json!({"allowed": true, "reason": "RBAC: allowed by ClusterRoleBinding \"m\" of ClusterRole \"m\" to Group \"g\""})
    );
    assert!(of(json!({"resourceAttributes": {"verb": "get"}})).is_err());
}

#[test]
fn a_token_is_somebodys_or_nobodys() {
    let store = Store::in_memory();
    let account = json!({"metadata": {"name": "bot", "namespace": "web", "uid": "u"}});
    store.create(&ObjectKey::new("", "serviceaccounts", "web", "bot"), account).unwrap();
    let reviews = reviews(&store);
    let mut request = attributes("", "serviceaccounts");
    (request.subresource, request.namespace, request.name) = ("token".to_owned(), "web".to_owned(), "bot".to_owned());
    let root = user("root", &[]);
    let token = ask(&reviews, &root, &request, json!({"spec": {}})).unwrap()["status"]["token"].clone();
    let review = attributes(AUTHENTICATION, "tokenreviews");
    let known = ask(&reviews, &root, &review, json!({"spec": {"token": token}})).unwrap();
    assert_eq!(known["status"]["user"]["username"], "system:serviceaccount:web:bot");
    let unknown = ask(&reviews, &root, &review, json!({"spec": {"token": "x"}})).unwrap();
    assert!(unknown["status"]["error"].is_string() && unknown["status"]["authenticated"].is_null());
}

#[test]
fn nothing_new_comes_into_a_namespace_that_ends_or_is_not_there() {
    let store = Store::in_memory();
    let gate = Gate::new(store.clone());
    let caller = user("jane", &[]);
    let admit = |namespace: &str| {
        let attributes =
            Attributes { namespace: namespace.to_owned(), name: "a".to_owned(), ..attributes("", "configmaps") };
        let request = Admitted { caller: &caller, attributes: &attributes, old: None, dry_run: false };
        gate.admit(&request, &mut json!({"metadata": {"name": "a"}}))
    };
    assert_eq!(admit("gone").unwrap_err().message, "namespaces \"gone\" not found");
    let ending = json!({"metadata": {"name": "old", "deletionTimestamp": "2026-01-01T00:00:00Z"}});
    store.create(&ObjectKey::new("", "namespaces", "", "old"), ending).unwrap();
    let refused = admit("old").unwrap_err();
    assert_eq!(
        refused.message,
        "configmaps \"a\" is forbidden: unable to create new content in namespace old because it is being terminated"
    );
    assert_eq!(refused.details.unwrap()["causes"][0]["reason"], "NamespaceTerminating");
}

#[test]
fn an_eviction_respects_the_budget() {
    let store = Store::in_memory();
    let reviews = reviews(&store);
    let pod = json!({"metadata": {"name": "web", "namespace": "a", "labels": {"app": "web"}}, "spec": {}});
    let key = ObjectKey::new("", "pods", "a", "web");
    store.create(&key, pod).unwrap();
    let budget = ObjectKey::new("policy", "poddisruptionbudgets", "a", "b");
    let value = json!({"metadata": {"name": "b"}, "spec": {"selector": {"matchLabels": {"app": "web"}}},
        "status": {"disruptionsAllowed": 0}});
    store.create(&budget, value).unwrap();
    let mut request = attributes("", "pods");
    (request.subresource, request.namespace, request.name) = ("eviction".to_owned(), "a".to_owned(), "web".to_owned());
    let caller = user("jane", &[]);
    assert_eq!(ask(&reviews, &caller, &request, json!({})).unwrap_err().code, StatusCode::TOO_MANY_REQUESTS);
    store.delete(&budget, None).unwrap();
    ask(&reviews, &caller, &request, json!({})).unwrap();
    assert!(store.get(&key).is_none());
}
