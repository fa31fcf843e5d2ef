use super::*;
use serde_json::json;

fn app() -> Application {
    serde_json::from_value(json!({
        "metadata": {"name": "guestbook", "namespace": "argocd", "uid": "u", "resourceVersion": "7",
            "labels": {"team": "blue", "secret/x": "1", "env": "prod"}},
        "spec": {"destination": {"server": "https://c", "namespace": "default"}},
    }))
    .expect("an application")
}

fn record(subject: EventSubject) -> Record {
    Record {
        subject,
        labels: BTreeMap::from([("team".into(), "blue".into())]),
        severity: Severity::Normal,
        reason: Reason::OperationStarted,
        message: "Initiated automated sync to 'abc'".into(),
        component: COMPONENT.into(),
        time: "2026-01-02T03:04:05.6Z".parse().expect("a time"),
        id: 0x18a,
    }
}

#[test]
fn an_event_has_the_form_that_argo_cd_gives_it() {
    assert_eq!(
        event_object(&record(EventSubject::application(&app(), "admin"))),
        json!({
            "apiVersion": "v1", "kind": "Event",
            "metadata": {"name": "guestbook.18a", "namespace": "argocd", "labels": {"team": "blue"},
                "annotations": {"user": "admin", "dest-server": "https://c", "dest-namespace": "default"}},
            "involvedObject": {"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "namespace": "argocd",
                "name": "guestbook", "uid": "u", "resourceVersion": "7"},
            "reason": "OperationStarted", "message": "Initiated automated sync to 'abc'",
            "source": {"component": "argocd-application-controller"},
            "firstTimestamp": "2026-01-02T03:04:05Z", "lastTimestamp": "2026-01-02T03:04:05Z",
            "count": 1, "type": "Normal",
        })
    );
}

#[test]
fn an_event_about_a_resource_is_put_where_the_application_is() {
    let object =
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "far"}});
    let event = event_object(&record(EventSubject::resource(&object, "argocd", "")));
    assert_eq!(event["metadata"]["namespace"], "argocd");
    assert_eq!(event["involvedObject"]["namespace"], "far");
    assert_eq!(event["metadata"]["annotations"], json!({"resource-namespace": "far"}));
}

#[test]
fn a_long_name_leaves_room_for_the_id() {
    let subject = EventSubject { name: "x".repeat(253), ..EventSubject::default() };
    let event = event_object(&record(subject));
    let name = event["metadata"]["name"].as_str().expect("a name");
    assert!(name.len() <= 253 && name.ends_with(".18a"));
}

#[test]
fn labels_are_taken_over_as_far_as_the_settings_let_them() {
    let project: AppProject =
        serde_json::from_value(json!({"metadata": {"labels": {"team": "red", "team-lead": "x"}}})).expect("a project");
    let list = |items: &[&str]| items.iter().map(|i| (*i).to_owned()).collect();
    let mut settings = GeneralSettings::default();
    assert!(event_labels(&settings, &app(), Some(&project)).is_empty());
    settings.include_event_labels = list(&["team*", "secret/*"]);
    settings.exclude_event_labels = list(&["secret/*"]);
    let expected = BTreeMap::from([("team".into(), "blue".into()), ("team-lead".into(), "x".into())]);
    assert_eq!(event_labels(&settings, &app(), Some(&project)), expected);
}

#[test]
fn reasons_can_be_switched_off() {
    let parse = |words: &[&str]| EnabledReasons::parse(&words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>());
    assert!(parse(&["all"]).allows(Reason::OperationStarted));
    assert!(!parse(&["none", "all"]).allows(Reason::OperationStarted));
    assert!(parse(&["OperationStarted"]).allows(Reason::OperationStarted));
    assert!(!parse(&["OperationStarted"]).allows(Reason::StatusRefreshed));
}
