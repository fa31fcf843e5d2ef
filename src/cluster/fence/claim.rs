//! Whose a thing is: its name and its labels.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::Part;

/// Label: which cluster of which installation.
pub(super) const LABEL_FENCE: &str = "argosy.dev/fence";
/// Label: which slice of it.
pub(super) const LABEL_SLICE: &str = "argosy.dev/slice";
/// Label: which epoch of that.
pub(super) const LABEL_EPOCH: &str = "argosy.dev/epoch";
/// Annotation: seconds that what hangs on the object can live.
pub(super) const LIFE: &str = "argosy.dev/life-seconds";

/// A part of a cluster's applications: one of so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SliceOf {
    /// Which one, from 0.
    pub number: u32,
    /// Of how many.
    pub of: u32,
}

/// What one ownership claims on a cluster: a slice, in an epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Tells installations and clusters apart that share an account.
    pub(super) key: String,
    pub(super) slice: SliceOf,
    pub(super) epoch: u64,
}

/// A service account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid; empty when the cluster did not say.
    pub uid: String,
}

// === impl Claim ===

impl Claim {
    /// The claim of an epoch on a slice of the cluster at `server`. `declaration`
    /// is what no other installation's declaration of it has, such as the uid of
    /// its Secret.
    pub fn new(declaration: &str, server: &str, slice: SliceOf, epoch: u64) -> Self {
        Self { key: digest(&[declaration, server]), slice, epoch }
    }

    /// Whether a thing was made for this very epoch of the slice.
    pub(super) fn has(&self, part: &Part) -> bool {
        part.slice == self.slice && part.epoch == self.epoch
    }

    /// A name nobody else gives; with an empty suffix that of the epoch's subject.
    pub(super) fn name(&self, suffix: &str) -> String {
        let (key, slice, epoch) = (&self.key, self.slice, self.epoch);
        if suffix.is_empty() {
            format!("argosy-{key}-{slice}-{epoch}")
        } else {
            format!("argosy-{key}-{slice}-{epoch}-{suffix}")
        }
    }

    pub(super) fn labels(&self) -> Value {
        json!({LABEL_FENCE: self.key, LABEL_SLICE: self.slice.to_string(), LABEL_EPOCH: self.epoch.to_string()})
    }

    /// Selects everything of all slices and epochs.
    pub(super) fn selector(&self) -> String {
        format!("{LABEL_FENCE}={}", self.key)
    }
}

// === impl SliceOf ===

impl SliceOf {
    /// Everything.
    pub const WHOLE: Self = Self { number: 0, of: 1 };

    /// Whether two of one cluster may have applications in common.
    pub(super) fn overlaps(self, other: Self) -> bool {
        self.of != other.of || self.number == other.number
    }
}

impl fmt::Display for SliceOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.number, self.of)
    }
}

impl FromStr for SliceOf {
    type Err = ParseIntError;

    /// A number alone is one of a cluster that is not split.
    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        let (number, of) = text.split_once('-').unwrap_or((text, "1"));
        Ok(Self { number: number.parse()?, of: of.parse()? })
    }
}

// === impl Account ===

impl Account {
    /// What a user name says, if it is a service account's.
    pub fn from_user(name: &str, uid: &str) -> Option<Self> {
        let (namespace, name) = name.strip_prefix("system:serviceaccount:")?.split_once(':')?;
        let is_whole = !namespace.is_empty() && !name.is_empty();
        is_whole.then(|| Self { namespace: namespace.to_owned(), name: name.to_owned(), uid: uid.to_owned() })
    }

    /// Its name as a user.
    pub fn user(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.name)
    }

    /// The groups it is in, beside that of everybody.
    pub(super) fn groups(&self) -> [String; 3] {
        let own = format!("system:serviceaccounts:{}", self.namespace);
        ["system:serviceaccounts".to_owned(), own, "system:authenticated".to_owned()]
    }
}

/// Ten hexadecimal digits of the texts' hash.
pub(super) fn digest(texts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    hash.finalize().iter().take(5).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_service_accounts_user_name_names_one() {
        let account = Account::from_user("system:serviceaccount:kube-system:argocd-manager", "u").expect("is one");
        assert_eq!((&*account.namespace, &*account.name, &*account.uid), ("kube-system", "argocd-manager", "u"));
        for user in ["admin", "system:serviceaccount:", "system:serviceaccount:a:", "system:node:a:b"] {
            assert_eq!(Account::from_user(user, ""), None, "{user}");
        }
    }

    #[test]
    fn installations_that_share_a_cluster_do_not_share_names() {
        let [one, two] = ["uid-1", "uid-2"].map(|uid| Claim::new(uid, "https://s", SliceOf::WHOLE, 7));
        assert_ne!(one.name("a"), two.name("a"));
        assert_eq!(one.name("a"), Claim::new("uid-1", "https://s", SliceOf::WHOLE, 7).name("a"));
    }
}
