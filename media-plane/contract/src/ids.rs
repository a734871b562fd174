//! Identities. Numbers are issued by the control plane, rise for the life of the process and are never reused, so
//! a late command or report about something gone can only miss, never hit a successor.

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub $inner);

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id! {
    /// A conference: the set of endpoints that may hear and see each other.
    ConferenceId(u64)
}
id! {
    /// An endpoint: one participant of one conference, with one transport.
    EndpointId(u64)
}
id! {
    /// A source: one named audio or video source of an endpoint (a microphone, a camera, a screen share).
    SourceId(u64)
}
id! {
    /// A worker: one pinned media thread. Dense from 0.
    WorkerId(u16)
}
id! {
    /// A synchronization source (RFC 3550 §3).
    Ssrc(u32)
}
