//! Free ports of the loopback interface.

use std::net::TcpListener;

use anyhow::Context;

/// `N` distinct ports that nobody listened on a moment ago. Another process may
/// take one before it is used: starters retry with fresh ones.
pub(crate) fn free_ports<const N: usize>() -> anyhow::Result<[u16; N]> {
    // All are held until all are known, else the same one would come twice.
    let mut held = Vec::with_capacity(N);
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind(("127.0.0.1", 0)).context("no free port on 127.0.0.1")?;
        *port = listener.local_addr().context("a bound listener has an address")?.port();
        held.push(listener);
    }
    Ok(ports)
}
