//! Transport-wide feedback on what the peer sends (draft-holmer-rmcat-transport-wide-cc-extensions-01).
