//! Claims are planned so that whoever is later wins and nothing in use goes.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::super::claim::{Claim, SliceOf};
use super::super::{Part, PartKind};
use super::{Own, Plan, Source, Step, plan_claim};

const LIFE: Duration = Duration::from_secs(3600);

fn claim(epoch: u64) -> Claim {
    Claim::new("uid", "https://s", SliceOf { number: 0, of: 4 }, epoch)
}

fn part(kind: PartKind, slice: u32, epoch: u64, name: &str, created: i64) -> Part {
    Part {
        kind,
        namespace: "n".to_owned(),
        name: name.to_owned(),
        uid: format!("uid-of-{name}"),
        slice: SliceOf { number: slice, of: 4 },
        epoch,
        created: Timestamp::from_second(created).expect("a time"),
        life: LIFE,
    }
}

fn mark(epoch: u64, name: &str, created: i64) -> Part {
    part(PartKind::Mark, 0, epoch, name, created)
}

fn own(mark: &str) -> Own {
    Own { mark: mark.to_owned(), ..Own::default() }
}

fn source() -> Source {
    Source {
        namespace: String::new(),
        name: "deployer".to_owned(),
        role: json!({"kind": "ClusterRole", "name": "edit"}),
    }
}

fn removed(plan: &Plan) -> Vec<&str> {
    let Plan::Steps(steps) = plan else { return Vec::new() };
    steps.iter().filter_map(|s| if let Step::Remove(part) = s { Some(&*part.name) } else { None }).collect()
}

#[test]
fn a_successor_removes_what_earlier_epochs_left_and_is_ready_only_after_another_look() {
    let parts = [mark(4, "older", 100), mark(6, "old", 200), part(PartKind::Subject, 0, 6, "subject", 200)];
    let plan = plan_claim(&claim(7), &own("mine"), &parts);
    assert_eq!(removed(&plan), ["older", "old", "subject"]);
    let Plan::Steps(steps) = plan else { panic!("there is something to do") };
    assert_eq!(steps.last(), Some(&Step::Mark));
    let after = [mark(7, "mine", 300)];
    let ready = Plan::Ready { uid: "uid-of-mine".to_owned(), missing: Vec::new() };
    assert_eq!(plan_claim(&claim(7), &own("mine"), &after), ready);
}

#[test]
fn an_owner_that_finds_a_later_one_gives_up() {
    let parts = [mark(7, "mine", 300), mark(8, "later", 299)];
    assert_eq!(plan_claim(&claim(7), &own("mine"), &parts), Plan::Superseded(8));
    // What came between its first look and its own mark, it sees after that.
    let before = [mark(8, "later", 299)];
    assert_eq!(plan_claim(&claim(7), &own("mine"), &before), Plan::Steps(vec![Step::Mark]));
    // What it would work with it does not make before that.
    let bound = Own { subject: true, sources: Some(vec![source()]), ..own("mine") };
    assert_eq!(plan_claim(&claim(7), &bound, &before), Plan::Steps(vec![Step::Mark]));
    assert_eq!(plan_claim(&claim(7), &bound, &[]), Plan::Steps(vec![Step::Mark]));
}

#[test]
fn a_later_epochs_mark_that_nobody_can_be_using_stands_in_nobodys_way() {
    let parts = [mark(7, "mine", 10_000), mark(8, "forgotten", 10_000 - 3601)];
    assert_eq!(removed(&plan_claim(&claim(7), &own("mine"), &parts)), ["forgotten"]);
}

#[test]
fn of_the_own_epoch_only_the_marks_in_use_stay() {
    let own = Own { kept: Some("used".to_owned()), ..own("next") };
    let parts = [mark(7, "used", 100), mark(7, "failed", 150), mark(7, "next", 200)];
    assert_eq!(removed(&plan_claim(&claim(7), &own, &parts)), ["failed"]);
}

#[test]
fn what_the_cluster_was_before_it_was_split_is_taken_over_from_too() {
    let whole = |epoch, name: &str| Part { slice: SliceOf::WHOLE, ..mark(epoch, name, 100) };
    let plan = plan_claim(&claim(7), &own("mine"), &[mark(7, "mine", 200), whole(6, "whole")]);
    assert_eq!(removed(&plan), ["whole"]);
    let plan = plan_claim(&claim(7), &own("mine"), &[mark(7, "mine", 200), whole(9, "joined again")]);
    assert!(matches!(plan, Plan::Superseded(9)), "{plan:?}");
}

#[test]
fn other_slices_are_left_alone_until_theirs_cannot_be_in_use() {
    let of_other = |kind, name: &str, created| part(kind, 3, 5, name, created);
    let mine = mark(7, "mine", 10_000);
    let live = [
        mine.clone(),
        of_other(PartKind::Mark, "their-mark", 9_000),
        of_other(PartKind::Subject, "their-subject", 10),
        of_other(PartKind::Binding, "their-binding", 10),
    ];
    assert!(matches!(plan_claim(&claim(7), &own("mine"), &live), Plan::Ready { .. }));
    let dead = [
        mine.clone(),
        of_other(PartKind::Mark, "their-mark", 6_000),
        of_other(PartKind::Subject, "their-subject", 10),
        of_other(PartKind::Binding, "their-binding", 10),
    ];
    let plan = plan_claim(&claim(7), &own("mine"), &dead);
    assert_eq!(removed(&plan), ["their-mark", "their-subject", "their-binding"]);
    // One that is just being made has no mark that this look could have seen.
    let new = [mine, of_other(PartKind::Subject, "their-subject", 9_990)];
    assert!(matches!(plan_claim(&claim(7), &own("mine"), &new), Plan::Ready { .. }));
}

#[test]
fn a_subject_gets_a_copy_of_each_binding_and_loses_those_that_have_gone() {
    let own = Own { subject: true, sources: Some(vec![source()]), ..own("mine") };
    let copy = source().copy(&claim(7));
    let missing = |plan| match plan {
        Plan::Ready { missing, .. } => missing,
        plan => panic!("nothing is in the way, but {plan:?}"),
    };
    let needed = missing(plan_claim(&claim(7), &own, &[mark(7, "mine", 1)]));
    assert_eq!(needed, [Step::Subject, Step::Bind(source())]);
    let subject = part(PartKind::Subject, 0, 7, &claim(7).name(""), 1);
    let binding = |name: &str| part(PartKind::Binding, 0, 7, name, 1);
    let settled = [mark(7, "mine", 1), subject.clone(), binding(&copy)];
    assert_eq!(missing(plan_claim(&claim(7), &own, &settled)), []);
    let stale = [mark(7, "mine", 1), subject, binding(&copy), binding("of-a-binding-that-is-gone")];
    assert_eq!(removed(&plan_claim(&claim(7), &own, &stale)), ["of-a-binding-that-is-gone"]);
    let other_role = Source { role: json!({"kind": "ClusterRole", "name": "view"}), ..source() };
    assert_ne!(other_role.copy(&claim(7)), copy);
}

/// Two owners, every interleaving of mark, look, subject and token: never do both hold
/// a token whose mark is there, and nothing of the earlier one stays.
#[test]
fn whatever_the_order_two_owners_never_both_get_a_token_that_holds() {
    #[derive(Clone, Default)]
    struct Actor {
        epoch: u64,
        looked: Option<Vec<Part>>,
        made: Option<Timestamp>,
        ready: bool,
        granted: bool,
        gave_up: bool,
        turns: usize,
    }
    fn turn(actor: &mut Actor, cluster: &mut Vec<Part>) {
        actor.turns += 1;
        let (claim, name) = (claim(actor.epoch), format!("mark-{}", actor.epoch));
        if std::mem::take(&mut actor.ready) {
            // The API server binds a token only to what is there.
            actor.granted = cluster.iter().any(|part| part.name == name);
            return;
        }
        let Some(parts) = actor.looked.take() else {
            actor.looked = Some(cluster.clone());
            return;
        };
        let own = Own { made: actor.made, subject: true, sources: Some(vec![source()]), ..own(&name) };
        let steps = match plan_claim(&claim, &own, &parts) {
            Plan::Superseded(_) => {
                cluster.retain(|part| part.epoch != actor.epoch);
                actor.gave_up = true;
                return;
            }
            Plan::Ready { missing, .. } => {
                actor.ready = true;
                missing
            }
            Plan::Steps(steps) => steps,
        };
        for step in steps {
            let mut make = |kind, name: &str| cluster.push(part(kind, 0, actor.epoch, name, 100));
            match step {
                Step::Remove(gone) => cluster.retain(|part| part.name != gone.name),
                Step::Mark => {
                    make(PartKind::Mark, &name);
                    actor.made = Some(cluster[0].created);
                }
                Step::Subject => make(PartKind::Subject, &claim.name("")),
                Step::Bind(source) => make(PartKind::Binding, &source.copy(&claim)),
            }
        }
    }
    fn play(mut actors: [Actor; 2], mut cluster: Vec<Part>, next: usize, outcomes: &mut usize) {
        let is_done = |actor: &Actor| actor.granted || actor.gave_up || actor.turns > 12;
        if !is_done(&actors[next]) {
            turn(&mut actors[next], &mut cluster);
        }
        let holds =
            |actor: &Actor| actor.granted && cluster.iter().any(|part| part.is_mark() && part.epoch == actor.epoch);
        assert!(!actors.iter().all(holds), "two owners hold tokens");
        assert!(!actors[1].gave_up, "the later owner gave up");
        if actors.iter().all(is_done) {
            assert!(holds(&actors[1]), "the later owner has no token");
            assert!(cluster.iter().all(|part| part.epoch == actors[1].epoch), "something of the earlier owner stays");
            *outcomes += 1;
            return;
        }
        for next in [0, 1] {
            if !is_done(&actors[next]) {
                play(actors.clone(), cluster.clone(), next, outcomes);
            }
        }
    }
    let actors = [Actor { epoch: 6, ..Actor::default() }, Actor { epoch: 7, ..Actor::default() }];
    let mut outcomes = 0;
    for first in [0, 1] {
        play(actors.clone(), Vec::new(), first, &mut outcomes);
    }
    assert!(outcomes > 100, "{outcomes} interleavings");
}
