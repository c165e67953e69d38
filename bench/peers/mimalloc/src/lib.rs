//! What does a program get that preloads mimalloc?

include!("../../forward.rs");

// Named so that it is linked.
use libmimalloc_sys as _;

forward! {
    malloc => mi_malloc,
    free => mi_free,
    calloc => mi_calloc,
    realloc => mi_realloc,
    aligned_alloc => mi_aligned_alloc,
    posix_memalign => mi_posix_memalign,
    memalign => mi_memalign,
    malloc_usable_size => mi_malloc_usable_size,
}
