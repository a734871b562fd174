//! Numbers that wrap: RTP sequence numbers and timestamps against their extended forms (RFC 3550 A.1, RFC 3711 §3.3.1).

const U16_SPAN: u64 = 1 << 16;
const U32_SPAN: u64 = 1 << 32;

/// The extended number nearest to `reference` whose low 16 bits are `value`; never below zero or above `u64::MAX`.
///
/// Half a span away either way is a tie; it is taken as behind, as a late packet does less harm than a false leap.
pub fn unwrap_u16(reference: u64, value: u16) -> u64 {
    nearest(reference, u64::from(value), U16_SPAN)
}

/// The extended number nearest to `reference` whose low 32 bits are `value`; ties as in [`unwrap_u16`].
pub fn unwrap_u32(reference: u64, value: u32) -> u64 {
    nearest(reference, u64::from(value), U32_SPAN)
}

/// Whether `a` comes after `b`, at most half a span ahead (serial number arithmetic of RFC 1982). Equal is not newer.
pub fn newer_u16(a: u16, b: u16) -> bool {
    let ahead = a.wrapping_sub(b);
    ahead != 0 && ahead < 1 << 15
}

/// Whether timestamp `a` comes after `b`, at most half a span ahead. Equal is not newer.
pub fn newer_u32(a: u32, b: u32) -> bool {
    let ahead = a.wrapping_sub(b);
    ahead != 0 && ahead < 1 << 31
}

fn nearest(reference: u64, low: u64, span: u64) -> u64 {
    let candidate = (reference & !(span - 1)) | low;
    let half = span / 2;
    if candidate > reference {
        // Ahead by half or more: the one a span below is nearer, if there is one.
        if candidate - reference >= half {
            candidate.checked_sub(span).unwrap_or(candidate)
        } else {
            candidate
        }
    } else if reference - candidate > half {
        candidate.checked_add(span).unwrap_or(candidate)
    } else {
        candidate
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn unwrapping_takes_the_nearest_and_never_goes_below_zero() {
        let rows: &[(u64, u16, u64)] = &[
            (0, 0, 0),
            (0, 1, 1),
            (0, 65_535, 65_535),
            (5, 65_530, 65_530),
            (65_535, 0, 65_536),
            (65_536, 65_535, 65_535),
            (65_536, 0, 65_536),
            (0x1_8000, 0, 0x1_0000),
            (0x1_8001, 0, 0x2_0000),
            (0x1_0000, 0x7FFF, 0x1_7FFF),
            (0x1_0000, 0x8000, 0x8000),
            (0x1_0000, 0x8001, 0x8001),
            (u64::MAX, 0, u64::MAX - 65_535),
        ];
        for &(reference, value, expected) in rows {
            assert_eq!(unwrap_u16(reference, value), expected, "{reference} {value}");
        }
    }

    #[test]
    fn newer_is_a_half_circle() {
        let rows: &[(u16, u16, bool)] = &[
            (1, 0, true),
            (0, 1, false),
            (0, 0, false),
            (0, 65_535, true),
            (32_767, 0, true),
            (32_768, 0, false),
        ];
        for &(a, b, expected) in rows {
            assert_eq!(newer_u16(a, b), expected, "{a} {b}");
            let scale = |v: u16| u32::from(v) << 16;
            assert_eq!(newer_u32(scale(a), scale(b)), expected, "{a} {b}");
        }
    }

    proptest! {
        #[test]
        fn truncating_then_unwrapping_within_half_a_span_is_the_identity(
            reference in 0u64..1 << 48, step in -32_768i64..32_768, long_step in -0x8000_0000i64..0x8000_0000,
        ) {
            if let Some(number) = reference.checked_add_signed(step) {
                prop_assert_eq!(unwrap_u16(reference, number as u16), number);
            }
            if let Some(number) = reference.checked_add_signed(long_step) {
                prop_assert_eq!(unwrap_u32(reference, number as u32), number);
            }
        }

        #[test]
        fn unwrapping_keeps_the_low_bits(reference: u64, value: u16, long: u32) {
            prop_assert_eq!(unwrap_u16(reference, value) as u16, value);
            prop_assert_eq!(unwrap_u32(reference, long) as u32, long);
        }
    }
}
