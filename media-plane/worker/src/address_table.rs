//! Peer address → owner, on every worker: the kernel's hash may deliver a client's datagrams to any of them.

use std::collections::HashMap;
use std::net::SocketAddr;

use contract::{EndpointId, WorkerId};
use foldhash::quality::RandomState;

use crate::ufrag::Owner;

/// Where the datagrams of a proved address belong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) worker: WorkerId,
    pub(crate) seat: u32,
    pub(crate) endpoint: EndpointId,
}

impl Route {
    /// The same without the endpoint.
    pub(crate) fn owner(self) -> Owner {
        Owner { worker: self.worker, seat: self.seat }
    }
}

/// Bounded; allocated whole at start. Only addresses that proved credentials are keys, so nobody can fill a bucket at
/// will; the hash is seeded all the same.
#[derive(Debug)]
pub(crate) struct AddressTable {
    routes: HashMap<Address, Entry, RandomState>,
    /// The newest address of each endpoint: the head of a chain through all of its entries.
    newest: HashMap<EndpointId, Address, RandomState>,
}

/// A peer, and the socket of ours that it talks to.
type Address = (SocketAddr, u8);

#[derive(Clone, Copy, Debug)]
struct Entry {
    route: Route,
    /// The address of the same endpoint that came before.
    older: Option<Address>,
}

impl AddressTable {
    pub(crate) fn new() -> AddressTable {
        // Twice the room: a table that is at most half full rehashes in place and never allocates.
        let routes = HashMap::with_capacity_and_hasher(2 * ROUTES_MAX, RandomState::default());
        let newest = HashMap::with_capacity_and_hasher(2 * ENDPOINTS_MAX, RandomState::default());
        AddressTable { routes, newest }
    }

    /// The owner of what comes from `peer` at our socket `socket`.
    #[inline]
    pub(crate) fn route(&self, peer: SocketAddr, socket: u8) -> Option<Route> {
        self.routes.get(&(peer, socket)).map(|entry| entry.route)
    }

    /// Remember a proved address. False: the table is full.
    #[must_use]
    pub(crate) fn insert(&mut self, peer: SocketAddr, socket: u8, route: Route) -> bool {
        let address = (peer, socket);
        if let Some(entry) = self.routes.get_mut(&address) {
            let former = entry.route.endpoint;
            if former == route.endpoint {
                entry.route = route;
                return true;
            }
            self.unlink(address, former);
        } else if self.routes.len() >= ROUTES_MAX {
            return false;
        }
        if self.newest.len() >= ENDPOINTS_MAX && !self.newest.contains_key(&route.endpoint) {
            return false;
        }
        let older = self.newest.insert(route.endpoint, address);
        self.routes.insert(address, Entry { route, older });
        true
    }

    /// Forget an address, if it still belongs to `endpoint`: another may have taken it over.
    pub(crate) fn remove(&mut self, peer: SocketAddr, socket: u8, endpoint: EndpointId) {
        if self.route(peer, socket).is_some_and(|route| route.endpoint == endpoint) {
            self.unlink((peer, socket), endpoint);
        }
    }

    /// Forget every address of `endpoint`.
    pub(crate) fn remove_endpoint(&mut self, endpoint: EndpointId) {
        let mut next = self.newest.remove(&endpoint);
        while let Some(address) = next {
            next = self.routes.remove(&address).and_then(|entry| entry.older);
        }
    }

    /// Take an entry out of the chain of `endpoint`, which it is in, and out of the table. A chain has some eight links.
    fn unlink(&mut self, address: Address, endpoint: EndpointId) {
        let Some(gone) = self.routes.remove(&address) else { return };
        let newest = self.newest.get(&endpoint).copied();
        if newest == Some(address) {
            match gone.older {
                Some(older) => self.newest.insert(endpoint, older),
                None => self.newest.remove(&endpoint),
            };
            return;
        }
        let mut next = newest;
        while let Some(entry) = next.and_then(|at| self.routes.get_mut(&at)) {
            if entry.older == Some(address) {
                entry.older = gone.older;
                return;
            }
            next = entry.older;
        }
    }
}

/// Endpoints that may have addresses at a time, on all workers together.
const ENDPOINTS_MAX: usize = 16_384;
/// Addresses that may be known at a time: eight for each of four thousand endpoints.
const ROUTES_MAX: usize = 32_768;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn an_endpoint_leaves_with_all_of_its_addresses_and_no_others(
            steps in proptest::collection::vec((0u8..8, 1u16..12, 0u64..4), 1..120),
        ) {
            let mut table = AddressTable::new();
            let mut model = HashMap::<u16, u64>::new();
            for (step, port, endpoint) in steps {
                let route = Route { worker: WorkerId(0), seat: 0, endpoint: EndpointId(endpoint) };
                match step {
                    0 => {
                        table.remove_endpoint(EndpointId(endpoint));
                        model.retain(|_, owner| *owner != endpoint);
                    }
                    1 | 2 => {
                        table.remove(address(port), 0, EndpointId(endpoint));
                        if model.get(&port) == Some(&endpoint) {
                            model.remove(&port);
                        }
                    }
                    _ => {
                        prop_assert!(table.insert(address(port), 0, route));
                        model.insert(port, endpoint);
                    }
                }
                for port in 1..12 {
                    let owner = table.route(address(port), 0).map(|route| route.endpoint.0);
                    prop_assert_eq!(owner, model.get(&port).copied());
                }
            }
            (0..4).for_each(|endpoint| table.remove_endpoint(EndpointId(endpoint)));
            prop_assert!(table.routes.is_empty() && table.newest.is_empty());
        }
    }
}
