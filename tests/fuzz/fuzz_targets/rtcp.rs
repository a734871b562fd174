//! Every packet of a compound is walked; lists come back after writing them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::rtcp::compound::{PACKETS_MAX, Packet, iterate};
use wire::rtcp::{bye, fir, receiver_report, remb, sender_report, transport_cc};

fuzz_target!(|data: &[u8]| {
    let mut out = vec![0; data.len() + 64];
    for (index, packet) in iterate(data).enumerate() {
        assert!(index <= PACKETS_MAX);
        let Ok(packet) = packet else { continue };
        let length = match packet {
            Packet::SenderReport(report) => {
                let blocks: Vec<_> = report.report_blocks().collect();
                sender_report::write(&mut out, &report.info(), &blocks)
            }
            Packet::ReceiverReport(report) => {
                let blocks: Vec<_> = report.report_blocks().collect();
                receiver_report::write(&mut out, report.ssrc(), &blocks)
            }
            Packet::Bye(packet) => bye::write(&mut out, &packet.ssrcs().collect::<Vec<_>>()),
            Packet::Fir(packet) => {
                fir::write(&mut out, packet.sender_ssrc(), &packet.entries().collect::<Vec<_>>())
            }
            Packet::Remb(packet) => {
                let ssrcs: Vec<_> = packet.ssrcs().collect();
                remb::write(&mut out, packet.sender_ssrc(), packet.bitrate_bps(), &ssrcs)
            }
            Packet::TransportCc(feedback) => {
                rewrite_feedback(&feedback);
                continue;
            }
            Packet::Nack(packet) => {
                assert!(packet.sequences().count() <= data.len() * 17 / 4);
                continue;
            }
            Packet::Sdes(packet) => {
                packet.chunks().for_each(drop);
                continue;
            }
            Packet::Pli(_) | Packet::Unknown { .. } => continue,
        };
        let length = length.expect("no larger than what was read");
        assert!(iterate(&out[..length]).all(|packet| packet.is_ok()));
    }
});

fn rewrite_feedback(feedback: &transport_cc::TransportCc<'_>) {
    let reference_time = i64::from(feedback.reference_time());
    let mut at = reference_time * 256;
    let statuses: Vec<_> = feedback.statuses().collect();
    let arrivals: Vec<Option<i64>> = statuses
        .iter()
        .map(|status| {
            at += i64::from(status.delta?);
            Some(at)
        })
        .collect();
    if arrivals.is_empty() {
        return;
    }
    let head = transport_cc::Feedback {
        sender_ssrc: feedback.sender_ssrc(),
        media_ssrc: feedback.media_ssrc(),
        base_sequence: feedback.base_sequence(),
        reference_time,
        feedback_count: feedback.feedback_count(),
    };
    let mut out = vec![0; 64 + 4 * arrivals.len()];
    let written = transport_cc::write(&mut out, &head, &arrivals).expect("it fits");
    assert_eq!(written.statuses, statuses.len());
    let Some(Ok(Packet::TransportCc(again))) = iterate(&out[..written.len]).next() else {
        panic!("our own feedback")
    };
    assert!(again.statuses().eq(statuses));
    assert_eq!(again.reference_time(), feedback.reference_time());
}
