//! Where a request comes from, for counting failed sign-ins by address.

use std::net::IpAddr;

use ipnet::IpNet;
use tonic::Request;

use crate::listener::ClientAddress;
use crate::shared::Shared;

const FORWARDED: &str = "x-forwarded-for";

// === impl Shared ===

impl Shared {
    /// The address a request is counted under. A proxy that is trusted says whom it
    /// speaks for; when it does not, the request is counted under none, for all
    /// users behind it would be one.
    pub(crate) fn source<T>(&self, request: &Request<T>) -> Option<IpAddr> {
        let peer = request.extensions().get::<ClientAddress>()?.0.ip();
        // Some proxies add a header of their own below the one a stranger wrote.
        let headers = request.metadata().get_all(FORWARDED).iter().filter_map(|value| value.to_str().ok());
        let forwarded = headers.collect::<Vec<_>>().join(",");
        source(peer, Some(&forwarded), &self.options.trusted_proxies)
    }
}

/// Goes back along the chain of proxies as far as they are trusted: what stands
/// before the first stranger, anybody may have written.
fn source(peer: IpAddr, forwarded: Option<&str>, trusted: &[IpNet]) -> Option<IpAddr> {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
    if !is_trusted(&peer) {
        return Some(peer);
    }
    let chain = forwarded.unwrap_or_default().rsplit(',').map(|hop| hop.trim().parse::<IpAddr>().ok());
    for hop in chain {
        match hop {
            Some(address) if is_trusted(&address) => {}
            other => return other,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn only_a_trusted_proxy_says_whom_it_speaks_for() {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        assert_eq!(source(ip("192.0.2.1"), Some("203.0.113.9"), &trusted), Some(ip("192.0.2.1")));
        assert_eq!(source(ip("10.1.1.1"), Some("198.51.100.1, 203.0.113.9"), &trusted), Some(ip("203.0.113.9")));
        assert_eq!(source(ip("10.1.1.1"), Some("203.0.113.9, 10.2.2.2"), &trusted), Some(ip("203.0.113.9")));
    }

    #[test]
    fn a_trusted_proxy_that_says_nothing_usable_is_not_counted_for_its_users() {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        for forwarded in [None, Some(""), Some("nonsense"), Some("10.2.2.2")] {
            assert_eq!(source(ip("10.1.1.1"), forwarded, &trusted), None, "{forwarded:?}");
        }
    }
}
