//! The cases, as they are written down.
//!
//! `# ` begins a case with its name; each line below is a step: `METHOD PATH BODY`,
//! where words after the method, set off by slashes, say how it is sent (see
//! `exchange.rs`), or `AWAIT PATH`, which asks until that is served. `NS` is a
//! namespace of the case's own, `<name>` a body of `bodies.txt`.

use anyhow::Context;

/// A file of cases, with its name.
macro_rules! files {
    ($($name:literal),* $(,)?) => { &[$(($name, include_str!(concat!($name, ".txt")))),*] };
}

const FILES: &[(&str, &str)] = files![
    "documents",
    "requests",
    "create",
    "update",
    "patch",
    "apply",
    "delete",
    "list",
    "watch",
    "namespaces",
    "core",
    "pods",
    "apps",
    "batch",
    "networking",
    "scaling",
    "rbac",
    "storage",
    "machinery",
    "definitions",
    "custom",
    "schemas",
    "rules",
    "reviews",
    "tables",
];

/// The file whose cases run alone, one after another, before the others.
const ALONE: &str = "documents";

const BODIES: &str = include_str!("bodies.txt");

/// Requests that follow each other.
pub(crate) struct Case {
    pub(crate) file: &'static str,
    pub(crate) name: &'static str,
    pub(crate) namespace: String,
    pub(crate) is_alone: bool,
    pub(crate) steps: Vec<String>,
}

// === impl Case ===

impl Case {
    /// Whether its file or name has a word.
    pub(crate) fn is_about(&self, word: &str) -> bool {
        self.name.contains(word) || self.file.contains(word)
    }
}

/// All cases.
pub(crate) fn read() -> anyhow::Result<Vec<Case>> {
    let lines = BODIES.lines().filter(|line| !line.is_empty());
    let bodies: Option<Vec<(&str, &str)>> = lines.map(|line| line.split_once(' ')).collect();
    let bodies = bodies.context("a body has a name")?;
    let mut cases: Vec<Case> = Vec::new();
    for (file, text) in FILES {
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if let Some(name) = line.strip_prefix("# ") {
                anyhow::ensure!(cases.iter().all(|case| case.name != name), "two cases have the name {name}");
                let namespace = format!("case-{}", cases.len());
                cases.push(Case { file, name, namespace, is_alone: *file == ALONE, steps: Vec::new() });
                continue;
            }
            let case = cases.last_mut().with_context(|| format!("{file} begins without a name"))?;
            let step =
                bodies.iter().fold(line.to_owned(), |step, (name, body)| step.replace(&format!("<{name}>"), body));
            case.steps.push(step.replace("NS", &case.namespace));
        }
    }
    Ok(cases)
}
