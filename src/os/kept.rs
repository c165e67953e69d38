//! Which blocks stay readable for a while after the library freed them?
//!
//! musl gives memory back to the kernel at once. A late free of a dynamic entry, or of an entry in a small
//! pool that is gone, would fault instead of being reported. So the last few small blocks are kept.

use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use super::posix::free;

/// How many blocks are kept.
const KEPT: usize = 16;
/// A larger block is freed at once, so no more than 2 MiB are kept.
const LARGEST: usize = 128 << 10;

static BLOCKS: [AtomicPtr<u8>; KEPT] = [const { AtomicPtr::new(ptr::null_mut()) }; KEPT];

/// Keeps a block, and frees the one that was kept longest.
///
/// # Safety
/// It is the heap's, has so many bytes, and nobody uses it any more.
pub unsafe fn keep(block: NonNull<u8>, bytes: usize) {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let oldest = if bytes > LARGEST {
        Some(block)
    } else {
        // Relaxed: whose turn it is matters to nobody.
        let place = &BLOCKS[NEXT.fetch_add(1, Ordering::Relaxed) % KEPT];
        // AcqRel: whoever gives the block to the heap does so after all that was done to it.
        NonNull::new(place.swap(block.as_ptr(), Ordering::AcqRel))
    };
    if let Some(oldest) = oldest {
        // SAFETY: by this function's contract, of this call or the one that brought it.
        unsafe { free(oldest) };
    }
}
