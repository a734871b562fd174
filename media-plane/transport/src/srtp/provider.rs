//! The cryptographic primitives that SRTP needs, over one provider (aws-lc-rs); the only file that names it for SRTP.
//!
//! A second provider adds a variant to each type here and nothing elsewhere.

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::{constant_time, hmac};

/// Bytes of an AEAD tag (RFC 7714 §5.1).
pub(crate) const AEAD_TAG_BYTES: usize = 16;

/// A key or a packet that the provider refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failed;

/// AES-GCM under one key.
pub(crate) struct Aead(LessSafeKey);

impl Aead {
    /// Expand a key of 16 or 32 bytes.
    pub(crate) fn new(key: &[u8]) -> Result<Aead, Failed> {
        let algorithm = match key.len() {
            16 => &AES_128_GCM,
            32 => &AES_256_GCM,
            _ => return Err(Failed),
        };
        Ok(Aead(LessSafeKey::new(UnboundKey::new(algorithm, key).map_err(|_| Failed)?)))
    }

    /// Encrypt `text` in place; the tag is returned.
    pub(crate) fn seal(
        &self,
        nonce: [u8; 12],
        associated: &[u8],
        text: &mut [u8],
    ) -> Result<[u8; AEAD_TAG_BYTES], Failed> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag =
            self.0.seal_in_place_separate_tag(nonce, Aad::from(associated), text).map_err(|_| Failed)?;
        <[u8; AEAD_TAG_BYTES]>::try_from(tag.as_ref()).map_err(|_| Failed)
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
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.0
            .open_separate_gather(nonce, Aad::from(associated), ciphertext, tag, plaintext)
            .map_err(|_| Failed)
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
