//! Dashboards and alerts ask for metrics that the product has.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, ensure};
use argosy_tests::tools::workspace;
use serde_json::Value;

use crate::chart;

/// What histograms add to their names.
const PARTS: [&str; 3] = ["_bucket", "_count", "_sum"];

/// Names of metrics in the text of an expression.
fn metrics(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let is_metric = |word: &&str| ["argosy_", "argocd_", "grpc_server_"].iter().any(|family| word.starts_with(family));
    let whole = |word: &str| {
        let part = PARTS.iter().find_map(|part| word.strip_suffix(part));
        part.unwrap_or(word).to_owned()
    };
    words.filter(is_metric).map(whole).collect()
}

/// The product's source, but for its tests.
fn source(folder: &Path, all: &mut String) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() && !path.ends_with("tests") {
            source(&path, all)?;
        } else if path.extension().is_some_and(|end| end == "rs") {
            all.push_str(&std::fs::read_to_string(&path)?);
        }
    }
    Ok(())
}

/// Every text below a key `expr`.
fn expressions(value: &Value, all: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            all.extend(map.get("expr").and_then(Value::as_str).map(str::to_owned));
            map.values().for_each(|value| expressions(value, all));
        }
        Value::Array(list) => list.iter().for_each(|value| expressions(value, all)),
        _ => {}
    }
}

#[test]
fn what_is_watched_is_what_the_product_tells() -> anyhow::Result<()> {
    let mut code = String::new();
    source(&workspace().join("src"), &mut code)?;
    for (file, least) in [
        ("files/alerts.yaml", 20),
        ("files/dashboards/argosy-fleet.json", 20),
        ("files/dashboards/argosy-applications.json", 15),
    ] {
        let document: Value = serde_saphyr::from_str(&chart::read(file)?).with_context(|| format!("{file} is read"))?;
        let mut all = Vec::new();
        expressions(&document, &mut all);
        ensure!(all.len() >= least, "{file} has {} expressions", all.len());
        for expression in all {
            let names = metrics(&expression);
            ensure!(!names.is_empty(), "{file}: {expression} asks for nothing");
            for name in names {
                let is_told = code.contains(&format!("\"{name}\""));
                ensure!(is_told, "{file} asks for {name}, which nobody tells");
            }
        }
    }
    Ok(())
}

#[test]
fn every_alert_says_what_it_is_about_and_how_bad_that_is() -> anyhow::Result<()> {
    let document: Value = serde_saphyr::from_str(&chart::read("files/alerts.yaml")?)?;
    let mut names = BTreeSet::new();
    for group in document["groups"].as_array().context("groups")? {
        for rule in group["rules"].as_array().context("rules")? {
            let name = rule["alert"].as_str().context("an alert has a name")?;
            ensure!(names.insert(name.to_owned()), "{name} is there twice");
            let severity = rule["labels"]["severity"].as_str().unwrap_or_default();
            ensure!(["critical", "warning"].contains(&severity), "{name} is {severity:?}");
            for part in ["summary", "description"] {
                ensure!(
                    rule["annotations"][part].as_str().is_some_and(|text| !text.is_empty()),
                    "{name} has no {part}"
                );
            }
        }
    }
    Ok(())
}
