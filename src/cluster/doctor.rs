//! What a cluster lets us do, and what it lacks for us to work there.

use std::sync::Arc;

use futures::future::try_join_all;

use crate::access::{Question, lacking};
use crate::connection::{Connection, ServerVersion};
use crate::discovery::{ApiResource, Discovery};
use crate::error::Result;
use crate::fence::{Identity, Rights, survey};

/// Verbs that looking takes, and those that deploying takes.
const READ: &[&str] = &["get", "list", "watch"];
const WRITE: &[&str] = &["create", "patch", "update", "delete"];

/// Kinds that are asked about at once: access reviews are cheap, and there may be
/// hundreds of kinds.
const AT_ONCE: usize = 16;

/// What was found.
#[derive(Clone, Debug)]
pub struct Findings {
    /// The API server's version.
    pub version: ServerVersion,
    /// Whom it takes us for.
    pub identity: Identity,
    /// What may be read.
    pub reading: Access,
    /// What may be changed.
    pub writing: Access,
    /// What is lacking for a fence.
    pub fence: Rights,
}

/// How far a right goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Every kind, those to come too.
    Everything,
    /// Every kind that is served today, by name.
    Served,
    /// Not for these kinds: what is lacking, in words such as `list secrets in the cluster`.
    Lacking(Vec<String>),
}

/// Examines the cluster; with `namespaces` only those are asked about.
///
/// # Errors
/// When the cluster does not answer, or does not let us in.
pub async fn examine(connection: &Connection, namespaces: &[String]) -> Result<Findings> {
    let version = connection.server_version().await?;
    let (identity, fence) = survey(connection, true).await?;
    let discovery = Discovery::new(connection.clone());
    discovery.refresh().await?;
    let catalog = discovery.catalog();
    let mut kinds = catalog.watchable();
    kinds.retain(|kind| namespaces.is_empty() || kind.namespaced);
    let everywhere = [String::new()];
    let places = if namespaces.is_empty() { &everywhere[..] } else { namespaces };
    let reading = access(connection, places, &kinds, READ).await?;
    let writing = access(connection, places, &kinds, WRITE).await?;
    Ok(Findings { version, identity, reading, writing, fence })
}

async fn access(
    connection: &Connection,
    places: &[String],
    kinds: &[Arc<ApiResource>],
    verbs: &[&str],
) -> Result<Access> {
    let all = |namespace| Question { namespace, group: "*", resource: "*", name: "", verbs };
    let questions: Vec<Question<'_>> = places.iter().map(|place| all(place)).collect();
    if lacking(connection, &questions).await?.is_empty() {
        return Ok(Access::Everything);
    }
    let mut lacks = Vec::new();
    for place in places {
        for some in kinds.chunks(AT_ONCE) {
            let each = some.iter().map(|kind| {
                let verbs: Vec<&str> = verbs.iter().copied().filter(|verb| kind.can(verb)).collect();
                async move {
                    let (group, resource) = (&*kind.gvk.group, &*kind.plural);
                    let question = Question { namespace: place, group, resource, name: "", verbs: &verbs };
                    lacking(connection, &[question]).await
                }
            });
            lacks.extend(try_join_all(each).await?.into_iter().flatten());
        }
    }
    Ok(if lacks.is_empty() { Access::Served } else { Access::Lacking(lacks) })
}
