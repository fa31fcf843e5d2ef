//! A project lists the tokens of its roles twice, and both lists say the same.

use argosy_auth::project_token::{ProjectTokenError, add, find, keep_issued, mirror, remove};
use argosy_proto::v1alpha1::{AppProject, JwtToken};
use proptest::prelude::*;
use serde_json::{Value, json};

fn project(roles: Value, by_role: Value) -> AppProject {
    let status = json!({"jwtTokensByRole": by_role});
    serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": {"roles": roles}, "status": status}))
        .expect("a project")
}

fn token(id: &str, iat: i64) -> JwtToken {
    JwtToken { iat, exp: 0, id: id.to_owned() }
}

fn lists(project: &AppProject, role: &str) -> [Vec<String>; 2] {
    let in_spec =
        project.spec.iter().flat_map(|spec| &spec.roles).filter(|r| r.name == role).flat_map(|r| &r.jwt_tokens);
    let by_role = &project.status.as_ref().expect("a status").jwt_tokens_by_role;
    let in_status = by_role.get(role).into_iter().flat_map(|listed| &listed.items);
    [in_spec.map(|t| t.id.clone()).collect(), in_status.map(|t| t.id.clone()).collect()]
}

#[test]
fn a_new_token_is_in_both_lists_the_newest_first() {
    let mut project =
        project(json!([{"name": "ci", "jwtTokens": [{"iat": 5}]}]), json!({"gone": {"items": [{"iat": 1}]}}));
    add(&mut project, "ci", token("b", 9)).expect("added");
    add(&mut project, "ci", token("a", 7)).expect("added");
    let expected = ["b", "a", "5"].map(str::to_owned).to_vec();
    assert_eq!(lists(&project, "ci"), [expected.clone(), expected]);
    assert_eq!(lists(&project, "gone"), [Vec::<String>::new(), Vec::new()], "the list of a role that is gone goes too");
}

#[test]
fn writing_a_project_removes_tokens_and_never_brings_one_back() {
    let roles = json!([{"name": "r"}]);
    let mut stored = project(roles.clone(), json!({}));
    add(&mut stored, "r", token("kept", 10)).unwrap();
    let mut written = stored.clone();
    add(&mut written, "r", token("made up", 20)).unwrap();
    keep_issued(&mut written, &stored);
    assert_eq!(lists(&written, "r"), [vec!["kept".to_owned()], vec!["kept".to_owned()]]);
    let mut emptied = project(roles, json!({}));
    keep_issued(&mut emptied, &stored);
    assert_eq!(lists(&emptied, "r"), [Vec::<String>::new(), Vec::new()]);
}

#[test]
fn an_identifier_is_used_once() {
    let mut project = project(json!([{"name": "ci", "jwtTokens": [{"id": "a", "iat": 5}]}, {"name": "cd"}]), json!({}));
    let refused = add(&mut project, "ci", token("a", 9)).expect_err("refused");
    assert_eq!(refused.to_string(), "Token id 'a' has been used. ");
    assert!(add(&mut project, "cd", token("a", 9)).is_ok(), "per role");
    let refused = add(&mut project, "x", token("a", 9)).expect_err("refused");
    assert_eq!(refused.to_string(), "project 'p' does not have role 'x'");
    assert!(matches!(refused, ProjectTokenError::NoRole { .. }));
}

#[test]
fn a_token_is_removed_by_identifier_or_by_the_second_it_was_issued_in() {
    let listed = json!({"ci": {"items": [{"id": "a", "iat": 5}, {"id": "b", "iat": 6}, {"iat": 7}]}});
    let all = project(json!([{"name": "ci"}]), listed);
    let removed = |iat, id| {
        let mut project = all.clone();
        let gone = remove(&mut project, "ci", iat, id);
        let [in_spec, in_status] = lists(&project, "ci");
        assert_eq!(in_spec, in_status);
        (gone, in_spec.join(" "))
    };
    assert_eq!(removed(0, "a"), (true, "7 b".to_owned()));
    assert_eq!(removed(6, ""), (true, "7 a".to_owned()));
    assert_eq!(removed(7, ""), (true, "b a".to_owned()));
    assert_eq!(removed(0, ""), (false, "7 b a".to_owned()));
    assert_eq!(removed(0, "x"), (false, "7 b a".to_owned()));
    assert!(!remove(&mut all.clone(), "x", 5, "a"));
}

proptest! {
    #[test]
    fn mirroring_loses_no_token_and_does_nothing_twice(
        in_spec in prop::collection::vec(("[ab]?", 0_i64..5), 0..5),
        in_status in prop::collection::vec(("[ab]?", 0_i64..5), 0..5),
    ) {
        let items = |tokens: &[(String, i64)]| -> Value {
            tokens.iter().map(|(id, iat)| json!({"id": id, "iat": iat})).collect()
        };
        let before = project(
            json!([{"name": "ci", "jwtTokens": items(&in_spec)}]),
            json!({"ci": {"items": items(&in_status)}}),
        );
        let mut once = before.clone();
        mirror(&mut once);
        for (id, iat) in in_spec.iter().chain(&in_status).filter(|(id, _)| id.is_empty()) {
            prop_assert!(find(&before, "ci", *iat, id).is_some() && find(&once, "ci", *iat, id).is_some());
        }
        let [spec, status] = lists(&once, "ci");
        prop_assert_eq!(spec, status);
        let mut twice = once.clone();
        mirror(&mut twice);
        prop_assert_eq!(once, twice);
    }
}
