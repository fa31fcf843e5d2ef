//! Which fence stands: the decision, pure.

use argosy_model::{FenceKind, FenceWish};

use super::claim::Account;
use super::survey::{Identity, Rights};

/// A decision, with its reason where there is less than could be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Which fence.
    pub kind: FenceKind,
    /// For whom; `None` with [`FenceKind::Lease`].
    pub account: Option<Account>,
    /// Why there is no stronger one, or none as wished.
    pub reason: Option<String>,
    /// Somebody asked for more than there is.
    pub is_short: bool,
}

/// Decides on a fence for an identity with these rights.
pub fn choose_fence(wish: FenceWish, identity: &Identity, rights: &Rights) -> Choice {
    let lease = |reason: Option<String>| Choice {
        kind: FenceKind::Lease,
        account: None,
        reason,
        is_short: matches!(wish, FenceWish::Token | FenceWish::Binding),
    };
    if wish == FenceWish::None {
        return lease(None);
    }
    let account = match identity {
        Identity::Account(account) => account,
        Identity::Other => return lease(Some("the credential is not a service account's".to_owned())),
        Identity::Unknown => return lease(Some("the cluster does not say whose the credential is".to_owned())),
    };
    if let [first, ..] = rights.lacks_token.as_slice() {
        return lease(Some(format!("the account may not {first}")));
    }
    let with = |kind, reason: Option<String>| Choice {
        kind,
        account: Some(account.clone()),
        is_short: reason.is_some(),
        reason,
    };
    if wish != FenceWish::Binding {
        return with(FenceKind::Token, None);
    }
    match rights.lacks_binding.as_slice() {
        [first, ..] => with(FenceKind::Token, Some(format!("the account may not {first}"))),
        [] if rights.bindings == 0 => with(FenceKind::Token, Some("no binding names the account itself".to_owned())),
        [] => with(FenceKind::Binding, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> Identity {
        Identity::Account(Account { namespace: "n".to_owned(), name: "a".to_owned(), uid: String::new() })
    }

    fn rights(token: &[&str], binding: &[&str], bindings: usize) -> Rights {
        let owned = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect();
        Rights { lacks_token: owned(token), lacks_binding: owned(binding), bindings }
    }

    #[test]
    fn the_strongest_fence_that_is_wished_for_and_permitted_stands() {
        use FenceKind::{Binding, Lease, Token};
        let all = rights(&[], &[], 1);
        for (wish, identity, rights, kind, short) in [
            (FenceWish::Auto, account(), all.clone(), Token, false),
            (FenceWish::Token, account(), all.clone(), Token, false),
            (FenceWish::Binding, account(), all.clone(), Binding, false),
            (FenceWish::None, account(), all.clone(), Lease, false),
            (FenceWish::Auto, Identity::Other, all.clone(), Lease, false),
            (FenceWish::Auto, Identity::Unknown, all.clone(), Lease, false),
            (FenceWish::Token, Identity::Other, all, Lease, true),
            (FenceWish::Auto, account(), rights(&["create secrets"], &[], 1), Lease, false),
            (FenceWish::Binding, account(), rights(&["create secrets"], &[], 1), Lease, true),
            (FenceWish::Binding, account(), rights(&[], &["list rolebindings"], 1), Token, true),
            (FenceWish::Binding, account(), rights(&[], &[], 0), Token, true),
        ] {
            let choice = choose_fence(wish, &identity, &rights);
            assert_eq!((choice.kind, choice.is_short), (kind, short), "{wish:?} {identity:?} {rights:?}");
            assert_eq!(choice.account.is_some(), kind != Lease);
            assert!(choice.reason.is_some() || (kind != Lease || wish == FenceWish::None));
        }
    }
}
