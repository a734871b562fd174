//! The sockets of an `Io`, seen from another thread than the one that moves datagrams: what costs system calls is done here.

use std::net::SocketAddr;

use crate::options::OpenError;
use crate::socket::{Sockets, check_free};

/// The sockets of one `Io` by descriptors of their own.
pub struct Twin {
    sockets: Sockets,
}

impl Twin {
    pub(crate) fn new(sockets: Sockets) -> Twin {
        Twin { sockets }
    }

    /// Datagrams that the kernel dropped because a socket's receive buffer was full. Costs a system call per socket.
    pub fn kernel_drops(&self) -> u64 {
        self.sockets.kernel_drops()
    }

    /// Gives `address`, which the machine got after the start, to a socket of each of `twins` that has none: the same one of
    /// each, as they were opened alike. `None` if there is no such socket left.
    ///
    /// # Errors
    /// The address is not there, or somebody else has it. A socket that got it nevertheless is not used again.
    pub fn give_address(twins: &mut [Twin], address: SocketAddr) -> Result<Option<u8>, OpenError> {
        let is_spare =
            |local: &SocketAddr| local.ip().is_unspecified() && local.is_ipv4() == address.is_ipv4();
        let spare = |twin: &Twin| twin.sockets.local().iter().position(is_spare);
        // Where an earlier try ended half-way they differ.
        let Some(socket) = twins.iter().map(spare).max().flatten() else { return Ok(None) };
        if !twins.iter().all(|twin| twin.sockets.local().get(socket).is_some_and(is_spare)) {
            return Ok(None);
        }
        check_free(&[address])?;
        for twin in twins {
            twin.sockets.bind(socket, address)?;
        }
        Ok(u8::try_from(socket).ok())
    }
}
