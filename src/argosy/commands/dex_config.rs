//! `argosy dex-config`: the configuration of Dex that the settings make.

use std::io::Write as _;

use anyhow::Context as _;
use argosy_server::dex_config;

use crate::cli::DexConfig;
use crate::{files, signals};

/// Prints the configuration as YAML, or writes it to a file.
///
/// # Errors
/// When the home cluster cannot be read, the settings name no Dex, or the file cannot
/// be written.
pub(crate) fn run(options: &DexConfig) -> anyhow::Result<()> {
    super::on_actors(print(options))
}

async fn print(options: &DexConfig) -> anyhow::Result<()> {
    let shutdown = signals::shutdown()?;
    let way = options.home.find().await?;
    let Some(home) = options.home.open(&way, &shutdown).await else { return Ok(()) };
    let yaml = dex_config::generate(&home.settings())
        .context("the setting dex.config cannot be used")?
        .context("dex.config in argocd-cm is empty: there is no Dex to configure")?;
    match &options.output {
        Some(path) => files::replace(path, &yaml).with_context(|| format!("cannot write {}", path.display())),
        None => std::io::stdout().write_all(yaml.as_bytes()).context("cannot write to the standard output"),
    }
}
