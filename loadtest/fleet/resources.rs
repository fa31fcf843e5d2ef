//! What the processes of a run use, once a second, for the plots.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use argosy_loadtest::{cpu_of, memory_of};
use serde::Serialize;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// Between two samples.
const PERIOD: Duration = Duration::from_secs(1);
/// Bytes of a megabyte.
const MB: f64 = 1_048_576.0;

/// The processes by their places; `None` while there is none.
#[derive(Clone)]
pub(crate) struct Processes(Arc<Mutex<Vec<Option<u32>>>>);

/// Takes samples until it is asked for them.
pub(crate) struct Sampler {
    began: Instant,
    samples: Arc<Mutex<Vec<Sample>>>,
    task: JoinHandle<()>,
}

/// What was used at one time.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Sample {
    /// Since the beginning of the run.
    pub(crate) seconds: f64,
    /// Of each place; nothing of a place without a process.
    pub(crate) used: Vec<Option<Used>>,
}

/// What one process used.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Used {
    /// Cores since the sample before.
    pub(crate) cores: f64,
    /// Memory.
    pub(crate) megabytes: f64,
}

// === impl Processes ===

impl Processes {
    pub(crate) fn new(pids: Vec<u32>) -> Self {
        Self(Arc::new(Mutex::new(pids.into_iter().map(Some).collect())))
    }

    pub(crate) fn set(&self, place: usize, pid: Option<u32>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)[place] = pid;
    }

    fn get(&self) -> Vec<Option<u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

// === impl Sampler ===

impl Sampler {
    pub(crate) fn start(processes: Processes) -> Self {
        let (began, samples) = (Instant::now(), Arc::<Mutex<Vec<Sample>>>::default());
        let taken = samples.clone();
        let task = tokio::spawn(async move {
            let mut ticks = interval(PERIOD);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut before: Vec<Option<(u32, Duration, Instant)>> = Vec::new();
            loop {
                ticks.tick().await;
                let pids = processes.get();
                before.resize(pids.len(), None);
                let used = pids.into_iter().zip(&mut before).map(|(pid, before)| use_of(pid, before)).collect();
                let sample = Sample { seconds: began.elapsed().as_secs_f64(), used };
                taken.lock().unwrap_or_else(PoisonError::into_inner).push(sample);
            }
        });
        Self { began, samples, task }
    }

    /// Seconds since the beginning.
    pub(crate) fn now(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// All samples so far.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Nothing when the process is not there, or has just been started.
fn use_of(pid: Option<u32>, before: &mut Option<(u32, Duration, Instant)>) -> Option<Used> {
    let now = Instant::now();
    let read = pid.and_then(|pid| Some((pid, cpu_of(pid).ok()?, memory_of(pid).ok()?)));
    let Some((pid, cpu, memory)) = read else {
        *before = None;
        return None;
    };
    let last = before.replace((pid, cpu, now)).filter(|(known, ..)| *known == pid);
    let (_, spent, since) = last?;
    let cores = cpu.saturating_sub(spent).as_secs_f64() / now.duration_since(since).as_secs_f64().max(0.001);
    Some(Used { cores, megabytes: memory.resident as f64 / MB })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_counts_from_its_second_sample_on_and_not_when_it_is_gone() {
        let (own, mut before) = (Some(std::process::id()), None);
        assert!(use_of(own, &mut before).is_none());
        let used = use_of(own, &mut before).expect("it was there before");
        assert!(used.megabytes > 1.0 && used.cores >= 0.0, "{used:?}");
        assert!(use_of(None, &mut before).is_none() && before.is_none());
    }
}
