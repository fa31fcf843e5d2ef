//! Lists of applications: filters, selectors and fields.

use argosy_proto::application::ApplicationQuery;
use argosy_tests::{config_map, refusal};
use serde_json::{Value, json};
use tonic::Code;

use super::case::{Case, message};

async fn names(case: &Case, query: Value) -> Result<Vec<String>, tonic::Status> {
    let list = case.api.applications().list(message::<ApplicationQuery>(query)).await?.into_inner();
    Ok(list.items.into_iter().map(|app| app.metadata.unwrap_or_default().name).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_narrowed_by_labels_project_repository_namespace_and_name() -> anyhow::Result<()> {
    let case = Case::new("listed").await?;
    case.commit(&[("map.yaml", &config_map("map", "x"))])?;
    case.project(json!({}))?;
    for (name, color) in [("listed-b", "red"), ("listed-a", "green"), ("listed-c", "red")] {
        let app = case.named(name).set("/metadata/labels", json!({"set": "listed", "color": color}));
        case.create(&if name == "listed-c" { app.project("listed") } else { app }).await?;
    }
    let all = ["listed-a", "listed-b", "listed-c"];
    let repo = case.repo.url_file();
    for (query, expected) in [
        (json!({"selector": "set=listed"}), &all[..]),
        (json!({"selector": "set=listed,color!=red"}), &all[..1]),
        (json!({"selector": "set=listed,color in (red, blue)"}), &all[1..]),
        (json!({"selector": "set=listed,!color"}), &[]),
        (json!({"selector": "set=listed", "project": ["listed"]}), &all[2..]),
        (json!({"selector": "set=listed", "projects": ["default"]}), &all[..2]),
        (json!({"repo": repo}), &all[..]),
        (json!({"repo": "https://git.example.com/other"}), &[]),
        (json!({"name": "listed-b"}), &all[1..2]),
        (json!({"selector": "set=listed", "appNamespace": "argocd"}), &all[..]),
        (json!({"selector": "set=listed", "appNamespace": "team-none"}), &[]),
    ] {
        assert_eq!(names(&case, query.clone()).await?, expected, "{query}");
    }
    let (code, words) = refusal(names(&case, json!({"selector": "set in listed"})).await);
    assert_eq!(code, Code::InvalidArgument, "{words}");
    assert!(words.starts_with("error parsing the selector"), "{words}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rest_shows_only_the_fields_that_are_asked_for() -> anyhow::Result<()> {
    let case = Case::new("fields").await?;
    case.commit(&[("map.yaml", &config_map("map", "x"))])?;
    case.create(&case.app().set("/metadata/labels", json!({"set": "fields"}))).await?;
    let path = "/api/v1/applications?selector=set%3Dfields";
    let whole = case.api.get(path).await?.ok()?;
    assert!(whole["metadata"]["resourceVersion"].as_str().is_some_and(|v| v.parse::<u64>().is_ok()), "{whole}");
    assert_eq!(whole["items"][0]["spec"]["source"]["path"], "app");
    assert!(whole["items"][0]["metadata"].get("managedFields").is_none());
    let some = case.api.get(&format!("{path}&fields=items.metadata.name,items.spec.project")).await?.ok()?;
    assert_eq!(some, json!({"items": [{"metadata": {"name": "fields"}, "spec": {"project": "default"}}]}));
    let rest = case.api.get(&format!("{path}&fields=-items.spec,items.status")).await?.ok()?;
    assert_eq!(rest["items"][0]["metadata"]["name"], "fields");
    assert!(rest["items"][0].get("spec").is_none(), "{rest}");
    // The names a browser's client uses for several values.
    let both = case.api.get("/api/v1/applications?projects=default&projects=other&name=fields").await?.ok()?;
    assert_eq!(both["items"].as_array().map(Vec::len), Some(1));
    let nothing = case.api.get("/api/v1/applications?selector=set%3Dnone").await?.ok()?;
    assert!(nothing["items"].is_null() || nothing["items"] == json!([]), "{nothing}");
    Ok(())
}
