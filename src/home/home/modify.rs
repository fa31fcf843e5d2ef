//! Read, change, write back: how every object of the control plane is changed.
//!
//! The object is held as JSON, so what no type here knows comes through. A write
//! names the version that was read; when somebody was faster it is done again
//! from the start, a bounded number of times.

use std::time::Duration;

use argosy_model::object;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::Home;
use crate::backoff::Backoff;
use crate::call::{Call, PATIENCE, Path};
use crate::error::{Error, Result};

/// How often a change is tried while others keep being faster.
const TRIES: usize = 10;

/// Where an object is, and how it is called.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) collection: Path,
    pub(super) name: String,
}

// === impl Place ===

impl Place {
    pub(super) fn object(&self) -> Path {
        self.collection.clone().segment(&self.name)
    }
}

// === impl Home ===

impl Home {
    /// One request with its retries; the answer as JSON.
    pub(super) async fn ask(&self, call: &Call) -> Result<Value> {
        let answer = call.send_with_retries(&self.shared.client, PATIENCE, self.seed()).await?;
        serde_json::from_slice(&answer).map_err(|source| Error::Decode { what: "an object", source })
    }

    /// Changes an object and returns what it is then. An object that is missing is
    /// made from `missing`, where that is given. `at` is the only version that may
    /// be changed; without one the change is tried again on conflicts. `edit` may
    /// run several times; where it changes nothing, nothing is written.
    pub(super) async fn modify<E: From<Error>>(
        &self,
        place: &Place,
        missing: Option<&Value>,
        at: Option<&str>,
        mut edit: impl FnMut(&mut Value) -> Result<(), E>,
    ) -> Result<Value, E> {
        let mut backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(320), self.seed());
        let mut left = TRIES;
        loop {
            let current = match (self.ask(&Call::get(place.object())).await, missing) {
                (Ok(current), _) => Some(current),
                (Err(Error::NotFound(_)), Some(_)) => None,
                (Err(error), _) => return Err(error.into()),
            };
            let version = current.as_ref().map_or("", object::resource_version).to_owned();
            if at.is_some_and(|at| at != version) {
                return Err(Error::Conflict(newer(&place.name)).into());
            }
            let Some(mut next) = current.clone().or_else(|| missing.cloned()) else {
                return Err(Error::NotFound(format!("{} not found", place.name)).into());
            };
            edit(&mut next)?;
            if current.as_ref() == Some(&next) {
                return Ok(next);
            }
            let call = if current.is_some() {
                if let Some(metadata) = object::metadata(&mut next) {
                    metadata.insert("resourceVersion".to_owned(), json!(version));
                }
                Call::replace(place.object(), &next)
            } else {
                Call::create(place.collection.clone(), &next)
            };
            left -= 1;
            match self.ask(&call).await {
                Err(Error::Conflict(_)) if at.is_none() && left > 0 => {}
                // Made, or deleted, since it was read.
                Err(Error::AlreadyExists(_)) if current.is_none() && left > 0 => {}
                Err(Error::NotFound(_)) if current.is_some() && missing.is_some() && left > 0 => {}
                other => return other.map_err(E::from),
            }
            sleep(backoff.wait(None)).await;
        }
    }
}

/// What Kubernetes says of a version that is not the latest.
fn newer(name: &str) -> String {
    format!(
        "Operation cannot be fulfilled on {name:?}: the object has been modified; please apply your changes to the \
         latest version and try again"
    )
}
