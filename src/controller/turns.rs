//! The turns of passes: how many run at once, and who goes first.
//!
//! When a cluster is taken over, or connected again, all its applications are compared
//! anew though nothing is known to have happened to most of them: a round, of
//! thousands perhaps. A round has a part of the turns and no more, so that an
//! application something did happen to need not wait until the round is over. If
//! that happens while it waits in one, it waits with the others no longer.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// How long a pass may keep its turn while it waits for somebody else.
const ASIDE: Duration = Duration::from_millis(100);

/// The part of all turns that rounds may have: one in this many. Enough to keep the
/// processor busy while some wait for an API server.
const ROUNDS: usize = 4;

tokio::task_local! {
    /// The turn of the pass that runs in this task; `None` while it stands aside.
    static TURN: RefCell<Option<Turn>>;
}

/// Whether a pass can wait for those of a round. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Haste(CancellationToken);

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Turns {
    all: Arc<Semaphore>,
    rounds: Arc<Semaphore>,
}

struct Turn {
    _one: OwnedSemaphorePermit,
    /// That of a pass which is only one of a round.
    _of_round: Option<OwnedSemaphorePermit>,
}

// === impl Haste ===

impl Haste {
    /// Of a pass for which there is a reason of its own.
    pub(crate) fn urgent() -> Self {
        let haste = Self::default();
        haste.hurry();
        haste
    }

    /// Something has happened: the pass waits for no round from now on.
    pub(crate) fn hurry(&self) {
        self.0.cancel();
    }
}

// === impl Turns ===

impl Turns {
    /// So many at once.
    pub(crate) fn new(passes: usize) -> Self {
        let rounds = usize::max(1, passes / ROUNDS);
        Self { all: Arc::new(Semaphore::new(passes)), rounds: Arc::new(Semaphore::new(rounds)) }
    }

    /// Runs a pass once there is room for it; `None` when the process ends.
    pub(crate) async fn run<F: Future>(&self, haste: &Haste, pass: F) -> Option<F::Output> {
        let of_round = tokio::select! {
            biased;
            () = haste.0.cancelled() => None,
            turn = self.rounds.clone().acquire_owned() => Some(turn.ok()?),
        };
        let turn = Turn { _one: self.all.clone().acquire_owned().await.ok()?, _of_round: of_round };
        Some(TURN.scope(RefCell::new(Some(turn)), pass).await)
    }

    /// Waits within a pass for a repository or a cluster. One that hangs must not
    /// keep the passes of others from their turn, so a pass that waits long gives
    /// up its own meanwhile.
    pub(crate) async fn aside<F: Future>(&self, other: F) -> F::Output {
        let mut other = std::pin::pin!(other);
        if let Ok(answer) = tokio::time::timeout(ASIDE, &mut other).await {
            return answer;
        }
        let turn = TURN.try_with(RefCell::take).ok().flatten();
        let had_one = turn.is_some();
        drop(turn);
        let answer = other.await;
        // It has waited once, and for no round again.
        if had_one && let Ok(one) = self.all.clone().acquire_owned().await {
            TURN.with(|own| own.replace(Some(Turn { _one: one, _of_round: None })));
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;

    use futures::FutureExt;
    use futures::future::pending;

    use super::*;

    type Pass<'a> = Pin<Box<dyn Future<Output = Option<()>> + 'a>>;

    /// A pass that begins, and ends never.
    fn pass<'a>(turns: &'a Turns, haste: &'a Haste, began: &'a RefCell<Vec<u32>>, number: u32) -> Pass<'a> {
        Box::pin(turns.run(haste, async move {
            began.borrow_mut().push(number);
            pending().await
        }))
    }

    #[test]
    fn a_round_leaves_turns_to_what_has_a_reason_and_to_what_gets_one_meanwhile() {
        let (turns, began, urgent) = (Turns::new(8), RefCell::default(), Haste::urgent());
        let rounds: Vec<Haste> = (0..5).map(|_| Haste::default()).collect();
        let mut waiting: Vec<_> =
            (0..).zip(&rounds).map(|(number, haste)| pass(&turns, haste, &began, number)).collect();
        let look = |waiting: &mut Vec<Pass<'_>>| {
            assert!(waiting.iter_mut().all(|pass| pass.now_or_never().is_none()), "none of them ends");
        };
        look(&mut waiting);
        assert_eq!(*began.borrow(), [0, 1], "a quarter");
        waiting.push(pass(&turns, &urgent, &began, 9));
        look(&mut waiting);
        assert_eq!(*began.borrow(), [0, 1, 9]);
        rounds[4].hurry();
        look(&mut waiting);
        assert_eq!(*began.borrow(), [0, 1, 9, 4]);
        drop(waiting.remove(0));
        look(&mut waiting);
        assert_eq!(*began.borrow(), [0, 1, 9, 4, 2], "the rest in its order");
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_long_within_a_pass_keeps_nobody_from_a_turn_nor_a_round() {
        let (turns, round) = (Turns::new(1), Haste::default());
        let hangs = turns.run(&round, turns.aside(pending::<()>()));
        let next = turns.run(&round, turns.aside(async { 7 }));
        tokio::select! {
            _ = hangs => unreachable!("it hangs"),
            next = next => assert_eq!(next, Some(7)),
        }
    }
}
