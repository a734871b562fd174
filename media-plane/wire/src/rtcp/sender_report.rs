//! Sender reports (RFC 3550 §6.4.1), and the report blocks that receiver reports share.

use super::{count_of, packet_type, write_packet};
use crate::octets::{Output, u8_at, u24_at, u32_at, u64_at};

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
        report_blocks(self.blocks)
    }

    pub(super) fn parse(count: u8, body: &'a [u8]) -> Option<Self> {
        let info = SenderInfo {
            ssrc: u32_at(body, 0)?,
            ntp_time: u64_at(body, 4)?,
            rtp_timestamp: u32_at(body, 12)?,
            packet_count: u32_at(body, 16)?,
            octet_count: u32_at(body, 20)?,
        };
        Some(Self { info, blocks: blocks_of(body.get(24..)?, count)? })
    }
}

/// Write a sender report with at most [`REPORT_BLOCKS_MAX`] blocks; its length.
pub fn write(out: &mut [u8], info: &SenderInfo, blocks: &[ReportBlock]) -> Option<usize> {
    write_packet(out, packet_type::SENDER_REPORT, count_of(blocks)?, |output| {
        output.u32(info.ssrc)?;
        output.u64(info.ntp_time)?;
        output.u32(info.rtp_timestamp)?;
        output.u32(info.packet_count)?;
        output.u32(info.octet_count)?;
        blocks.iter().try_for_each(|block| block.write(output))
    })
}

const BLOCK_LEN: usize = 24;

impl ReportBlock {
    fn parse(data: &[u8]) -> Option<Self> {
        // The 24-bit number is sign-extended from the upper end of 32 bits.
        let cumulative_lost = (u24_at(data, 5)? << 8).cast_signed() >> 8;
        Some(Self {
            ssrc: u32_at(data, 0)?,
            fraction_lost: u8_at(data, 4)?,
            cumulative_lost,
            highest_sequence: u32_at(data, 8)?,
            jitter: u32_at(data, 12)?,
            last_sender_report: u32_at(data, 16)?,
            delay_since_last: u32_at(data, 20)?,
        })
    }

    pub(super) fn write(&self, output: &mut Output<'_>) -> Option<()> {
        output.u32(self.ssrc)?;
        output.u8(self.fraction_lost)?;
        output.u24(self.cumulative_lost.clamp(-0x80_0000, 0x7F_FFFF).cast_unsigned())?;
        output.u32(self.highest_sequence)?;
        output.u32(self.jitter)?;
        output.u32(self.last_sender_report)?;
        output.u32(self.delay_since_last)
    }
}

/// The bytes of `count` blocks at the start of `data`; a profile's extension may follow them.
pub(super) fn blocks_of(data: &[u8], count: u8) -> Option<&[u8]> {
    data.get(..usize::from(count) * BLOCK_LEN)
}

pub(super) fn report_blocks(blocks: &[u8]) -> impl Iterator<Item = ReportBlock> + Clone + '_ {
    blocks.chunks_exact(BLOCK_LEN).filter_map(ReportBlock::parse)
}
