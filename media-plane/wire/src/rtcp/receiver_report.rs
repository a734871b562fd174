//! Receiver reports (RFC 3550 §6.4.2).

use super::sender_report::{ReportBlock, blocks_of, report_blocks};
use super::{count_of, packet_type, write_packet};
use crate::octets::u32_at;

/// A received receiver report.
#[derive(Clone, Copy, Debug)]
pub struct ReceiverReport<'a> {
    ssrc: u32,
    blocks: &'a [u8],
}

impl<'a> ReceiverReport<'a> {
    /// Who reports.
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// A block for each stream.
    pub fn report_blocks(&self) -> impl Iterator<Item = ReportBlock> + Clone + 'a {
        report_blocks(self.blocks)
    }

    pub(super) fn parse(count: u8, body: &'a [u8]) -> Option<Self> {
        Some(Self { ssrc: u32_at(body, 0)?, blocks: blocks_of(body.get(4..)?, count)? })
    }
}

/// Write a receiver report with at most [`super::sender_report::REPORT_BLOCKS_MAX`] blocks; its length.
pub fn write(out: &mut [u8], ssrc: u32, blocks: &[ReportBlock]) -> Option<usize> {
    write_packet(out, packet_type::RECEIVER_REPORT, count_of(blocks)?, |output| {
        output.u32(ssrc)?;
        blocks.iter().try_for_each(|block| block.write(output))
    })
}
