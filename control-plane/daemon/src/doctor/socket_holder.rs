//! Which program holds a port: from the kernel's tables of sockets and the descriptors of processes, as far as we may read them.

use std::fs;

use super::host::Kind;

/// Process id and name of the holder of a port.
pub(super) fn find(kind: Kind, port: u16) -> Option<(u32, String)> {
    let tables = match kind {
        Kind::Udp => ["/proc/net/udp", "/proc/net/udp6"],
        Kind::Tcp => ["/proc/net/tcp", "/proc/net/tcp6"],
    };
    let inode = tables.iter().find_map(|table| inode(&fs::read_to_string(table).ok()?, kind, port))?;
    let wanted = format!("socket:[{inode}]");
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let Some(id) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let descriptors = fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten();
        let mut links = descriptors.filter_map(|entry| fs::read_link(entry.path()).ok());
        // The service manager holds the ports that it hands over; the one that uses them is told apart by the caller.
        if links.any(|link| link.as_os_str() == wanted.as_str()) {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some((id, name.trim().to_owned()));
        }
    }
    None
}

/// The inode of the socket that is bound to `port`: for TCP the one that listens.
fn inode(table: &str, kind: Kind, port: u16) -> Option<String> {
    table.lines().skip(1).find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, local, _, state, ..] = words[..] else { return None };
        let (_, local_port) = local.rsplit_once(':')?;
        let listens = match kind {
            Kind::Tcp => state == "0A",
            Kind::Udp => state == "07",
        };
        let ours = listens && u16::from_str_radix(local_port, 16).ok()? == port;
        ours.then(|| words.get(9).map(|inode| (*inode).to_owned()))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_listener_is_found_with_its_process() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (process, name) = find(Kind::Tcp, port).unwrap();
        assert_eq!(process, std::process::id());
        assert!(!name.is_empty());
        drop(listener);
        assert_eq!(find(Kind::Tcp, port), None);
    }

    #[test]
    fn connections_are_not_listeners() {
        let table =
            "  sl  local_address rem_address st\n 0: 0100007F:1F90 0100007F:D431 01 0:0 0:0 0 0 0 77 1\n";
        assert_eq!(inode(table, Kind::Tcp, 8_080), None);
        assert_eq!(inode(&table.replace(" 01 ", " 0A "), Kind::Tcp, 8_080).as_deref(), Some("77"));
    }
}
