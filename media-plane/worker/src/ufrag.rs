//! The local ICE user fragment: it carries the owner of the endpoint, so that a check from an unknown address finds
//! it from any worker without a shared table.
//!
//! ```text
//!  's' | worker: 2 digits | seat: 4 digits | chance: 7 digits        (base 32, RFC 8445 §5.3 ice-chars)
//! ```
//! The worker and seat are a hint, never a proof: the owner checks the whole fragment and the integrity attribute.

use contract::WorkerId;

/// Which worker and seat a user fragment claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) worker: WorkerId,
    pub(crate) seat: u32,
}

/// The fragment for `owner`, with 35 bits of `chance`.
pub(crate) fn encode(owner: Owner, chance: u64) -> String {
    let mut ufrag = String::with_capacity(LENGTH);
    ufrag.push('s');
    push_digits(&mut ufrag, u64::from(owner.worker.0), 2);
    push_digits(&mut ufrag, u64::from(owner.seat), 4);
    push_digits(&mut ufrag, chance, 7);
    ufrag
}

/// The owner that the USERNAME of a check claims: the text before the colon (RFC 8445 §7.2.2).
pub(crate) fn decode(username: &str) -> Option<Owner> {
    let username = username.as_bytes();
    if username.len() <= LENGTH || username[LENGTH] != b':' || username[0] != b's' {
        return None;
    }
    let worker = read_digits(&username[1..3])?;
    let seat = read_digits(&username[3..7])?;
    Some(Owner { worker: WorkerId(u16::try_from(worker).ok()?), seat })
}

/// The first bytes of the transaction ids of `owner`'s checks, so that answers find it as well.
pub(crate) fn transaction_prefix(owner: Owner) -> [u8; 4] {
    (u32::from(owner.worker.0) << 20 | owner.seat).to_be_bytes()
}

/// The owner that the transaction id of an answer claims.
pub(crate) fn owner_of_transaction(transaction_id: [u8; 12]) -> Option<Owner> {
    let [a, b, c, d, ..] = transaction_id;
    let number = u32::from_be_bytes([a, b, c, d]);
    let worker = u16::try_from(number >> 20).ok()?;
    Some(Owner { worker: WorkerId(worker), seat: number & 0xF_FFFF })
}

/// A password of 26 digits, 130 bits, from `chance`.
pub(crate) fn password(chance: [u8; 26]) -> String {
    chance.iter().map(|byte| char::from(DIGITS[usize::from(byte & 31)])).collect()
}

fn push_digits(text: &mut String, value: u64, digits: u32) {
    for place in (0..digits).rev() {
        text.push(char::from(DIGITS[(value >> (5 * place)) as usize & 31]));
    }
}

fn read_digits(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0u32, |value, digit| {
        let digit = DIGITS.iter().position(|candidate| candidate == digit)?;
        Some(value << 5 | u32::try_from(digit).ok()?)
    })
}

const LENGTH: usize = 14;
const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fragment_gives_back_its_owner() {
        for (worker, seat) in [(0, 0), (1, 7), (127, 1_048_575), (31, 32), (32, 31)] {
            let owner = Owner { worker: WorkerId(worker), seat };
            let ufrag = encode(owner, 0x1234_5678_9abc);
            assert_eq!(ufrag.len(), LENGTH);
            assert_eq!(decode(&format!("{ufrag}:remote")), Some(owner));
            let mut transaction_id = [0xAB; 12];
            transaction_id[..4].copy_from_slice(&transaction_prefix(owner));
            assert_eq!(owner_of_transaction(transaction_id), Some(owner));
        }
    }

    #[test]
    fn what_is_not_ours_has_no_owner() {
        for username in
            ["", ":", "saaaaaaaaaaaaa", "xaaaaaaaaaaaaa:r", "saaAaaaaaaaaaa:r", "saaaaaaaaaaaaaa:r"]
        {
            assert_eq!(decode(username), None, "{username}");
        }
    }

    #[test]
    fn passwords_have_128_bits_and_only_ice_characters() {
        let password = password([255; 26]);
        assert!(password.len() >= 22 && password.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    }
}
