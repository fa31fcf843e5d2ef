//! Fuzz targets over policies.

pub(crate) mod pattern;
pub(crate) mod policy;
