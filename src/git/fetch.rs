//! One fetch: compare refs, bring a pack, replace the refs.

use std::collections::BTreeMap;

use git2::{Oid, Repository};

use crate::Error;
use crate::negotiate::{plan_haves, plan_wants};
use crate::pack::{IncomingPack, Stop};
use crate::refs::RemoteRefs;
use crate::session::{Peer, Session};

/// What a fetch did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    /// Everything wanted was in the mirror already; the remote was not asked.
    pub skipped: bool,
    /// Bytes of packs received.
    pub bytes: u64,
    /// Whether any branch, tag or `HEAD` moved, came or went.
    pub refs_changed: bool,
}

/// Wanted commits that could not be had, and why.
pub(crate) type Failures = BTreeMap<Oid, Error>;

/// Everything one fetch works with.
pub(crate) struct Fetch<'a> {
    pub peer: Peer<'a>,
    pub repository: &'a Repository,
    pub own: &'a RemoteRefs,
    pub wanted: &'a [Oid],
    pub stop: Stop,
    /// Told of the new refs once they are written.
    pub on_refs: &'a dyn Fn(RemoteRefs),
}

// === impl Fetch ===

impl Fetch<'_> {
    /// Wanted commits that no ref led to are asked for by their id, after the
    /// refs are up to date. One that cannot be had does not keep the others from
    /// coming.
    pub(crate) async fn run(&self) -> Result<(Fetched, Failures), Error> {
        let mut session = Session::open(self.peer).await?;
        let remote = session.list(&[]).await?.mirrored();
        let mut fetched = Fetched { refs_changed: remote != *self.own, ..Fetched::default() };
        let wants = plan_wants(&remote, &self.odb()?);
        if !wants.is_empty() {
            fetched.bytes += self.receive(&mut session, &wants, &remote).await?;
        }
        if fetched.refs_changed {
            self.peer.store.write_refs(&remote)?;
            (self.on_refs)(remote.clone());
        }
        let mut failures = Failures::new();
        let mut refused = false;
        for &sha in self.wanted {
            if self.odb()?.exists(sha) {
                continue;
            }
            // A server that refuses hangs up.
            if std::mem::take(&mut refused) || session.is_spent() {
                session = Session::open(self.peer).await?;
                session.list(&[]).await?;
            }
            match self.receive(&mut session, &[sha], &remote).await {
                Ok(bytes) => fetched.bytes += bytes,
                Err(error) if is_answer(&error) => {
                    failures.insert(sha, explain_missing(sha, error));
                    refused = true;
                }
                Err(error) => return Err(error),
            }
        }
        Ok((fetched, failures))
    }

    async fn receive(&self, session: &mut Session<'_>, wants: &[Oid], remote: &RemoteRefs) -> Result<u64, Error> {
        let haves = plan_haves(remote, self.own, self.repository)?;
        let odb = self.odb()?;
        let mut pack = IncomingPack::new(self.peer.store, &odb, self.stop.clone())?;
        session.fetch(wants, &haves, &mut |data| pack.write(data)).await?;
        let bytes = pack.adopt()?;
        let arrived = wants.iter().all(|oid| odb.exists(*oid));
        let reason = "the pack does not hold what was asked for";
        if arrived { Ok(bytes) } else { Err(Error::Protocol { repo: self.peer.url.to_string(), reason }) }
    }

    fn odb(&self) -> Result<git2::Odb<'_>, Error> {
        self.repository.odb().map_err(Error::store("open the object database"))
    }
}

/// Whether the remote was there and said no, which concerns what it was asked for;
/// what goes wrong on the way or on this side concerns everything.
fn is_answer(error: &Error) -> bool {
    matches!(error, Error::Remote { .. } | Error::Process { .. } | Error::Protocol { .. } | Error::HttpStatus { .. })
}

/// Servers refuse an id they do not know, or do not give out, in these words.
fn explain_missing(sha: Oid, error: Error) -> Error {
    match &error {
        Error::Remote { message, .. } | Error::Process { message, .. }
            if ["not our ref", "unadvertised object", "not valid", "bad object"]
                .iter()
                .any(|m| message.contains(m)) =>
        {
            Error::CommitUnavailable { sha: sha.to_string() }
        }
        _ => error,
    }
}
