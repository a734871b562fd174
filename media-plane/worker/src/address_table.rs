//! Peer address → owner, on every worker: the kernel's hash may deliver a client's datagrams to any of them.

use std::collections::HashMap;
use std::net::SocketAddr;

use contract::{EndpointId, WorkerId};

/// Where the datagrams of a proved address belong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) worker: WorkerId,
    pub(crate) seat: u32,
    pub(crate) endpoint: EndpointId,
}

/// Bounded; allocated whole at start. Keys come from outside, hence the seeded hash of the standard library.
#[derive(Debug)]
pub(crate) struct AddressTable {
    routes: HashMap<(SocketAddr, u8), Route>,
}

impl AddressTable {
    pub(crate) fn new() -> AddressTable {
        // Twice the room: a table that is at most half full rehashes in place and never allocates.
        AddressTable { routes: HashMap::with_capacity(2 * ROUTES_MAX) }
    }

    /// The owner of what comes from `peer` at our socket `socket`.
    pub(crate) fn route(&self, peer: SocketAddr, socket: u8) -> Option<Route> {
        self.routes.get(&(peer, socket)).copied()
    }

    /// Remember a proved address. False: the table is full.
    #[must_use]
    pub(crate) fn insert(&mut self, peer: SocketAddr, socket: u8, route: Route) -> bool {
        if self.routes.len() >= ROUTES_MAX && !self.routes.contains_key(&(peer, socket)) {
            return false;
        }
        self.routes.insert((peer, socket), route);
        true
    }

    /// Forget an address, if it still belongs to `endpoint`: another may have taken it over.
    pub(crate) fn remove(&mut self, peer: SocketAddr, socket: u8, endpoint: EndpointId) {
        if self.routes.get(&(peer, socket)).is_some_and(|route| route.endpoint == endpoint) {
            self.routes.remove(&(peer, socket));
        }
    }

    /// Forget every address of `endpoint`.
    pub(crate) fn remove_endpoint(&mut self, endpoint: EndpointId) {
        self.routes.retain(|_, route| route.endpoint != endpoint);
    }
}

/// Addresses that may be known at a time: eight for each of four thousand endpoints.
const ROUTES_MAX: usize = 32_768;

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    #[test]
    fn an_address_taken_over_by_another_endpoint_survives_the_first_ones_leaving() {
        let mut table = AddressTable::new();
        let first = Route { worker: WorkerId(0), seat: 1, endpoint: EndpointId(1) };
        let second = Route { worker: WorkerId(1), seat: 2, endpoint: EndpointId(2) };
        assert!(table.insert(address(4000), 0, first));
        assert!(table.insert(address(4000), 0, second));
        table.remove(address(4000), 0, EndpointId(1));
        assert_eq!(table.route(address(4000), 0), Some(second));
        assert_eq!(table.route(address(4000), 1), None, "another socket is another 5-tuple");
        table.remove_endpoint(EndpointId(2));
        assert_eq!(table.route(address(4000), 0), None);
    }

    #[test]
    fn a_full_table_refuses_new_addresses_and_keeps_the_old() {
        let mut table = AddressTable::new();
        let route = Route { worker: WorkerId(0), seat: 0, endpoint: EndpointId(1) };
        for number in 0..ROUTES_MAX as u32 {
            let octets = number.to_be_bytes();
            assert!(table.insert(SocketAddr::from((octets, 1)), 0, route));
        }
        assert!(!table.insert(address(9), 1, route));
        assert!(table.insert(SocketAddr::from(([0, 0, 0, 0], 1)), 0, route));
    }
}
