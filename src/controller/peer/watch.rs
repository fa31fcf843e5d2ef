//! Following a tree: what it is now, and what it becomes.
//!
//! Changes come in bursts and every one is the whole tree, so they are gathered
//! for a moment, and a tree that looks as before is not sent again. A follower
//! that does not read holds up nothing but itself.

use std::sync::Arc;
use std::time::Duration;

use argosy_proto::v1alpha1::ApplicationTree;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::refusal;
use super::subject::Subject;
use super::tree::Tree;
use crate::context::Shared;

/// Least time between two trees.
const GATHER: Duration = Duration::from_millis(100);

/// Trees as they are sent.
pub(super) type Trees = ReceiverStream<Result<ApplicationTree, Status>>;

/// Starts following. The first tree may have to wait for a first comparison.
pub(super) fn follow(shared: Arc<Shared>, subject: Subject, ending: CancellationToken) -> Trees {
    let (tx, rx) = mpsc::channel(1);
    tokio::spawn(async move {
        let end = tokio::select! {
            () = tx.closed() => return,
            () = ending.cancelled() => Err(refusal::ends()),
            end = send(&shared, &subject, &tx) => end,
        };
        if let Err(status) = end {
            // Nobody is there to hear it when this fails.
            let _ = tx.send(Err(status)).await;
        }
    });
    ReceiverStream::new(rx)
}

async fn send(
    shared: &Arc<Shared>,
    subject: &Subject,
    tx: &mpsc::Sender<Result<ApplicationTree, Status>>,
) -> Result<(), Status> {
    let mut signs = shared.directory.views().watch(&subject.key);
    let mut last: Option<ApplicationTree> = None;
    loop {
        signs.mark_unchanged();
        // The application may have been given another destination since.
        let now = Subject { key: subject.key.clone(), app: shared.home.apps().get(&subject.key).ok_or_else(gone)? };
        let tree = Tree::prepare(shared, &now).await?.build().await?;
        if last.as_ref() != Some(&tree) {
            last = Some(tree.clone());
            if tx.send(Ok(tree)).await.is_err() {
                return Ok(());
            }
        }
        tokio::time::sleep(GATHER).await;
        if signs.changed().await.is_err() {
            return Err(now.left(shared));
        }
    }
}

fn gone() -> Status {
    Status::not_found("the application is gone")
}
