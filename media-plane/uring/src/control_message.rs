//! The one control message that is sent: the segment length of UDP segmentation offload (udp(7), `UDP_SEGMENT`).

/// Bytes of a control message header on 64-bit Linux: length, level, type.
const HEADER_BYTES: usize = size_of::<libc::cmsghdr>();

/// Bytes of the message with its padding, `CMSG_SPACE(2)`.
pub(crate) const SEGMENT_BYTES: usize = HEADER_BYTES + 8;

const _: () = assert!(HEADER_BYTES == 16 && size_of::<usize>() == 8, "laid out for 64-bit Linux");

/// A `UDP_SEGMENT` control message, as the kernel reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(8))]
pub(crate) struct SegmentLength([u8; SEGMENT_BYTES]);

impl SegmentLength {
    /// The message that cuts a payload into segments of `bytes`; the last may be shorter.
    pub(crate) fn new(bytes: u16) -> SegmentLength {
        let mut message = [0; SEGMENT_BYTES];
        message[0..8].copy_from_slice(&(HEADER_BYTES + 2).to_ne_bytes());
        message[8..12].copy_from_slice(&libc::SOL_UDP.to_ne_bytes());
        message[12..16].copy_from_slice(&libc::UDP_SEGMENT.to_ne_bytes());
        message[16..18].copy_from_slice(&bytes.to_ne_bytes());
        SegmentLength(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_is_what_the_c_macros_would_write() {
        let message = SegmentLength::new(1_200);
        // SAFETY: `CMSG_SPACE` and `CMSG_LEN` only compute.
        let (space, len) = unsafe { (libc::CMSG_SPACE(2), libc::CMSG_LEN(2)) };
        assert_eq!(SEGMENT_BYTES, space as usize);
        assert_eq!(&message.0[0..8], (len as usize).to_ne_bytes());
        assert_eq!(&message.0[8..16], [17i32.to_ne_bytes(), 103i32.to_ne_bytes()].concat());
        assert_eq!(&message.0[16..18], 1_200u16.to_ne_bytes());
    }
}
