//! What simulated clusters cost: memory of idle ones and of objects, requests that one
//! core serves, and how long a write takes that is kept on disk.
//!
//! Every figure comes from a process of its own, this program started again with the
//! name of a role. Speed is requests per second of the server's CPU time, so that
//! neither the client nor whatever else the machine does is measured with it.
//!
//! `ARGOSY_BENCH_CLUSTERS` changes how many clusters one process holds (1,000).

#![expect(clippy::print_stdout, reason = "the figures are what this program is for")]

mod client;
mod memory;
mod process;
mod speed;

use anyhow::{Context, bail};

use crate::process::Figures;

/// Clusters in one process.
const CLUSTERS: usize = 1000;

fn main() -> anyhow::Result<()> {
    argosy_loadtest::use_crypto();
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        None => report(),
        Some("clusters") => memory::clusters(&arguments.next().context("how many?")?, false),
        Some("clusters-with-roles") => memory::clusters(&arguments.next().context("how many?")?, true),
        Some("serve") => process::serve(arguments.next()),
        Some(other) => bail!("no role {other:?}"),
    }
}

fn report() -> anyhow::Result<()> {
    let count = match std::env::var("ARGOSY_BENCH_CLUSTERS") {
        Ok(text) => text.parse().context("ARGOSY_BENCH_CLUSTERS is a number")?,
        Err(_) => CLUSTERS,
    };
    println!("{:<52} {:>12} {:>12}", "", "figure", "aim");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    memory::report_clusters(count)?;
    runtime.block_on(memory::report_objects())?;
    runtime.block_on(speed::report())?;
    println!("Figures per second are of one core of the server, by its CPU time.");
    Ok(())
}

/// A line of the table.
fn line(what: &str, figure: &str, aim: &str) {
    println!("{what:<52} {figure:>12} {aim:>12}");
}

/// Lines of a process's own figures.
fn lines(figures: &Figures, what: &[(&str, &str, &str)]) -> anyhow::Result<()> {
    for (name, words, aim) in what {
        line(words, figures.get(name)?, aim);
    }
    Ok(())
}
