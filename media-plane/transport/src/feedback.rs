//! RTCP that we send (RFC 3550 §6, RFC 4585): reports, NACK, key-frame requests.
