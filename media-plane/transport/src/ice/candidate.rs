//! Which remote candidates may be checked at all.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether checks may go to this address: never to ourselves, to everybody, or to the link alone. An IPv4 address
/// inside an IPv6 one is judged as what it is.
pub fn allowed(address: IpAddr, allow_loopback: bool) -> bool {
    match address {
        IpAddr::V4(address) => allowed_v4(address, allow_loopback),
        IpAddr::V6(address) => allowed_v6(address, allow_loopback),
    }
}

fn allowed_v4(address: Ipv4Addr, allow_loopback: bool) -> bool {
    if address.is_loopback() {
        return allow_loopback;
    }
    let this_network = address.octets()[0] == 0;
    let reserved = address.octets()[0] >= 240;
    !(this_network || reserved || address.is_multicast() || address.is_link_local())
}

fn allowed_v6(address: Ipv6Addr, allow_loopback: bool) -> bool {
    if address.is_loopback() {
        return allow_loopback;
    }
    if let Some(inner) = embedded_v4(address) {
        return allowed_v4(inner, allow_loopback);
    }
    !(address.is_unspecified() || address.is_multicast() || address.is_unicast_link_local())
}

/// The IPv4 address that an IPv6 one stands for: mapped, compatible, translated by NAT64 (RFC 6052) or 6to4 (RFC 3056).
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let [g1, g2] = g.to_be_bytes();
    let [h1, h2] = h.to_be_bytes();
    let low = Ipv4Addr::new(g1, g2, h1, h2);
    match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, 0xFFFF] | [0x64, 0xFF9B, 0, 0, 0, 0] => Some(low),
        [0, 0, 0, 0, 0, 0] if g != 0 => Some(low),
        [0x2002, _, _, ..] => {
            let ([b1, b2], [c1, c2]) = (b.to_be_bytes(), c.to_be_bytes());
            Some(Ipv4Addr::new(b1, b2, c1, c2))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_other_hosts_may_be_checked() {
        let rows: &[(&str, bool)] = &[
            ("192.0.2.1", true),
            ("10.0.0.1", true),
            ("172.16.5.4", true),
            ("192.168.1.1", true),
            ("100.64.0.1", true),
            ("8.8.8.8", true),
            ("239.255.255.255", false),
            ("224.0.0.1", false),
            ("240.0.0.1", false),
            ("255.255.255.255", false),
            ("0.0.0.0", false),
            ("0.1.2.3", false),
            ("127.0.0.1", false),
            ("127.255.255.254", false),
            ("169.254.169.254", false),
            ("169.254.0.1", false),
            ("::", false),
            ("::1", false),
            ("::2", true),
            ("::7f00:1", false),
            ("::ffff:127.0.0.1", false),
            ("::ffff:0.0.0.0", false),
            ("::ffff:169.254.169.254", false),
            ("::ffff:224.0.0.1", false),
            ("::ffff:255.255.255.255", false),
            ("::ffff:192.0.2.1", true),
            ("64:ff9b::127.0.0.1", false),
            ("64:ff9b::169.254.169.254", false),
            ("64:ff9b::192.0.2.1", true),
            ("2002:7f00:1::1", false),
            ("2002:a9fe:a9fe::1", false),
            ("2002:c000:201::1", true),
            ("fe80::1", false),
            ("febf::1", false),
            ("fec0::1", true),
            ("ff02::1", false),
            ("ff0e::1", false),
            ("fc00::1", true),
            ("fd12:3456::1", true),
            ("2001:db8::1", true),
        ];
        for &(address, expected) in rows {
            assert_eq!(allowed(address.parse().unwrap(), false), expected, "{address}");
        }
    }

    #[test]
    fn loopback_can_be_allowed_and_nothing_else_with_it() {
        for (address, expected) in [
            ("127.0.0.1", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("0.0.0.0", false),
            ("fe80::1", false),
        ] {
            assert_eq!(allowed(address.parse().unwrap(), true), expected, "{address}");
        }
    }
}
