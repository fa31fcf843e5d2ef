//! Open connections per client address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// See the module's page.
#[derive(Clone, Debug)]
pub(super) struct Clients {
    limit: usize,
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// A counted connection; uncounted when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    clients: Clients,
    key: IpAddr,
}

// === impl Clients ===

impl Clients {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, open: Arc::default() }
    }

    /// Counts a connection; `None` when its client has too many.
    pub(super) fn admit(&self, address: IpAddr) -> Option<Seat> {
        let key = network(address);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(key).or_insert(0);
        if *count >= self.limit {
            return None;
        }
        *count += 1;
        Some(Seat { clients: self.clone(), key })
    }
}

/// One IPv6 client commonly has a whole /64 to choose addresses from.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

// === impl Seat ===

impl Drop for Seat {
    fn drop(&mut self) {
        let mut open = self.clients.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_may_come_back_when_it_left() {
        let clients = Clients::new(2);
        let address: IpAddr = "10.0.0.1".parse().unwrap();
        let first = clients.admit(address).unwrap();
        let second = clients.admit(address).unwrap();
        assert!(clients.admit(address).is_none());
        assert!(clients.admit("10.0.0.2".parse().unwrap()).is_some());
        drop(first);
        assert!(clients.admit(address).is_some());
        drop(second);
        assert!(clients.open.lock().unwrap().is_empty());
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_client() {
        let clients = Clients::new(1);
        let seat = clients.admit("2001:db8::1".parse().unwrap());
        assert!(seat.is_some());
        assert!(clients.admit("2001:db8::2".parse().unwrap()).is_none());
        assert!(clients.admit("2001:db8:0:1::2".parse().unwrap()).is_some());
    }
}
