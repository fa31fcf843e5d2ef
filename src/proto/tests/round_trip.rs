//! Real objects survive YAML, type, wire, type and YAML; what the types do not
//! know survives a read-modify-write.

use argosy_proto::resource::{self, CustomResource};
use argosy_proto::v1alpha1::{AppProject, Application, ApplicationSet};
use prost::Message;
use serde_json::{Value, json};

fn survives<T: CustomResource + Message + std::fmt::Debug>(yaml: &str) {
    let before: Value = serde_saphyr::from_str(yaml).expect("the sample is YAML");
    let typed: T = serde_json::from_value(before.clone()).expect("the sample has the type's shape");
    let again = T::decode(typed.encode_to_vec().as_slice()).expect("what was encoded decodes");
    assert_eq!(typed, again, "the wire changed the object");
    let text = serde_saphyr::to_string(&again.to_object().expect("raw JSON is JSON")).expect("an object is YAML");
    let after: Value = serde_saphyr::from_str(&text).expect("what was written is YAML");
    assert_eq!(resource::merge_patch(&before, &after), None, "the object changed");
}

#[test]
fn an_application_survives() {
    survives::<Application>(include_str!("data/application.yaml"));
}

#[test]
fn a_project_survives() {
    survives::<AppProject>(include_str!("data/appproject.yaml"));
}

#[test]
fn an_application_set_survives() {
    survives::<ApplicationSet>(include_str!("data/applicationset.yaml"));
}

#[test]
fn unknown_fields_survive_a_read_modify_write() {
    let mut object = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
        "metadata": {"name": "a", "labels": {"x": "y"}},
        "spec": {"project": "p", "fromTheFuture": {"a": [1]}, "source": {"repoURL": "r", "alsoNew": true}},
    });
    resource::edit::<Application>(&mut object, |app| {
        let spec = app.spec.get_or_insert_default();
        spec.project = "q".to_owned();
        spec.source.get_or_insert_default().path = "here".to_owned();
    })
    .expect("the object has the type's shape");
    assert_eq!(object["spec"]["fromTheFuture"], json!({"a": [1]}));
    assert_eq!(object["spec"]["source"], json!({"repoURL": "r", "path": "here", "alsoNew": true}));
    assert_eq!(object["spec"]["project"], "q");
}

#[test]
fn nulls_read_as_empty_the_way_go_reads_them() {
    let app: Application = serde_json::from_value(json!({
        "metadata": {"name": "a", "creationTimestamp": null, "labels": null},
        "spec": {"project": null, "sources": null, "source": null, "destination": {"server": null}},
        "status": {"history": null, "sync": {"status": "Synced", "revision": null}},
    }))
    .expect("nulls are allowed");
    assert_eq!(app.metadata().name, "a");
}
