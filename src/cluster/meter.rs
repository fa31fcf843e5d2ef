//! How much work something is, in time spent on computing.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// Does `work` and tells `spend` of the time it computes, piece by piece; what it
/// waits for others costs nothing.
pub fn measured<F: Future>(work: F, spend: impl Fn(Duration)) -> impl Future<Output = F::Output> {
    Measured { work: Box::pin(work), spend }
}

struct Measured<F, S> {
    work: Pin<Box<F>>,
    spend: S,
}

impl<F, S> Unpin for Measured<F, S> {}

impl<F: Future, S: Fn(Duration)> Future for Measured<F, S> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let measured = self.get_mut();
        let began = Instant::now();
        let polled = measured.work.as_mut().poll(cx);
        (measured.spend)(began.elapsed());
        polled
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waiting_costs_nothing_and_computing_does() {
        let spent = Cell::new(Duration::ZERO);
        let work = async {
            tokio::time::sleep(Duration::from_secs(3_600)).await;
            (0..1_000_000_u64).fold(7_u64, |hash, n| std::hint::black_box(hash.wrapping_mul(n | 1)))
        };
        assert_ne!(measured(work, |more| spent.set(spent.get() + more)).await, 0);
        assert!(spent.get() > Duration::ZERO && spent.get() < Duration::from_secs(60), "{:?}", spent.get());
    }
}
