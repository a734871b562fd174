//! Descriptors built bit by bit.
