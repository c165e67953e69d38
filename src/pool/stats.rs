//! What does a pool tell of how full it is?

/// # Figures of a pool
///
/// What `mempool_get_stats` and `r_mempool_get_stats` tell. Start from `MEMPOOL_STATS_INIT`, which
/// sets `struct_size`.
///
/// How exact it is: exact if no other thread is inside a call on the pool at that moment. If some are, each
/// of them may make `used`, `cached` and the dynamic figures wrong by one. Of a single-thread pool that
/// another thread uses, the figures may be a moment old.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct mempool_stats {
    /// `sizeof(mempool_stats)`: tells the library which version of this struct it is to fill.
    pub struct_size: usize,
    /// Usable bytes of an entry.
    pub elem_size: usize,
    /// How many entries the pool or class was made for.
    pub capacity: usize,
    /// How many of them are out.
    pub used: usize,
    /// The high-water mark: the most of them that were out at once, since create or the last
    /// `mempool_reset_peak`. Exact as long as one thread uses the pool. With several it is never
    /// less than the truth, and more by no more than what lies free in their caches.
    pub peak_used: usize,
    /// Free entries that lie in the caches of threads. Each thread can have them when it needs them.
    pub cached: usize,
    /// Entries from the heap that are out, because there was none in the pool. Under
    /// `fallback_at_last_exhaustion` they count with the class that would have fitted.
    pub dynamic_used: usize,
    /// The most of these at once, since create or the last `mempool_reset_peak`.
    pub dynamic_peak: usize,
    /// Calls that the pool or class should have served and had no entry for, since create: a larger
    /// class, the heap or nobody served them. One that wanted many entries at once counts once. A realloc
    /// that should have moved an entry to this class and found it empty counts, too.
    pub exhausted: u64,
    /// Those of these calls that returned NULL.
    pub failed: u64,
    /// Bytes of memory that were set aside for all of this at create. An ordinary pool's whole
    /// memory; of a ranged pool's, the share of the class.
    pub bytes_reserved: usize,
    /// Bytes from an entry to the next: the entry, its header, and what aligns them.
    pub bytes_per_entry: usize,
    /// Those of `bytes_reserved` that are caches.
    pub cache_bytes: usize,
    /// `MEMPOOL_NOTE_…` bits, or-ed together: what the pool's memory is, of what was asked for.
    pub notes: u64,
}
