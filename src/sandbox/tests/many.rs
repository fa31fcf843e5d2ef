//! A thousand clusters fit into one process: an idle sandbox costs little.

mod support;

/// Sandboxes of the measurement.
const COUNT: usize = 200;

/// Most bytes that one may take.
const LIMIT: usize = 300 << 10;

fn resident_bytes() -> anyhow::Result<usize> {
    let text = std::fs::read_to_string("/proc/self/statm")?;
    let pages: usize = text.split(' ').nth(1).unwrap_or("0").parse()?;
    Ok(pages * 4096)
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn an_idle_sandbox_takes_less_than_300_kilobytes() -> anyhow::Result<()> {
    // The first one pays for what all of them share.
    let first = support::start().await?;
    let _ = first.kinds().find("apps", "v1", "deployments").map(|kind| kind.skeleton());
    let before = resident_bytes()?;
    let mut all = Vec::new();
    for _ in 0..COUNT {
        all.push(support::start().await?);
    }
    let each = resident_bytes()?.saturating_sub(before) / COUNT;
    anyhow::ensure!(each < LIMIT, "each takes {each} bytes");
    for sandbox in all {
        sandbox.shutdown().await;
    }
    Ok(())
}
