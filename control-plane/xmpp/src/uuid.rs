//! Random UUIDs as text (RFC 9562 §5.4).

/// The UUID of version 4 with these random bits.
pub fn v4(random: [u8; 16]) -> String {
    let bits = u128::from_be_bytes(random);
    let bits = bits & !(0xf << 76) | 0x4 << 76;
    let bits = bits & !(0x3 << 62) | 0x2 << 62;
    let hex = format!("{bits:032x}");
    let (time_low, rest) = hex.split_at(8);
    let (time_mid, rest) = rest.split_at(4);
    let (time_high, rest) = rest.split_at(4);
    let (sequence, node) = rest.split_at(4);
    format!("{time_low}-{time_mid}-{time_high}-{sequence}-{node}")
}

#[cfg(test)]
mod tests {
    #[test]
    fn version_and_variant_are_set_and_all_else_is_random() {
        assert_eq!(super::v4([0; 16]), "00000000-0000-4000-8000-000000000000");
        assert_eq!(super::v4([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
