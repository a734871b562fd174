//! Whole conversations over a simulated link.

use wire::first_byte::{Kind, classify};

use super::*;
use crate::config::KeyFrameMessage;

/// Summary of the feedback that came.
#[derive(Default, Debug)]
struct Heard {
    key_frames: Vec<u32>,
    nacks: Vec<u16>,
    reports: Vec<(u32, u64, u32)>,
    losses: Vec<(u32, u8, Option<u32>)>,
    statuses: Vec<(u16, bool)>,
    opened: Vec<Opened>,
}

/// Hand what arrived to the transports.
fn pump(world: &mut World, heard: &mut [Heard; 2]) {
    for (side, bytes) in std::mem::take(&mut world.media) {
        let (now, heard) = (world.now, &mut heard[side]);
        let mut out = [0; 1_500];
        if classify(&bytes) == Kind::Rtp {
            if let Ok(opened) = world.sides[side].open_rtp(&bytes, &mut out, now) {
                heard.opened.push(opened);
            }
            continue;
        }
        let result = world.sides[side].open_rtcp(&bytes, &mut out, now, |feedback| match feedback {
            Feedback::KeyFrameRequest { ssrc } => heard.key_frames.push(ssrc),
            Feedback::Nack { sequence, .. } => heard.nacks.push(sequence),
            Feedback::SenderReport { ssrc, ntp, rtp } => heard.reports.push((ssrc, ntp, rtp)),
            Feedback::ReceiverLoss { ssrc, fraction, round_trip_us } => {
                heard.losses.push((ssrc, fraction, round_trip_us));
            }
            Feedback::TransportCc(feedback) => {
                heard
                    .statuses
                    .extend(feedback.statuses().map(|status| (status.sequence, status.delta.is_some())));
            }
            Feedback::Remb { .. } | Feedback::Bye { .. } => {}
        });
        assert_eq!(result, Ok(()));
        let again = world.sides[side].open_rtcp(&bytes, &mut out, now, |_| panic!("replayed"));
        assert_eq!(again, Err(DropReason::SrtpReplay));
    }
}

#[test]
fn a_conversation_over_a_lossy_link_is_reported_asked_for_and_repaired() {
    let mut world = World::new();
    world.signal();
    world.run_until(at(2_000));
    prepare(&mut world.sides, SrtpProfile::AeadAes128Gcm, true);
    let mut heard = [Heard::default(), Heard::default()];
    let payload = [9; 500];
    let (server, client) = (world.addresses[SERVER], world.addresses[CLIENT]);
    world.sides[SERVER].sender_report(VIDEO, 77 << 32, 0, at(2_000));
    for n in 0..1_100u16 {
        let now = at(2_000 + 10 * u64::from(n));
        world.run_until(now);
        pump(&mut world, &mut heard);
        for sequence in std::mem::take(&mut heard[SERVER].nacks) {
            let mut out = [0; 1_500];
            let Some(record) = world.sides[SERVER].nacked(VIDEO, sequence, now) else { continue };
            let sealed = world.sides[SERVER].seal_rtx(&record, &repair(&payload), now, &mut out).unwrap();
            world.send(server, client, out[..sealed.len].to_vec());
        }
        if n == 500 {
            world.sides[CLIENT].request_key_frame(VIDEO, now);
            world.sides[CLIENT].request_key_frame(VIDEO, now);
            world.sides[CLIENT].request_key_frame(12345, now);
        }
        if n >= 1_000 {
            continue;
        }
        let datagram = seal(&mut world.sides[SERVER], &outgoing(VIDEO, n, &payload), now);
        // One of ten is lost, but never what repairs.
        if n % 10 != 5 {
            world.send(server, client, datagram);
        }
    }

    let [at_server, at_client] = heard;
    assert_eq!(at_client.opened.len(), 1_000, "everything came in the end");
    assert_eq!(at_client.opened.iter().filter(|opened| opened.retransmitted).count(), 100);
    assert_eq!(at_server.key_frames, [VIDEO], "coalesced, and only for what is received");
    let told: HashMap<u16, bool> = at_server.statuses.iter().copied().collect();
    assert_eq!(told.len(), 1_100);
    assert_eq!(told.values().filter(|arrived| !**arrived).count(), 100);
    assert_eq!(at_server.statuses.len(), 1_100, "each number is told once");
    let media_losses: Vec<_> = at_server.losses.iter().filter(|loss| loss.0 == VIDEO).collect();
    assert!(media_losses.len() >= 19, "{}", media_losses.len());
    let whole = &media_losses[1..media_losses.len() - 1];
    assert!(whole.iter().all(|(_, fraction, _)| (15..=36).contains(fraction)), "{whole:?}");
    let rtts: Vec<_> = media_losses.iter().filter_map(|(_, _, rtt)| *rtt).collect();
    assert!(rtts.len() >= 15 && rtts.iter().all(|rtt| (39_000..=42_000).contains(rtt)), "{rtts:?}");
    let (_, ntp, rtp) = *at_client.reports.last().unwrap();
    let (elapsed_us, ticks) = (((ntp - (77 << 32)) * 1_000_000) >> 32, u64::from(rtp) * 1_000_000 / 90_000);
    assert!(elapsed_us.abs_diff(ticks) < 50, "{elapsed_us} {ticks}");
    let statistics = world.sides[SERVER].statistics();
    assert_eq!((statistics.packets_sent, statistics.packets_retransmitted), (1_100, 100));
    let statistics = world.sides[CLIENT].statistics();
    assert_eq!((statistics.packets_received, statistics.nacks_sent), (1_000, 100));
    assert!(statistics.key_frame_requests_sent == 1 && statistics.jitter_us < 20_000);
}

#[test]
fn a_full_intra_request_counts_up() {
    let mut world = World::with(&[
        config('S', true, World::server_address()),
        crate::config::Config {
            key_frame_message: KeyFrameMessage::Fir,
            ..config('C', false, World::client_address())
        },
    ]);
    world.signal();
    world.run_until(at(2_000));
    prepare(&mut world.sides, SrtpProfile::Aes128CmHmacSha1_80, true);
    let mut heard = [Heard::default(), Heard::default()];
    for n in 1..=3 {
        let now = world.now;
        world.sides[CLIENT].request_key_frame(VIDEO, now);
        world.run_until(now + Duration::from_millis(100));
        pump(&mut world, &mut heard);
        assert_eq!(heard[SERVER].key_frames.len(), n);
    }
    assert_eq!(world.sides[CLIENT].receive[0].fir_sequence, 3);
}
