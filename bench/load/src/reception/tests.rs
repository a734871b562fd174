use std::time::Duration;

use arrayvec::ArrayVec;
use contract::session::{SrtpKeys, SrtpProfile};
use wire::rtp::Header;

use super::*;

const SSRC: u32 = 5_000;
const RTX: u32 = 5_001;

struct Bench {
    reception: Reception,
    session: Box<Session>,
    counters: Counters,
    delays: Delays,
    now: Timestamp,
}

impl Bench {
    fn new() -> Bench {
        let mut reception = Reception::new(1, 0..4, 1);
        reception.announce(SSRC, Some(RTX), Media::Video, Some(2), Timestamp::ZERO);
        Bench {
            reception,
            session: Session::new(&keys(7)).unwrap(),
            counters: Counters::default(),
            delays: Delays::default(),
            now: Timestamp::from_millis(1_000),
        }
    }

    fn packet(&self, sequence: u16, from: u32) -> Vec<u8> {
        let header = Header {
            marker: true,
            payload_type: 100,
            sequence,
            timestamp: 90 * u32::from(sequence),
            ssrc: SSRC,
        };
        let label = Label {
            endpoint: from,
            media: Media::Video,
            encoding: 0,
            counter: 0,
            frame: 0,
            sent_us: self.now.as_micros() - 250,
        };
        let mut payload = vec![0; 100];
        label.write(&mut payload);
        self.sealed(header, &payload)
    }

    fn retransmission(&self, sequence: u16, original: u16) -> Vec<u8> {
        let header = Header { marker: true, payload_type: 96, sequence, timestamp: 0, ssrc: RTX };
        let mut payload = original.to_be_bytes().to_vec();
        payload.resize(50, 0);
        self.sealed(header, &payload)
    }

    fn sealed(&self, header: Header, payload: &[u8]) -> Vec<u8> {
        let mut out = vec![0; 1_500];
        let header_len = header.write(&mut out, &[], false).unwrap();
        out[header_len..header_len + payload.len()].copy_from_slice(payload);
        let len = header_len + payload.len();
        let sealed =
            self.session.seal_rtp(header.ssrc, u64::from(header.sequence), &mut out, header_len, len);
        out.truncate(sealed.unwrap());
        out
    }

    fn take(&mut self, datagram: &[u8]) {
        let times = Times { arrived: self.now, now: self.now };
        let mut scratch = [0; 2_048];
        let Bench { reception, session, counters, delays, .. } = self;
        reception.packet(datagram, session, &mut scratch, times, counters, delays);
    }

    fn wait(&mut self, ms: u64) {
        self.now = self.now + Duration::from_millis(ms);
        self.reception.give_up(self.now, false, &mut self.counters);
    }
}

fn keys(seed: u8) -> SrtpKeys {
    let key: ArrayVec<u8, 46> = (0..28).map(|at| at ^ seed).collect();
    SrtpKeys { profile: SrtpProfile::AeadAes128Gcm, inbound: key.clone(), outbound: key }
}

#[test]
fn packets_in_order_are_counted_and_timed() {
    let mut bench = Bench::new();
    for sequence in 10..20 {
        let packet = bench.packet(sequence, 2);
        bench.take(&packet);
    }
    assert_eq!(
        (bench.counters[Count::Received], bench.counters[Count::Opened], bench.counters[Count::WrongSource]),
        (10, 10, 0)
    );
    assert_eq!((bench.delays.frame.len(), bench.delays.frame.max()), (10, 250));
    assert_eq!(bench.reception.live(bench.now), (0, 1));
}

#[test]
fn a_hole_is_lost_after_a_while_or_filled_before() {
    let mut bench = Bench::new();
    for sequence in [10, 11, 14, 15] {
        let packet = bench.packet(sequence, 2);
        bench.take(&packet);
    }
    assert_eq!((bench.counters[Count::Lost], bench.reception.streams[&SSRC].missing.len()), (0, 2));
    let late = bench.packet(12, 2);
    bench.take(&late);
    let repair = bench.retransmission(1, 13);
    bench.take(&repair);
    assert_eq!((bench.counters[Count::Recovered], bench.counters[Count::Received]), (2, 6));
    let packet = bench.packet(18, 2);
    bench.take(&packet);
    bench.wait(1_400);
    assert_eq!(bench.counters[Count::Lost], 0);
    bench.wait(200);
    assert_eq!((bench.counters[Count::Lost], bench.counters[Count::Received]), (2, 7));
}

#[test]
fn a_number_that_comes_twice_counts_once() {
    let mut bench = Bench::new();
    for sequence in [10, 11, 11, 10] {
        let packet = bench.packet(sequence, 2);
        bench.take(&packet);
    }
    assert_eq!((bench.counters[Count::Received], bench.counters[Count::Duplicates]), (2, 2));
}

#[test]
fn corrupt_and_foreign_packets_are_told_apart() {
    let mut bench = Bench::new();
    let good = bench.packet(10, 2);
    bench.take(&good);
    let mut corrupt = bench.packet(11, 2);
    corrupt[40] ^= 1;
    bench.take(&corrupt);
    assert_eq!((bench.counters[Count::AuthFailures], bench.counters[Count::WrongSource]), (1, 0));
    let mut foreign = Bench::new();
    foreign.session = Session::new(&keys(9)).unwrap();
    let foreign = foreign.packet(12, 2);
    bench.take(&foreign);
    assert_eq!(bench.counters[Count::AuthFailures], 2);
    // Of another room, of ourselves; then of one who is not signalled on this SSRC.
    for (sequence, from, wrong) in [(13, 9, 1), (14, 1, 2), (15, 3, 3)] {
        let packet = bench.packet(sequence, from);
        bench.take(&packet);
        assert_eq!(bench.counters[Count::WrongSource], wrong, "{from}");
    }
    bench.take(&[0x80]);
    assert_eq!(bench.counters[Count::AuthFailures], 3);
    let mut elsewhere = bench.packet(16, 2);
    elsewhere[11] ^= 0xFF;
    bench.take(&elsewhere);
    assert_eq!(bench.counters[Count::Unannounced], 1);
}

#[test]
fn after_a_change_of_owner_both_are_right_for_a_while() {
    let mut bench = Bench::new();
    bench.reception.announce(SSRC, Some(RTX), Media::Video, Some(3), bench.now);
    for (sequence, from, wrong) in [(10, 2, 0), (11, 3, 0), (12, 0, 1)] {
        let packet = bench.packet(sequence, from);
        bench.take(&packet);
        assert_eq!(bench.counters[Count::WrongSource], wrong, "{from}");
    }
    bench.wait(2_100);
    let packet = bench.packet(13, 2);
    bench.take(&packet);
    assert_eq!(bench.counters[Count::WrongSource], 2);
}

#[test]
fn only_a_sample_is_opened() {
    let mut bench = Bench::new();
    bench.reception = Reception::new(1, 0..4, 8);
    bench.reception.announce(SSRC, None, Media::Video, Some(2), Timestamp::ZERO);
    for sequence in 0..4_000 {
        let packet = bench.packet(sequence, 2);
        bench.take(&packet);
    }
    assert_eq!(bench.counters[Count::Received], 4_000);
    assert!((300..800).contains(&bench.counters[Count::Opened]), "{}", bench.counters[Count::Opened]);
}
