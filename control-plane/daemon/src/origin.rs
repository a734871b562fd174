//! Whom a connection is counted to: one IPv4 address, or the 64 bits of IPv6 that one customer is given. On a socket for
//! both families IPv4 addresses come inside IPv6 ones (RFC 4291 §2.5.5.2): unwrapped they are what they are, wrapped all of
//! them would be one customer.

use std::net::{IpAddr, Ipv6Addr};

/// Whom connections from `address` are counted to; `None` for this machine, as a proxy here speaks for everybody.
pub(crate) fn origin(address: IpAddr) -> Option<IpAddr> {
    let address = address.to_canonical();
    match address {
        _ if address.is_loopback() => None,
        IpAddr::V4(_) => Some(address),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Some(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_ipv4_and_a_network_of_ipv6_count_as_one_however_they_are_written() {
        let rows = [
            ("192.0.2.1", Some("192.0.2.1")),
            ("::ffff:192.0.2.1", Some("192.0.2.1")),
            ("::ffff:192.0.2.2", Some("192.0.2.2")),
            ("2001:db8::1", Some("2001:db8::")),
            ("2001:db8::ffff:1", Some("2001:db8::")),
            ("2001:db8:0:1::1", Some("2001:db8:0:1::")),
            ("127.0.0.1", None),
            ("::ffff:127.0.0.1", None),
            ("::1", None),
        ];
        for (address, counted) in rows {
            let counted: Option<IpAddr> = counted.map(|address| address.parse().unwrap());
            assert_eq!(origin(address.parse().unwrap()), counted, "{address}");
        }
    }
}
