//! Why a datagram or packet ended here. Each is counted once, under exactly one reason.

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident = $label:literal,)+) => {
        /// A closed set; `label` is the value of the metric's `reason` label.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum DropReason { $($(#[doc = $doc])+ $name,)+ }

        impl DropReason {
            /// All reasons, in the order of their discriminants.
            pub const ALL: &'static [DropReason] = &[$(DropReason::$name,)+];
            /// How many there are: the length of a counter array indexed by `reason as usize`.
            pub const COUNT: usize = DropReason::ALL.len();

            /// The value of the metric's `reason` label.
            pub const fn label(self) -> &'static str {
                match self { $(DropReason::$name => $label,)+ }
            }

            /// What it means, in a sentence.
            pub const fn help(self) -> &'static str {
                match self { $(DropReason::$name => concat!($($doc,)+),)+ }
            }
        }
    };
}

reasons! {
    /// Longer than a datagram may be.
    Oversize = "oversize",
    /// The kernel cut it off.
    Truncated = "truncated",
    /// First byte belongs to no protocol that is spoken here (RFC 7983).
    UnknownKind = "unknown_kind",
    /// Not STUN, and from an address that never proved itself.
    UnknownPeer = "unknown_peer",
    /// STUN that breaks RFC 8489.
    StunMalformed = "stun_malformed",
    /// A STUN answer or indication that nobody asked for.
    StunUnsolicited = "stun_unsolicited",
    /// STUN with an unknown user fragment or a wrong integrity attribute.
    StunAuth = "stun_auth",
    /// Too many STUN messages from addresses that are not known.
    StunRate = "stun_rate",
    /// DTLS, but the queue to the handshake threads is full.
    DtlsQueueFull = "dtls_queue_full",
    /// RTP that breaks RFC 3550 or RFC 8285.
    RtpMalformed = "rtp_malformed",
    /// A payload type that was not signalled.
    UnknownPayloadType = "unknown_payload_type",
    /// An SSRC that the endpoint did not signal.
    UnknownSource = "unknown_source",
    /// Media before the handshake gave keys.
    NoKeys = "no_keys",
    /// Too short for header and tag.
    SrtpShort = "srtp_short",
    /// Authentication failed.
    SrtpAuth = "srtp_auth",
    /// Seen before, or too old to tell.
    SrtpReplay = "srtp_replay",
    /// RTCP that was not encrypted.
    SrtcpClear = "srtcp_clear",
    /// RTCP that breaks its format.
    RtcpMalformed = "rtcp_malformed",
    /// A codec descriptor that cannot be read.
    Descriptor = "descriptor",
    /// A retransmission that is empty or of nothing known.
    Rtx = "rtx",
    /// The packet had arrived before, directly or as a retransmission.
    Duplicate = "duplicate",
    /// A packet with nothing but padding.
    PaddingOnly = "padding_only",
    /// The sender is muted by a moderator.
    ForceMuted = "force_muted",
    /// The endpoint sends more than its share.
    EndpointRate = "endpoint_rate",
    /// No free packet slot.
    NoSlot = "no_slot",
    /// A ring to another worker is full.
    MeshFull = "mesh_full",
    /// Handed over to a worker that no longer has the endpoint.
    Misrouted = "misrouted",
    /// The bounded table of addresses is full.
    AddressTableFull = "address_table_full",
    /// Work on one input exceeded its bound.
    WorkLimit = "work_limit",
}
