//! The CRC of FINGERPRINT (RFC 8489 §14.7; ITU-T V.42, reflected).

/// The checksum of `data`.
pub(super) fn crc32(data: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for &byte in data {
        let [low, ..] = crc.to_le_bytes();
        // The index is a byte and the table has 256 entries.
        let entry = TABLE.get(usize::from(low ^ byte)).copied().unwrap_or(0);
        crc = entry ^ (crc >> 8);
    }
    !crc
}

const POLYNOMIAL: u32 = 0xEDB8_8320;

const TABLE: [u32; 256] = {
    let mut table = [0u32; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { POLYNOMIAL ^ (crc >> 1) } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_the_standard_comes_out() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32(b""), 0);
    }
}
