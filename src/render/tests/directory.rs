//! Which files of a directory become which objects.

use argosy_model::report;
use argosy_render::directory::{DirectoryRequest, render};
use argosy_render::{Error, MemoryTree};
use serde_json::{Value, json};

fn config_map(name: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n")
}

fn request(path: &str) -> DirectoryRequest {
    DirectoryRequest { path: path.to_owned(), ..DirectoryRequest::default() }
}

fn names(objects: &[Value]) -> Vec<&str> {
    objects.iter().map(argosy_model::object::name).collect()
}

fn rendered(tree: &MemoryTree, request: &DirectoryRequest) -> String {
    let objects = render(tree, request).expect("renders");
    names(&objects).join(" ")
}

fn failure(tree: &MemoryTree, request: &DirectoryRequest) -> String {
    report(&render(tree, request).expect_err("an error"))
}

#[test]
fn manifest_files_are_found_by_suffix_in_the_order_of_a_walk() {
    let tree = MemoryTree::new()
        .with_file("app/b.yml", config_map("b"))
        .with_file("app/a.yaml", config_map("a1") + "---\n" + &config_map("a2"))
        .with_file("app/c.json", r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"}}"#)
        .with_file("app/a/x.yaml", config_map("deep"))
        .with_file("app/README.md", "kind: no")
        .with_file("other/z.yaml", config_map("z"));
    assert_eq!(rendered(&tree, &request("app")), "a1 a2 b c");
    assert_eq!(rendered(&tree, &DirectoryRequest { recurse: true, ..request("./app/") }), "deep a1 a2 b c");
    assert_eq!(rendered(&tree, &DirectoryRequest { recurse: true, ..request(".") }), "deep a1 a2 b c z");
    assert_eq!(rendered(&tree, &request("")), "");
}

#[test]
fn include_and_exclude_see_the_path_within_the_directory() {
    let tree = MemoryTree::new()
        .with_file("app/a.yaml", config_map("a"))
        .with_file("app/b.yaml", config_map("b"))
        .with_file("app/env/c.yaml", config_map("c"))
        .with_file("app/env/d.yml", config_map("d"));
    let with = |include: &str, exclude: &str| DirectoryRequest {
        recurse: true,
        include: include.to_owned(),
        exclude: exclude.to_owned(),
        ..request("app")
    };
    assert_eq!(rendered(&tree, &with("*.yaml", "")), "a b c");
    assert_eq!(rendered(&tree, &with("{a.yaml,env/*.yml}", "")), "a d");
    assert_eq!(rendered(&tree, &with("", "env/*")), "a b");
    assert_eq!(rendered(&tree, &with("env/*", "{*.yml,b.yaml}")), "c");
    assert_eq!(rendered(&tree, &with("app/*", "")), "");
}

#[test]
fn a_marked_file_is_passed_over_even_when_it_is_broken() {
    let tree = MemoryTree::new()
        .with_file("a.yaml", config_map("a"))
        .with_file("b.yaml", "# +argocd:skip-file-rendering\napiVersion: [kind: metadata:\n");
    assert_eq!(rendered(&tree, &request("")), "a");
}

#[test]
fn lists_are_taken_apart() {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "b"}},
    ]});
    let tree = MemoryTree::new()
        .with_file("a.json", list.to_string())
        .with_file(
            "b.yaml",
            "apiVersion: v1\nkind: ConfigMapList\nitems: null\n---\napiVersion: v1\nkind: List\nitems: []\n",
        )
        .with_file("c.yaml", "apiVersion: x/v1\nkind: Odd\nmetadata: {name: c}\nspec: {}\nitems: null\n");
    assert_eq!(rendered(&tree, &request("")), "a b c");
    let tree = MemoryTree::new().with_file("a.yaml", "apiVersion: v1\nkind: List\nmetadata: {}\nitems: [1]\n");
    assert!(failure(&tree, &request("")).contains("it is no map"));
}

#[test]
fn yaml_of_another_purpose_is_passed_over() {
    let tree = MemoryTree::new()
        .with_file("values.yaml", "replicas: 1\n")
        .with_file("template.yaml", "{{ if x }}\na: {{ b }}\n{{ end }}\n")
        .with_file("list.yaml", "- 1\n- 2\n")
        .with_file("empty.yaml", "")
        .with_file("comment.yaml", "# nothing\n---\n")
        .with_file("x.yaml", config_map("x"));
    assert_eq!(rendered(&tree, &request("")), "x");
}

#[test]
fn a_broken_manifest_is_named_with_its_place() {
    let tree =
        MemoryTree::new().with_file("app/env/bad.yaml", config_map("a") + "---\n" + &config_map("b") + "  x: : y\n");
    let text = failure(&tree, &DirectoryRequest { recurse: true, ..request("app") });
    assert!(text.starts_with("Failed to unmarshal \"env/bad.yaml\": line 10, column "), "{text}");

    let tree = MemoryTree::new().with_file("a.yaml", config_map("a") + "---\nfoo: bar\n");
    let text = failure(&tree, &request(""));
    assert!(text.contains("\"a.yaml\": document at line 6: Object 'Kind' is missing"), "{text}");

    // One document that looks like a manifest but lacks its kind's value.
    let tree = MemoryTree::new().with_file("a.yaml", "apiVersion: v1\nkind:\nmetadata:\n  name: x\n");
    assert!(failure(&tree, &request("")).contains("Object 'Kind' is missing"));
}

#[test]
fn a_json_file_holds_exactly_one_object() {
    let one = r#"{"apiVersion":"v1","kind":"A","metadata":{"name":"a"},"n":1.0}"#;
    let tree = |content: String| MemoryTree::new().with_file("a.json", content);
    let objects = render(&tree(format!("\u{feff}{one}\n")), &request("")).expect("one object");
    assert_eq!(objects[0]["n"], json!(1));
    let text = failure(&tree(format!("{one}\n{one}")), &request(""));
    assert_eq!(text, "Found multiple objects in \"a.json\". Only single objects are allowed in JSON files.");
    for broken in ["", "{", "[]", "null", "{\"a\":1}", "{a: 1}"] {
        assert!(
            failure(&tree(broken.to_owned()), &request("")).starts_with("Failed to unmarshal \"a.json\""),
            "{broken}"
        );
    }
}

#[test]
fn more_bytes_than_allowed_fail_before_anything_is_parsed() {
    let tree = MemoryTree::new()
        .with_file("a.yaml", "apiVersion: [kind: metadata:")
        .with_file("b.yaml", config_map("b"))
        .with_file("c.txt", "x".repeat(1000));
    let small = DirectoryRequest { max_combined_bytes: 40, ..request("") };
    assert!(matches!(render(&tree, &small), Err(Error::CombinedSize { max_bytes: 40, file }) if file == "b.yaml"));
    let big = MemoryTree::new().with_file("a.yaml", "x".repeat(41));
    assert!(matches!(render(&big, &small), Err(Error::CombinedSize { .. })));
    let unlimited = DirectoryRequest { max_combined_bytes: 0, ..request("") };
    assert!(render(&big, &unlimited).is_ok());
}

#[test]
fn paths_that_are_refused_or_missing_say_so() {
    let tree = MemoryTree::new().with_file("app/a.yaml", config_map("a"));
    assert_eq!(failure(&tree, &request("nope")), "nope: app path does not exist");
    assert_eq!(failure(&tree, &request("app/a.yaml")), "app/a.yaml: app path is not a directory");
    assert_eq!(failure(&tree, &request("/app")), "/app: app path is absolute");
    assert_eq!(failure(&tree, &request("app/../../x")), "app/../../x: app path outside root");
}

#[test]
fn links_are_followed_within_the_repository_only() {
    let tree = MemoryTree::new()
        .with_file("shared/x.yaml", config_map("x"))
        .with_link("app/x.yaml", "../shared/x.yaml")
        .with_link("app/gone.yaml", "../shared/gone.yaml")
        .with_link("app/dir.yaml", "../shared");
    assert_eq!(rendered(&tree, &request("app")), "x");
    for target in ["/etc/passwd", "../../../etc/passwd", "../../other/x.yaml"] {
        let tree = MemoryTree::new().with_link("app/x.yaml", target);
        assert!(failure(&tree, &request("app")).starts_with("illegal filepath in symlink at \"x.yaml\""), "{target}");
    }
}

#[test]
fn jsonnet_is_refused_by_name_unless_it_is_left_out_or_off() {
    let tree = MemoryTree::new().with_file("a.jsonnet", "{}").with_file("b.yaml", config_map("b"));
    assert!(failure(&tree, &request("")).starts_with("\"a.jsonnet\" is jsonnet"));
    assert_eq!(rendered(&tree, &DirectoryRequest { exclude: "*.jsonnet".to_owned(), ..request("") }), "b");
    assert_eq!(rendered(&tree, &DirectoryRequest { jsonnet: false, ..request("") }), "b");
}

#[test]
fn text_in_utf_16_is_read() {
    let utf16: Vec<u8> =
        std::iter::once(0xfeff).chain(config_map("é").encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let tree = MemoryTree::new().with_file("a.yaml", utf16);
    assert_eq!(rendered(&tree, &request("")), "é");
}
