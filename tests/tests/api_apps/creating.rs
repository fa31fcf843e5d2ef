//! Making applications: what is refused, in which words, and what a second time means.

use anyhow::Context;
use argosy_tests::{App, config_map, refusal};
use reqwest::Method;
use serde_json::{Value, json};
use tonic::Code;

use super::case::{Case, IN_CLUSTER, message, state};

const UNCHECKED: &str = "error while validating and normalizing app: ";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_new_application_is_said_in_argo_cds_words() -> anyhow::Result<()> {
    let case = Case::new("wrong").await?;
    case.commit(&[("map.yaml", &config_map("map", "x"))])?;
    case.project(json!({
        "sourceRepos": ["https://git.example.com/*"],
        "destinations": [{"server": IN_CLUSTER, "namespace": "allowed"}],
    }))?;
    let url = case.repo.url_file();
    let set = |pointer: &str, value: Value| case.app().set(pointer, value);
    let wrong = [
        (
            set("/spec/source/path", json!("nowhere")),
            "application spec for wrong is invalid: InvalidSpecError: Unable to generate manifests in nowhere: rpc error: ",
            "desc = nowhere: app path does not exist",
        ),
        (
            set("/spec/source/path", json!("../outside")),
            "application spec for wrong is invalid: InvalidSpecError: Unable to generate manifests in ../outside: ",
            "app path outside root",
        ),
        (
            set("/spec/source/targetRevision", json!("no-branch")),
            "application spec for wrong is invalid: InvalidSpecError: Unable to generate manifests in app: ",
            "unable to resolve 'no-branch' to a commit SHA",
        ),
        (
            set("/spec/source/repoURL", json!("file:///nowhere")),
            "application spec for wrong is invalid: InvalidSpecError: repository not accessible: repositories not \
             accessible: &Repository{Repo: \"file:///nowhere\", ",
            "error testing repository connectivity: ",
        ),
        (
            set("/spec/source", json!({"repoURL": url})),
            "application spec for wrong is invalid: InvalidSpecError: spec.source.repoURL and either spec.source.path or \
             spec.source.chart are required",
            "",
        ),
        (
            set("/spec/destination/name", json!("in-cluster")),
            "application destination spec for wrong is invalid: application destination can't have both name and server \
             defined: in-cluster https://kubernetes.default.svc",
            "",
        ),
        (
            set("/spec/destination", json!({"namespace": "x"})),
            "application destination spec for wrong is invalid: Destination server missing from app spec",
            "",
        ),
        (
            set("/spec/destination/server", json!("https://nowhere")),
            "application destination spec for wrong is invalid: error getting cluster by server \"https://nowhere\": ",
            "cluster \"https://nowhere\" not found",
        ),
        (
            set("/spec/destination", json!({"name": "nowhere"})),
            "application destination spec for wrong is invalid: there are no clusters with this name: nowhere",
            "",
        ),
        (
            case.app().project("wrong"),
            "application spec for wrong is invalid: InvalidSpecError: application repo ",
            "is not permitted in project 'wrong';InvalidSpecError: application destination server \
             'https://kubernetes.default.svc' and namespace 'wrong' do not match any of the allowed destinations in \
             project 'wrong'",
        ),
    ];
    for (app, start, part) in &wrong {
        let (code, words) = refusal(create(&case, app, json!({})).await);
        let told =
            words.strip_prefix(UNCHECKED).and_then(|w| w.strip_prefix("rpc error: code = InvalidArgument desc = "));
        assert!(told.is_some_and(|told| told.starts_with(start)), "{words}");
        assert!(words.ends_with(part) || words.contains(part), "{words}");
        assert_eq!(code, Code::InvalidArgument, "{words}");
    }
    let missing = refusal(create(&case, &case.app().project("missing"), json!({})).await);
    let words = "app is not allowed in project \"missing\", or the project does not exist";
    assert_eq!(missing, (Code::InvalidArgument, words.to_owned()));
    let nameless = refusal(create(&case, &set("/metadata/name", json!("")), json!({})).await);
    assert!(nameless.1.ends_with("resource name may not be empty"), "{nameless:?}");
    let (code, words) = refusal(create(&case, &case.named("Not_A_Name"), json!({})).await);
    assert_eq!(code, Code::InvalidArgument, "{words}");
    assert!(words.starts_with("error creating application: ") && words.contains("Not_A_Name"), "{words}");
    assert!(
        case.world
            .plane
            .kubectl_text(&["-n", "argocd", "get", "applications", "wrong", "--ignore-not-found"])?
            .is_empty()
    );

    // The same through REST, where it is a status and a body.
    let reply = case.api.send(Method::POST, "/api/v1/applications", wrong[0].0.manifest()).await?;
    let (code, words) = reply.refusal();
    assert_eq!((reply.status, code), (400, 3), "{}", reply.text);
    assert!(words.starts_with(UNCHECKED) && words.ends_with("nowhere: app path does not exist"), "{words}");

    // What is not to be validated is stored although it cannot be rendered, but never
    // against its project.
    create(&case, &wrong[0].0, json!({"validate": false})).await.context("unvalidated")?;
    let (_, words) = refusal(create(&case, &case.app().project("wrong"), json!({"validate": false})).await);
    assert!(words.contains("is not permitted in project 'wrong'"), "{words}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_application_again_is_fine_and_another_needs_upsert() -> anyhow::Result<()> {
    let case = Case::new("again").await?;
    case.commit(&[("map.yaml", &config_map("map", "x"))])?;
    case.repo.change("main").write("other/map.yaml", config_map("map", "y")).commit()?;
    // Empty parts are what some clients write; they say nothing.
    let app = case.app().set("/metadata/labels", json!({"a": "1"})).set("/spec/source/directory", json!({}));
    let sent = app.clone().set("/status/sync/status", json!("Synced")).set("/operation/sync", json!({"prune": true}));
    let first = create(&case, &sent, json!({})).await.context("the first")?;
    assert!(
        first.0.pointer("/spec/source/directory").is_none() && first.0.pointer("/operation").is_none(),
        "{}",
        first.0
    );
    assert!(first.0.pointer("/metadata/managedFields").is_none());
    assert_eq!((first.text("/spec/project"), first.text("/metadata/namespace")), ("default", "argocd"));

    let second = create(&case, &app, json!({})).await.context("the same again")?;
    assert_eq!(second.text("/metadata/uid"), first.text("/metadata/uid"));
    assert_eq!(second.0["spec"], first.0["spec"]);
    let other = app.clone().source(&case.repo.url_file(), "other", "HEAD").set("/metadata/labels", json!({"b": "2"}));
    let refused = refusal(create(&case, &other, json!({})).await);
    let words = "existing application spec is different, use upsert flag to force update";
    assert_eq!(refused, (Code::InvalidArgument, words.to_owned()));
    let updated = create(&case, &other, json!({"upsert": true})).await.context("upserting")?;
    assert_eq!(updated.text("/metadata/uid"), first.text("/metadata/uid"));
    assert_eq!(updated.text("/spec/source/path"), "other");
    assert_eq!(updated.0["metadata"]["labels"], json!({"a": "1", "b": "2"}), "labels are merged");

    // The same in REST: the flag is in the query.
    let reply = case.api.send(Method::POST, "/api/v1/applications", app.manifest()).await?;
    assert_eq!(reply.refusal(), (3, words.to_owned()));
    let reply = case.api.send(Method::POST, "/api/v1/applications?upsert=true", app.manifest()).await?;
    assert_eq!(reply.ok()?["spec"]["source"]["path"], "app");
    case.told("ResourceCreated: admin created application").await?;
    case.told("ResourceUpdated: admin updated application spec").await?;
    Ok(())
}

async fn create(case: &Case, app: &App, more: Value) -> Result<argosy_tests::AppState, tonic::Status> {
    let request = super::case::merged(json!({"application": app.manifest()}), more);
    Ok(state(
        &case
            .api
            .applications()
            .create(message::<argosy_proto::application::ApplicationCreateRequest>(request))
            .await?
            .into_inner(),
    ))
}
