//! What a source's files say of it, read without any tool: its type, the value
//! files of a chart, the images a kustomization names.

use argosy_proto::repository::{DirectoryAppSpec, HelmAppSpec, KustomizeAppSpec, RepoAppDetailsResponse};
use argosy_render::source::detect;
use argosy_render::tree::clean_path;
use argosy_render::{EnabledTypes, EntryKind, Error, SourceSpec, SourceType, Tree, TreeError, yaml};
use serde_json::Value;

/// Largest file read.
const LARGEST: u64 = 4 << 20;

/// Reads the folder of a source, given as JSON. Of a chart, parameters are not told apart, for that
/// is for Helm to do; of a kustomization only images are seen that it replaces.
pub(super) fn of(
    tree: &dyn Tree,
    source: &Value,
    app: &str,
    enabled: EnabledTypes,
) -> Result<RepoAppDetailsResponse, Error> {
    let named = source["path"].as_str().unwrap_or("");
    let path = clean_path(named)?;
    if tree.tree_id(&path)?.is_none() {
        return Err(Error::PathMissing { path: named.to_owned() });
    }
    let merged = argosy_render::source::merge_overrides(tree, &path, app, source)?;
    let kind = detect(tree, &path, &SourceSpec::from_json(&merged)?, enabled)?;
    let mut details = RepoAppDetailsResponse { r#type: kind.as_str().to_owned(), ..RepoAppDetailsResponse::default() };
    match kind {
        SourceType::Helm => details.helm = Some(chart(tree, &path)?),
        SourceType::Kustomize => details.kustomize = Some(KustomizeAppSpec { images: images(tree, &path)? }),
        SourceType::Directory => details.directory = Some(DirectoryAppSpec {}),
        SourceType::Plugin => {}
    }
    Ok(details)
}

/// A chart's value files and its own values.
fn chart(tree: &dyn Tree, path: &str) -> Result<HelmAppSpec, Error> {
    let mut value_files: Vec<String> = tree
        .list(path, true)?
        .into_iter()
        .filter(|entry| entry.kind == EntryKind::File)
        .map(|entry| entry.path.strip_prefix(path).map_or(entry.path.clone(), |p| p.trim_start_matches('/').to_owned()))
        .filter(|file| is_value_file(file.rsplit('/').next().unwrap_or(file)))
        .collect();
    value_files.sort();
    let values = read(tree, path, "values.yaml")?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    Ok(HelmAppSpec { value_files, values: values.unwrap_or_default(), ..HelmAppSpec::default() })
}

/// A file whose name has `values` in it and ends as YAML does.
fn is_value_file(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.contains("values") && (name.ends_with(".yaml") || name.ends_with(".yml"))
}

/// The images a kustomization sets, as `name:tag` or `name@digest`.
fn images(tree: &dyn Tree, path: &str) -> Result<Vec<String>, Error> {
    for file in ["kustomization.yaml", "kustomization.yml", "Kustomization"] {
        let Some(bytes) = read(tree, path, file)? else { continue };
        let parsed = yaml::to_value(&yaml::decode_text(&bytes))
            .map_err(|source| Error::Unmarshal { file: file.to_owned(), source })?;
        let listed = parsed.get("images").and_then(Value::as_array).cloned().unwrap_or_default();
        let mut images: Vec<String> = listed.iter().filter_map(image).collect();
        images.sort();
        return Ok(images);
    }
    Ok(Vec::new())
}

fn image(entry: &Value) -> Option<String> {
    let text = |field: &str| entry.get(field).and_then(Value::as_str).filter(|t| !t.is_empty());
    let name = text("newName").or_else(|| text("name"))?;
    Some(match (text("newTag"), text("digest")) {
        (_, Some(digest)) => format!("{name}@{digest}"),
        (Some(tag), None) => format!("{name}:{tag}"),
        (None, None) => name.to_owned(),
    })
}

fn read(tree: &dyn Tree, path: &str, file: &str) -> Result<Option<Vec<u8>>, Error> {
    let path = if path.is_empty() { file.to_owned() } else { format!("{path}/{file}") };
    match tree.read(&path, LARGEST) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(TreeError::NotFound { .. } | TreeError::NotAFile { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use argosy_render::MemoryTree;
    use serde_json::json;

    fn details(tree: &MemoryTree, path: &str) -> RepoAppDetailsResponse {
        of(tree, &json!({"path": path}), "app", EnabledTypes::default()).expect("details")
    }

    #[test]
    fn a_source_is_described_by_its_files() {
        let tree = MemoryTree::new()
            .with_file("chart/Chart.yaml", "name: x")
            .with_file("chart/values.yaml", "a: 1\n")
            .with_file("chart/env/values-prod.yml", "a: 2\n")
            .with_file("chart/templates/x.yaml", "")
            .with_file(
                "kustom/kustomization.yaml",
                "images:\n- name: b\n  newTag: v2\n- name: a\n  newName: c\n  digest: sha256:1\n",
            )
            .with_file("plain/x.yaml", "");
        let chart = details(&tree, "chart");
        assert_eq!(chart.r#type, "Helm");
        let helm = chart.helm.expect("a chart");
        assert_eq!(helm.value_files, ["env/values-prod.yml", "values.yaml"]);
        assert_eq!(helm.values, "a: 1\n");
        assert_eq!(details(&tree, "kustom").kustomize.expect("a kustomization").images, ["b:v2", "c@sha256:1"]);
        assert_eq!(details(&tree, "plain").r#type, "Directory");
        let error = of(&tree, &json!({"path": "nowhere"}), "app", EnabledTypes::default()).expect_err("no such path");
        assert_eq!(error.to_string(), "nowhere: app path does not exist");
    }
}
