//! How does a pool say how full it is?

/// # Figures of a pool
///
/// The figures that `mempool_get_stats` and `r_mempool_get_stats` return. Start from `MEMPOOL_STATS_INIT`,
/// which sets `struct_size`.
///
/// The figures are exact if no other thread is inside a call on the pool at that moment. If some are, each of
/// them may make `used`, `cached` and the dynamic figures wrong by one. If another thread uses a single-thread
/// pool, its figures may be a moment old.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct mempool_stats {
    /// `sizeof(mempool_stats)`: tells the library which version of this struct to fill.
    pub struct_size: usize,
    /// Usable bytes of an entry.
    pub elem_size: usize,
    /// How many entries the pool or class has.
    pub capacity: usize,
    /// How many of them are out.
    pub used: usize,
    /// The high-water mark: the most of them that were out at once, since create or the last
    /// `mempool_reset_peak`. Exact as long as one thread uses the pool. With several it is never too low, and
    /// too high by no more than the entries that lie free in their caches.
    pub peak_used: usize,
    /// Free entries in the caches of threads. Any thread that needs them gets them.
    pub cached: usize,
    /// Entries from the heap that are out. Under `fallback_at_last_exhaustion` they count with the class that
    /// fits.
    pub dynamic_used: usize,
    /// The most of these at once, since create or the last `mempool_reset_peak`.
    pub dynamic_peak: usize,
    /// Calls since create for which the pool or class had no entry; a larger class, the heap or nothing served
    /// them. A bulk call counts once. A realloc that should have moved an entry to this class and found it
    /// empty counts, too.
    pub exhausted: u64,
    /// How many of these calls returned NULL.
    pub failed: u64,
    /// Bytes of memory that create set aside: all memory of an ordinary pool, or the class's share of a ranged
    /// pool's.
    pub bytes_reserved: usize,
    /// Bytes from an entry to the next: the entry, its header, and padding.
    pub bytes_per_entry: usize,
    /// How many of `bytes_reserved` are for caches.
    pub cache_bytes: usize,
    /// `MEMPOOL_NOTE_…` bits, or-ed together: which flags about memory took effect.
    pub notes: u64,
}
