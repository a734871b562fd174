//! One room (XEP-0045, with the rules that Jitsi clients rely on).
