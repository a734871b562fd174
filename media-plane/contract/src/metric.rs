//! What a worker counts, beside drops. Plain numbers that it owns and copies out once a second.

macro_rules! metrics {
    ($($(#[doc = $doc:literal])+ $name:ident = $label:literal,)+) => {
        /// A counter of a worker; rises for its life.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Metric { $($(#[doc = $doc])+ $name,)+ }

        impl Metric {
            /// All counters, in the order of their discriminants.
            pub const ALL: &'static [Metric] = &[$(Metric::$name,)+];
            /// How many there are: the length of a counter array indexed by `metric as usize`.
            pub const COUNT: usize = Metric::ALL.len();

            /// Name in Prometheus, without prefix and `_total`.
            pub const fn label(self) -> &'static str {
                match self { $(Metric::$name => $label,)+ }
            }

            /// Help text.
            pub const fn help(self) -> &'static str {
                match self { $(Metric::$name => concat!($($doc,)+),)+ }
            }
        }
    };
}

metrics! {
    /// Datagrams received from the kernel.
    DatagramsReceived = "datagrams_received",
    /// Bytes of datagrams received from the kernel.
    BytesReceived = "bytes_received",
    /// Datagrams that arrived by the mesh because their endpoint lives here.
    DatagramsAdopted = "datagrams_adopted",
    /// Datagrams handed over to the worker that owns their endpoint.
    DatagramsHandedOver = "datagrams_handed_over",
    /// Datagrams used up here: STUN, DTLS, RTCP.
    DatagramsConsumed = "datagrams_consumed",
    /// Media packets opened and offered to the receivers of their conference.
    PacketsPublished = "packets_published",
    /// Media packets that came from another worker of the conference.
    PacketsFromMesh = "packets_from_mesh",
    /// Media packets passed to another worker of the conference.
    PacketsToMesh = "packets_to_mesh",
    /// Media packets that another worker of the conference did not get, as the ring was full.
    PacketsLostToMesh = "packets_lost_to_mesh",
    /// Media packets sent to receivers, retransmissions included.
    PacketsForwarded = "packets_forwarded",
    /// Media packets retransmitted on a receiver's NACK.
    PacketsRetransmitted = "packets_retransmitted",
    /// Packets that a receiver asked for again and that were no longer there.
    RetransmissionsMissed = "retransmissions_missed",
    /// Bytes of RTP padding sent, so that packets of one frame share a send.
    PaddingBytes = "padding_bytes",
    /// Video packets kept back for the rest of their frame, by a worker under load.
    PacketsHeld = "packets_held",
    /// Times that the worker gave up more video for want of time, or less again.
    SheddingChanges = "shedding_changes",
    /// Bandwidth probes begun.
    BandwidthProbes = "bandwidth_probes",
    /// Feedback on bandwidth that could not be used: too much of it, about nothing that was sent, or absurd.
    FeedbackUnusable = "feedback_unusable",
    /// Packets sent to probe bandwidth alone: repeated ones and padding.
    ProbePackets = "probe_packets",
    /// Bytes of those.
    ProbeBytes = "probe_bytes",
    /// Datagrams given to the kernel.
    DatagramsSent = "datagrams_sent",
    /// Bytes of datagrams given to the kernel.
    BytesSent = "bytes_sent",
    /// Send operations; datagrams sent per send is what segmentation offload saves.
    Sends = "sends",
    /// Send operations that failed.
    SendErrors = "send_errors",
    /// Key frames asked of senders.
    KeyFrameRequests = "key_frame_requests",
    /// Packets asked of senders again.
    NacksSent = "nacks_sent",
    /// Key frames received.
    KeyFramesReceived = "key_frames_received",
    /// Connectivity and consent checks sent.
    ChecksSent = "checks_sent",
    /// Turns of the loop.
    Turns = "turns",
    /// Microseconds spent in turns, waiting not included.
    TurnMicroseconds = "turn_microseconds",
    /// Times that a multishot receive ended and was armed again.
    ReceiveRearmed = "receive_rearmed",
    /// Times that the kernel found no receive buffer.
    ReceiveNoBuffer = "receive_no_buffer",
    /// Datagrams that the kernel dropped because a socket's receive buffer was full.
    ReceiveOverflows = "receive_overflows",
    /// Commands applied.
    CommandsApplied = "commands_applied",
    /// Reports lost because the queue to the control plane was full.
    ReportsLost = "reports_lost",
    /// Allocations after start: a fault.
    Allocations = "allocations",
}
