//! Sources to manifests: what an application's source at a revision makes of
//! itself, as Kubernetes objects.
//!
//! Owns the reading of files behind [`Tree`], the detection of source types, the
//! override files, the rendering of directories of plain manifests, a YAML reader
//! that means what Go's means, and the cache of results. Helm, Kustomize, plugins
//! and jsonnet are recognised and refused by name.
//!
//! Promises. The result depends on the content read and the parameters alone: not
//! on the commit, the application's name or the clock, so applications of equal
//! content share one result and a commit that does not touch an application's
//! files costs it nothing. Therefore tracking labels and namespaces are the caller's
//! to set. Objects come in the order of their files, then of their documents.
//! Nothing outside the tree is read, whatever links or paths say, and every input
//! meets a bound on bytes, nesting and expansion.
//!
//! All state is the cache; losing it costs renderings. Everything here blocks, or
//! computes: keep it off an actor's thread.

pub mod cache;
pub mod directory;
pub mod source;
pub mod tree;
pub mod yaml;

mod error;
mod facts;
mod rendered;
mod renderer;

pub use error::Error;
pub use rendered::Rendered;
pub use renderer::{RenderRequest, Renderer, RendererOptions};
pub use source::{EnabledTypes, SourceSpec, SourceType};
pub use tree::{Entry, EntryKind, MemoryTree, Tree, TreeError};
