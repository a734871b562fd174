//! The cryptographic context of RFC 3711 §3.2 for one transport: protection and its removal, both directions.

use contract::DropReason;
use contract::session::{SrtpKeys, SrtpProfile};

use super::key_derivation::{KeyDerivation, Label};
use super::provider::{AEAD_TAG_BYTES, Aead, CounterMode, Failed, Mac, Provider, equal};
use super::replay_window::INDEX_MAX;

/// Bytes of the E bit and the SRTCP index (RFC 3711 §3.4).
const SRTCP_INDEX_BYTES: usize = 4;
/// Header and SSRC of the first RTCP packet, which stay clear (RFC 3711 §3.4).
const SRTCP_CLEAR_BYTES: usize = 8;
/// The most SRTCP packets of one key (RFC 3711 §9.2).
pub(crate) const SRTCP_INDEX_MAX: u32 = (1 << 31) - 1;

/// Keys that cannot be used: a wrong length for the profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

/// The expanded keys of one transport, both directions. Make it off the worker; it prints nothing of the keys.
pub struct Session {
    profile: SrtpProfile,
    inbound_rtp: Protection,
    inbound_rtcp: Protection,
    outbound_rtp: Protection,
    outbound_rtcp: Protection,
}

impl core::fmt::Debug for Session {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Session({})", self.profile.name())
    }
}

impl Session {
    /// Derive and expand the session keys, for the default provider.
    pub fn new(keys: &SrtpKeys) -> Result<Box<Session>, Refused> {
        Session::with_provider(keys, Provider::default())
    }

    /// Derive and expand the session keys, for this provider of AES-GCM.
    pub fn with_provider(keys: &SrtpKeys, provider: Provider) -> Result<Box<Session>, Refused> {
        let (inbound_rtp, inbound_rtcp) = directed(keys.profile, provider, &keys.inbound)?;
        let (outbound_rtp, outbound_rtcp) = directed(keys.profile, provider, &keys.outbound)?;
        let profile = keys.profile;
        Ok(Box::new(Session { profile, inbound_rtp, inbound_rtcp, outbound_rtp, outbound_rtcp }))
    }

    /// The negotiated profile.
    pub fn profile(&self) -> SrtpProfile {
        self.profile
    }

    /// Bytes that protection adds to an RTP packet.
    pub fn rtp_overhead(&self) -> usize {
        self.outbound_rtp.tag_bytes()
    }

    /// Bytes that protection adds to an RTCP packet.
    pub fn rtcp_overhead(&self) -> usize {
        SRTCP_INDEX_BYTES + self.outbound_rtcp.tag_bytes()
    }

    /// Whether `other` protects what it sends with the same key: then indices used once are used for ever.
    pub fn sends_as(&self, other: &Session) -> bool {
        self.outbound_rtp.salt_equals(&other.outbound_rtp)
    }

    /// Protect the plaintext packet of `len` bytes at the start of `buffer`, whose header takes `header_len`.
    /// The length of the protected packet; `None` if the tag does not fit or the index is used up.
    pub fn seal_rtp(
        &self,
        ssrc: u32,
        index: u64,
        buffer: &mut [u8],
        header_len: usize,
        len: usize,
    ) -> Option<usize> {
        if index > INDEX_MAX || header_len > len {
            return None;
        }
        let sealed_len = len + self.outbound_rtp.tag_bytes();
        let (packet, tag) = buffer.get_mut(..sealed_len)?.split_at_mut(len);
        self.outbound_rtp.seal_rtp(ssrc, index, packet, header_len, tag).ok()?;
        Some(sealed_len)
    }

    /// Protect `payload` and `padding` bytes of RTP padding (RFC 3550 §5.1) behind the header of `header_len` bytes at
    /// the start of `out`, without a copy where the provider can. The length of the protected packet; `None` if it
    /// does not fit or the index is used up.
    pub fn seal_rtp_from(
        &self,
        ssrc: u32,
        index: u64,
        header_len: usize,
        payload: &[u8],
        padding: u8,
        out: &mut [u8],
    ) -> Option<usize> {
        if index > INDEX_MAX {
            return None;
        }
        let len = header_len + payload.len() + usize::from(padding);
        let sealed_len = len + self.outbound_rtp.tag_bytes();
        let packet = out.get_mut(..sealed_len)?;
        if padding == 0 {
            self.outbound_rtp.seal_rtp_from(ssrc, index, packet, header_len, (payload, &[])).ok()?;
            return Some(sealed_len);
        }
        let mut behind = [0; u8::MAX as usize];
        let behind = &mut behind[..usize::from(padding)];
        if let Some(count) = behind.last_mut() {
            *count = padding;
        }
        self.outbound_rtp.seal_rtp_from(ssrc, index, packet, header_len, (payload, behind)).ok()?;
        Some(sealed_len)
    }

    /// Verify a protected packet and decrypt its payload into `payload`, which gets `packet.len() - header_len -
    /// overhead` bytes. That length.
    pub fn open_rtp(
        &self,
        ssrc: u32,
        index: u64,
        packet: &[u8],
        header_len: usize,
        payload: &mut [u8],
    ) -> Result<usize, DropReason> {
        let text_end = packet.len().checked_sub(self.inbound_rtp.tag_bytes()).ok_or(DropReason::SrtpShort)?;
        let len = text_end.checked_sub(header_len).ok_or(DropReason::SrtpShort)?;
        let payload = payload.get_mut(..len).ok_or(DropReason::Oversize)?;
        self.inbound_rtp
            .open_rtp(ssrc, index, packet, header_len, payload)
            .map_err(|Failed| DropReason::SrtpAuth)?;
        Ok(len)
    }

    /// Protect the compound of `len` bytes at the start of `buffer`. The length of the protected packet; `None` if it
    /// does not fit or the index is used up.
    pub fn seal_rtcp(&self, index: u32, buffer: &mut [u8], len: usize) -> Option<usize> {
        if index > SRTCP_INDEX_MAX || len < SRTCP_CLEAR_BYTES {
            return None;
        }
        let sealed_len = len + self.rtcp_overhead();
        self.outbound_rtcp.seal_rtcp(index, buffer.get_mut(..sealed_len)?, len).ok()?;
        Some(sealed_len)
    }

    /// SSRC and index of a protected RTCP packet, not yet verified. Clear ones are refused (RFC 3711 §3.4: the E bit).
    pub fn peek_rtcp(&self, packet: &[u8]) -> Result<(u32, u32), DropReason> {
        if packet.len() < SRTCP_CLEAR_BYTES + self.inbound_rtcp.tag_bytes() + SRTCP_INDEX_BYTES {
            return Err(DropReason::SrtpShort);
        }
        let ssrc = word_at(packet, 4).ok_or(DropReason::SrtpShort)?;
        let index_at = self.inbound_rtcp.srtcp_index_at(packet.len()).ok_or(DropReason::SrtpShort)?;
        let word = word_at(packet, index_at).ok_or(DropReason::SrtpShort)?;
        if word >> 31 == 0 {
            return Err(DropReason::SrtcpClear);
        }
        Ok((ssrc, word & SRTCP_INDEX_MAX))
    }

    /// Verify a protected RTCP packet and decrypt it to the start of `compound`. The compound's length.
    pub fn open_rtcp(&self, packet: &[u8], compound: &mut [u8]) -> Result<usize, DropReason> {
        let (ssrc, index) = self.peek_rtcp(packet)?;
        let overhead = self.inbound_rtcp.tag_bytes() + SRTCP_INDEX_BYTES;
        let len = packet.len().checked_sub(overhead).ok_or(DropReason::SrtpShort)?;
        let compound = compound.get_mut(..len).ok_or(DropReason::Oversize)?;
        self.inbound_rtcp.open_rtcp(ssrc, index, packet, compound).map_err(|Failed| DropReason::SrtpAuth)?;
        Ok(len)
    }
}

fn directed(
    profile: SrtpProfile,
    provider: Provider,
    keys: &[u8],
) -> Result<(Protection, Protection), Refused> {
    let (key_bytes, salt_bytes) = profile.key_and_salt_bytes();
    if keys.len() != key_bytes + salt_bytes {
        return Err(Refused);
    }
    let (key, salt) = keys.split_at(key_bytes);
    expand(profile, provider, key, salt).map_err(|Failed| Refused)
}

fn expand(
    profile: SrtpProfile,
    provider: Provider,
    key: &[u8],
    salt: &[u8],
) -> Result<(Protection, Protection), Failed> {
    let derivation = KeyDerivation::new(key, salt)?;
    let [rtp, rtcp] = [
        [Label::RtpEncryption, Label::RtpAuthentication, Label::RtpSalt],
        [Label::RtcpEncryption, Label::RtcpAuthentication, Label::RtcpSalt],
    ]
    .map(|[encryption, authentication, salt]| -> Result<Protection, Failed> {
        Ok(match profile {
            SrtpProfile::AeadAes128Gcm => Protection::Aead {
                key: Aead::new(provider, &derivation.derive::<16>(encryption)?)?,
                salt: derivation.derive(salt)?,
            },
            SrtpProfile::AeadAes256Gcm => Protection::Aead {
                key: Aead::new(provider, &derivation.derive::<32>(encryption)?)?,
                salt: derivation.derive(salt)?,
            },
            SrtpProfile::Aes128CmHmacSha1_80 => Protection::CounterMode {
                key: CounterMode::new(&derivation.derive::<16>(encryption)?)?,
                mac: Mac::new(&derivation.derive::<20>(authentication)?),
                salt: derivation.derive(salt)?,
            },
        })
    });
    Ok((rtp?, rtcp?))
}

/// One key for one protocol in one direction.
#[allow(
    clippy::large_enum_variant,
    reason = "four of them in one box a transport; no second look-up per packet"
)]
enum Protection {
    /// RFC 7714.
    Aead { key: Aead, salt: [u8; 12] },
    /// RFC 3711 §4.1.1 and §4.2.1.
    CounterMode { key: CounterMode, mac: Mac, salt: [u8; 14] },
}

impl Protection {
    fn tag_bytes(&self) -> usize {
        match self {
            Protection::Aead { .. } => AEAD_TAG_BYTES,
            Protection::CounterMode { .. } => 10,
        }
    }

    fn salt_equals(&self, other: &Protection) -> bool {
        match (self, other) {
            (Protection::Aead { salt: a, .. }, Protection::Aead { salt: b, .. }) => equal(a, b),
            (Protection::CounterMode { salt: a, .. }, Protection::CounterMode { salt: b, .. }) => equal(a, b),
            _ => false,
        }
    }

    fn seal_rtp(
        &self,
        ssrc: u32,
        index: u64,
        packet: &mut [u8],
        header_len: usize,
        tag: &mut [u8],
    ) -> Result<(), Failed> {
        match self {
            Protection::Aead { key, salt } => {
                let (header, text) = packet.split_at_mut_checked(header_len).ok_or(Failed)?;
                tag.copy_from_slice(&key.seal(aead_nonce(salt, ssrc, index), header, text)?);
            }
            Protection::CounterMode { key, mac, salt } => {
                let text = packet.get_mut(header_len..).ok_or(Failed)?;
                key.apply(counter(salt, ssrc, index), text)?;
                tag.copy_from_slice(&mac.sign_80([packet, &roll_over(index)]));
            }
        }
        Ok(())
    }

    fn open_rtp(
        &self,
        ssrc: u32,
        index: u64,
        packet: &[u8],
        header_len: usize,
        payload: &mut [u8],
    ) -> Result<(), Failed> {
        let (packet, tag) =
            packet.split_at_checked(packet.len().wrapping_sub(self.tag_bytes())).ok_or(Failed)?;
        let (header, text) = packet.split_at_checked(header_len).ok_or(Failed)?;
        match self {
            Protection::Aead { key, salt } => {
                key.open(aead_nonce(salt, ssrc, index), header, text, tag, payload)
            }
            Protection::CounterMode { key, mac, salt } => {
                if !mac.verify_80([packet, &roll_over(index)], tag) || payload.len() != text.len() {
                    return Err(Failed);
                }
                payload.copy_from_slice(text);
                key.apply(counter(salt, ssrc, index), payload)
            }
        }
    }

    /// `packet` is as long as the protected one will be: the header, and behind it room for payload, padding and tag.
    fn seal_rtp_from(
        &self,
        ssrc: u32,
        index: u64,
        packet: &mut [u8],
        header_len: usize,
        (payload, padding): (&[u8], &[u8]),
    ) -> Result<(), Failed> {
        if let Protection::Aead { key, salt } = self {
            let (header, sealed) = packet.split_at_mut_checked(header_len).ok_or(Failed)?;
            return key.seal_from(aead_nonce(salt, ssrc, index), header, payload, padding, sealed);
        }
        let text_end = packet.len().checked_sub(self.tag_bytes()).ok_or(Failed)?;
        let (packet, tag) = packet.split_at_mut(text_end);
        let body = packet.get_mut(header_len..).ok_or(Failed)?;
        let (text, behind) = body.split_at_mut_checked(payload.len()).ok_or(Failed)?;
        text.copy_from_slice(payload);
        behind.copy_from_slice(padding);
        self.seal_rtp(ssrc, index, packet, header_len, tag)
    }

    /// Where the index stands in a protected RTCP packet: last with AEAD (RFC 7714 §9.2), else before the tag.
    fn srtcp_index_at(&self, packet_len: usize) -> Option<usize> {
        match self {
            Protection::Aead { .. } => packet_len.checked_sub(SRTCP_INDEX_BYTES),
            Protection::CounterMode { .. } => packet_len.checked_sub(SRTCP_INDEX_BYTES + self.tag_bytes()),
        }
    }

    fn seal_rtcp(&self, index: u32, buffer: &mut [u8], len: usize) -> Result<(), Failed> {
        let ssrc = word_at(buffer, 4).ok_or(Failed)?;
        let word = (1 << 31 | index).to_be_bytes();
        match self {
            Protection::Aead { key, salt } => {
                let associated = rtcp_associated(buffer, word).ok_or(Failed)?;
                let (packet, trailer) = buffer.split_at_mut_checked(len).ok_or(Failed)?;
                let text = packet.get_mut(SRTCP_CLEAR_BYTES..).ok_or(Failed)?;
                let sealed = key.seal(aead_nonce(salt, ssrc, u64::from(index)), &associated, text)?;
                let (tag, index_at) = trailer.split_at_mut_checked(AEAD_TAG_BYTES).ok_or(Failed)?;
                tag.copy_from_slice(&sealed);
                index_at.copy_from_slice(&word);
            }
            Protection::CounterMode { key, mac, salt } => {
                let (signed, tag) = buffer.split_at_mut_checked(len + SRTCP_INDEX_BYTES).ok_or(Failed)?;
                let (packet, index_at) = signed.split_at_mut_checked(len).ok_or(Failed)?;
                let text = packet.get_mut(SRTCP_CLEAR_BYTES..).ok_or(Failed)?;
                key.apply(counter(salt, ssrc, u64::from(index)), text)?;
                index_at.copy_from_slice(&word);
                tag.copy_from_slice(&mac.sign_80([signed, &[]]));
            }
        }
        Ok(())
    }

    fn open_rtcp(&self, ssrc: u32, index: u32, packet: &[u8], compound: &mut [u8]) -> Result<(), Failed> {
        let len = compound.len();
        let (clear, text) = compound.split_at_mut_checked(SRTCP_CLEAR_BYTES).ok_or(Failed)?;
        let sealed = packet.get(SRTCP_CLEAR_BYTES..len).ok_or(Failed)?;
        clear.copy_from_slice(packet.get(..SRTCP_CLEAR_BYTES).ok_or(Failed)?);
        match self {
            Protection::Aead { key, salt } => {
                let associated = rtcp_associated(packet, (1 << 31 | index).to_be_bytes()).ok_or(Failed)?;
                let tag = packet.get(len..len + AEAD_TAG_BYTES).ok_or(Failed)?;
                key.open(aead_nonce(salt, ssrc, u64::from(index)), &associated, sealed, tag, text)
            }
            Protection::CounterMode { key, mac, salt } => {
                let (signed, tag) = packet.split_at_checked(len + SRTCP_INDEX_BYTES).ok_or(Failed)?;
                if !mac.verify_80([signed, &[]], tag) {
                    return Err(Failed);
                }
                text.copy_from_slice(sealed);
                key.apply(counter(salt, ssrc, u64::from(index)), text)
            }
        }
    }
}

/// RFC 7714 §8.1 and §9.1: SSRC and index at fixed places, combined with the salt.
fn aead_nonce(salt: &[u8; 12], ssrc: u32, index: u64) -> [u8; 12] {
    let [s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11] = *salt;
    // Two zero bytes, four of the SSRC, six of the index: as two words.
    let front = u64::from(ssrc) << 16 | index >> 32 & 0xFFFF;
    let [a, b, c, d, e, f, g, h] =
        (u64::from_be_bytes([s0, s1, s2, s3, s4, s5, s6, s7]) ^ front).to_be_bytes();
    let [i, j, k, l] = (u32::from_be_bytes([s8, s9, s10, s11]) ^ index as u32).to_be_bytes();
    [a, b, c, d, e, f, g, h, i, j, k, l]
}

/// RFC 3711 §4.1.1: `(salt << 16) ^ (SSRC << 64) ^ (index << 16)`.
fn counter(salt: &[u8; 14], ssrc: u32, index: u64) -> [u8; 16] {
    let mut counter = [0; 16];
    counter[..14].copy_from_slice(salt);
    let index = u128::from(index & 0xFFFF_FFFF_FFFF);
    (u128::from_be_bytes(counter) ^ u128::from(ssrc) << 64 ^ index << 16).to_be_bytes()
}

/// The roll-over counter as it is signed (RFC 3711 §4.2).
fn roll_over(index: u64) -> [u8; 4] {
    ((index >> 16) as u32).to_be_bytes()
}

/// RFC 7714 §9.2: the clear bytes, then the index word.
fn rtcp_associated(packet: &[u8], word: [u8; 4]) -> Option<[u8; SRTCP_CLEAR_BYTES + SRTCP_INDEX_BYTES]> {
    let mut associated = [0; SRTCP_CLEAR_BYTES + SRTCP_INDEX_BYTES];
    associated[..SRTCP_CLEAR_BYTES].copy_from_slice(packet.get(..SRTCP_CLEAR_BYTES)?);
    associated[SRTCP_CLEAR_BYTES..].copy_from_slice(&word);
    Some(associated)
}

fn word_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_be_bytes)
}

#[cfg(test)]
mod tests;
