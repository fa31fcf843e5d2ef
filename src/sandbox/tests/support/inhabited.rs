//! A sandbox with everything that surrounds the API: for the tests that need it.

use argosy_sandbox::controllers::{Controllers, Options, PodOptions, Surroundings};
use argosy_sandbox::identity::TokenKeys;
use argosy_sandbox::lifecycle::Bootstrap;
use argosy_sandbox::serve::Sandbox;

use crate::support;

/// Starts one whose Pods start at once.
pub(crate) async fn start() -> anyhow::Result<(Sandbox, Surroundings, Controllers)> {
    let surroundings = Surroundings::new(TokenKeys::generate()?);
    let mut options = support::options();
    options.hooks = surroundings.hooks();
    let sandbox = Sandbox::start(options).await?;
    let what = Bootstrap {
        node: Some("sandbox".to_owned()),
        user_facing_roles: true,
        version: "v1.36.3".to_owned(),
        address: "127.0.0.1:6443".parse()?,
    };
    let options = Options { pods: PodOptions::instant(), ..Options::default() };
    let controllers = surroundings.inhabit(&sandbox, &what, options)?;
    Ok((sandbox, surroundings, controllers))
}
