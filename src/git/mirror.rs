//! The owner of one repository's mirror: lists the remote, fetches, keeps the
//! disk tidy. See the crate's page for what it promises.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use git2::Oid;

use crate::fetch::{Failures, Fetch, Fetched};
use crate::objects::Objects;
use crate::observe::{Observer, Request, RequestKind};
use crate::pack::Stop;
use crate::refs::{RemoteRefs, parse_oid};
use crate::session::{Peer, Session};
use crate::store::Store;
use crate::{Credentials, Error, Limits, RepoUrl, repack};

const LS_REMOTE: &str = "git ls-remote";
const FETCH: &str = "git fetch";
const REPACK: &str = "git repack";

/// A bare mirror of a remote repository. One process owns it at a time; readers
/// work through [`Objects`].
pub struct Mirror {
    url: RepoUrl,
    store: Store,
    objects: Objects,
    observer: Option<Arc<dyn Observer>>,
}

// === impl Mirror ===

impl Mirror {
    /// Opens the mirror of `url` below `root`, or creates an empty one. Rubbish
    /// of a killed process is removed; a mirror that cannot be read is set aside
    /// and begun anew, to be filled by the next fetch.
    ///
    /// # Errors
    /// [`Error::Locked`] while another handle, here or in another process, has
    /// it open; [`Error::Io`] and [`Error::Store`] when the disk refuses.
    pub fn open(root: &Path, url: &RepoUrl) -> Result<Self, Error> {
        let (store, refs) = Store::open(root, url)?;
        let objects = Objects::new(store.git_dir(), refs);
        Ok(Self { url: url.clone(), store, objects, observer: None })
    }

    /// The same, telling `observer` of every request.
    pub fn with_observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Which repository this mirrors.
    pub fn url(&self) -> &RepoUrl {
        &self.url
    }

    /// A handle to read with, good for as long as anyone holds it.
    pub fn objects(&self) -> Objects {
        self.objects.clone()
    }

    /// The refs as of the last fetch.
    pub fn refs(&self) -> Arc<RemoteRefs> {
        self.objects.refs()
    }

    /// Asks the remote for `HEAD`, branches and tags: one round after connecting.
    ///
    /// # Errors
    /// Whatever keeps it from answering; see [`Error`].
    pub fn list_remote(&self, credentials: &Credentials) -> Result<RemoteRefs, Error> {
        self.list_remote_with(credentials, &[], &Limits::list())
    }

    /// [`Self::list_remote`] with refs below further prefixes, such as
    /// `refs/pull/7/head`, and other limits.
    ///
    /// # Errors
    /// Whatever keeps it from answering; see [`Error`].
    pub fn list_remote_with(
        &self,
        credentials: &Credentials,
        prefixes: &[&str],
        limits: &Limits,
    ) -> Result<RemoteRefs, Error> {
        if prefixes.iter().any(|prefix| prefix.contains(|c: char| c.is_whitespace() || c.is_control())) {
            return Err(Error::Unresolved { revision: prefixes.join(" ") });
        }
        let peer = self.peer(credentials, limits);
        let list = || limits.run(LS_REMOTE, async { Session::open(peer).await?.list(prefixes).await });
        self.observed(RequestKind::LsRemote, "", list, |_| true)
    }

    /// Brings the mirror up to date: all branches and tags, forced and pruned,
    /// then `wanted` commits (full ids) that no ref led to. With `wanted` commits
    /// that are all here already, the remote is not asked.
    ///
    /// # Errors
    /// [`Error::CommitUnavailable`] when a wanted commit cannot be had, the refs
    /// and the other commits being up to date all the same; anything else leaves the
    /// mirror as it was.
    pub fn fetch(&mut self, credentials: &Credentials, wanted: &[&str], limits: &Limits) -> Result<Fetched, Error> {
        let (fetched, failures) = self.fetch_each(credentials, wanted, limits)?;
        failures.into_values().next().map_or(Ok(fetched), Err)
    }

    /// [`Self::fetch`] for many who do not know of each other: what is wrong with one
    /// of the wanted commits is told beside, by its id, and is no error of the fetch.
    ///
    /// # Errors
    /// What concerns all of them, such as a connection that breaks.
    pub fn fetch_each(
        &mut self,
        credentials: &Credentials,
        wanted: &[&str],
        limits: &Limits,
    ) -> Result<(Fetched, BTreeMap<String, Error>), Error> {
        let mut oids = Vec::new();
        let mut failures = BTreeMap::new();
        for &sha in wanted {
            match parse_oid(sha) {
                Some(oid) => oids.push(oid),
                None => {
                    failures.insert(sha.to_owned(), Error::Unresolved { revision: sha.to_owned() });
                }
            }
        }
        if !wanted.is_empty() && self.objects.contain_all(&oids)? {
            return Ok((Fetched { skipped: true, ..Fetched::default() }, failures));
        }
        self.store.clear_rubbish()?;
        // Empty where only the refs are fetched.
        let revision = oids.first().map(Oid::to_string).unwrap_or_default();
        let fetch = || self.fetch_refs(credentials, &oids, limits);
        let result = self.observed(RequestKind::Fetch, &revision, fetch, |(_, refused)| refused.is_empty());
        if !result.as_ref().is_ok_and(|(_, refused)| refused.is_empty()) {
            self.store.clear_rubbish()?;
        }
        let (fetched, refused) = result?;
        failures.extend(refused.into_iter().map(|(oid, error)| (oid.to_string(), error)));
        self.store.forget_damaged()?;
        if let Err(error) = self.merge_packs(limits) {
            // What was asked for is here; the next fetch tries again.
            tracing::warn!(repo = %self.url, error = &error as &dyn std::error::Error, "the packs could not be joined");
        }
        Ok((fetched, failures))
    }

    /// Packs everything reachable from the refs and from `keep` (full ids of
    /// commits still in use) into one pack and drops the rest: what rewritten
    /// history and commits fetched by id have left behind. Takes time and memory
    /// in proportion to the repository; meant for idle hours.
    ///
    /// # Errors
    /// [`Error::Store`] or [`Error::Io`]; the mirror is as good as before.
    pub fn collect(&mut self, keep: &[&str], limits: &Limits) -> Result<(), Error> {
        let keep: Vec<Oid> = keep.iter().filter_map(|sha| parse_oid(sha)).collect();
        let stop = Stop::new(limits);
        let handle = self.objects.handle()?;
        let collected = repack::collect(&self.store, &handle, &self.refs(), &keep, &stop);
        drop(handle);
        self.after_repack(collected.map(|()| true), &stop, limits)
    }

    /// Sets the mirror aside and begins an empty one: for an owner whose reads
    /// fail with [`Error::is_damage`].
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Store`].
    pub fn recreate(&mut self) -> Result<(), Error> {
        self.store.recreate()?;
        self.objects.set_refs(RemoteRefs::default());
        self.objects.reopen();
        Ok(())
    }

    fn fetch_refs(
        &self,
        credentials: &Credentials,
        wanted: &[Oid],
        limits: &Limits,
    ) -> Result<(Fetched, Failures), Error> {
        let handle = self.objects.handle()?;
        let own = self.refs();
        let stop = Stop::new(limits);
        let peer = self.peer(credentials, limits);
        let fetch = Fetch {
            peer,
            repository: &handle,
            own: &own,
            wanted,
            stop: stop.clone(),
            on_refs: &|refs| {
                self.objects.set_refs(refs);
            },
        };
        limits.run(FETCH, fetch.run()).map_err(|error| match error {
            error @ (Error::Io { .. } | Error::Store { .. }) => stop.explain(FETCH, limits, error),
            error => error,
        })
    }

    /// Every fetch adds a pack, and every pack slows every look-up a little.
    fn merge_packs(&mut self, limits: &Limits) -> Result<(), Error> {
        let stop = Stop::new(limits);
        let handle = self.objects.handle()?;
        let merged = repack::merge(&self.store, &handle, &stop);
        drop(handle);
        self.after_repack(merged, &stop, limits)
    }

    fn after_repack(&self, result: Result<bool, Error>, stop: &Stop, limits: &Limits) -> Result<(), Error> {
        match result {
            Ok(true) => self.objects.reopen(),
            Ok(false) => {}
            Err(error) => {
                self.store.clear_rubbish()?;
                return Err(stop.explain(REPACK, limits, error));
            }
        }
        Ok(())
    }

    fn peer<'a>(&'a self, credentials: &'a Credentials, limits: &Limits) -> Peer<'a> {
        Peer { url: &self.url, credentials, store: &self.store, max_bytes: limits.max_bytes }
    }

    /// Makes a request and tells the observer of it; one that brought less than it was
    /// made for has failed, too.
    fn observed<T>(
        &self,
        kind: RequestKind,
        revision: &str,
        request: impl FnOnce() -> Result<T, Error>,
        is_complete: impl FnOnce(&T) -> bool,
    ) -> Result<T, Error> {
        let begin = Instant::now();
        let result = request();
        if let Some(observer) = &self.observer {
            let repo = self.url.to_string();
            let duration = begin.elapsed();
            let failed = !result.as_ref().is_ok_and(is_complete);
            observer.on_request(&Request { repo: &repo, kind, revision, duration, failed });
        }
        result
    }
}
