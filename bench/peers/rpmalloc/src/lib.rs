//! What does a program get that preloads rpmalloc?
//!
//! `preload` starts it in a constructor, and threads on their first call.

include!("../../forward.rs");

// Named so that it is linked.
use rpmalloc_sys as _;

forward! {
    malloc => rpmalloc,
    free => rpfree,
    calloc => rpcalloc,
    realloc => rprealloc,
    aligned_alloc => rpaligned_alloc,
    posix_memalign => rpposix_memalign,
    memalign => rpmemalign,
    malloc_usable_size => rpmalloc_usable_size,
}
