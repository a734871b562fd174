//! The cryptography of the bare loop, straight from each library: the fastest call that it offers for SRTP.

use aws_lc_rs::aead as lc;
use aws_lc_rs::cipher::{AES_128, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;
use clap::ValueEnum;
use ring::aead as ring_aead;

/// Profile and library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Provider {
    /// AEAD_AES_128_GCM by aws-lc-rs: what the product uses
    AwsLcGcm,
    /// AEAD_AES_128_GCM by ring
    RingGcm,
    /// AES128_CM_HMAC_SHA1_80 by aws-lc-rs
    AwsLcSha1,
    /// Copied, not encrypted: what all but the cryptography costs
    None,
}

impl Provider {
    /// As in the table.
    pub fn label(self) -> &'static str {
        match self {
            Provider::AwsLcGcm => "aws-lc gcm",
            Provider::RingGcm => "ring gcm",
            Provider::AwsLcSha1 => "aws-lc sha1",
            Provider::None => "copy",
        }
    }

    /// What it adds to a packet.
    pub fn tag_bytes(self) -> usize {
        match self {
            Provider::AwsLcGcm | Provider::RingGcm | Provider::None => 16,
            Provider::AwsLcSha1 => 10,
        }
    }
}

/// One key.
pub enum Cipher {
    /// See [`Provider::AwsLcGcm`].
    AwsLcGcm(lc::LessSafeKey),
    /// See [`Provider::RingGcm`].
    RingGcm(ring_aead::LessSafeKey),
    /// See [`Provider::AwsLcSha1`].
    AwsLcSha1(EncryptingKey, Box<hmac::Key>),
    /// See [`Provider::None`].
    None,
}

impl Cipher {
    /// The key number `number`.
    pub fn new(provider: Provider, number: usize) -> Cipher {
        let mut key = [0x5A; 16];
        key[..8].copy_from_slice(&(number as u64).to_be_bytes());
        let expect = "16 bytes are a key of AES-128";
        match provider {
            Provider::AwsLcGcm => {
                let key = lc::UnboundKey::new(&lc::AES_128_GCM, &key).expect(expect);
                Cipher::AwsLcGcm(lc::LessSafeKey::new(key))
            }
            Provider::RingGcm => {
                let key = ring_aead::UnboundKey::new(&ring_aead::AES_128_GCM, &key).expect(expect);
                Cipher::RingGcm(ring_aead::LessSafeKey::new(key))
            }
            Provider::AwsLcSha1 => {
                let counter = UnboundCipherKey::new(&AES_128, &key).and_then(EncryptingKey::ctr);
                let mac = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &key);
                Cipher::AwsLcSha1(counter.expect(expect), Box::new(mac))
            }
            Provider::None => Cipher::None,
        }
    }

    /// Protect `payload` behind `header`, at the start of `out`; bytes written.
    pub fn seal(&self, number: u64, header: &[u8], payload: &[u8], out: &mut [u8]) -> usize {
        let end = header.len() + payload.len();
        out[..header.len()].copy_from_slice(header);
        match self {
            Cipher::AwsLcGcm(key) => {
                let (text, tag) = out[header.len()..end + 16].split_at_mut(payload.len());
                let nonce = lc::Nonce::assume_unique_for_key(nonce(number));
                key.seal_out_of_place_scatter(nonce, lc::Aad::from(header), payload, text, &[], tag)
                    .expect("the lengths are right");
                end + 16
            }
            Cipher::RingGcm(key) => {
                out[header.len()..end].copy_from_slice(payload);
                let nonce = ring_aead::Nonce::assume_unique_for_key(nonce(number));
                let tag = key
                    .seal_in_place_separate_tag(
                        nonce,
                        ring_aead::Aad::from(header),
                        &mut out[header.len()..end],
                    )
                    .expect("the lengths are right");
                out[end..end + 16].copy_from_slice(tag.as_ref());
                end + 16
            }
            Cipher::AwsLcSha1(key, mac) => {
                out[header.len()..end].copy_from_slice(payload);
                apply(key, number, &mut out[header.len()..end]);
                let tag = hmac::sign(mac, &out[..end]);
                out[end..end + 10].copy_from_slice(&tag.as_ref()[..10]);
                end + 10
            }
            Cipher::None => {
                out[header.len()..end].copy_from_slice(payload);
                end + 16
            }
        }
    }

    /// Verify and decrypt the payload behind `header_len` bytes into `out`; its length.
    pub fn open(&self, number: u64, packet: &[u8], header_len: usize, out: &mut [u8]) -> Option<usize> {
        let (header, rest) = packet.split_at(header_len);
        let tag_bytes = if matches!(self, Cipher::AwsLcSha1(..)) { 10 } else { 16 };
        let len = rest.len().checked_sub(tag_bytes)?;
        let (text, tag) = rest.split_at(len);
        match self {
            Cipher::AwsLcGcm(key) => {
                let nonce = lc::Nonce::assume_unique_for_key(nonce(number));
                key.open_separate_gather(nonce, lc::Aad::from(header), text, tag, &mut out[..len]).ok()?;
            }
            Cipher::RingGcm(key) => {
                // It opens in place only.
                out[..len].copy_from_slice(text);
                let nonce = ring_aead::Nonce::assume_unique_for_key(nonce(number));
                let (header, tag) = (ring_aead::Aad::from(header), ring_aead::Tag::try_from(tag).ok()?);
                key.open_in_place_separate_tag(nonce, header, tag, &mut out[..len], 0..).ok()?;
            }
            Cipher::AwsLcSha1(key, mac) => {
                let signed = hmac::sign(mac, &packet[..header_len + len]);
                if signed.as_ref()[..10] != *tag {
                    return None;
                }
                out[..len].copy_from_slice(text);
                apply(key, number, &mut out[..len]);
            }
            Cipher::None => out[..len].copy_from_slice(text),
        }
        Some(len)
    }
}

fn apply(key: &EncryptingKey, number: u64, text: &mut [u8]) {
    let mut counter = [0; 16];
    counter[6..14].copy_from_slice(&number.to_be_bytes());
    key.less_safe_encrypt(text, EncryptionContext::Iv128(FixedLength::from(counter)))
        .expect("any length can be encrypted");
}

fn nonce(number: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&number.to_be_bytes());
    nonce
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_and_nothing_else_does() {
        for provider in [Provider::AwsLcGcm, Provider::RingGcm, Provider::AwsLcSha1] {
            let cipher = Cipher::new(provider, 1);
            let (mut sealed, mut opened) = ([0; 200], [0; 200]);
            let len = cipher.seal(7, &[1; 12], &[2; 100], &mut sealed);
            assert_eq!(len, 112 + provider.tag_bytes());
            assert_ne!(sealed[12..112], [2; 100]);
            assert_eq!(cipher.open(7, &sealed[..len], 12, &mut opened), Some(100));
            assert_eq!(opened[..100], [2; 100]);
            assert_eq!(
                cipher.open(8, &sealed[..len], 12, &mut opened).filter(|_| opened[..100] == [2; 100]),
                None
            );
        }
    }
}
