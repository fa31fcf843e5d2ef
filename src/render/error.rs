//! Why a source gives no manifests. What users read is [`argosy_model::report`]: the
//! error and all its causes on one line, as conditions of an application carry it.

use std::sync::Arc;

use crate::source::SourceType;
use crate::tree::{PathError, TreeError};
use crate::yaml;

/// An operation of this crate that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The path is absolute or leaves the repository.
    #[error(transparent)]
    Path(#[from] PathError),
    /// Nothing at the path, at this revision.
    #[error("{path}: app path does not exist")]
    PathMissing {
        /// As in the source.
        path: String,
    },
    /// A file at the path.
    #[error("{path}: app path is not a directory")]
    PathNotADirectory {
        /// As in the source.
        path: String,
    },
    /// The source says two things of how it is rendered.
    #[error("multiple application sources defined: {}", .types.join(","))]
    MultipleSources {
        /// Names of the source types.
        types: Vec<&'static str>,
    },
    /// A kind of source this build has no renderer for.
    #[error(
        "{path}: this is a {source_type} source ({reason}), and {source_type} sources are not rendered yet; only directories of plain YAML and JSON manifests are"
    )]
    NotRendered {
        /// As in the source.
        path: String,
        /// What it is.
        source_type: SourceType,
        /// Why it counts as that.
        reason: &'static str,
    },
    /// A jsonnet file among the manifests.
    #[error(
        "{file:?} is jsonnet, and jsonnet is not evaluated yet; leave it out with directory.exclude or a directory.include that does not match it"
    )]
    Jsonnet {
        /// Path within the application's directory.
        file: String,
    },
    /// A field of the source, or of an override file, has the wrong type.
    #[error("invalid source: {field} must be {expected}")]
    SourceField {
        /// Path of the field.
        field: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// An override file is no YAML.
    #[error("error while parsing source parameters: {file}")]
    OverrideSyntax {
        /// Name of the file.
        file: String,
        /// Where and what.
        #[source]
        source: yaml::Error,
    },
    /// An override file holds something else than a map.
    #[error("error while parsing source parameters: {file}: must be a map of fields of the application's source")]
    OverrideShape {
        /// Name of the file.
        file: String,
    },
    /// More bytes of manifests than allowed.
    #[error(
        "exceeded max combined manifest file size: the manifests in this directory hold more than {max_bytes} bytes (reached at {file:?}); leave files out with directory.include or directory.exclude, split the application, or raise reposerver.max.combined.directory.manifests.size"
    )]
    CombinedSize {
        /// The limit, in bytes.
        max_bytes: u64,
        /// Path within the application's directory where it was passed.
        file: String,
    },
    /// A link among the manifests leaves the repository.
    #[error("illegal filepath in symlink at {file:?}: it leads out of the repository; replace it by the file itself")]
    IllegalLink {
        /// Path within the application's directory.
        file: String,
    },
    /// A manifest file that is no YAML or JSON.
    #[error("Failed to unmarshal {file:?}")]
    Unmarshal {
        /// Path within the application's directory.
        file: String,
        /// Where and what.
        #[source]
        source: yaml::Error,
    },
    /// A document that is no Kubernetes object.
    #[error(
        "Failed to unmarshal {file:?}: document at line {line}: {problem}; if this is no manifest, exclude the file or put `# +argocd:skip-file-rendering` in it"
    )]
    NotAnObject {
        /// Path within the application's directory.
        file: String,
        /// Line of the document, from 1.
        line: usize,
        /// What is missing.
        problem: &'static str,
    },
    /// A JSON file with more than its one object.
    #[error("Found multiple objects in {file:?}. Only single objects are allowed in JSON files.")]
    MultipleJson {
        /// Path within the application's directory.
        file: String,
    },
    /// The repository could not be read. Not a fact about its content, so it is
    /// never remembered.
    #[error("reading the source failed")]
    Tree(#[from] TreeError),
    /// A rendering that failed before and is not tried again for a while.
    #[error("Manifest generation error (cached)")]
    Cached(#[source] Arc<Error>),
}

// === impl Error ===

impl Error {
    /// Whether the same content will fail the same way again.
    pub fn is_about_content(&self) -> bool {
        !matches!(self, Self::Tree(TreeError::Read { .. }))
    }
}
