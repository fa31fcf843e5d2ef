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

/// The part of all turns that rounds may have: one in this many for passes that begin,
/// enough to keep the processor busy while some wait for an API server; and one in this
/// many for those that come back after they stood aside, so that they end.
const ROUNDS: (usize, usize) = (4, 2);

tokio::task_local! {
    /// What the pass that runs in this task has.
    static TURN: RefCell<Turn>;
}

/// Whether a pass can wait for those of a round. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Haste(CancellationToken);

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Turns {
    all: Arc<Semaphore>,
    rounds: Arc<Semaphore>,
    back_in_round: Arc<Semaphore>,
}

struct Turn {
    /// `None` while it stands aside.
    permits: Option<Permits>,
    haste: Haste,
}

/// A turn, and that of its kind for a pass which is only one of a round.
type Permits = (OwnedSemaphorePermit, Option<OwnedSemaphorePermit>);

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
        let part = |of: usize| Arc::new(Semaphore::new(usize::max(1, passes / of)));
        Self { all: part(1), rounds: part(ROUNDS.0), back_in_round: part(ROUNDS.1) }
    }

    /// Runs a pass once there is room for it; `None` when the process ends.
    pub(crate) async fn run<F: Future>(&self, haste: &Haste, pass: F) -> Option<F::Output> {
        let permits = Some(self.wait(haste, &self.rounds).await?);
        Some(TURN.scope(RefCell::new(Turn { permits, haste: haste.clone() }), pass).await)
    }

    async fn wait(&self, haste: &Haste, round: &Arc<Semaphore>) -> Option<Permits> {
        let of_round = tokio::select! {
            biased;
            () = haste.0.cancelled() => None,
            permit = round.clone().acquire_owned() => Some(permit.ok()?),
        };
        Some((self.all.clone().acquire_owned().await.ok()?, of_round))
    }

    /// Waits within a pass for a repository or a cluster. One that hangs must not
    /// keep the passes of others from their turn, so a pass that waits long gives
    /// up its own meanwhile.
    pub(crate) async fn aside<F: Future>(&self, other: F) -> F::Output {
        let mut other = std::pin::pin!(other);
        if let Ok(answer) = tokio::time::timeout(ASIDE, &mut other).await {
            return answer;
        }
        let left = TURN.try_with(|own| {
            let mut own = own.borrow_mut();
            own.permits.take().map(|_| own.haste.clone())
        });
        let answer = other.await;
        if let Ok(Some(haste)) = left {
            let permits = self.wait(&haste, &self.back_in_round).await;
            TURN.with(|own| own.borrow_mut().permits = permits);
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
    async fn a_round_that_comes_back_all_at_once_leaves_turns_as_well() {
        let (turns, ready, done) = (Arc::new(Turns::new(4)), CancellationToken::new(), CancellationToken::new());
        let begin = |haste: Haste| {
            let (turns, ready, done) = (turns.clone(), ready.clone(), done.clone());
            tokio::spawn(async move {
                let pass = async {
                    turns.aside(ready.cancelled()).await;
                    done.cancelled().await;
                };
                turns.run(&haste, pass).await
            })
        };
        let round: Vec<_> = (0..9).map(|_| begin(Haste::default())).collect();
        tokio::time::sleep(ASIDE * 20).await;
        assert_eq!(turns.all.available_permits(), 4, "all of them stand aside");
        ready.cancel();
        tokio::time::sleep(ASIDE).await;
        assert_eq!(turns.all.available_permits(), 2, "half of the turns");
        assert_eq!(turns.run(&Haste::urgent(), async { 7 }).await, Some(7));
        done.cancel();
        for pass in round {
            assert_eq!(pass.await.unwrap(), Some(()));
        }
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
