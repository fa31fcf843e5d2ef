//! What type a source has, and how a repository overrides its parameters.

use argosy_model::report;
use argosy_render::source::{detect, merge_overrides};
use argosy_render::{EnabledTypes, MemoryTree, SourceSpec, SourceType};
use serde_json::{Value, json};

fn detected(tree: &MemoryTree, source: &Value) -> String {
    let outcome = SourceSpec::from_json(source).and_then(|spec| detect(tree, "app", &spec, EnabledTypes::default()));
    outcome.map_or_else(|e| report(&e), |t| t.to_string())
}

#[test]
fn the_files_tell_the_type_of_a_source_that_names_none() {
    let plain = json!({"path": "app", "helm": {}, "directory": {"recurse": false, "jsonnet": {}}});
    for (file, source_type) in [
        ("x.yaml", "Directory"),
        ("Chart.yaml", "Helm"),
        ("kustomization.yaml", "Kustomize"),
        ("kustomization.yml", "Kustomize"),
        ("Kustomization", "Kustomize"),
        ("charts/Chart.yaml", "Directory"),
    ] {
        let tree = MemoryTree::new().with_file(&format!("app/{file}"), "");
        assert_eq!(detected(&tree, &plain), source_type, "{file}");
    }
    let both = MemoryTree::new().with_file("app/Chart.yaml", "").with_file("app/kustomization.yaml", "");
    assert_eq!(detected(&both, &plain), "Kustomize");
}

#[test]
fn a_stanza_wins_over_files_and_two_are_an_error() {
    let tree = MemoryTree::new().with_file("app/Chart.yaml", "");
    assert_eq!(detected(&tree, &json!({"path": "app", "directory": {"recurse": true}})), "Directory");
    assert_eq!(detected(&tree, &json!({"path": "app", "plugin": {"name": "p"}})), "Plugin");
    assert_eq!(detected(&tree, &json!({"chart": "c"})), "Helm");
    assert_eq!(
        detected(&tree, &json!({"helm": {"releaseName": "r"}, "kustomize": {"namePrefix": "p"}})),
        "multiple application sources defined: Kustomize,Helm"
    );
    assert_eq!(
        detected(&tree, &json!({"directory": {"recurse": "yes"}})),
        "invalid source: directory.recurse must be a boolean"
    );
}

#[test]
fn a_type_that_is_off_is_a_directory() {
    let off = EnabledTypes { helm: false, kustomize: false, jsonnet: false };
    let tree = MemoryTree::new().with_file("app/Chart.yaml", "").with_file("app/kustomization.yaml", "");
    for source in [json!({}), json!({"helm": {"releaseName": "r"}}), json!({"kustomize": {"namePrefix": "p"}})] {
        let spec = SourceSpec::from_json(&source).expect("a source");
        assert_eq!(detect(&tree, "app", &spec, off).expect("a type"), SourceType::Directory);
    }
}

#[test]
fn overrides_merge_for_all_and_then_for_one_application() {
    let tree = MemoryTree::new()
        .with_file("app/.argocd-source.yaml", "directory: {recurse: true, include: '*.yaml'}\nkustomize: null\n")
        .with_file("app/.argocd-source-web.yaml", "directory:\n  include: web.yaml\n");
    let source = json!({"path": "app", "kustomize": {"namePrefix": "p"}, "directory": {"exclude": "x"}});
    let merged = |app: &str| merge_overrides(&tree, "app", app, &source).expect("merges");
    assert_eq!(merged("other")["directory"], json!({"recurse": true, "include": "*.yaml", "exclude": "x"}));
    assert_eq!(merged("web")["directory"]["include"], json!("web.yaml"));
    assert_eq!(merged("web").get("kustomize"), None);
    assert_eq!(merged("../app/web")["directory"]["include"], json!("*.yaml"));
}

#[test]
fn a_repository_cannot_move_an_application() {
    let tree = MemoryTree::new().with_file(
        "app/.argocd-source.yaml",
        "repoURL: evil\npath: ../../etc\nchart: c\ntargetRevision: null\ndirectory: {recurse: true}\n",
    );
    let source = json!({"repoURL": "good", "path": "app", "targetRevision": "main"});
    let merged = merge_overrides(&tree, "app", "a", &source).expect("merges");
    assert_eq!(
        merged,
        json!({"repoURL": "good", "path": "app", "targetRevision": "main", "directory": {"recurse": true}})
    );
}

#[test]
fn a_broken_override_file_is_named() {
    for (content, expected) in [("a: [", ".argocd-source.yaml: line "), ("- 1", "must be a map")] {
        let tree = MemoryTree::new().with_file("app/.argocd-source.yaml", content);
        let error = report(&merge_overrides(&tree, "app", "a", &json!({})).expect_err("broken"));
        assert!(error.starts_with("error while parsing source parameters: "), "{error}");
        assert!(error.contains(expected), "{error}");
    }
    let tree = MemoryTree::new().with_link("app/.argocd-source.yaml", "../../secret");
    assert!(merge_overrides(&tree, "app", "a", &json!({})).is_err());
    let empty = MemoryTree::new().with_file("app/.argocd-source.yaml", "# nothing\n");
    assert_eq!(merge_overrides(&empty, "app", "a", &json!({"path": "app"})).expect("merges"), json!({"path": "app"}));
}
