//! Whether repositories can be reached, as asked last.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use argosy_proto::peer::RepositoryRequest;
use argosy_proto::v1alpha1::{ConnectionState, Repository};
use tonic::Status;

use super::Service;
use crate::peers::told;

/// How long an answer counts, as Argo CD keeps it.
const FRESH: Duration = Duration::from_secs(3600);
/// How long a repository gets to answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Most answers kept; beyond that the oldest knowledge is asked for again.
const MOST: usize = 10_000;

/// Answers by address and project.
#[derive(Default)]
pub(super) struct States(Mutex<HashMap<(String, String), (Instant, ConnectionState)>>);

// === impl States ===

impl States {
    fn get(&self, url: &str, project: &str) -> Option<ConnectionState> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, state) = known.get(&key(url, project))?;
        (at.elapsed() < FRESH).then(|| state.clone())
    }

    fn set(&self, url: &str, project: &str, state: ConnectionState) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(key(url, project), (Instant::now(), state));
    }

    /// The credentials are others now.
    pub(super) fn forget(&self, url: &str, project: &str) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.remove(&key(url, project));
    }
}

fn key(url: &str, project: &str) -> (String, String) {
    (url.to_owned(), project.to_owned())
}

// === impl Service ===

impl Service {
    /// Whether a declared repository can be reached with its stored credentials.
    pub(super) async fn connection(&self, url: &str, project: &str, force: bool) -> ConnectionState {
        if let Some(known) = self.states.get(url, project).filter(|_| !force) {
            return known;
        }
        let request = RepositoryRequest {
            repository: Some(Repository { repo: url.to_owned(), ..Default::default() }),
            project: project.to_owned(),
            as_given: false,
            force: true,
        };
        let (status, message) = match self.test(request).await {
            Ok(()) => ("Successful", String::new()),
            Err(error) => ("Failed", format!("Unable to connect to repository: {}", error.message())),
        };
        let now = (self.shared.clock)();
        let state = ConnectionState {
            status: status.to_owned(),
            message,
            attempted_at: Some(argosy_proto::meta::Time::from(now)),
        };
        self.states.set(url, project, state.clone());
        state
    }

    /// Asks the owner to reach a repository.
    pub(super) async fn test(&self, request: RepositoryRequest) -> Result<(), Status> {
        let url = request.repository.as_ref().map_or("", |r| &r.repo).to_owned();
        let mut peer = self.shared.peers.of_repository(&url)?;
        let asked = peer.test_repository(request);
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(answer) => answer.map(drop).map_err(told),
            Err(_) => Err(Status::deadline_exceeded(format!("the repository did not answer within {PATIENCE:?}"))),
        }
    }
}
