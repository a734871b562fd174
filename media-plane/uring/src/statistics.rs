//! What an `Io` counts: plain numbers that only rise.

use crate::options::SendFull;

/// Counters of one `Io` since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Datagrams given to the worker, truncated ones included.
    pub datagrams_received: u64,
    /// Bytes of their payloads.
    pub bytes_received: u64,
    /// Datagrams that were longer than a buffer.
    pub truncated: u64,
    /// Send operations that the kernel took.
    pub sends: u64,
    /// Datagrams in them: `segments / sends` is what segmentation offload saves.
    pub segments: u64,
    /// Bytes of their payloads.
    pub bytes_sent: u64,
    /// Send operations that the kernel refused for good.
    pub send_errors: u64,
    /// Datagrams in them.
    pub segments_lost: u64,
    /// Datagrams not queued because the send memory was full.
    pub send_full: u64,
    /// Times that the kernel did not take sends at once and they had to wait.
    pub stalled: u64,
    /// Messages that segmentation offload refused and whose datagrams went singly.
    pub gso_refused: u64,
    /// 1 once segmentation offload is switched off.
    pub gso_off: u64,
    /// Times that a multishot receive ended and was armed again.
    pub rearmed: u64,
    /// Times that the kernel found no receive buffer; what came meanwhile waits in the socket.
    pub no_buffer: u64,
    /// Receive operations that failed otherwise.
    pub receive_errors: u64,
    /// Times that the completion queue overflowed and was flushed.
    pub overflow: u64,
    /// Wake-ups seen.
    pub woken: u64,
    /// System calls made to submit, to wait, to send or to receive.
    pub system_calls: u64,
}

impl Statistics {
    /// A datagram to a peer that its socket cannot reach.
    pub(crate) fn unreachable(&mut self) {
        self.send_errors += 1;
        self.segments_lost += 1;
    }

    /// What became of a datagram that was to be queued.
    #[inline]
    pub(crate) fn queued(&mut self, result: Result<(), SendFull>) -> Result<(), SendFull> {
        self.send_full += u64::from(result.is_err());
        result
    }
}
