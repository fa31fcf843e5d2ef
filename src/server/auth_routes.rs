//! Auth routes.
use std::sync::Arc;
use crate::shared::Shared;
pub(crate) fn router(_: Arc<Shared>) -> axum::Router { axum::Router::new() }
