//! What does a program get that preloads snmalloc?

include!("../../forward.rs");

// Named so that it is linked.
use snmalloc_sys as _;

forward! {
    malloc => sn_malloc,
    free => sn_free,
    calloc => sn_calloc,
    realloc => sn_realloc,
    aligned_alloc => sn_aligned_alloc,
    posix_memalign => sn_posix_memalign,
    memalign => sn_memalign,
    malloc_usable_size => sn_malloc_usable_size,
}
