//! The cryptographic primitives that SRTP needs; the only file that names their libraries for SRTP.
//!
//! AES-GCM comes from either of two (RFC 7714): which is faster depends on the processor, so it is measured at start
//! ([`super::measure`]). Counter mode and HMAC-SHA1 come from aws-lc-rs; ring offers no counter mode and a slow SHA-1.

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::{constant_time, hmac};
use ring::aead as ring_aead;

/// Bytes of an AEAD tag (RFC 7714 §5.1).
pub(crate) const AEAD_TAG_BYTES: usize = 16;

/// The library behind AES-GCM. Both give the same bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Provider {
    /// aws-lc-rs: the faster one with AVX-512, and the only one that seals out of place.
    #[default]
    AwsLc,
    /// ring: the faster one with AVX2 and VAES but no AVX-512.
    Ring,
}

impl Provider {
    /// Every provider.
    pub const ALL: [Provider; 2] = [Provider::AwsLc, Provider::Ring];

    /// As in the configuration and in the log.
    pub fn name(self) -> &'static str {
        match self {
            Provider::AwsLc => "aws-lc",
            Provider::Ring => "ring",
        }
    }
}

/// A key or a packet that the provider refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failed;

/// AES-GCM under one key.
pub(crate) struct Aead(AeadKey);

#[allow(
    clippy::large_enum_variant,
    reason = "four of them in one box a transport; no second look-up per packet"
)]
enum AeadKey {
    AwsLc(LessSafeKey),
    Ring(ring_aead::LessSafeKey),
}

impl Aead {
    /// Expand a key of 16 or 32 bytes.
    pub(crate) fn new(provider: Provider, key: &[u8]) -> Result<Aead, Failed> {
        Ok(Aead(match provider {
            Provider::AwsLc => {
                let algorithm = match key.len() {
                    16 => &AES_128_GCM,
                    32 => &AES_256_GCM,
                    _ => return Err(Failed),
                };
                AeadKey::AwsLc(LessSafeKey::new(UnboundKey::new(algorithm, key).map_err(|_| Failed)?))
            }
            Provider::Ring => {
                let algorithm = match key.len() {
                    16 => &ring_aead::AES_128_GCM,
                    32 => &ring_aead::AES_256_GCM,
                    _ => return Err(Failed),
                };
                let key = ring_aead::UnboundKey::new(algorithm, key).map_err(|_| Failed)?;
                AeadKey::Ring(ring_aead::LessSafeKey::new(key))
            }
        }))
    }

    /// Encrypt `text` in place; the tag is returned.
    pub(crate) fn seal(
        &self,
        nonce: [u8; 12],
        associated: &[u8],
        text: &mut [u8],
    ) -> Result<[u8; AEAD_TAG_BYTES], Failed> {
        match &self.0 {
            AeadKey::AwsLc(key) => {
                let nonce = Nonce::assume_unique_for_key(nonce);
                let tag = key.seal_in_place_separate_tag(nonce, Aad::from(associated), text);
                <[u8; AEAD_TAG_BYTES]>::try_from(tag.map_err(|_| Failed)?.as_ref()).map_err(|_| Failed)
            }
            AeadKey::Ring(key) => {
                let nonce = ring_aead::Nonce::assume_unique_for_key(nonce);
                let tag = key.seal_in_place_separate_tag(nonce, ring_aead::Aad::from(associated), text);
                <[u8; AEAD_TAG_BYTES]>::try_from(tag.map_err(|_| Failed)?.as_ref()).map_err(|_| Failed)
            }
        }
    }

    /// Encrypt `text`, and `padding` behind it, into `sealed`, which gets the tag behind both and has their lengths.
    pub(crate) fn seal_from(
        &self,
        nonce: [u8; 12],
        associated: &[u8],
        text: &[u8],
        padding: &[u8],
        sealed: &mut [u8],
    ) -> Result<(), Failed> {
        match &self.0 {
            AeadKey::AwsLc(key) => {
                let nonce = Nonce::assume_unique_for_key(nonce);
                let (sealed, rest) = sealed.split_at_mut_checked(text.len()).ok_or(Failed)?;
                key.seal_out_of_place_scatter(nonce, Aad::from(associated), text, sealed, padding, rest)
                    .map_err(|_| Failed)
            }
            AeadKey::Ring(_) => {
                let (body, tag) = sealed.split_at_mut_checked(text.len() + padding.len()).ok_or(Failed)?;
                let (copy, behind) = body.split_at_mut(text.len());
                copy.copy_from_slice(text);
                behind.copy_from_slice(padding);
                let made = self.seal(nonce, associated, body)?;
                *<&mut [u8; AEAD_TAG_BYTES]>::try_from(tag).map_err(|_| Failed)? = made;
                Ok(())
            }
        }
    }

    /// Verify, then decrypt `ciphertext` into `plaintext` of the same length.
    pub(crate) fn open(
        &self,
        nonce: [u8; 12],
        associated: &[u8],
        ciphertext: &[u8],
        tag: &[u8],
        plaintext: &mut [u8],
    ) -> Result<(), Failed> {
        match &self.0 {
            AeadKey::AwsLc(key) => {
                let nonce = Nonce::assume_unique_for_key(nonce);
                key.open_separate_gather(nonce, Aad::from(associated), ciphertext, tag, plaintext)
                    .map_err(|_| Failed)
            }
            AeadKey::Ring(key) => {
                // It opens in place only.
                if plaintext.len() != ciphertext.len() {
                    return Err(Failed);
                }
                plaintext.copy_from_slice(ciphertext);
                let tag = ring_aead::Tag::try_from(tag).map_err(|_| Failed)?;
                let nonce = ring_aead::Nonce::assume_unique_for_key(nonce);
                let associated = ring_aead::Aad::from(associated);
                key.open_in_place_separate_tag(nonce, associated, tag, plaintext, 0..)
                    .map(drop)
                    .map_err(|_| Failed)
            }
        }
    }
}

/// AES in counter mode under one key.
pub(crate) struct CounterMode(EncryptingKey);

impl CounterMode {
    /// Expand a key of 16 or 32 bytes.
    pub(crate) fn new(key: &[u8]) -> Result<CounterMode, Failed> {
        let algorithm = match key.len() {
            16 => &AES_128,
            32 => &AES_256,
            _ => return Err(Failed),
        };
        let key = UnboundCipherKey::new(algorithm, key).map_err(|_| Failed)?;
        Ok(CounterMode(EncryptingKey::ctr(key).map_err(|_| Failed)?))
    }

    /// Combine `text` with the key stream that starts at `counter`: encrypts and decrypts.
    pub(crate) fn apply(&self, counter: [u8; 16], text: &mut [u8]) -> Result<(), Failed> {
        let counter = EncryptionContext::Iv128(FixedLength::from(counter));
        self.0.less_safe_encrypt(text, counter).map(drop).map_err(|_| Failed)
    }
}

/// HMAC-SHA1 under one key.
pub(crate) struct Mac(hmac::Key);

impl Mac {
    /// Expand a key.
    pub(crate) fn new(key: &[u8]) -> Mac {
        Mac(hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key))
    }

    /// The tag over the concatenation of `parts`.
    pub(crate) fn sign(&self, parts: &[&[u8]]) -> [u8; 20] {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(part);
        }
        let tag = context.sign();
        // The algorithm's tag has 20 bytes; a shorter one would come out padded and never verify.
        core::array::from_fn(|i| tag.as_ref().get(i).copied().unwrap_or_default())
    }

    /// The first 80 bits of the tag (RFC 3711 §4.2.1).
    pub(crate) fn sign_80(&self, parts: [&[u8]; 2]) -> [u8; 10] {
        let tag = self.sign(&parts);
        core::array::from_fn(|i| tag[i])
    }

    /// Whether `tag` is the first 80 bits of that of `parts`, in constant time.
    pub(crate) fn verify_80(&self, parts: [&[u8]; 2], tag: &[u8]) -> bool {
        equal(&self.sign_80(parts), tag)
    }
}

/// Compare secrets in constant time; different lengths are unequal.
pub(crate) fn equal(a: &[u8], b: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(a, b).is_ok()
}
