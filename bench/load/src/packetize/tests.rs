use rtp::packetizer::Depacketizer;
use wire::codec::{av1_descriptor, h264, vp8, vp9};

use super::*;
use crate::label::Label;

/// Head, filling and label, as a camera writes them.
fn payloads(pieces: &[Piece]) -> Vec<Vec<u8>> {
    pieces
        .iter()
        .map(|piece| {
            let mut payload = vec![0xA5; piece.len];
            payload[..piece.head.len()].copy_from_slice(&piece.head);
            Label {
                endpoint: 1,
                media: contract::session::Media::Video,
                encoding: 0,
                counter: 0,
                frame: 0,
                sent_us: 5,
            }
            .write(&mut payload);
            payload
        })
        .collect()
}

fn frame(key: bool, number: u32, since_key: u32, temporal: u8) -> Frame {
    Frame { key, number, temporal, tl0: 9, since_key, width: 1_280, height: 720 }
}

fn one(bytes: usize) -> [LayerFrame; 1] {
    [LayerFrame { bytes, width: 1_280, height: 720 }]
}

#[test]
fn pieces_are_nearly_equal_and_together_as_long_as_the_frame() {
    for bytes in [1, 100, 1_150, 1_151, 9_999, 100_000] {
        for codec in [Codec::Vp8, Codec::H264, Codec::Av1] {
            let pieces = packetize(codec, &frame(false, 7, 1, 1), &one(bytes), 1_150);
            let lengths: Vec<usize> = pieces.iter().map(|piece| piece.len).collect();
            let (low, high) = (lengths.iter().min().unwrap(), lengths.iter().max().unwrap());
            assert!(high - low <= 1 && *high <= 1_150, "{codec:?} {bytes}: {lengths:?}");
            assert!(lengths.iter().sum::<usize>() >= bytes.max(PIECE_BYTES_MIN), "{codec:?} {bytes}");
            for payload in payloads(&pieces) {
                assert!(Label::read(&payload).is_some());
            }
        }
    }
}

#[test]
fn vp8_is_read_by_our_parser_and_by_a_foreign_one() {
    for (key, temporal) in [(true, 0), (false, 2), (false, 1), (false, 0)] {
        let pieces = packetize(Codec::Vp8, &frame(key, 0x1234, 1, temporal), &one(3_000), 1_150);
        assert_eq!(pieces.len(), 3);
        for (at, payload) in payloads(&pieces).iter().enumerate() {
            let read = vp8::Descriptor::parse(payload).unwrap();
            assert_eq!(read.picture_id.unwrap().value, 0x1234);
            assert_eq!((read.tid, read.tl0_picidx.unwrap().value), (Some(temporal), 9));
            assert_eq!((read.is_key_frame, read.is_start_of_frame()), (key && at == 0, at == 0));
            assert_eq!(read.resolution, (key && at == 0).then_some((1_280, 720)));
            let mut foreign = rtp::codecs::vp8::Vp8Packet::default();
            let body = foreign.depacketize(&bytes::Bytes::copy_from_slice(payload)).unwrap();
            assert_eq!(body.len(), payload.len() - read.header_len);
            assert_eq!((foreign.picture_id, foreign.tid, foreign.tl0_pic_idx), (0x1234, temporal, 9));
            assert_eq!(foreign.s, u8::from(at == 0));
        }
    }
}

#[test]
fn vp9_layers_are_read_by_our_parser_and_by_a_foreign_one() {
    let layers = [(400, 320, 180), (1_500, 640, 360), (4_000, 1_280, 720)]
        .map(|(bytes, width, height)| LayerFrame { bytes, width, height });
    for key in [true, false] {
        let pieces = packetize(Codec::Vp9, &frame(key, 0x7FFF, 1, u8::from(!key)), &layers, 1_150);
        let payloads = payloads(&pieces);
        assert_eq!(payloads.len(), 1 + 2 + 4);
        for (piece, payload) in pieces.iter().zip(&payloads) {
            let read = vp9::Descriptor::parse(payload).unwrap();
            let layer = read.layer.unwrap();
            assert_eq!(
                (layer.sid, layer.tid, layer.inter_layer),
                (piece.layer, u8::from(!key), piece.layer > 0)
            );
            assert_eq!(read.inter_picture, !key);
            let mut foreign = rtp::codecs::vp9::Vp9Packet::default();
            let body = foreign.depacketize(&bytes::Bytes::copy_from_slice(payload)).unwrap();
            assert_eq!(body.len(), payload.len() - read.header_len);
            assert_eq!(
                (foreign.picture_id, foreign.sid, foreign.b, foreign.e),
                (0x7FFF, layer.sid, read.start_of_frame, read.end_of_frame)
            );
        }
        let structure = vp9::Descriptor::parse(&payloads[0]).unwrap().structure;
        assert_eq!(structure.is_some(), key);
        if let Some(structure) = structure {
            assert_eq!(structure.sizes.unwrap()[..3], [(320, 180), (640, 360), (1_280, 720)]);
        }
        let begins = payloads.iter().filter(|p| vp9::Descriptor::parse(p).unwrap().start_of_frame).count();
        assert_eq!(begins, 3);
    }
}

#[test]
fn h264_is_read_by_our_parser_and_put_together_by_a_foreign_one() {
    for (key, bytes, count) in [(true, 3_000, 4), (false, 3_000, 3), (false, 500, 1), (true, 60, 3)] {
        let pieces = packetize(Codec::H264, &frame(key, 1, 0, 0), &one(bytes), 1_150);
        let payloads = payloads(&pieces);
        assert_eq!(payloads.len(), count, "{bytes}");
        let read: Vec<_> = payloads.iter().map(|payload| h264::Descriptor::parse(payload).unwrap()).collect();
        assert_eq!(read[0].is_key_frame, key);
        assert!(read.last().unwrap().ends_nal);
        let mut foreign = rtp::codecs::h264::H264Packet::default();
        let mut units = 0;
        for payload in &payloads {
            units += foreign.depacketize(&bytes::Bytes::copy_from_slice(payload)).unwrap().len();
        }
        assert!(units >= bytes.min(3_000) - 16, "{bytes}: {units}");
    }
}

#[test]
fn av1_descriptors_are_read_by_our_parser_and_fragments_are_marked() {
    let mut structure = av1_descriptor::Structure::default();
    let key = packetize(Codec::Av1, &frame(true, 40_000, 0, 0), &one(2_500), 1_150);
    assert!(structure.read(key[0].descriptor.as_ref().unwrap()).is_ok());
    let delta = packetize(Codec::Av1, &frame(false, 40_001, 1, 1), &one(2_500), 1_150);
    for (pieces, number, temporal) in [(&key, 40_000, 0), (&delta, 40_001, 1)] {
        for (at, (piece, payload)) in pieces.iter().zip(payloads(pieces)).enumerate() {
            let data = piece.descriptor.as_ref().unwrap();
            let read = av1_descriptor::Descriptor::parse(data, Some(&structure)).unwrap();
            assert_eq!((read.frame_number, read.dependency.tid), (number, temporal));
            assert_eq!((read.start_of_frame, read.end_of_frame), (at == 0, at + 1 == pieces.len()));
            assert_eq!(read.resolution, Some((1_280, 720)));
            let (z, y) = (payload[0] & 0x80 != 0, payload[0] & 0x40 != 0);
            assert_eq!((z, y), (at > 0, at + 1 < pieces.len()));
            assert_eq!(payload[0] & 0x08 != 0, at == 0 && number == 40_000, "a new coded sequence");
        }
    }
}

#[test]
fn temporal_layers_follow_the_pattern_of_the_codec() {
    let layers = |codec| (0..5).map(|at| temporal_of(codec, at)).collect::<Vec<_>>();
    assert_eq!(layers(Codec::Vp8), [0, 2, 1, 2, 0]);
    assert_eq!(layers(Codec::Vp9), [0, 1, 0, 1, 0]);
    assert_eq!(layers(Codec::H264), [0; 5]);
}

#[test]
fn av1_fragments_are_marked_as_a_foreign_packetizer_marks_them() {
    use rtp::packetizer::Payloader;
    // OBU_FRAME with a size field of two bytes, as encoders hand it out.
    let mut unit = vec![0x32, 0xC4, 0x13];
    unit.resize(3 + 2_500, 0xA5);
    let mut foreign = rtp::codecs::av1::Av1Payloader {};
    let theirs = foreign.payload(1_150, &bytes::Bytes::from(unit)).unwrap();
    let ours = payloads(&packetize(Codec::Av1, &frame(false, 1, 1, 1), &one(2_500), 1_150));
    let marks = |payload: &[u8]| payload[0] & 0xC0;
    let theirs: Vec<u8> = theirs.iter().map(|payload| marks(payload)).collect();
    assert_eq!(ours.iter().map(|payload| marks(payload)).collect::<Vec<_>>(), theirs);
}
