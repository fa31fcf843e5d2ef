//! Who is out of sight so that it counts.

use std::collections::BTreeSet;

use crate::etcd::plan::Sessions;
use crate::id::ReplicaId;
use crate::links::Sight;

/// Who is out of sight so that it counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OutOfSight {
    pub(crate) lost: BTreeSet<ReplicaId>,
    /// Those, and who never was in sight: it may have died before. That alone means
    /// nothing, for replicas need not reach each other to share clusters.
    pub(crate) avoided: BTreeSet<ReplicaId>,
}

/// Judges what was lost sight of: it counts unless that is more than half of the replicas,
/// together with those to which the link is broken at the moment.
///
/// A replica that crashed and came back stands there twice until its old lease has run
/// out. So whoever was lost is left out of that count when another replica has joined
/// since, or a few crashes one after the other would look like a fault of one's own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lookout {
    /// Replicas that were there at the last look.
    known: BTreeSet<ReplicaId>,
    /// Those held for lost.
    lost: BTreeSet<ReplicaId>,
    /// Of those, as many as have joined since.
    made_up: BTreeSet<ReplicaId>,
}

// === impl Lookout ===

impl Lookout {
    /// What counts of `sight`.
    pub(crate) fn judge(&mut self, sight: &Sight, sessions: &Sessions) -> OutOfSight {
        let there: BTreeSet<ReplicaId> = sessions.keys().cloned().collect();
        let (lost, broken, unreached) = (&sight.lost & &there, &sight.broken & &there, &sight.unreached & &there);
        self.lost = &self.lost & &lost;
        self.made_up = &self.made_up & &self.lost;
        // Who joins and cannot be reached makes up for nobody.
        let reached = &there - &unreached;
        let joined = if self.known.is_empty() { 0 } else { reached.difference(&self.known).count() };
        self.known = reached;
        let replaced: Vec<ReplicaId> = self.lost.difference(&self.made_up).take(joined).cloned().collect();
        self.made_up.extend(replaced);
        let counted = &(&lost | &broken) - &self.made_up;
        if counted.len() * 2 > there.len() - self.made_up.len() {
            return OutOfSight::default();
        }
        self.lost = lost.clone();
        let avoided = if lost.is_empty() { BTreeSet::new() } else { &lost | &unreached };
        OutOfSight { lost, avoided }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etcd::document::Session;
    use crate::id::Replica;

    fn names(names: &str) -> BTreeSet<ReplicaId> {
        names.split_whitespace().map(ReplicaId::new).collect()
    }

    fn sessions(there: &str) -> Sessions {
        let session =
            |(number, id): (i64, ReplicaId)| (id.clone(), (Session(number), Replica::new(id.as_str(), "h:1")));
        (1..).zip(names(there)).map(session).collect()
    }

    fn lost(lost: &str, broken: &str, unreached: &str) -> Sight {
        Sight { lost: names(lost), broken: names(broken), unreached: names(unreached) }
    }

    #[test]
    fn what_is_lost_counts_unless_it_is_more_than_half() {
        let judge = |sight| Lookout::default().judge(&sight, &sessions("a b c d"));
        assert_eq!(judge(lost("a b", "a", "")).lost, names("a b"));
        assert_eq!(judge(lost("a b c", "", "")), OutOfSight::default());
        assert_eq!(judge(lost("a", "b c", "")), OutOfSight::default(), "the others may turn out to be lost as well");
        assert_eq!(judge(lost("", "a", "")), OutOfSight::default());
        assert_eq!(judge(lost("a gone", "", "")).lost, names("a"));
        assert_eq!(
            judge(lost("", "", "d")),
            OutOfSight::default(),
            "who was never seen is avoided when others are lost"
        );
        assert_eq!(judge(lost("a", "", "d")).avoided, names("a d"));
    }

    #[test]
    fn crashes_of_replicas_that_come_back_are_not_added_up() {
        let mut lookout = Lookout::default();
        assert!(lookout.judge(&lost("", "", ""), &sessions("a b c")).lost.is_empty());
        assert_eq!(lookout.judge(&lost("a", "", ""), &sessions("a b c")).lost, names("a"));
        assert_eq!(lookout.judge(&lost("a b", "", ""), &sessions("a a2 b c")).lost, names("a b"));
        assert_eq!(lookout.judge(&lost("a b c", "", ""), &sessions("a a2 b b2 c")).lost, names("a b c"));
        assert_eq!(lookout.judge(&lost("b c a2 b2", "", ""), &sessions("a2 b b2 c c2")), OutOfSight::default());
    }

    #[test]
    fn links_that_break_one_after_the_other_are_added_up() {
        let mut lookout = Lookout::default();
        assert_eq!(lookout.judge(&lost("a", "", ""), &sessions("a b c")).lost, names("a"));
        assert_eq!(lookout.judge(&lost("a b", "", ""), &sessions("a b c")), OutOfSight::default());
        let strangers = lookout.judge(&lost("a b", "", "d"), &sessions("a b c d"));
        assert_eq!(strangers.lost, names("a b"), "two of four");
        let more = lookout.judge(&lost("a b c", "", "d e"), &sessions("a b c d e"));
        assert_eq!(more, OutOfSight::default(), "who joins and cannot be reached makes up for nobody");
    }
}
