//! What kind of source an application has: said by the source itself, or read off
//! the files at its path. Only [`SourceType::Directory`] is rendered here; the
//! others are recognised so that they fail with their own name.

use serde_json::Value;

use crate::error::Error;
use crate::tree::{Tree, file_name};

mod overrides;

pub use overrides::{OVERRIDE_FILE, merge_overrides, override_files};

/// How a source becomes manifests. Displays as the API names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SourceType {
    /// A Helm chart.
    Helm,
    /// A kustomization.
    Kustomize,
    /// Plain manifests.
    Directory,
    /// A config management plugin.
    Plugin,
}

/// The fields of an application's source that decide its rendering.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceSpec {
    /// Path within the repository, as written.
    pub path: String,
    /// The `directory` stanza.
    pub directory: Option<Directory>,
    /// A `helm` stanza is there.
    pub helm: bool,
    /// A `kustomize` stanza is there.
    pub kustomize: bool,
    /// A `plugin` stanza is there.
    pub plugin: bool,
    /// `chart` is set: the source is a Helm repository's.
    pub chart: bool,
}

/// The `directory` stanza.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directory {
    /// Directories below count too.
    pub recurse: bool,
    /// Glob of the only files that count; empty for all.
    pub include: String,
    /// Glob of files that do not count; empty for none.
    pub exclude: String,
    /// Variables or libraries for jsonnet are given.
    pub jsonnet: bool,
}

/// Source types that the settings leave on (`helm.enable`, `kustomize.enable`,
/// `jsonnet.enable`). A source of a type that is off is a plain directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnabledTypes {
    /// Helm charts are recognised.
    pub helm: bool,
    /// Kustomizations are recognised.
    pub kustomize: bool,
    /// `.jsonnet` files are manifests; else they are passed over.
    pub jsonnet: bool,
}

// === impl SourceType ===

impl SourceType {
    /// The name in the API: `status.sourceType`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Helm => "Helm",
            Self::Kustomize => "Kustomize",
            Self::Directory => "Directory",
            Self::Plugin => "Plugin",
        }
    }
}

impl std::fmt::Display for SourceType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl SourceSpec ===

impl SourceSpec {
    /// Reads an `ApplicationSource` in its JSON form. A stanza that says nothing
    /// (`helm: {}`, `directory: {recurse: false}`) counts as absent.
    ///
    /// # Errors
    /// [`Error::SourceField`] where a field has another type than the API's.
    pub fn from_json(source: &Value) -> Result<Self, Error> {
        let text = |value: &Value, key: &str, field: &'static str| match value.get(key) {
            None | Some(Value::Null) => Ok(String::new()),
            Some(Value::String(s)) => Ok(s.clone()),
            Some(_) => Err(Error::SourceField { field, expected: "a string" }),
        };
        let stanza = |key: &str| source.get(key).filter(|v| !is_zero(v));
        let directory = match stanza("directory") {
            None => None,
            Some(value @ Value::Object(_)) => Some(Directory {
                recurse: match value.get("recurse") {
                    None | Some(Value::Null) => false,
                    Some(Value::Bool(b)) => *b,
                    Some(_) => return Err(Error::SourceField { field: "directory.recurse", expected: "a boolean" }),
                },
                include: text(value, "include", "directory.include")?,
                exclude: text(value, "exclude", "directory.exclude")?,
                jsonnet: value.get("jsonnet").is_some_and(|v| !is_zero(v)),
            }),
            Some(_) => return Err(Error::SourceField { field: "directory", expected: "a map" }),
        };
        Ok(Self {
            path: text(source, "path", "path")?,
            directory,
            helm: stanza("helm").is_some(),
            kustomize: stanza("kustomize").is_some(),
            plugin: stanza("plugin").is_some(),
            chart: !text(source, "chart", "chart")?.is_empty(),
        })
    }

    /// The type the source itself names.
    ///
    /// # Errors
    /// [`Error::MultipleSources`] where it names more than one.
    pub fn explicit_type(&self) -> Result<Option<SourceType>, Error> {
        let stanzas = [
            (SourceType::Kustomize, self.kustomize),
            (SourceType::Helm, self.helm),
            (SourceType::Directory, self.directory.is_some()),
            (SourceType::Plugin, self.plugin),
        ];
        let named: Vec<SourceType> = stanzas.into_iter().filter(|(_, present)| *present).map(|(t, _)| t).collect();
        match named[..] {
            [] if self.chart => Ok(Some(SourceType::Helm)),
            [] => Ok(None),
            [one] => Ok(Some(one)),
            _ => Err(Error::MultipleSources { types: named.into_iter().map(SourceType::as_str).collect() }),
        }
    }
}

// === impl EnabledTypes ===

impl EnabledTypes {
    /// A type, or the directory it falls back to when it is off.
    pub(crate) fn or_directory(self, source_type: SourceType) -> SourceType {
        match source_type {
            SourceType::Helm if !self.helm => SourceType::Directory,
            SourceType::Kustomize if !self.kustomize => SourceType::Directory,
            other => other,
        }
    }
}

impl Default for EnabledTypes {
    fn default() -> Self {
        Self { helm: true, kustomize: true, jsonnet: true }
    }
}

/// The type of the source at the clean path `app_path`.
///
/// # Errors
/// [`Error::MultipleSources`], or what listing the directory met.
pub fn detect(tree: &dyn Tree, app_path: &str, spec: &SourceSpec, enabled: EnabledTypes) -> Result<SourceType, Error> {
    if let Some(explicit) = spec.explicit_type()? {
        return Ok(enabled.or_directory(explicit));
    }
    let entries = tree.list(app_path, false)?;
    Ok(type_of_files(entries.iter().map(|e| file_name(&e.path)), enabled))
}

/// The type that the names of a directory's entries tell. A kustomization wins over
/// a chart beside it.
pub(crate) fn type_of_files<'a>(names: impl Iterator<Item = &'a str>, enabled: EnabledTypes) -> SourceType {
    let mut found = SourceType::Directory;
    for name in names {
        match name {
            "kustomization.yaml" | "kustomization.yml" | "Kustomization" if enabled.kustomize => {
                return SourceType::Kustomize;
            }
            "Chart.yaml" if enabled.helm => found = SourceType::Helm,
            _ => {}
        }
    }
    found
}

/// Whether a file of this name tells a source type.
pub(crate) fn tells_type(name: &str) -> bool {
    type_of_files(std::iter::once(name), EnabledTypes::default()) != SourceType::Directory
}

/// Whether a value says nothing: Go's zero value, all the way down.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(b) => !b,
        Value::Number(n) => n.as_f64() == Some(0.0),
        Value::String(s) => s.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_zero),
    }
}
