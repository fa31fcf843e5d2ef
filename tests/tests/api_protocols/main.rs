//! The one port as its clients speak to it: every method of the contract is there,
//! each protocol has the form of the reference, and what is malformed is refused with
//! plain words.

mod contract;
mod described;
mod forms;
mod malformed;

use argosy_tests::{ApiClient, ApiWorld, App, Options};

/// An installation with one application, and who asks.
struct Case {
    world: ApiWorld,
    admin: ApiClient,
    anybody: ApiClient,
}

// === impl Case ===

impl Case {
    async fn start() -> anyhow::Result<Self> {
        let world = ApiWorld::start(Options::default(), &[]).await?;
        let app = App::new("one").source("https://127.0.0.1:1/none.git", ".", "HEAD");
        app.set("/metadata/labels/team", "a".into()).apply(&world.plane.client().await?).await?;
        let (admin, anybody) = (world.admin().await?, world.anybody().await?);
        Ok(Self { world, admin, anybody })
    }

    /// Still there, and never surprised.
    fn is_unharmed(&mut self) -> anyhow::Result<()> {
        self.world.server.check_running()?;
        let log = self.world.server.log();
        assert!(!log.contains("panicked") && !log.contains("internal error"), "{}", self.world.server.log_tail(80));
        Ok(())
    }
}
