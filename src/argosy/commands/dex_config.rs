//! `argosy dex-config`: the configuration of Dex that the settings make.

use std::io::Write as _;

use anyhow::Context as _;
use argosy_server::dex_config;

use crate::home::HomeArgs;
use crate::signals;

/// Prints the configuration as YAML.
///
/// # Errors
/// When the home cluster cannot be read, or the settings name no Dex.
pub(crate) fn run(home: &HomeArgs) -> anyhow::Result<()> {
    super::on_actors(print(home))
}

async fn print(args: &HomeArgs) -> anyhow::Result<()> {
    let shutdown = signals::shutdown()?;
    let way = args.find().await?;
    let Some(home) = args.open(&way, &shutdown).await else { return Ok(()) };
    let yaml = dex_config::generate(&home.settings())
        .context("the setting dex.config cannot be used")?
        .context("dex.config in argocd-cm is empty: there is no Dex to configure")?;
    std::io::stdout().write_all(yaml.as_bytes()).context("cannot write to the standard output")
}
