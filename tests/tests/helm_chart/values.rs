//! Values, their types and their documentation are one: each value of `values.yaml` has
//! a comment, a place in `values.schema.json` and a row in `README.md`.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anyhow::{Context, ensure};
use argosy_tests::tools::workspace;
use serde_json::Value;

use crate::chart;

/// Where the part of the page begins that is made here.
const MARK: &str = "<!-- From here on made of values.yaml: UPDATE=1 cargo test -p argosy-tests --test helm_chart -->\n";

/// Maps that may hold more than the chart knows: settings, and Kubernetes' own.
const OPEN: &[&str] = &[
    "cm",
    "params",
    "rbac",
    "securityContext",
    "containerSecurityContext",
    "resources",
    "deploymentStrategy",
    "behavior",
    "nodeSelector",
];

/// One value.
#[derive(Debug)]
struct Row {
    path: Vec<String>,
    /// As it is written; empty for a text of several lines.
    default: String,
    comment: String,
}

// === impl Row ===

impl Row {
    /// The path as one writes it after `--set`, with names in quotes that have dots.
    fn name(&self) -> String {
        let part = |part: &String| if part.contains('.') { format!("\"{part}\"") } else { part.clone() };
        self.path.iter().map(part).collect::<Vec<_>>().join(".")
    }
}

/// The values in the order of the file. A map on lines of its own is a section; one that
/// is written on one line is a value.
fn rows(text: &str) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut sections: Vec<(usize, String)> = Vec::new();
    let mut comment = String::new();
    // Lines further in belong to a text of several lines.
    let mut text_at: Option<usize> = None;
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        if text_at.is_some_and(|at| line.trim().is_empty() || indent > at) {
            continue;
        }
        text_at = None;
        let line = line.trim();
        if let Some(words) = line.strip_prefix("# ") {
            ensure!(comment.is_empty() || sections.is_empty(), "a comment of two lines: {words}");
            words.clone_into(&mut comment);
            continue;
        }
        if line.is_empty() {
            comment.clear();
            continue;
        }
        let (key, default) = line.split_once(':').with_context(|| format!("no value: {line}"))?;
        let default = default.trim();
        sections.retain(|(at, _)| *at < indent);
        sections.push((indent, key.to_owned()));
        if !default.is_empty() {
            let is_text = default == "|";
            text_at = is_text.then_some(indent);
            let default = if is_text { String::new() } else { default.to_owned() };
            let path = sections.iter().map(|(_, key)| key.clone()).collect();
            rows.push(Row { path, default, comment: std::mem::take(&mut comment) });
        }
        comment.clear();
    }
    Ok(rows)
}

fn page(rows: &[Row]) -> String {
    let mut page = String::new();
    let mut section = "";
    for row in rows {
        let first = if row.path.len() > 1 { row.path[0].as_str() } else { "The release" };
        if first != section {
            let title = if row.path.len() > 1 { format!("`{first}`") } else { first.to_owned() };
            // Writing to a string cannot fail.
            let _ = write!(page, "\n### {title}\n\n| value | default | meaning |\n| --- | --- | --- |\n");
            section = first;
        }
        let default = if row.default.is_empty() { "a text".to_owned() } else { format!("`{}`", row.default) };
        let _ = writeln!(page, "| `{}` | {default} | {} |", row.name(), row.comment);
    }
    page
}

#[test]
fn every_value_has_a_row_that_says_what_it_is() -> anyhow::Result<()> {
    let rows = rows(&chart::read("values.yaml")?)?;
    for row in &rows {
        ensure!(!row.comment.is_empty(), "{} has no comment", row.name());
        ensure!(!row.comment.contains('|') && !row.default.contains('|'), "{} would break its row", row.name());
    }
    let readme = chart::read("README.md")?;
    let (before, _) = readme.split_once(MARK).context("README.md has no mark where the rows begin")?;
    let made = format!("{before}{MARK}{}", page(&rows));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(chart::folder().join("README.md"), &made)?;
    }
    ensure!(
        chart::read("README.md")? == made,
        "helm/argosy/README.md is out of date: UPDATE=1 cargo test --test helm_chart"
    );
    Ok(())
}

#[test]
fn every_value_has_a_type_and_nothing_else_has_one() -> anyhow::Result<()> {
    let text = chart::read("values.yaml")?;
    let rows = rows(&text)?;
    let known: Value = serde_saphyr::from_str(&text).context("values.yaml is YAML")?;
    let mut schema: Value = serde_json::from_str(&chart::read("values.schema.json")?).context("the schema is JSON")?;
    let mut typed = BTreeSet::new();
    for row in &rows {
        let value = row.path.iter().try_fold(&known, |at, part| at.get(part));
        ensure!(value.is_some(), "{} was read wrongly", row.name());
        let at = row.path.iter().fold(&schema, |at, part| &at["properties"][part]);
        let says = ["type", "enum", "anyOf"].iter().any(|word| !at[*word].is_null());
        ensure!(says, "values.schema.json says nothing of {}", row.name());
        typed.insert(row.path.clone());
    }
    count(&known, &mut Vec::new(), &typed)?;
    sections(&mut schema, &mut Vec::new(), &typed)
}

/// Every leaf of the values has been seen by whoever read the text.
fn count(value: &Value, path: &mut Vec<String>, typed: &BTreeSet<Vec<String>>) -> anyhow::Result<()> {
    if typed.contains(path) {
        return Ok(());
    }
    let map = value.as_object().with_context(|| format!("{} is no row", path.join(".")))?;
    for (key, value) in map {
        path.push(key.clone());
        count(value, path, typed)?;
        path.pop();
    }
    Ok(())
}

/// The schema's sections hold values alone, and refuse what is none.
fn sections(schema: &mut Value, path: &mut Vec<String>, typed: &BTreeSet<Vec<String>>) -> anyhow::Result<()> {
    if typed.contains(path) {
        return Ok(());
    }
    let name = path.last().cloned().unwrap_or_default();
    let is_open = OPEN.contains(&name.as_str());
    ensure!(is_open || schema["additionalProperties"] == false, "{} takes mistyped values", path.join("."));
    let properties = schema["properties"].as_object_mut();
    for (key, schema) in properties.with_context(|| format!("{} is no value", path.join(".")))? {
        path.push(key.clone());
        sections(schema, path, typed)?;
        path.pop();
    }
    Ok(())
}

#[test]
fn a_mistyped_value_is_refused_with_its_place() -> anyhow::Result<()> {
    let refused = [
        ("controller.replica=3", "'/controller': additional properties 'replica' not allowed"),
        ("controller.replicas=three", "'/controller/replicas': got string, want integer"),
        ("etcd.bundled.replicas=2", "'/etcd/bundled/replicas'"),
        ("etcd.leaseSeconds=1", "'/etcd/leaseSeconds': minimum: got 1, want 2"),
        ("global.logging.format=xml", "'/global/logging/format'"),
        ("redis.enabled=true", "additional properties 'redis' not allowed"),
        ("configs.secret.argocdServerAdminPassword=plain", "'/configs/secret/argocdServerAdminPassword'"),
        ("configs.clusterCredentials.a.server=x", "'/configs/clusterCredentials/a': missing property 'config'"),
        ("controller.replicas=3", "more than one controller needs an etcd"),
        ("controller.autoscaling.enabled=true", "more than one controller needs an etcd"),
        ("etcd.endpoints={https://a:2379}", "set etcd.tls.existingSecret"),
        ("etcd.auth.user=a", "set etcd.auth.existingSecret"),
        ("server.ingress.enabled=true", "server.ingress needs a host"),
        ("dex.enabled=true", "dex.enabled needs the settings dex.config and url"),
        ("server.certificate.enabled=true", "server.certificate needs a name"),
    ];
    for (set, words) in refused {
        let error = chart::template("argocd", &["--set", set]).err().with_context(|| format!("{set} is taken"))?;
        ensure!(error.to_string().contains(words), "{set}: {error}");
    }
    let both = "etcd.bundled.enabled=true,etcd.endpoints={https://a:1}";
    let error = chart::template("argocd", &["--set", both]).err().context("two etcds are taken")?;
    ensure!(error.to_string().contains("exclude each other"), "{error}");
    Ok(())
}

#[test]
fn the_charts_kinds_are_those_of_the_product() -> anyhow::Result<()> {
    let mut names = [BTreeSet::new(), BTreeSet::new()];
    let folders = [workspace().join("config/crds"), chart::folder().join("files/crds")];
    for (folder, names) in folders.iter().zip(&mut names) {
        for entry in std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
            names.insert(entry?.file_name());
        }
    }
    ensure!(names[0] == names[1], "{names:?}");
    for name in &names[0] {
        let [product, copy] = folders.each_ref().map(|folder| folder.join(name));
        let text = std::fs::read_to_string(&product)?;
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&copy, &text)?;
        }
        ensure!(std::fs::read_to_string(&copy)? == text, "{} is out of date: UPDATE=1 cargo test", copy.display());
    }
    Ok(())
}
