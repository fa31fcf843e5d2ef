//! Versions, for clients that adapt to them. Who is not signed in learns the
//! version alone.

use std::sync::Arc;

use argosy_proto::version::VersionMessage;
use argosy_proto::version::version_service_server::VersionService;
use tonic::{Request, Response, Status};

use crate::caller::anyone;
use crate::gateway::{self, Gateway};
use crate::shared::Shared;

/// See the module's page.
pub(crate) struct Service {
    shared: Arc<Shared>,
}

// === impl Service ===

impl Service {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    pub(crate) fn bind(self: &Arc<Self>, gateway: &mut Gateway) -> Result<(), gateway::Error> {
        bind!(gateway, self, "version.VersionService", { "Version" => version });
        Ok(())
    }
}

#[tonic::async_trait]
impl VersionService for Service {
    async fn version(&self, request: Request<()>) -> Result<Response<VersionMessage>, Status> {
        let answer = &self.shared.options.version;
        let mut message = VersionMessage { version: answer.version.clone(), ..Default::default() };
        let caller = anyone(&request);
        if caller.is_everybody() || caller.has_name() {
            message.build_date.clone_from(&answer.build_date);
            message.git_commit.clone_from(&answer.git_commit);
            message.compiler.clone_from(&answer.compiler);
            message.platform.clone_from(&answer.platform);
            message.extra_build_info = format!("argosy {}", env!("CARGO_PKG_VERSION"));
        }
        Ok(Response::new(message))
    }
}
