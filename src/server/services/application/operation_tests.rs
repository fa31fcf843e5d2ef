//! Which operation a request becomes, case by case.

use serde_json::{Value, json};

use super::*;

fn app(spec: Value) -> Application {
    serde_json::from_value(json!({"metadata": {"name": "a"}, "spec": spec})).expect("an application")
}

fn project(spec: Value) -> AppProject {
    serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": spec})).expect("a project")
}

fn resolved(revision: &str) -> ResolvedRevision {
    ResolvedRevision { revision: revision.to_owned(), display: format!("main ({revision})") }
}

/// The plan of a sync, or why there is none.
fn sync(app: &Application, project: &AppProject, request: ApplicationSyncRequest) -> Result<Plan, String> {
    let by = OperationInitiator { username: "ann".to_owned(), automated: false };
    let question = Question { app, project, request: &request, replace_allowed: false, by };
    let plan = question.check().and_then(|()| {
        let wanted = revisions_to_resolve(app, &request)?;
        question.check_revisions(&wanted)?;
        let resolved: Vec<_> = wanted.revisions.iter().map(|_| resolved("c0ffee")).collect();
        Ok(plan_sync(&question, if question.is_local() { &[] } else { &resolved }))
    });
    plan.map_err(|status| status.message().to_owned())
}

fn single() -> Application {
    app(json!({"source": {"repoURL": "r", "path": "p", "targetRevision": "main"},
        "syncPolicy": {"syncOptions": ["A=true"], "retry": {"limit": 3}}}))
}

fn automated() -> Application {
    app(json!({"source": {"repoURL": "r", "targetRevision": "main"}, "syncPolicy": {"automated": {}}}))
}

fn local() -> ApplicationSyncRequest {
    ApplicationSyncRequest { manifests: vec!["{}".to_owned()], ..Default::default() }
}

#[test]
fn a_sync_takes_source_options_and_retries_from_the_application_unless_it_brings_its_own() {
    let open = project(json!({}));
    let plan = sync(&single(), &open, ApplicationSyncRequest::default()).expect("a plan");
    let operation = plan.operation.sync.expect("a sync");
    assert_eq!((operation.revision.as_str(), operation.sync_options), ("c0ffee", vec!["A=true".to_owned()]));
    assert_eq!(operation.source.expect("a source").path, "p");
    assert_eq!(plan.operation.retry.expect("retries").limit, 3);
    assert_eq!(plan.operation.initiated_by.expect("somebody").username, "ann");
    let own = ApplicationSyncRequest {
        sync_options: Some(Default::default()),
        resources: vec![Default::default()],
        ..Default::default()
    };
    let plan = sync(&single(), &open, own).expect("a plan");
    assert!(plan.operation.sync.expect("a sync").sync_options.is_empty());
}

#[test]
fn an_automated_application_is_not_synced_to_another_revision() {
    let to = |revision: &str, dry| ApplicationSyncRequest {
        revision: Some(revision.to_owned()),
        dry_run: Some(dry),
        ..Default::default()
    };
    let open = project(json!({}));
    assert!(sync(&automated(), &open, to("main", false)).is_ok());
    assert!(sync(&automated(), &open, to("dev", true)).is_ok());
    let refused = sync(&automated(), &open, to("dev", false)).expect_err("automated");
    assert_eq!(refused, "Cannot sync to dev: auto-sync currently set to main");
    assert!(sync(&single(), &open, to("dev", false)).is_ok());
}

#[test]
fn revisions_of_several_sources_are_given_by_position() {
    let several = app(json!({"sources": [{"repoURL": "a", "targetRevision": "1"}, {"repoURL": "b"}],
        "syncPolicy": {"automated": {}}}));
    let at = |positions: &[i64], revisions: &[&str]| ApplicationSyncRequest {
        source_positions: positions.to_vec(),
        revisions: revisions.iter().map(|r| (*r).to_owned()).collect(),
        ..Default::default()
    };
    let open = project(json!({}));
    assert!(sync(&several, &open, at(&[2], &["HEAD"])).is_ok());
    let refused = sync(&several, &open, at(&[2], &["x"])).expect_err("automated");
    assert_eq!(refused, "Cannot sync source b to x: auto-sync currently set to ");
    for positions in [&[0][..], &[3], &[-1]] {
        assert_eq!(
            sync(&several, &open, at(positions, &["x"])).expect_err("no source"),
            "source position is out of range"
        );
    }
    assert!(sync(&several, &open, at(&[1, 2], &["x"])).is_err());
    let plan = sync(&several, &open, ApplicationSyncRequest::default()).expect("a plan");
    let operation = plan.operation.sync.expect("a sync");
    assert_eq!((operation.revisions.len(), operation.sources.len(), operation.source), (2, 2, None));
}

#[test]
fn local_manifests_are_refused_where_they_would_go_around_a_rule() {
    let open = project(json!({}));
    let plan = sync(&single(), &open, local()).expect("a plan");
    assert_eq!(plan.operation.sync.expect("a sync").manifests, ["{}"]);
    assert_eq!(
        sync(&automated(), &open, local()).expect_err("automated"),
        "cannot use local sync when Automatic Sync Policy is enabled unless for dry run"
    );
    let signed =
        json!({"sourceIntegrity": {"git": {"policies": [{"repos": [{"url": "*"}], "gpg": {"mode": "head"}}]}}});
    for project in [project(json!({"signatureKeys": [{"keyID": "K"}]})), project(signed)] {
        let refused = sync(&single(), &project, local()).expect_err("signed");
        assert_eq!(refused, "Cannot use local manifests when source integrity is enforced");
    }
    let unsigned =
        json!({"sourceIntegrity": {"git": {"policies": [{"repos": [{"url": "*"}], "gpg": {"mode": "none"}}]}}});
    assert!(sync(&single(), &project(unsigned), local()).is_ok());
}

#[test]
fn replacing_and_syncing_what_is_being_deleted_are_refused() {
    let open = project(json!({}));
    let replace = ApplicationSyncRequest {
        sync_options: Some(argosy_proto::application::SyncOptions { items: vec!["Replace=true".to_owned()] }),
        ..Default::default()
    };
    assert!(sync(&single(), &open, replace).expect_err("replace").starts_with("sync with replace was disabled"));
    let mut going = single();
    going.metadata_mut().deletion_timestamp = Some(Default::default());
    assert_eq!(sync(&going, &open, Default::default()).expect_err("deleting"), "application is deleting");
}

#[test]
fn a_rollback_replays_an_entry_of_the_history() {
    let roll = |app: &Application, id| {
        let request = ApplicationRollbackRequest { id, prune: Some(true), ..Default::default() };
        plan_rollback(app, "argocd/a", &request, OperationInitiator::default()).map_err(|s| s.message().to_owned())
    };
    let mut with_history = single();
    with_history.status = serde_json::from_value(json!({"history": [
        {"id": 1, "revision": "old"}, {"id": 2, "revision": "c0ffee", "source": {"repoURL": "r", "path": "then"}},
    ]}))
    .expect("a status");
    let plan = roll(&with_history, 2).expect("a plan");
    let operation = plan.operation.sync.expect("a sync");
    assert_eq!((operation.revision.as_str(), operation.prune), ("c0ffee", true));
    assert_eq!(operation.source.expect("a source").path, "then");
    assert_eq!(plan.announcement.as_deref(), Some("initiated rollback to 2"));
    assert_eq!(roll(&with_history, 9).expect_err("none"), "application argocd/a does not have deployment with id 9");
    assert!(roll(&with_history, 1).expect_err("too old").contains("v0.11 or lower"));
    let refused = roll(&automated(), 2).expect_err("automated");
    assert_eq!(refused, "rollback cannot be initiated when auto-sync is enabled");
}
