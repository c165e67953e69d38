//! What does a program get that preloads jemalloc?

include!("../../forward.rs");

// Named so that it is linked.
use tikv_jemalloc_sys as _;

forward! {
    malloc => _rjem_malloc,
    free => _rjem_free,
    calloc => _rjem_calloc,
    realloc => _rjem_realloc,
    aligned_alloc => _rjem_aligned_alloc,
    posix_memalign => _rjem_posix_memalign,
    memalign => _rjem_memalign,
    malloc_usable_size => _rjem_malloc_usable_size,
}
