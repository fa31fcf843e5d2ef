//! Who wants to hear of which revision, and whom new refs concern.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use argosy_git::{Objects, RemoteRefs};
use argosy_model::AppKey;
use argosy_proto::v1alpha1::ApplicationSource;
use argosy_render::cache::Key;

use super::message::Generate;
use super::round::{Wanted, commit_of, render_request};
use super::snapshot::SnapshotTree;
use crate::context::Shared;

/// One source of one application, as it was rendered last or is being rendered.
#[derive(Clone, Debug)]
pub(super) struct Interest {
    app: AppKey,
    index: usize,
    instance: String,
    source: Arc<ApplicationSource>,
    /// Empty when the source could not be had.
    commit: String,
    /// Identity of what was read; `None` when it could not be rendered, or was not yet.
    key: Option<Key>,
}

/// All interests of a repository, one per source.
#[derive(Default)]
pub(super) struct Interests {
    by_source: HashMap<(AppKey, usize), Interest>,
}

/// What new refs mean.
pub(super) struct Affected {
    /// Applications whose files differ, or could not be read before.
    pub(super) apps: Vec<AppKey>,
    /// Sources that render the same at another commit.
    pub(super) unaffected: Vec<Interest>,
}

// === impl Interest ===

impl Interest {
    fn is_of(&self, request: &Generate, commit: &str) -> bool {
        self.commit == commit && self.source == request.source
    }
}

// === impl Interests ===

impl Interests {
    /// Remembers what was rendered for whom.
    pub(super) fn register(&mut self, request: &Generate, commit: &str, key: Option<Key>) {
        let interest = Interest {
            app: request.app.clone(),
            index: request.index,
            instance: request.instance.clone(),
            source: request.source.clone(),
            commit: commit.to_owned(),
            key,
        };
        self.by_source.insert((request.app.clone(), request.index), interest);
    }

    /// Identity of what was read of this source at this commit.
    pub(super) fn key_of(&self, request: &Generate, commit: &str) -> Option<Key> {
        let known = self.by_source.get(&(request.app.clone(), request.index));
        known.filter(|known| known.is_of(request, commit))?.key
    }

    /// A rendering ended. Where something else was asked for meanwhile, or nothing is
    /// any more, it says nothing.
    pub(super) fn complete(&mut self, request: &Generate, commit: &str, key: Option<Key>) {
        if let Some(known) = self.by_source.get_mut(&(request.app.clone(), request.index))
            && known.is_of(request, commit)
        {
            known.key = key;
        }
    }

    pub(super) fn forget(&mut self, app: &AppKey) {
        self.by_source.retain(|(key, _), _| key != app);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_source.is_empty()
    }

    pub(super) fn list(&self) -> Vec<Interest> {
        self.by_source.values().cloned().collect()
    }

    /// Everybody who is interested in anything.
    pub(super) fn apps(&self) -> BTreeSet<AppKey> {
        self.by_source.keys().map(|(app, _)| app.clone()).collect()
    }

    /// What a listing should bring along; nothing when none is made.
    pub(super) fn wanted(&self, listing: bool) -> Vec<Wanted> {
        if !listing {
            return Vec::new();
        }
        // Hundreds of applications follow the same few revisions.
        let mut revisions: HashMap<(&str, &str), &Arc<ApplicationSource>> = HashMap::new();
        for interest in self.by_source.values() {
            let source = &interest.source;
            revisions.insert((&source.target_revision, &source.tag_prefix), source);
        }
        revisions.into_values().map(|source| Wanted::Source(source.clone())).collect()
    }

    /// Takes over newer commits of sources that render the same, unless they were
    /// rendered anew meanwhile.
    pub(super) fn move_on(&mut self, unaffected: Vec<Interest>) {
        for newer in unaffected {
            if let Some(interest) = self.by_source.get_mut(&(newer.app.clone(), newer.index))
                && interest.key == newer.key
            {
                interest.commit = newer.commit;
            }
        }
    }
}

/// Sorts interests into those whose files are different at the new refs and
/// those for which nothing changes. Blocks on the object database. `everyone`
/// counts those without a rendering as affected even where nothing moved: the
/// remote works again, and they were waiting for that.
pub(super) fn find_affected(
    shared: &Shared,
    refs: &RemoteRefs,
    objects: &Objects,
    interests: Vec<Interest>,
    everyone: bool,
) -> Affected {
    let mut affected = Affected { apps: Vec::new(), unaffected: Vec::new() };
    let mut trees: HashMap<String, Option<SnapshotTree>> = HashMap::new();
    for mut interest in interests {
        let commit = commit_of(refs, objects, &interest.source).ok();
        // Neither there before nor now is no change either.
        if commit.as_deref().unwrap_or_default() == interest.commit {
            if everyone && interest.key.is_none() {
                affected.apps.push(interest.app);
            }
            continue;
        }
        let key = commit.as_ref().and_then(|commit| {
            let tree = trees
                .entry(commit.clone())
                .or_insert_with(|| objects.snapshot(commit).ok().map(SnapshotTree))
                .as_ref()?;
            let source = serde_json::to_value(&*interest.source).ok()?;
            shared.renderer.key(tree, &render_request(shared, &source, &interest.instance, false)).ok()
        });
        match (key, commit) {
            (Some(key), Some(commit)) if interest.key == Some(key) => {
                interest.commit = commit;
                affected.unaffected.push(interest);
            }
            // Also where the revision or the path is gone: its owner must hear of it.
            _ => affected.apps.push(interest.app),
        }
    }
    affected.apps.sort();
    affected.apps.dedup();
    affected
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::Asked;

    const KEY: Key = Key([1; 32]);

    fn request(path: &str) -> Generate {
        let app = AppKey { namespace: "argocd".into(), name: "web".into() };
        let source = Arc::new(ApplicationSource { path: path.to_owned(), ..ApplicationSource::default() });
        let (instance, asked) = ("web".to_owned(), Asked::Latest(None));
        Generate { app, instance, index: 0, source, asked, no_cache: false, known: None }
    }

    #[test]
    fn a_rendering_that_ends_completes_what_was_registered_for_it() {
        let mut interests = Interests::default();
        interests.register(&request("a"), "one", None);
        assert_eq!(interests.key_of(&request("a"), "one"), None);
        interests.complete(&request("a"), "one", Some(KEY));
        assert_eq!(interests.key_of(&request("a"), "one"), Some(KEY));
        assert_eq!(interests.key_of(&request("a"), "two"), None);
        assert_eq!(interests.key_of(&request("b"), "one"), None);
    }

    #[test]
    fn a_rendering_that_ends_late_changes_nothing() {
        let mut interests = Interests::default();
        interests.register(&request("a"), "two", None);
        interests.complete(&request("a"), "one", Some(KEY));
        interests.complete(&request("b"), "two", Some(KEY));
        assert_eq!(interests.key_of(&request("a"), "two"), None);
        interests.forget(&request("a").app);
        interests.complete(&request("a"), "two", Some(KEY));
        assert!(interests.is_empty());
    }
}
