//! After start a worker allocates nothing. This allocator keeps the count that proves it, in service too.
//!
//! Wrap the program's allocator in [`Steady`]; a thread that has finished its preparations calls [`begin`]. From then
//! on its allocations are counted, at the price of one thread-local flag per allocation of the process.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;

/// An allocator that counts the allocations of steady threads.
#[derive(Debug, Default)]
pub struct Steady<A>(pub A);

thread_local! {
    // `const` and without destructors: reading them never allocates, not even while a thread ends.
    static STEADY: Cell<bool> = const { Cell::new(false) };
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// The calling thread allocates nothing from now on.
pub fn begin() {
    STEADY.set(true);
}

/// The calling thread may allocate again: it is leaving its loop.
pub fn end() {
    STEADY.set(false);
}

/// Allocations of the calling thread while it was steady. A growing number is a fault.
pub fn allocations() -> u64 {
    ALLOCATIONS.get()
}

#[inline]
fn note() {
    if STEADY.get() {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
    }
}

// SAFETY: every call goes unchanged to the wrapped allocator, which keeps the contract; counting touches no memory
// but two thread-local cells.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Steady<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the caller's duties are passed on as they are.
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { self.0.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: as above.
        unsafe { self.0.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note();
        // SAFETY: as above.
        unsafe { self.0.realloc(pointer, layout, size) }
    }
}
