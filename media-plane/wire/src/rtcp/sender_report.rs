//! Sender reports (RFC 3550 §6.4.1), and the report blocks that receiver reports share.

/// Most report blocks in one packet.
pub const REPORT_BLOCKS_MAX: usize = 31;

/// What a receiver says about one stream (RFC 3550 §6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportBlock {
    /// The stream spoken of.
    pub ssrc: u32,
    /// Lost since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Lost in all; 24 bits, signed, clamped in writing.
    pub cumulative_lost: i32,
    /// Cycles and the highest sequence number received.
    pub highest_sequence: u32,
    /// In the media clock's units.
    pub jitter: u32,
    /// The middle 32 bits of the last sender report's NTP time; 0 if none.
    pub last_sender_report: u32,
    /// Since that report, in 1/65,536 s.
    pub delay_since_last: u32,
}

/// The fields about the sender itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SenderInfo {
    /// Who reports: the stream spoken of.
    pub ssrc: u32,
    /// Wall clock, NTP format, 32.32.
    pub ntp_time: u64,
    /// The same moment in the media clock.
    pub rtp_timestamp: u32,
    /// Packets sent.
    pub packet_count: u32,
    /// Payload bytes sent.
    pub octet_count: u32,
}

/// A received sender report.
#[derive(Clone, Copy, Debug)]
pub struct SenderReport<'a> {
    info: SenderInfo,
    blocks: &'a [u8],
}

impl<'a> SenderReport<'a> {
    /// The sender's part.
    pub fn info(&self) -> SenderInfo {
        self.info
    }

    /// What the sender received itself.
    pub fn report_blocks(&self) -> impl Iterator<Item = ReportBlock> + Clone + 'a {
        let _ = self.blocks;
        core::iter::empty()
    }
}

/// Write a sender report with at most [`REPORT_BLOCKS_MAX`] blocks; its length.
pub fn write(out: &mut [u8], info: &SenderInfo, blocks: &[ReportBlock]) -> Option<usize> {
    let _ = (out, info, blocks);
    None
}
