//! Nothing but a test, in `tests/turn.rs`: a program of its own, as an allocator is a program's.
#![forbid(unsafe_code)]
