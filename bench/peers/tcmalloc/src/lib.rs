//! What does a program get that preloads tcmalloc?

include!("../../forward.rs");

// Named so that it is linked.
use libtcmalloc_sys as _;

forward! {
    malloc => TCMallocInternalMalloc,
    free => TCMallocInternalFree,
    calloc => TCMallocInternalCalloc,
    realloc => TCMallocInternalRealloc,
    aligned_alloc => TCMallocInternalAlignedAlloc,
    posix_memalign => TCMallocInternalPosixMemalign,
    memalign => TCMallocInternalMemalign,
    malloc_usable_size => TCMallocInternalMallocSize,
}
