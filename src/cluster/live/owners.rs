//! Who owns an object that does not say so: relations every cluster keeps by
//! convention instead of by owner reference.

use std::sync::Arc;

use argosy_model::{GroupKind, Gvk};

use super::entry::Uid;

/// Names the ServiceAccount on its token Secrets.
pub(crate) const SERVICE_ACCOUNT_NAME: &str = "kubernetes.io/service-account.name";

/// An owner as read, before the index knows its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RawOwner {
    Uid(Uid),
    /// In the same namespace, or cluster-scoped.
    Named(GroupKind, Arc<str>),
    /// The StatefulSet a PersistentVolumeClaim may come from.
    Claim(Arc<str>),
}

/// The owners convention gives an object without owner references.
pub(crate) fn infer(gvk: &Gvk, name: &str, service_account: Option<&str>) -> Vec<RawOwner> {
    match (&*gvk.group, &*gvk.kind) {
        ("", "Endpoints") => vec![RawOwner::Named(GroupKind::new("", "Service"), name.into())],
        ("", "Secret") => service_account
            .map(|account| RawOwner::Named(GroupKind::new("", "ServiceAccount"), account.into()))
            .into_iter()
            .collect(),
        ("", "PersistentVolumeClaim") => stateful_sets(name).map(|set| RawOwner::Claim(set.into())).collect(),
        _ => Vec::new(),
    }
}

/// The StatefulSets that could have made a claim of this name, which is
/// `<template>-<set>-<ordinal>`: both parts may hold dashes, so every split is a
/// candidate until a StatefulSet says which templates it has.
fn stateful_sets(claim: &str) -> impl Iterator<Item = &str> {
    let rest = claim.rsplit_once('-').filter(|(_, n)| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    let rest = rest.map_or("", |(rest, _)| rest);
    rest.match_indices('-').map(move |(at, _)| &rest[at + 1..]).filter(|set| !set.is_empty())
}

/// Whether a claim of this name comes from one of a StatefulSet's templates.
pub(crate) fn is_claim_of(claim: &str, set: &str, templates: &[String]) -> bool {
    templates.iter().any(|template| {
        let ordinal = claim.strip_prefix(template.as_str()).and_then(|rest| rest.strip_prefix('-'));
        let ordinal = ordinal.and_then(|rest| rest.strip_prefix(set)).and_then(|rest| rest.strip_prefix('-'));
        ordinal.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_belongs_to_the_set_whose_template_made_it() {
        let candidates: Vec<_> = stateful_sets("my-data-my-db-12").collect();
        assert!(candidates.contains(&"my-db"));
        assert!(is_claim_of("my-data-my-db-12", "my-db", &["my-data".to_owned()]));
        assert!(!is_claim_of("my-data-my-db-12", "db", &["my-data".to_owned()]));
        assert_eq!(stateful_sets("plain-volume").count(), 0);
    }
}
