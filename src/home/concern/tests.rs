use super::*;
use argosy_model::{AppKey, names};
use serde_json::{Value, json};

use crate::object::SecretObject;
use crate::settings::GlobalProject;

fn secret(name: &str, kind: &str, fields: &[(&str, &str)]) -> (AppKey, SecretObject) {
    let metadata = json!({"name": name, "resourceVersion": "1", "labels": {names::LABEL_SECRET_TYPE: kind}});
    let mut object: SecretObject = serde_json::from_value(json!({"metadata": metadata})).expect("a Secret");
    let data: std::collections::BTreeMap<String, String> =
        fields.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    object.data = data.into();
    (AppKey::new("argocd", name), object)
}

fn moment(settings: Settings, secrets: &[(AppKey, SecretObject)]) -> Moment {
    let is_cluster = |object: &SecretObject| {
        object.metadata.labels.get(names::LABEL_SECRET_TYPE).is_some_and(|kind| kind == "cluster")
    };
    let clusters = secrets.iter().filter(|(_, object)| is_cluster(object)).map(|(key, object)| (key, object));
    let clusters = Clusters::read(clusters, true);
    let repositories = Repositories::read(secrets.iter().map(|(key, object)| (key, object)), &settings);
    Moment::new(settings.into(), clusters.into(), repositories.into())
}

fn app(spec: Value) -> Application {
    serde_json::from_value(json!({"metadata": {"name": "a"}, "spec": spec})).expect("an Application")
}

fn of_repository(url: &str) -> Application {
    app(json!({"project": "p", "source": {"repoURL": url}, "destination": {"name": "prod"}}))
}

#[test]
fn rotated_credentials_concern_who_reads_with_them() {
    let git =
        |password: &str| secret("git", "repo-creds", &[("url", "https://git.example/team"), ("password", password)]);
    let before = moment(Settings::default(), &[git("one")]);
    let after = moment(Settings::default(), &[git("two")]);
    let mut difference = after.since(&before);
    assert!(difference.concerns(&of_repository("https://git.example/team/a.git")));
    assert!(!difference.concerns(&of_repository("https://git.example/other/a.git")));
    let several = app(json!({"project": "p", "sources": [
        {"repoURL": "https://git.example/other/a.git"}, {"repoURL": "https://git.example/team/b.git"}]}));
    assert!(difference.concerns(&several), "any of its sources counts");
    assert!(
        !moment(Settings::default(), &[git("two")])
            .since(&after)
            .concerns(&of_repository("https://git.example/team/a"))
    );
}

#[test]
fn a_repository_of_a_project_concerns_that_project() {
    let url = "https://git.example/r";
    let before = moment(Settings::default(), &[]);
    let after = moment(Settings::default(), &[secret("r", "repository", &[("url", url), ("project", "p")])]);
    assert!(after.since(&before).concerns(&of_repository(url)));
    let other = app(json!({"project": "q", "source": {"repoURL": url}}));
    assert!(!after.since(&before).concerns(&other));
}

#[test]
fn a_cluster_concerns_who_goes_there_by_name_or_address() {
    let cluster = |token: &str| {
        let config = format!("{{\"bearerToken\":\"{token}\"}}");
        secret("c", "cluster", &[("name", "prod"), ("server", "https://prod"), ("config", &config)])
    };
    let before = moment(Settings::default(), &[cluster("one")]);
    let after = moment(Settings::default(), &[cluster("two")]);
    let mut difference = after.since(&before);
    let to = |destination: Value| app(json!({"project": "p", "destination": destination}));
    assert!(difference.concerns(&to(json!({"name": "prod"}))));
    assert!(difference.concerns(&to(json!({"server": "https://prod/"}))));
    assert!(!difference.concerns(&to(json!({"server": "https://test"}))));
    let gone = moment(Settings::default(), &[]);
    assert!(gone.since(&after).concerns(&to(json!({"name": "prod"}))), "it is not there any more");
}

#[test]
fn settings_of_comparisons_concern_everybody_and_those_of_the_api_nobody() {
    let before = moment(Settings::default(), &[]);
    let mut settings = Settings::default();
    settings.tracking.installation_id = "new".to_owned();
    assert!(moment(settings, &[]).since(&before).concerns(&app(json!({}))));
    let mut settings = Settings::default();
    settings.server.root_path = "/argocd".to_owned();
    assert!(!moment(settings, &[]).since(&before).concerns(&app(json!({}))));
}

#[test]
fn a_project_concerns_its_applications_when_its_rules_change() {
    let project = |spec: Value| -> Arc<AppProject> {
        Arc::new(serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": spec})).expect("an AppProject"))
    };
    let key = AppKey::new("argocd", "p");
    let (old, new) = (project(json!({"description": "a"})), project(json!({"description": "b"})));
    let changed = Change::Applied { key: key.clone(), old: Some(old.clone()), new };
    let touched = Change::Applied { key: key.clone(), old: Some(old.clone()), new: old };
    let (of_it, of_another) = (app(json!({"project": "p"})), app(json!({"project": "q"})));
    let now = moment(Settings::default(), &[]);
    assert!(now.is_concerned(&of_it, &changed) && !now.is_concerned(&of_another, &changed));
    assert!(!now.is_concerned(&of_it, &touched), "its status alone is nobody's concern");
    assert!(now.is_concerned(&of_it, &Change::Deleted { key, last: None }));
    let global = Settings { global_projects: vec![GlobalProject::default()], ..Settings::default() };
    assert!(moment(global, &[]).is_concerned(&of_another, &changed));
}
