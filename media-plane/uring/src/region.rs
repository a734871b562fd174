//! Page-aligned memory that a kernel may read and write: mapped once, never moved, freed only when told.

use crate::options::OpenError;
use std::ptr::NonNull;

/// An anonymous mapping, present from the start so that no page fault comes later.
pub(crate) struct Region {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: plain memory, reached only through `&self` and `&mut self`; no thread is special to it.
unsafe impl Send for Region {}

impl Region {
    /// Maps `len` zeroed bytes.
    pub(crate) fn new(len: usize) -> Result<Region, OpenError> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE;
        // JUSTIFICATION: the kernel takes page-aligned buffer rings only, and boxes promise no such alignment.
        // SAFETY: an anonymous mapping at an address of the kernel's choice touches no existing memory.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(OpenError::Memory(crate::socket::errno()));
        }
        let base = NonNull::new(base.cast()).ok_or(OpenError::Memory(libc::ENOMEM))?;
        Ok(Region { base, len })
    }

    /// Address of byte `offset`, for the kernel.
    pub(crate) fn address(&self, offset: usize) -> *mut u8 {
        debug_assert!(offset <= self.len);
        self.base.as_ptr().wrapping_add(offset)
    }

    /// Bytes that the kernel does not write meanwhile.
    ///
    /// # Safety
    /// No operation that writes to the range is in flight while the slice lives.
    #[inline]
    pub(crate) unsafe fn bytes(&self, start: usize, len: usize) -> &[u8] {
        assert!(start <= self.len && len <= self.len - start);
        // JUSTIFICATION: a range of memory that the kernel wrote; a copy of every datagram is the alternative.
        // SAFETY: in bounds (checked), initialised by the mapping, not written while borrowed (the caller's promise).
        unsafe { std::slice::from_raw_parts(self.base.as_ptr().add(start), len) }
    }

    /// Bytes that the kernel neither reads nor writes meanwhile.
    ///
    /// # Safety
    /// No operation that reads or writes the range is in flight while the slice lives.
    #[inline]
    pub(crate) unsafe fn bytes_mut(&mut self, start: usize, len: usize) -> &mut [u8] {
        assert!(start <= self.len && len <= self.len - start);
        // JUSTIFICATION: as in `bytes`.
        // SAFETY: in bounds (checked), initialised, and reached by nobody else (`&mut self` and the caller's promise).
        unsafe { std::slice::from_raw_parts_mut(self.base.as_ptr().add(start), len) }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`, unmapped once. Whoever owns it waits for the kernel's operations first
        // (see `Ring::drop`).
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}
