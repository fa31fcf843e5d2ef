//! What every actor of a replica shares: the way home, the renderer, the address
//! book, the bounds on work done at once, and the sources of time and chance.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use argosy_cluster::cloud::Surroundings;
use argosy_home::{Clock, EventWriter, Home};
use argosy_render::Renderer;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::directory::Directory;
use crate::health_rules::HealthRules;
use crate::projects::Projects;
use crate::turns::Turns;

/// What a controller replica is started with.
#[derive(Clone, Debug)]
pub struct ControllerOptions {
    /// Namespace of the settings and, unless others are named, of applications.
    pub namespace: String,
    /// Folder for mirrors of repositories; a cache.
    pub data_dir: PathBuf,
    /// Configuration of the cluster Argosy runs in, as a destination.
    pub in_cluster: argosy_cluster::ClusterConfig,
    /// Seed of everything that is spread out by chance.
    pub seed: u64,
}

/// See the module's page.
pub(crate) struct Shared {
    pub(crate) home: Home,
    pub(crate) clock: Clock,
    pub(crate) options: ControllerOptions,
    pub(crate) events: EventWriter,
    pub(crate) renderer: Renderer,
    pub(crate) directory: Directory,
    pub(crate) projects: Projects,
    pub(crate) health: HealthRules,
    /// What cloud providers' tokens are made with.
    pub(crate) surroundings: Arc<Surroundings>,
    /// Passes over applications at once. A pass mostly waits for API servers.
    pub(crate) turns: Turns,
    /// Renderings at once: one per core, for they only compute.
    pub(crate) rendering: Arc<Semaphore>,
    /// Cancelled when the replica ends: what waits for a Git remote gives up.
    pub(crate) ending: CancellationToken,
    chance: AtomicU64,
}

// === impl Shared ===

impl Shared {
    pub(crate) fn new(home: Home, clock: Clock, events: EventWriter, options: ControllerOptions) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        // Twice Argo CD's thirty (20 comparisons and 10 operations), or 32 a core: enough
        // to keep an API server busy while some wait for a remote, little enough to
        // bound memory.
        let passes = usize::max(60, cores * 32);
        Self {
            directory: Directory::default(),
            projects: Projects::default(),
            health: HealthRules::new(clock.clone()),
            surroundings: Surroundings::new(clock.clone(), std::env::vars().collect()),
            renderer: Renderer::new(argosy_render::RendererOptions::default()),
            turns: Turns::new(passes),
            rendering: Arc::new(Semaphore::new(cores)),
            ending: CancellationToken::new(),
            chance: AtomicU64::new(options.seed),
            home,
            clock,
            events,
            options,
        }
    }

    /// `base` and up to `spread` more.
    pub(crate) fn jitter(&self, base: Duration, spread: Duration) -> Duration {
        base + spread.mul_f64(self.chance())
    }

    /// The next fraction in `0.0..1.0`.
    pub(crate) fn chance(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a fraction needs no more than 53 bits")]
        let fraction = (self.random() >> 11) as f64 / (1u64 << 53) as f64;
        fraction
    }

    /// The next number of a sequence that the seed determines (splitmix64).
    pub(crate) fn random(&self) -> u64 {
        let mut z = self.chance.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed).wrapping_add(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}
