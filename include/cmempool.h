/*
 * cmempool: memory pools. Blocks are allocated up front, handed out and taken back in O(1).
 *
 * An ordinary pool (mempool) has N entries of one size. A ranged pool (r_mempool) is a collection
 * of pools, its classes, over power-of-two sizes or any list of sizes. Its pointer alone frees an
 * entry. Link with -lcmempool, or `pkg-config --cflags --libs cmempool`.
 *
 *     mempool *mp = mempool_create(1024, sizeof(struct session), false);
 *     struct session *s = mempool_alloc_entry(mp);
 *     ...
 *     mempool_free_entry(s);
 *     mempool_destroy(mp);
 *
 * Promises
 *   - N entries can be allocated from a pool of N, by any threads, in any order.
 *   - Memory is there when create returns, unless you ask otherwise.
 *   - Every entry is aligned for max_align_t (16 bytes), or as asked, up to 4096.
 *   - Functions that fail return NULL (a buffer's size: 0) and set errno: EINVAL for invalid arguments,
 *     ENOMEM when memory or entries are not available. Nothing else changes. Counts are 0 for a NULL pool
 *     and for a size that no class has, and leave errno alone.
 *   - Misuse (a double free, a pointer that is no entry, an overwritten header) writes one line to
 *     stderr, or calls the program's handler (mempool_set_misuse_handler), and aborts.
 *   - Any thread may call any function, unless its comment says otherwise; a signal handler may call
 *     none. No function is a cancellation point.
 *   - The shared library is never unloaded, nor is a plugin that links the static one: dlclose returns
 *     0 and leaves it loaded, for the threads that used a pool.
 *   - With optimisation, alloc and free are inlined, and call the library for what needs a lock: see
 *     CMEMPOOL_NO_INLINE below.
 *   - A child of fork may use every pool, whatever other threads were doing; entries that those held, or
 *     were allocating or freeing, count as out there. Not after vfork or a bare clone.
 *   - If your seccomp filter denies membarrier, install it before you create a pool; the pools then use
 *     full fences. If you install it later, a pool that runs short goes on without thread caches: entries
 *     in another thread's cache come back with that thread's next calls on the pool, or its end.
 *
 * Sizes are in bytes. C99 and C++11 onwards. Linux with the GNU C library on 32-bit and 64-bit processors, with
 * musl on x86-64; Windows; boards without an operating system; macOS and FreeBSD (built, not run).
 * docs/platforms.md says what differs there.
 */
/* Generated from the library's source; `make header` writes it anew. */
#ifndef CMEMPOOL_H
#define CMEMPOOL_H


#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Without an operating system there are no streams: -ffreestanding, or defining CMEMPOOL_BARE, leaves out
 * what needs one. */
#if !defined(CMEMPOOL_BARE) && defined(__STDC_HOSTED__) && __STDC_HOSTED__ == 0
#define CMEMPOOL_BARE
#endif

#ifndef CMEMPOOL_BARE
#include <stdio.h>
#include <string.h>
#endif

/* ---- Attributes, for compilers that know them ----------------------------------------------- */

#if defined(__GNUC__) && !defined(CMEMPOOL_NO_ATTRIBUTES)
/* A new entry is aligned at least like max_align_t. The attribute is not malloc: for_each_live, a handler of
 * leaks, a caller's buffer and a backing reach entries by other pointers. Nor malloc(mempool_free_entry):
 * entries are also freed in bulk, by a reset, and with their pool, which GCC's analyzer would call leaks. Nor
 * warn_unused_result: an entry whose pointer is dropped is still freed with its pool. */
#define CMEMPOOL_ENTRY __attribute__((assume_aligned(16)))
/* Parameter number n says how many bytes of the result its holder may use. */
#define CMEMPOOL_ALLOC_SIZE(n) __attribute__((alloc_size(n)))
/* Dropping the result leaks it. */
#define CMEMPOOL_MUST_USE __attribute__((warn_unused_result))
/* No pointer argument may be NULL. */
#define CMEMPOOL_NONNULL __attribute__((nonnull))
#else
#define CMEMPOOL_ENTRY
#define CMEMPOOL_ALLOC_SIZE(n)
#define CMEMPOOL_MUST_USE
#define CMEMPOOL_NONNULL
#endif

/* No call, even with -fno-builtin. */
#if defined(__GNUC__)
#define CMEMPOOL_COPY(to, from, size) ((void)__builtin_memcpy(to, from, size))
#else
#ifdef CMEMPOOL_BARE
static inline void cmempool_copy(void *to, const void *from, size_t size)
{
    while (size-- > 0)
        ((unsigned char *)to)[size] = ((const unsigned char *)from)[size];
}
#define CMEMPOOL_COPY(to, from, size) cmempool_copy(to, from, size)
#else
#define CMEMPOOL_COPY(to, from, size) ((void)memcpy(to, from, size))
#endif
#endif

#if defined(__GNUC__)
#define CMEMPOOL_ALIGNED(n) __attribute__((aligned(n)))
#elif defined(__cplusplus)
#define CMEMPOOL_ALIGNED(n) alignas(n)
#else
#define CMEMPOOL_ALIGNED(n) _Alignas(n)
#endif

/* ---- Version -------------------------------------------------------------------------------- */

/** The version of this header, with `CMEMPOOL_VERSION_MINOR` and `CMEMPOOL_VERSION_PATCH`. */
#define CMEMPOOL_VERSION_MAJOR 1
#define CMEMPOOL_VERSION_MINOR 0
#define CMEMPOOL_VERSION_PATCH 0


/* ---- Make a pool with options --------------------------------------------------------------- */

/**
 * Flag: when all entries are out, take from the heap, or from the pool's backing. Ordinary pools only;
 * a ranged pool has a policy.
 */
#define MEMPOOL_FALL_BACK 1

/**
 * Flag: calls on the pool and frees of its entries never overlap, so it takes no lock. One thread may use it,
 * or several that take turns by a lock of their own.
 */
#define MEMPOOL_SINGLE_THREAD 2

/**
 * Flag: don't have the system provide the memory at create. Create is fast; the first use of each page costs a
 * page fault, and may end the process where memory is overcommitted. A hardened pool writes every entry's
 * header at create, and so uses most pages anyway.
 */
#define MEMPOOL_NO_PREFAULT 4

/**
 * Flag: overwrite an entry with zeros when it is freed. Costs the writes, and the pool's calls take the slow
 * path.
 */
#define MEMPOOL_ZERO_ON_FREE 8

/**
 * Flag: when the pool is destroyed while entries of it are out, report them, one report for each
 * class: how many, and the addresses of the first four. The report goes to the handler of
 * `mempool_set_misuse_handler`, or to stderr in one line; then destroy goes on. Costs nothing until destroy,
 * and there a look at each slot if there is something to report. `CMEMPOOL_OPTIONS=leaks` in the environment
 * does the same for all pools.
 */
#define MEMPOOL_REPORT_LEAKS 16

/**
 * Flag: look for misuse more closely. A hardened pool also catches:
 *
 * - two threads that free the same entry at the same moment;
 * - a write into an entry that is free, when it is handed out again;
 * - a write past the end of an entry, that is, past the size that was asked for, when the entry is freed or
 *   given to realloc. Behind the end lie bytes that nobody may write: up to the class's size, then 16 (in a
 *   caller's buffer only padding), then the next entry's header. Entries from the heap have 16;
 * - both, in every entry, when the pool is destroyed or reset.
 *
 * The order of entries is random, another one in each pool and in each child of fork. The entries freed last
 * are held back. The memory lies between two inaccessible pages (not in a caller's buffer or a backing's
 * memory). Every call takes the lock, and time in proportion to the entry's size; destroy and reset take time
 * in proportion to the pool's size. An entry takes 16 bytes more (not in a caller's buffer).
 */
#define MEMPOOL_HARDENED 32

/**
 * Flag: put the pool into huge pages of 2 MiB that the system reserves (`vm.nr_hugepages`): fewer TLB misses,
 * and memory that is never swapped out. The pool's memory is rounded up to a multiple of 2 MiB. If the system
 * has too few of them, the pool has ordinary pages, as without the flag: for 2 MiB and more it asks the kernel
 * for transparent huge pages. EINVAL with a buffer or a backing; hardened pools have ordinary pages. A child
 * of fork does not have a pool in huge pages: a call on it, or a free of its entries, ends in SIGSEGV there.
 * (The kernel reserves no huge pages for a child, and would kill it at its first write.)
 */
#define MEMPOOL_HUGE_PAGES 64

/**
 * Flag: lock the pool's memory (`mlock`): it is never swapped out. If the system refuses, create fails with
 * `mlock`'s EPERM, ENOMEM or EAGAIN. Locking provides every page, `MEMPOOL_NO_PREFAULT` or not. Whole pages
 * are locked, and unlocked when the pool is destroyed. Locks don't add up: destroy also unlocks what else lies
 * in the first and last page of a buffer or a backing's memory, even if your program had locked it. Two things
 * are not locked: entries from the heap or the backing (with `CMEMPOOL_OPTIONS=bypass` these are all entries),
 * and, as always, the memory of a child of fork.
 */
#define MEMPOOL_LOCKED 128

/**
 * Flag: record for each entry who took it and who freed it last: the address that the call returns to, the
 * thread, and a number that rises with each such call of the process.
 *
 * `mempool_dump` then counts what is out by caller, a leak report names callers, and a report of misuse says who
 * has the entry, or freed it.
 *
 * - Callers are shown as function and place, if the loader knows the function (link a program with `-rdynamic`),
 *   and as the file and place that `addr2line -ife` takes.
 * - If the header inlined the call, the caller is the program's function. Code that is compiled with `-O1` may
 *   show one of the header's instead. On 32-bit x86 callers are not known, only threads and numbers.
 * - It takes 48 bytes for each entry (32 if addresses have 32 bits), in a mapping beside the pool, also if the pool
 *   lies in a buffer or a backing's memory; those of an entry from the heap are in its block.
 * - The pool has no caches: each call takes its lock, also with `MEMPOOL_SINGLE_THREAD`.
 *
 * Not in the feature `bare`.
 */
#define MEMPOOL_RECORD_HOLDERS 256

/**
 * Note: the pool is in huge pages that the system reserved.
 */
#define MEMPOOL_NOTE_HUGE_PAGES 1

/**
 * Note: `MEMPOOL_HUGE_PAGES` was asked for, and the pool has ordinary pages.
 */
#define MEMPOOL_NOTE_HUGE_PAGES_REFUSED 2

/**
 * Note: the pool's memory was locked at create.
 */
#define MEMPOOL_NOTE_LOCKED 4

/* ---- Measure or declare a buffer ------------------------------------------------------------ */

/**
 * Bytes of a buffer that every pool needs once.
 */
#define CMEMPOOL_PER_REGION 448

/**
 * Bytes of a buffer that a ranged pool needs besides, once.
 */
#define CMEMPOOL_PER_RANGED 576

/**
 * Bytes of a buffer for each class; an ordinary pool is one class.
 */
#define CMEMPOOL_PER_CLASS 576

/**
 * Bytes of a buffer for each slot, beside the slot itself.
 */
#define CMEMPOOL_PER_SLOT 8

/* ---- Make a pool ---------------------------------------------------------------------------- */

/**
 * What a ranged pool does when the class that fits a request is empty.
 */
typedef enum r_memory_fallback_policy_t {
    /**
     * Tries the larger classes in turn, then returns NULL.
     */
    fallback_disabled = 0,
    /**
     * Takes from the heap at once.
     */
    fallback_at_first_exhaustion,
    /**
     * Tries the larger classes in turn, then takes from the heap.
     */
    fallback_at_last_exhaustion,
    /**
     * Not a policy: one more than the last.
     */
    __fallback_end_place_holder,
} r_memory_fallback_policy_t;

/**
 * What kind of misuse a report is about. These numbers never change; later versions may add kinds.
 */
typedef enum mempool_misuse_kind {
    /**
     * The entry that was freed is already free.
     */
    MEMPOOL_MISUSE_DOUBLE_FREE = 1,
    /**
     * The pointer that was freed is no entry of any pool.
     */
    MEMPOOL_MISUSE_FOREIGN_POINTER = 2,
    /**
     * The pointer that was freed leads into an entry, not to its start.
     */
    MEMPOOL_MISUSE_INTERIOR_POINTER = 3,
    /**
     * The library's bytes before an entry were overwritten.
     */
    MEMPOOL_MISUSE_HEADER_OVERWRITTEN = 4,
    /**
     * An entry could be where the freed pointer leads, but none was ever handed out there.
     */
    MEMPOOL_MISUSE_NEVER_HANDED_OUT = 5,
    /**
     * A ranged pool's realloc got an entry of another pool.
     */
    MEMPOOL_MISUSE_WRONG_POOL = 6,
    /**
     * A function that takes a pool got a pointer to no live pool of that sort: it was destroyed, or never was
     * one.
     */
    MEMPOOL_MISUSE_NOT_A_POOL = 7,
    /**
     * The entry that was freed lies in memory of a pool that was destroyed.
     */
    MEMPOOL_MISUSE_POOL_DESTROYED = 8,
    /**
     * An entry was written to after it was freed.
     */
    MEMPOOL_MISUSE_WRITE_AFTER_FREE = 9,
    /**
     * An entry was written past its end.
     */
    MEMPOOL_MISUSE_OVERFLOW = 10,
    /**
     * A pool that reports leaks is being destroyed while entries of it are out. The only kind after which the
     * program goes on.
     */
    MEMPOOL_MISUSE_LEAK = 11,
    /**
     * A function other than free, which needs a live entry, got one that was freed.
     */
    MEMPOOL_MISUSE_USE_AFTER_FREE = 12,
} mempool_misuse_kind;

/**
 * A pool of entries of one size. Its members are the library's.
 */
typedef struct mempool mempool;

/**
 * A collection of pools, called classes, each with entries of one size. Its members are the library's.
 */
typedef struct r_mempool r_mempool;

/* ---- Make a pool with options --------------------------------------------------------------- */

/**
 * Where a pool's memory comes from, instead of the kernel and `malloc`. Start from `MEMPOOL_BACKING_INIT`, and
 * set both functions.
 *
 * `alloc` is called once by create (not for a pool in a buffer), and once for each entry that would
 * come from the heap. `free` gets each block back, with the size that was asked for: the block of an entry
 * when the entry is freed; the pool's own block, and those of entries that were never freed, in
 * `mempool_destroy` or `r_mempool_destroy`, in any order. The struct is copied; what `context` points to must
 * live as long as the pool.
 *
 * Both run in the thread that called the library, so in several at once unless the pool is for a single
 * thread. No lock is held meanwhile: they may use, create and destroy other pools, and fork. They must not use
 * the pool they work for, and must return (no `longjmp`, no C++ exception).
 */
typedef struct mempool_backing {
    /**
     * `sizeof(mempool_backing)`.
     */
    size_t struct_size;
    /**
     * Returns `size` bytes, whatever they contain, aligned to `alignment`, or NULL; then create, or the alloc
     * of an entry, fails with ENOMEM. `alignment` is 16 for the pool's own memory, and the pool's alignment
     * for an entry: without an alignment of the pool's own, what `malloc` returns will do. Misaligned memory
     * is given back at once, and create fails with EINVAL, an alloc with ENOMEM. So is a pool's own memory
     * that has a tagged pointer or ends above 2^48. No other process may share the memory.
     */
    void *(*alloc)(size_t size, size_t alignment, void *context);
    /**
     * Gets back what `alloc` returned, with the same size. It may unmap the memory.
     */
    void (*free)(void *memory, size_t size, void *context);
    /**
     * The last argument of both.
     */
    void *context;
} mempool_backing;

/**
 * Options of an ordinary pool. Start from `MEMPOOL_OPTIONS_INIT`, which sets `struct_size` and leaves the rest
 * 0. Where 0 is allowed, it means the default.
 */
typedef struct mempool_options {
    /**
     * `sizeof(mempool_options)`: tells the library which version of this struct it got. Programs
     * compiled when it ended with `flags` say 64.
     */
    size_t struct_size;
    /**
     * How many entries, 1 to 4294967295.
     */
    size_t elem_count;
    /**
     * Usable bytes of each entry, at least 1.
     */
    size_t elem_size;
    /**
     * Alignment of every entry in bytes: a power of two up to 4096. 0, or less than 16, means 16,
     * that of `max_align_t`. It rounds the size of a slot up: see `mempool_create`.
     */
    size_t alignment;
    /**
     * Shown in reports, or NULL. The first 63 bytes are copied, or up to three less, so that no UTF-8
     * character is cut. Lines for people show a question mark instead of each control character (C0, DEL, C1)
     * and of each byte that is no UTF-8.
     */
    const char *name;
    /**
     * Memory of the caller's for the pool and all it needs, or NULL. It must be aligned to 16 bytes and belong
     * to the pool until that is destroyed. The library then asks neither the heap nor the kernel for memory,
     * except for entries that fall back to the heap, for the records of `MEMPOOL_RECORD_HOLDERS`, and to lock the
     * buffer. A pool stores addresses in 48 bits: the pointer must have no tag in its upper bits (Arm's MTE, HWAddressSanitizer), and the buffer
     * must end at 2^48 or below.
     */
    void *buffer;
    /**
     * Bytes of the buffer, at least `mempool_buffer_size` of these options; 0 without a buffer.
     */
    size_t buffer_size;
    /**
     * `MEMPOOL_…` flags, or-ed together.
     */
    uint64_t flags;
    /**
     * Where the pool's memory comes from: see `mempool_backing`. NULL means the kernel, or the heap for a pool
     * of less than a page. With a buffer, the backing serves only the entries that would come from the heap.
     */
    const struct mempool_backing *backing;
} mempool_options;

/**
 * One class of a ranged pool.
 */
typedef struct r_mempool_class {
    /**
     * Usable bytes of each entry, at least 1.
     */
    size_t elem_size;
    /**
     * How many entries, 1 to 4294967295.
     */
    size_t elem_count;
} r_mempool_class;

/**
 * Options of a ranged pool. Start from `R_MEMPOOL_OPTIONS_INIT`, which sets `struct_size` and leaves the rest
 * 0. Where 0 is allowed, it means the default.
 *
 * The classes are either powers of two (`smallest_size`, `largest_size` and `smallest_count`, as
 * for `r_mempool_create`) or an explicit list (`classes` and `class_count`); the fields of the
 * other way are 0.
 */
typedef struct r_mempool_options {
    /**
     * `sizeof(r_mempool_options)`: tells the library which version of this struct it got. Programs
     * compiled when it ended with `reserved` say 96.
     */
    size_t struct_size;
    /**
     * Usable bytes of the smallest class's entries.
     */
    size_t smallest_size;
    /**
     * Usable bytes of the largest class's entries.
     */
    size_t largest_size;
    /**
     * Entries of the smallest class.
     */
    size_t smallest_count;
    /**
     * An explicit list of classes in ascending order of their sizes, all different; or NULL. It is copied.
     */
    const struct r_mempool_class *classes;
    /**
     * Length of the list, up to 256.
     */
    size_t class_count;
    /**
     * As for `mempool_options`.
     */
    size_t alignment;
    /**
     * As for `mempool_options`.
     */
    const char *name;
    /**
     * As for `mempool_options`.
     */
    void *buffer;
    /**
     * As for `mempool_options`, with `r_mempool_buffer_size`.
     */
    size_t buffer_size;
    /**
     * `MEMPOOL_…` flags, or-ed together; not `MEMPOOL_FALL_BACK`.
     */
    uint64_t flags;
    /**
     * What to do when the class that fits a request is empty.
     */
    r_memory_fallback_policy_t policy;
    /**
     * 0.
     */
    uint32_t reserved;
    /**
     * As for `mempool_options`.
     */
    const struct mempool_backing *backing;
} r_mempool_options;

/* ---- Figures of a pool ---------------------------------------------------------------------- */

/**
 * The figures that `mempool_get_stats` and `r_mempool_get_stats` return. Start from `MEMPOOL_STATS_INIT`,
 * which sets `struct_size`.
 *
 * The figures are exact if no other thread is inside a call on the pool at that moment. If some are, each of
 * them may make `used`, `cached` and the dynamic figures wrong by one. If another thread uses a single-thread
 * pool, its figures may be a moment old.
 */
typedef struct mempool_stats {
    /**
     * `sizeof(mempool_stats)`: tells the library which version of this struct to fill.
     */
    size_t struct_size;
    /**
     * Usable bytes of an entry.
     */
    size_t elem_size;
    /**
     * How many entries the pool or class has.
     */
    size_t capacity;
    /**
     * How many of them are out.
     */
    size_t used;
    /**
     * The high-water mark: the most of them that were out at once, since create or the last
     * `mempool_reset_peak`. Exact as long as one thread uses the pool. With several it is never too low, and
     * too high by no more than the entries that lie free in their caches.
     */
    size_t peak_used;
    /**
     * Free entries in the caches of threads. Any thread that needs them gets them.
     */
    size_t cached;
    /**
     * Entries from the heap that are out. Under `fallback_at_last_exhaustion` they count with the class that
     * fits.
     */
    size_t dynamic_used;
    /**
     * The most of these at once, since create or the last `mempool_reset_peak`.
     */
    size_t dynamic_peak;
    /**
     * Calls since create for which the pool or class had no entry; a larger class, the heap or nothing served
     * them. A bulk call counts once. A realloc that should have moved an entry to this class and found it
     * empty counts, too.
     */
    uint64_t exhausted;
    /**
     * How many of these calls returned NULL.
     */
    uint64_t failed;
    /**
     * Bytes of memory that create set aside: all memory of an ordinary pool, or the class's share of a ranged
     * pool's.
     */
    size_t bytes_reserved;
    /**
     * Bytes from an entry to the next: the entry, its header, and padding.
     */
    size_t bytes_per_entry;
    /**
     * How many of `bytes_reserved` are for caches.
     */
    size_t cache_bytes;
    /**
     * `MEMPOOL_NOTE_…` bits, or-ed together: which flags about memory took effect.
     */
    uint64_t notes;
} mempool_stats;

/**
 * Called with a live entry, its `mempool_usable_size`, and the context. Returns true to go on, false to end
 * the walk. In a ranged pool, only the bytes that the holder asked for are sure to be in use.
 */
typedef bool (*mempool_visitor)(void *entry, size_t usable_size, void *context);

/* ---- Find pools ----------------------------------------------------------------------------- */

/**
 * A pool, as `mempool_for_each_pool` shows it.
 */
typedef struct mempool_pool_info {
    /**
     * `sizeof(mempool_pool_info)` of the library: a later version may have more members.
     */
    size_t struct_size;
    /**
     * The pool, if it is an ordinary one; else NULL.
     */
    struct mempool *mp;
    /**
     * The pool, if it is a ranged one; else NULL.
     */
    struct r_mempool *rmp;
    /**
     * Its name as given at create, cut to its length there; "" without one. Valid until the visitor returns.
     */
    const char *name;
} mempool_pool_info;

/**
 * Called with a pool and the context. Returns true to go on, false to end the walk.
 */
typedef bool (*mempool_pool_visitor)(const struct mempool_pool_info *pool, void *context);

/* ---- Report misuse -------------------------------------------------------------------------- */

/**
 * What went wrong. It, and what it points to, is valid until the handler returns.
 */
typedef struct mempool_misuse {
    /**
     * The size of this struct in the library that runs. A later version may have more members at the end:
     * check the size before you use one of these.
     */
    size_t struct_size;
    /**
     * A `mempool_misuse_kind`, or a number that a later version added.
     */
    uint32_t kind;
    /**
     * 0.
     */
    uint32_t reserved;
    /**
     * The pointer that the call was about, an entry or a pool; for a leak the first entry that is out;
     * for a damaged header, a write after free and an overflow the entry that was found damaged.
     */
    const void *pointer;
    /**
     * The pool, a `mempool *` or `r_mempool *` as its create function returned it; NULL if no pool is
     * concerned. With `MEMPOOL_MISUSE_POOL_DESTROYED` and `MEMPOOL_MISUSE_NOT_A_POOL` it is only a number:
     * don't use the pool.
     */
    const void *pool;
    /**
     * The pool's name; "" without a name or a pool. Control characters in it are as given; in `text` they are
     * question marks.
     */
    const char *pool_name;
    /**
     * Usable bytes of the pool's entries, in a ranged pool of the class's; 0 if no pool is concerned.
     */
    size_t entry_size;
    /**
     * All of it in one line, without a newline: what is written to stderr if there is no handler.
     */
    const char *text;
} mempool_misuse;

/**
 * Gets a report of misuse, and the context that was given to `mempool_set_misuse_handler`.
 */
typedef void (*mempool_misuse_handler)(const struct mempool_misuse *report, void *context);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/* ---- Make a pool ---------------------------------------------------------------------------- */

/**
 * Creates a pool of `elem_count` entries of `elem_size` bytes each.
 *
 * All memory is allocated, and provided by the system, before this returns. So using the entries can't run out
 * of memory later, even if the system overcommits. Every entry is aligned like `max_align_t` (16 bytes). A
 * slot takes `elem_size` plus 8 bytes, rounded up to a multiple of 16 (an `int` takes 16), and at most 8 bytes
 * of bookkeeping beside it, thread caches included. A pool takes at most 1 KiB more.
 *
 * Also a macro of the same name, which accepts the fourth argument of the original's newer release: see
 * `mempool_create_from_preallocated_buffer`.
 *
 * @param elem_count  how many entries, 1 to 4294967295
 * @param elem_size   usable bytes of each, at least 1
 * @param fallback_to_dynamic_memory  when all entries are out: true takes from the heap
 *                    (`malloc`'s memory), false makes `mempool_alloc_entry` return NULL
 * @return the pool, to be destroyed with `mempool_destroy`; NULL with `errno` set
 * @errno EINVAL  a count or size of 0
 * @errno ENOMEM  memory is not available, or there are more entries than a pool can count
 *
 * Threads: any number may use the pool at once. One for each 64 entries, and up to 4096, keep a cache of up to
 * 2042 free entries; in a pool of 12 to 127 entries one thread does. The others take a lock at each call.
 * Cost: grows with the memory, page by page.
 */
struct mempool *mempool_create(size_t elem_count,
                               size_t elem_size,
                               bool fallback_to_dynamic_memory)
CMEMPOOL_MUST_USE;

/* ---- Allocate an entry ---------------------------------------------------------------------- */

/**
 * Allocates an entry.
 *
 * Exactly as many entries as the pool was made for can be out at once, whichever threads hold them. Then the
 * pool takes from the heap, or returns NULL, as chosen at create. The content is whatever an earlier holder
 * left.
 *
 * A pool that was destroyed hands out nothing. If it was in a buffer, the call is reported as misuse, as with
 * `mempool_destroy`, while the buffer still holds what the pool left there; if it was on the heap, where pools
 * of less than a page are, while the heap has not reused the memory. If the pool had a mapping of its own, the
 * call faults (SIGSEGV).
 *
 * @param mp  a live pool
 * @return the entry, aligned like `max_align_t` or as chosen at create; NULL with `errno` set
 * @errno EINVAL  `mp` is NULL
 * @errno ENOMEM  all entries are out (and the heap, if the pool may use it, has no memory)
 *
 * Threads: safe. Cost: O(1), some 20 instructions and no lock while the thread's cache has free entries of the
 * pool. Filling the cache takes a lock and moves at most 64 entries; it happens once in ten to a thousand
 * calls, by the thread's share of the pool. If all free entries are in other threads' caches, a call looks at
 * each of these: O(threads that used the pool), once per shortage. It waits for no other thread, except for
 * one that holds the pool's lock.
 */
void *mempool_alloc_entry(struct mempool *mp)
CMEMPOOL_ENTRY;

/**
 * Allocates an entry whose bytes are all zero.
 *
 * As `mempool_alloc_entry`; the cost grows with the size of an entry.
 */
void *mempool_calloc_entry(struct mempool *mp) CMEMPOOL_ENTRY;

/* ---- Free an entry -------------------------------------------------------------------------- */

/**
 * Frees an entry: it goes back to whatever pool it came from, ordinary or ranged, or to the heap.
 *
 * Also a macro of the same name, which sets the caller's variable to NULL, evaluates its argument once, and is
 * an expression. Its argument must be an lvalue. To call the function itself, put its name in parentheses:
 * `(mempool_free_entry)(p)`; its address is taken as usual.
 *
 * @param entry  a live entry; NULL does nothing
 *
 * Anything else is misuse: the process writes one line to stderr, or calls the handler of
 * `mempool_set_misuse_handler`, and aborts. Caught are:
 *
 * - an entry that was freed before, while it is not out again; if it came from the heap, while the heap has
 *   not reused its memory. An entry that `mempool_reset` took back counts as freed;
 * - a pointer into an entry, and a pointer that is no pool's;
 * - an entry with the 8 bytes before it overwritten;
 * - an entry whose pool was destroyed, while its memory can be read. If the pool had a mapping of its own, the
 *   call faults (SIGSEGV).
 *
 * For these checks the library reads the 8 bytes before the pointer. Two threads that free the same entry at the
 * same moment may go unseen, and so may data that looks like the library's: with a chance of 2^-23 for random
 * data. Other functions that need a live entry report a freed one as `MEMPOOL_MISUSE_USE_AFTER_FREE`.
 *
 * Threads: safe, on any thread, also when the one that allocated the entry has ended. Cost: O(1), some 30
 * instructions and no lock while the thread's cache has room. Making room takes a lock and moves at most 64
 * entries; it happens once in ten to a thousand calls, by the thread's share of the pool.
 */
void mempool_free_entry(void *entry);

/* ---- Destroy a pool ------------------------------------------------------------------------- */

/**
 * Destroys a pool and everything in it, including entries that were never freed and those from the heap.
 *
 * Also a macro of the same name, which sets the caller's variable to NULL: see
 * `mempool_free_entry`. A buffer of the caller's can be used again afterwards.
 *
 * @param mp  a live pool; NULL does nothing
 *
 * Anything else is misuse, reported as with `mempool_free_entry`: a pool that was destroyed before, even by
 * another thread at the same moment, a pool of the other sort, an entry, any other number. The library looks
 * the pointer up among the live pools, and reads nothing there. The last 16 pools that were destroyed are
 * reported by name. Counts, inspection and resets check a pool in the same way; for the functions that hand
 * out entries this would be too slow: see `mempool_alloc_entry`. Once another pool lies at the same address,
 * the pointer is that pool's.
 *
 * Threads: no other thread may be inside a call on the pool or use its entries, now or later. Cost: giving the
 * memory back, O(dynamic entries) and O(log pools); O(entries) in a buffer, and if leaks are to be reported.
 */
void mempool_destroy(struct mempool *mp);

/* ---- Count entries -------------------------------------------------------------------------- */

/**
 * How many entries the pool has, free or out. 0 for NULL.
 *
 * Threads: safe. Cost: O(log pools), with the lock of the list of all pools.
 */
size_t mempool_total_capacity(const struct mempool *mp);

/**
 * How many of the pool's own entries are out; dynamic ones don't count. 0 for NULL.
 *
 * Exact when no other thread is inside a call on the pool, and never above the capacity.
 *
 * Threads: safe. Cost: O(log pools), with the lock of the list of all pools, and O(threads that used the
 * pool), with the pool's.
 */
size_t mempool_used_count(const struct mempool *mp);

/**
 * How many entries from the heap, handed out because the pool was empty, are out. 0 for NULL.
 *
 * Threads: safe. Cost: O(log pools), with the lock of the list of all pools, and then the pool's.
 */
size_t mempool_dynamic_allocs_count(const struct mempool *mp);

/* ---- Names that older binaries call --------------------------------------------------------- */

/**
 * `mempool_free_entry` under the name that programs compiled against the original library call.
 */
void _mempool_free_entry(void *entry);

/**
 * `mempool_destroy` under the name that programs compiled against the original library call.
 */
void _mempool_destroy(struct mempool *mp);

/* ---- Make a pool ---------------------------------------------------------------------------- */

/**
 * Creates a ranged pool: one class for each power of two from `smallest_size` to `largest_size`.
 *
 * The smallest class has `smallest_count` entries, and each larger class half as many as the one before. Sizes
 * and the count are rounded up to powers of two, and the smallest size to at least 16. So (32, 256, 64, ..)
 * makes classes of 32, 64, 128 and 256 bytes with 64, 32, 16 and 8 entries. All classes share one mapping;
 * memory and alignment are as for `mempool_create`.
 *
 * Also a macro of the same name, which accepts the five arguments of the original's newer release: see
 * `mempool_create_from_preallocated_buffer`.
 *
 * @param smallest_size   usable bytes of the smallest class's entries, at least 1
 * @param largest_size    usable bytes of the largest class's entries; after rounding, more than
 *                        the smallest
 * @param smallest_count  entries of the smallest class, enough for the largest class to have one
 * @param policy          what to do when the class that fits is empty
 * @return the ranged pool, to be destroyed with `r_mempool_destroy`; NULL with `errno` set
 * @errno EINVAL  an argument breaks a rule above, or `policy` is unknown
 * @errno ENOMEM  memory is not available, or there are more entries than a pool can count
 *
 * Threads: any number may use the pool at once. Cost: grows with the memory, page by page.
 */
struct r_mempool *r_mempool_create(size_t smallest_size,
                                   size_t largest_size,
                                   size_t smallest_count,
                                   r_memory_fallback_policy_t policy)
CMEMPOOL_MUST_USE;

/* ---- Allocate an entry ---------------------------------------------------------------------- */

/**
 * Allocates an entry of `size` bytes.
 *
 * It comes from the smallest class whose entries are large enough; if that is empty, from where the policy
 * says. The entry may have more bytes than `size`; they become the caller's by `r_mempool_realloc_entry`: see
 * `mempool_usable_size`. A pool that was destroyed hands out nothing: see `mempool_alloc_entry`.
 *
 * @param rmp   a live ranged pool
 * @param size  bytes, 1 to the largest class's size
 * @return the entry, aligned like `max_align_t` or as chosen at create; NULL with `errno` set
 * @errno EINVAL  `rmp` is NULL, or the size is 0 or above the largest class's
 * @errno ENOMEM  no entry is available
 *
 * Threads: safe. Cost: O(1), as `mempool_alloc_entry`; O(classes) if the class that fits is empty. With an
 * explicit list, one step more for each class between the same two powers of two.
 */
void *r_mempool_alloc_entry(struct r_mempool *rmp,
                            size_t size)
CMEMPOOL_ENTRY CMEMPOOL_ALLOC_SIZE(2);

/**
 * Allocates an entry of `size` bytes, all zero.
 *
 * As `r_mempool_alloc_entry`; the cost grows with the size.
 */
void *r_mempool_calloc_entry(struct r_mempool *rmp,
                             size_t size)
CMEMPOOL_ENTRY CMEMPOOL_ALLOC_SIZE(2);

/* ---- Make an entry larger or smaller -------------------------------------------------------- */

/**
 * Makes an entry larger or smaller, as `realloc` does.
 *
 * If the size fits the entry's own class, the entry stays where it is, and `size` of its bytes are the
 * caller's from then on. Otherwise it moves: as many bytes as both sizes have are copied to an entry of the
 * class that fits, and the old entry is freed. Entries from the heap move into the pool and back in the same
 * way.
 *
 * An entry that shrinks moves to the class that fits. If that is empty, it counts as `exhausted` there (see
 * `mempool_stats`), and the entry moves to the next class that has an entry and is smaller than its own, or
 * stays where it is; `mempool_usable_size` says which.
 *
 * @param rmp    a live ranged pool
 * @param entry  a live entry of this ranged pool; NULL makes this `r_mempool_alloc_entry`. Anything
 *               else is misuse: see `mempool_free_entry`. On a pool that was destroyed, as
 *               `mempool_alloc_entry`
 * @param size   bytes, 1 to the largest class's size
 * @return the entry, at its old address or a new one; NULL with `errno` set: then the old entry is unchanged,
 *         and still out
 * @errno EINVAL  `rmp` is NULL, or the size is 0 or above the largest class's
 * @errno ENOMEM  no entry is available
 *
 * Threads: safe, as long as one thread at a time uses the entry. Cost: an alloc, a copy and a free if it
 * moves; else O(1).
 */
void *r_mempool_realloc_entry(struct r_mempool *rmp,
                              void *entry,
                              size_t size)
CMEMPOOL_MUST_USE CMEMPOOL_ALLOC_SIZE(3);

/* ---- Free an entry -------------------------------------------------------------------------- */

/**
 * Frees an entry, of whatever pool: the same as `mempool_free_entry`, and also a macro.
 */
void r_mempool_free_entry(void *entry);

/* ---- Destroy a pool ------------------------------------------------------------------------- */

/**
 * Destroys a ranged pool and everything in it: see `mempool_destroy`. Also a macro of the same
 * name, which sets the caller's variable to NULL.
 */
void r_mempool_destroy(struct r_mempool *rmp);

/* ---- Count entries -------------------------------------------------------------------------- */

/**
 * How many entries, free or out, the class that fits `size` has. 0 for a size of 0 or above the largest
 * class's, and for NULL.
 *
 * Threads: safe. Cost: as `mempool_total_capacity`, and for the class as in `r_mempool_alloc_entry`.
 */
size_t r_mempool_total_capacity(const struct r_mempool *rmp,
                                size_t size);

/**
 * How many entries of the class that fits `size` are out, whatever size was asked for; dynamic ones don't
 * count. 0 for a size of 0 or above the largest class's, and for NULL.
 *
 * Exact when no other thread is inside a call on the pool, and never above the capacity.
 *
 * Threads: safe. Cost: as `mempool_used_count`.
 */
size_t r_mempool_used_count(const struct r_mempool *rmp,
                            size_t size);

/**
 * How many entries from the heap are out.
 *
 * Under `fallback_at_first_exhaustion` it counts those that the class fitting `size` should have served; under
 * `fallback_at_last_exhaustion` all, whatever the size. 0 for a size of 0 or above the largest class's, and
 * for NULL.
 *
 * Threads: safe; under `fallback_at_last_exhaustion` exact when no other thread is inside a call
 * on the pool. Cost: as `mempool_dynamic_allocs_count`; under `fallback_at_last_exhaustion` O(classes)
 * more.
 */
size_t r_mempool_dynamic_allocs_count(const struct r_mempool *rmp,
                                      size_t size);

/* ---- Names that older binaries call --------------------------------------------------------- */

/**
 * `r_mempool_destroy` under the name that programs compiled against the original library call.
 */
void _r_mempool_destroy(struct r_mempool *rmp);

/* ---- Make a pool with options --------------------------------------------------------------- */

/**
 * Creates a pool with options.
 *
 * @param options  the options; read only during the call
 * @return the pool, to be destroyed with `mempool_destroy`; NULL with `errno` set
 * @errno EINVAL  NULL; a struct of an unknown size; an unknown flag; a count, size or alignment that breaks a
 *                rule; a buffer that is too small or misaligned; a backing that lacks a function or returns
 *                misaligned memory; either with a tagged pointer or an end above 2^48; huge pages together
 *                with either
 * @errno ENOMEM  memory is not available, or may not be locked (`RLIMIT_MEMLOCK`), or there are more entries
 *                than a pool can count
 * @errno EPERM   the process may not lock memory
 * @errno EAGAIN  not all of the memory could be locked
 *
 * Threads and cost: as `mempool_create`.
 */
struct mempool *mempool_create_with(const struct mempool_options *options)
CMEMPOOL_MUST_USE;

/**
 * Creates a ranged pool with options.
 *
 * @param options  the options; read only during the call
 * @return the ranged pool, to be destroyed with `r_mempool_destroy`; NULL with `errno` set
 * @errno EINVAL  NULL; a struct of an unknown size; an unknown flag or policy; classes or an alignment that
 *                break a rule; a buffer that is too small or misaligned; a backing that lacks a function or
 *                returns misaligned memory; either with a tagged pointer or an end above 2^48; huge pages
 *                together with either
 * @errno ENOMEM  memory is not available, or may not be locked (`RLIMIT_MEMLOCK`), or there are more entries
 *                than a pool can count
 * @errno EPERM   the process may not lock memory
 * @errno EAGAIN  not all of the memory could be locked
 *
 * Threads and cost: as `r_mempool_create`.
 */
struct r_mempool *r_mempool_create_with(const struct r_mempool_options *options)
CMEMPOOL_MUST_USE;

/* ---- Measure or declare a buffer ------------------------------------------------------------ */

/**
 * How many bytes a buffer needs for a pool with these options. Buffer, name, flags and backing in the options
 * don't matter.
 *
 * @return bytes; 0 with `errno` as `mempool_create_with` would set it
 *
 * `MEMPOOL_BUFFER_SIZE` gives the same number at compile time.
 *
 * Threads: safe. Cost: O(1).
 */
size_t mempool_buffer_size(const struct mempool_options *options);

/**
 * How many bytes a buffer needs for a ranged pool with these options. Buffer, name, flags, policy and backing
 * in the options don't matter.
 *
 * @return bytes; 0 with `errno` as `r_mempool_create_with` would set it
 *
 * `R_MEMPOOL_BUFFER_SIZE` gives the same number at compile time.
 *
 * Threads: safe. Cost: O(classes).
 */
size_t r_mempool_buffer_size(const struct r_mempool_options *options);

/* ---- Allocate and free many entries --------------------------------------------------------- */

/**
 * Allocates `n` entries at once: all of them, or none.
 *
 * As `n` calls of `mempool_alloc_entry`, and faster: the entries that the thread's cache lacks come from the
 * pool at once, under one lock. If the pool may take from the heap, missing entries come from there.
 *
 * A call that fails changes nothing and disturbs no other: no high-water mark moves, no other call finds the
 * pool emptier, and `exhausted` and `failed` count it once.
 *
 * ```c
 * void *packets[32];
 * if (mempool_alloc_bulk(mp, packets, 32)) {
 *     ...
 *     mempool_free_bulk(packets, 32);
 * }
 * ```
 *
 * @param mp       a live pool
 * @param entries  filled in with `n` entries; with NULL, if there are not so many
 * @param n        how many; 0 does nothing and succeeds
 * @return true if there were so many; else `errno` is set, and none is taken
 * @errno EINVAL  `mp` or `entries` is NULL
 * @errno ENOMEM  fewer than `n` entries are left (and the heap, if the pool may use it, has no memory for the
 *                others)
 *
 * Threads: safe. Cost: O(n), one uncontended lock; O(caches) more in a shortage.
 */
bool mempool_alloc_bulk(struct mempool *mp,
                        void **entries,
                        size_t n);

/**
 * As `mempool_alloc_bulk`, for entries of `size` bytes of a ranged pool. If the class that fits has too few,
 * the others come from where the pool's policy says.
 *
 * @param rmp      a live ranged pool
 * @param size     bytes of each, 1 to the largest class's size
 * @param entries  filled in with `n` entries; with NULL, if there are not so many
 * @param n        how many; 0 does nothing and succeeds
 * @return true if there were so many; else `errno` is set, and none is taken
 * @errno EINVAL  `rmp` or `entries` is NULL, or a size of 0 or above the largest class's
 * @errno ENOMEM  there are not so many entries
 */
bool r_mempool_alloc_bulk(struct r_mempool *rmp,
                          size_t size,
                          void **entries,
                          size_t n);

/**
 * Frees many entries at once, of whatever pools, ordinary or ranged, or from the heap.
 *
 * As `mempool_free_entry` for each, and faster if entries of the same pool follow each other: they share one
 * lock. The array is not changed. It must not lie in one of the entries: once that is freed, its content may
 * be gone before the next pointer is read.
 *
 * @param entries  `n` live entries, each once; NULLs among them are skipped. Anything else is misuse: see
 *                 `mempool_free_entry`. NULL instead of the array does nothing
 * @param n        how many
 *
 * Threads: safe. Cost: O(n), and an uncontended lock for each run of entries of the same pool.
 */
void mempool_free_bulk(void *const *entries,
                       size_t n);

/**
 * Frees all entries of a pool at once, including those from the heap, as if their holders had freed them. Then
 * all entries are free, as at create.
 *
 * To free one of them afterwards is a double free, caught until the entry is handed out again or, if it came
 * from the heap, while the heap has not reused its memory. Resetting a pool of which nothing is out changes
 * nothing. The high-water marks stay: see `mempool_reset_peak`.
 *
 * @param mp  a live pool; NULL does nothing
 *
 * Threads: no other thread may be inside a call on the pool or use its entries meanwhile, or use those entries
 * later. Other threads may use the pool again once they know that this call has returned. Cost: O(entries that
 * were ever out), much less than freeing each.
 */
void mempool_reset(struct mempool *mp);

/**
 * As `mempool_reset`, for all classes of a ranged pool.
 */
void r_mempool_reset(struct r_mempool *rmp);

/* ---- Figures of a pool ---------------------------------------------------------------------- */

/**
 * Returns a pool's figures: how full it is, how full it was, and how much memory it takes.
 *
 * ```c
 * mempool_stats stats = MEMPOOL_STATS_INIT;
 * if (mempool_get_stats(mp, &stats))
 *     printf("%zu of %zu, at most %zu\n", stats.used, stats.capacity, stats.peak_used);
 * ```
 *
 * @param mp     a live pool
 * @param stats  filled in; its `struct_size` must be set
 * @return true if it was; else `errno` is set, and nothing changes
 * @errno EINVAL  `mp` or `stats` is NULL, or this library knows no version with that `struct_size`
 *
 * Threads: safe; any thread may ask about a single-thread pool. Cost: O(log pools + threads that used the
 * pool), with the lock of the list of pools and then the pool's. The figures cost allocs and frees nothing,
 * except while several threads raise the high-water mark at the same time: then some of their allocs take the
 * pool's lock.
 */
bool mempool_get_stats(const struct mempool *mp,
                       struct mempool_stats *stats);

/**
 * How many classes a ranged pool has. 0 for NULL.
 *
 * Threads: safe. Cost: as `mempool_total_capacity`.
 */
size_t r_mempool_class_count(const struct r_mempool *rmp);

/**
 * As `mempool_get_stats`, of one class of a ranged pool.
 *
 * ```c
 * mempool_stats stats = MEMPOOL_STATS_INIT;
 * for (size_t i = 0; r_mempool_get_stats(rmp, i, &stats); i++)
 *     printf("%zu bytes: at most %zu of %zu\n", stats.elem_size, stats.peak_used, stats.capacity);
 * ```
 *
 * @param rmp    a live ranged pool
 * @param index  number of the class, from 0, the smallest, to `r_mempool_class_count(rmp) - 1`
 * @param stats  filled in; its `struct_size` must be set
 * @return true if it was; else `errno` is set, and nothing changes
 * @errno EINVAL  as for `mempool_get_stats`, or there is no such class
 */
bool r_mempool_get_stats(const struct r_mempool *rmp, size_t index, struct mempool_stats *stats);

/**
 * Restarts a pool's high-water marks from what is out now. The counts of exhausted and failed calls go on:
 * they only grow. NULL does nothing.
 *
 * Threads: safe. A call under way in another thread counts as before or after it. Cost: O(log pools), with the
 * lock of the list of all pools, and O(threads that used the pool), with the pool's; threads then refill their
 * caches.
 */
void mempool_reset_peak(struct mempool *mp);

/**
 * As `mempool_reset_peak`, for all classes of a ranged pool.
 */
void r_mempool_reset_peak(struct r_mempool *rmp);

/* ---- Ask about entries ---------------------------------------------------------------------- */

/**
 * How many bytes an entry has. In an ordinary pool, its holder may use all of them.
 *
 * In a ranged pool, the holder may use as many as it asked for, and the entry may have more. To use all of
 * them, ask `r_mempool_realloc_entry` for this size, and use the pointer that it returns: the entry stays
 * where it is, and nothing is copied. Before that, `_FORTIFY_SOURCE`, AddressSanitizer, Valgrind and hardened
 * pools may report a write there as an overflow.
 *
 * ```c
 * size_t size = mempool_usable_size(entry);
 * entry = r_mempool_realloc_entry(rmp, entry, size);
 * memset(entry, 0, size);
 * ```
 *
 * @param entry  a live entry of any pool; 0 for NULL. Anything else is misuse: see
 *               `mempool_free_entry`
 *
 * Threads: safe, as long as no thread frees the entry meanwhile. Cost: O(1); for an entry from the heap with
 * the pool's lock.
 */
size_t mempool_usable_size(const void *entry);

/**
 * The pool of an entry: a `mempool`, or an `r_mempool` if it came from a ranged pool.
 *
 * @param entry  a live entry of any pool; NULL for NULL. Anything else is misuse: see
 *               `mempool_free_entry`
 *
 * Threads: as `mempool_usable_size`.
 */
void *mempool_owner(const void *entry);

/**
 * Whether a pointer is an entry of this pool that is out. Any pointer will do: it is not followed.
 *
 * False for a pointer into the middle of an entry, for one that was freed, for NULL.
 *
 * Threads: safe; if another thread frees the entry meanwhile, the answer may be either. Cost: as
 * `mempool_total_capacity`; for a pointer outside the pool's memory also a lock and O(entries of the pool from
 * the heap that are out).
 */
bool mempool_owns(const struct mempool *mp,
                  const void *pointer);

/**
 * As `mempool_owns`, for a ranged pool: in its memory O(classes), elsewhere with a lock for each class.
 */
bool r_mempool_owns(const struct r_mempool *rmp,
                    const void *pointer);

/**
 * Calls `visit` with every entry of a pool that is out, those from the heap last, until it returns
 * false.
 *
 * `visit` may free the entry that it gets. It may allocate new ones; they may be visited or not. It must not
 * free another entry that came from the heap, nor destroy the pool.
 *
 * @param mp       a live pool; NULL does nothing
 * @param visit    called for each; NULL only counts
 * @param context  passed to `visit`; the library does not look at it
 * @return how many entries `visit` was called with
 *
 * Threads: other threads may allocate and free the pool's own entries meanwhile; these may be visited or not.
 * They must not free the entry that is being visited, nor one from the heap. Cost: O(capacity), with no lock
 * held while `visit` runs.
 */
size_t mempool_for_each_live(const struct mempool *mp,
                             mempool_visitor visit,
                             void *context);

/**
 * As `mempool_for_each_live`, class by class, the smallest first.
 */
size_t r_mempool_for_each_live(const struct r_mempool *rmp, mempool_visitor visit, void *context);

/* ---- Find pools ----------------------------------------------------------------------------- */

/**
 * Calls `visit` with every pool of the process, the newest first, until it returns false.
 *
 * `visit` may use the pool that it gets, create pools, and destroy any pool.
 *
 * @param visit    called for each; NULL only counts
 * @param context  passed to `visit`; the library does not look at it
 * @return how many pools `visit` was called with
 *
 * Threads: safe from any thread at any time. A pool that is created meanwhile is not visited. A pool that
 * another thread destroys may still be visited: use it in `visit` only if you know that it stays. Cost: O(log
 * pools) for each pool, with no lock held while `visit` runs.
 */
size_t mempool_for_each_pool(mempool_pool_visitor visit,
                             void *context);

/**
 * The ordinary pool with this name; the newest, if there are several.
 *
 * @param name  as given at create: a long name is cut here as it was there. No pool has the name NULL or ""
 * @return the pool; NULL if there is none. `errno` is not changed
 *
 * Threads: safe from any thread at any time; use the pool only if you know that nobody destroys it. Cost:
 * O(pools), with the lock of the list of pools.
 */
struct mempool *mempool_find(const char *name);

/**
 * As `mempool_find`, for ranged pools.
 */
struct r_mempool *r_mempool_find(const char *name);

/**
 * The version of the library that the program runs with, such as "1.0.0". Constant. Threads: safe. Cost: O(1).
 *
 * `CMEMPOOL_VERSION_MAJOR` and its like say the version of the header that it was compiled with.
 */
const char *cmempool_version(void);

#if !defined(CMEMPOOL_BARE)
/* ---- Reports -------------------------------------------------------------------------------- */

/**
 * Writes a report for a person: the pool's name, how full it is and was, a bar, how much memory it takes, and
 * advice where it was exhausted or never used.
 *
 * ```text
 * pool "sessions" at 0x7f12a4c00080: 88 KiB; hands out its own, ..
 *       size  capacity      used      peak  0%      used, peak  ..
 *       64 B      1000       412       871  [##########---------..
 * ```
 *
 * Behind the bar it shows how often the pool or class was exhausted, how many entries from the heap are out,
 * and how many were out at most.
 *
 * If writing to the stream fails, `ferror` says so.
 *
 * @param mp   a live pool; NULL writes nothing
 * @param out  a `FILE` that is open for writing
 *
 * Threads: safe; as exact as `mempool_get_stats`. If other threads write to the same stream meanwhile, their
 * text may come in between, even inside a line, unless you lock the stream with `flockfile`. Cost: writing
 * some lines.
 */
void mempool_dump(const struct mempool *mp,
                  FILE *out);

/**
 * As `mempool_dump`, with a line and a bar for each class of a ranged pool.
 */
void r_mempool_dump(const struct r_mempool *rmp, FILE *out);

/**
 * As `mempool_dump` and `r_mempool_dump`, for all pools of the process.
 *
 * The pools come in the reverse order of their creation.
 *
 * Threads: safe from any thread at any time; as exact as `mempool_get_stats`. A pool that is created meanwhile
 * is not in the report; one that is destroyed meanwhile is in it as a whole, in part or not at all. No lock of
 * the library is held while the stream is written to: a slow stream holds up no other thread. Cost: O(log
 * pools) for each pool, beside the writing.
 */
void mempool_dump_all(FILE *out);

/**
 * Writes the same as one line of JSON, for programs: an object with `kind` (`"ordinary"` or
 * `"ranged"`), `name`, `address`, `policy`, `bytes_reserved`, and in `classes` one object for each
 * class, an ordinary pool's only one included, with the members of `mempool_stats` by name.
 */
void mempool_dump_json(const struct mempool *mp, FILE *out);

/**
 * As `mempool_dump_json`, of a ranged pool.
 */
void r_mempool_dump_json(const struct r_mempool *rmp, FILE *out);

/**
 * As `mempool_dump_all`, a line of JSON for each pool.
 */
void mempool_dump_all_json(FILE *out);

/**
 * Writes the figures of all pools of the process as OpenMetrics text, for Prometheus and its like.
 *
 * A family for each figure of `mempool_stats`: `cmempool_used`, `cmempool_peak_used`, `cmempool_exhausted_total` and
 * so on. Each sample has the labels `pool`, the name; `class`, the usable bytes of an entry; and `address`, by
 * which pools of one name are told apart. `exhausted` and `failed` are counters: they only grow. Content type:
 * `application/openmetrics-text; version=1.0.0; charset=utf-8`. `c-examples/metrics.c` serves it.
 *
 * @param out  where to; a `FILE` that is open for writing
 *
 * Threads: as `mempool_dump_all`. Cost: that of writing, and O(log pools) for each pool and figure.
 */
void mempool_dump_all_openmetrics(FILE *out);
#endif

/* ---- Report misuse -------------------------------------------------------------------------- */

/**
 * Sets the function that the library calls when it finds a misuse. Without one, it writes a line to stderr.
 *
 * When the handler returns, the process aborts; only after `MEMPOOL_MISUSE_LEAK` destroy goes on. You can't
 * change that: a damaged pool may hand out the same memory twice. Use a handler to log in the program's own
 * way, to stop for a debugger, or to end the process by `_exit`.
 *
 * The handler runs in the thread that made the call, inside that call, with no lock of the library held and
 * with cancellation off. Several threads may call it at once. It must return or end the process: no `longjmp`,
 * no C++ exception, no `pthread_exit`. It may call the library's functions, for example to count the pool's
 * entries, but must not destroy that pool, nor fork and use pools in the child. A pool in which the same
 * memory was found free twice hands out no more of its own: NULL with ENOMEM, or entries from the heap. If the
 * handler itself commits a misuse, its line goes to stderr, and the process aborts.
 *
 * ```c
 * static void on_misuse(const mempool_misuse *report, void *context)
 * {
 *     FILE *log = context;
 *     fprintf(log, "%s\n", report->text);
 *     if (report->kind == MEMPOOL_MISUSE_LEAK)
 *         return;
 *     fflush(log);
 *     _exit(70);
 * }
 * ...
 * mempool_set_misuse_handler(on_misuse, stderr);
 * ```
 *
 * The heap may be damaged when a handler runs. If that matters, do only what a signal handler may do, such as
 * `write(2, report->text, strlen(report->text))`.
 *
 * @param handler  called with a report, which is valid until it returns, and the context; NULL restores the
 *                 default
 * @param context  passed to the handler; the library does not look at it
 *
 * Handler and context change together: a misuse in another thread meanwhile calls the old handler with the old
 * context, or the new one with the new. The old handler may still run when this returns.
 *
 * Threads: safe. Cost: O(1). Errors: none. The handler is for all pools of the process, created before or
 * after.
 */
void mempool_set_misuse_handler(mempool_misuse_handler handler,
                                void *context);

/* ---- Make a pool as the original's newer release does --------------------------------------- */

/**
 * Creates a pool in a buffer, with as many entries as fit: `elem_count`, if `DECLARE_STATIC_MEMPOOL_BUFFER`
 * declared the buffer for that many of this size.
 *
 * Programs for the original's newer release compile unchanged. There `mempool_create` and `r_mempool_create`
 * take one argument more, and the latter takes exponents instead of sizes and a count. This creates a pool of
 * 1000 sessions for one thread at a time, and a ranged pool of 2^4 to 2^16 bytes with 2^17 entries in the
 * smallest class:
 *
 * ```c
 * mempool *mp = mempool_create(1000, sizeof(struct session), false, true);
 * r_mempool *rmp = r_mempool_create(4, 16, 17, fallback_disabled, false);
 * ```
 *
 * Both names are macros as well as functions; the number of arguments decides which form is meant. A program
 * may use both. An argument with a comma outside of parentheses, as in `f<1, 2>()`, needs parentheses around
 * it. The functions themselves, as in `(mempool_create)(1000, 8, false)`, and their addresses have the older
 * form.
 *
 * With exponents, as in the original, create fails with EINVAL if the smallest class's exponent is below 4 or
 * another one is 0. The older form, in contrast, makes a smallest class of 16 bytes of any smaller size.
 *
 * @param buffer       memory of the caller's, aligned to 16 bytes, that belongs to the pool until
 *                     that is destroyed
 * @param buffer_size  its bytes
 * @param elem_size    usable bytes of each entry, at least 1
 * @param fallback_to_dynamic_memory  as for `mempool_create`
 * @param will_be_accessed_by_only_one_thread  true: as `MEMPOOL_SINGLE_THREAD`
 * @return the pool, to be destroyed with `mempool_destroy`; NULL with `errno` set
 * @errno EINVAL  a size of 0; no buffer, or one that is misaligned, too small for one entry, has a tagged
 *                pointer or ends above 2^48
 * @errno ENOMEM  other memory that the pool needs is not available
 *
 * Threads and cost: as `mempool_create`.
 */
struct mempool *mempool_create_from_preallocated_buffer(void *buffer,
                                                        size_t buffer_size,
                                                        size_t elem_size,
                                                        bool fallback_to_dynamic_memory,
                                                        bool will_be_accessed_by_only_one_thread)
CMEMPOOL_MUST_USE;

/**
 * Creates a ranged pool in a buffer, with exponents as for the newer form of `r_mempool_create`.
 *
 * `DECLARE_STATIC_RMEMPOOL_BUFFER` declares such a buffer. What `r_mempool_create` says of sizes
 * and counts holds here, except that a smallest class of less than 2^4 bytes is refused.
 *
 * @param buffer       memory of the caller's, aligned to 16 bytes, that belongs to the ranged pool
 *                     until it is destroyed
 * @param buffer_size  its bytes
 * @param smallest_exponent  the smallest class's entries have 2 to the power of this usable bytes; at
 *                           least 4
 * @param largest_exponent   and the largest class's 2 to the power of that
 * @param count_exponent     the smallest class has 2 to the power of this entries; at least 1
 * @param policy       what to do when the class that fits is empty
 * @param will_be_accessed_by_only_one_thread  true: as `MEMPOOL_SINGLE_THREAD`
 * @return the ranged pool, to be destroyed with `r_mempool_destroy`; NULL with `errno` set
 * @errno EINVAL  a smallest exponent below 4, another one of 0; sizes, a count or a policy that
 *                `r_mempool_create` refuses; no buffer, or one that is too small, misaligned, has a tagged
 *                pointer or ends above 2^48
 * @errno ENOMEM  so much can't be counted, or the pool can't be made for want of memory elsewhere
 *
 * Threads and cost: as `r_mempool_create`.
 */
struct r_mempool *r_mempool_create_from_preallocated_buffer(void *buffer,
                                                            size_t buffer_size,
                                                            size_t smallest_exponent,
                                                            size_t largest_exponent,
                                                            size_t count_exponent,
                                                            r_memory_fallback_policy_t policy,
                                                            bool will_be_accessed_by_only_one_thread)
CMEMPOOL_MUST_USE;

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

/* ---- Make a pool with options --------------------------------------------------------------- */

/** The value to start a `mempool_options` from, as `mempool_options o = MEMPOOL_OPTIONS_INIT;` */
#define MEMPOOL_OPTIONS_INIT {sizeof(mempool_options), 0, 0, 0, NULL, NULL, 0, 0, NULL}

/** The value to start an `r_mempool_options` from. */
#define R_MEMPOOL_OPTIONS_INIT \
    {sizeof(r_mempool_options), 0, 0, 0, NULL, 0, 0, NULL, NULL, 0, 0, fallback_disabled, 0, NULL}

/** The value to start a `mempool_backing` from. */
#define MEMPOOL_BACKING_INIT {sizeof(mempool_backing), NULL, NULL, NULL}

/* ---- Figures of a pool ---------------------------------------------------------------------- */

/** The value to start a `mempool_stats` from, as `mempool_stats s = MEMPOOL_STATS_INIT;` */
#define MEMPOOL_STATS_INIT {sizeof(mempool_stats), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

/* ---- Measure or declare a buffer ------------------------------------------------------------ */

/** Bytes of a buffer for a pool of `elem_count` entries of `elem_size` bytes, default alignment.
 *  A constant expression if its arguments are; equal to `mempool_buffer_size`. */
#define MEMPOOL_BUFFER_SIZE(elem_count, elem_size) \
    (CMEMPOOL_PER_REGION + R_MEMPOOL_CLASS_SIZE(elem_count, elem_size))

/** Declares a static array `name` that is a buffer for a pool of exactly `elem_count` entries of
 *  `elem_size` bytes. Usable at file scope and in functions, in C and C++; write a semicolon after
 *  it. Give it to `mempool_create_with` as `buffer`, and `sizeof name` as `buffer_size`.
 *
 *      MEMPOOL_STATIC_BUFFER(memory, 100, sizeof(struct session));
 *
 *      mempool_options options = MEMPOOL_OPTIONS_INIT;
 *      options.elem_count = 100;
 *      options.elem_size = sizeof(struct session);
 *      options.buffer = memory;
 *      options.buffer_size = sizeof memory;
 *      mempool *mp = mempool_create_with(&options); */
#define MEMPOOL_STATIC_BUFFER(name, elem_count, elem_size) \
    static CMEMPOOL_ALIGNED(64) unsigned char name[MEMPOOL_BUFFER_SIZE(elem_count, elem_size)]

/** Bytes of a buffer for a ranged pool of powers of two, with default alignment. The arguments are
 *  those of `r_mempool_create`, and must be valid there. A constant expression if its arguments are;
 *  equal to `r_mempool_buffer_size`. */
#define R_MEMPOOL_BUFFER_SIZE(smallest_size, largest_size, smallest_count) \
    CMEMPOOL_RANGED_SIZE(CMEMPOOL_CLASS_BITS(smallest_size), CMEMPOOL_BITS(largest_size), \
                         (size_t)1 << CMEMPOOL_BITS(smallest_count))

/** Declares a static array `name` that is a buffer for exactly that ranged pool: see
 *  `MEMPOOL_STATIC_BUFFER`. Give it to `r_mempool_create_with`. */
#define R_MEMPOOL_STATIC_BUFFER(name, smallest_size, largest_size, smallest_count) \
    static CMEMPOOL_ALIGNED(64) unsigned char \
        name[R_MEMPOOL_BUFFER_SIZE(smallest_size, largest_size, smallest_count)]

/** Bytes that a ranged pool's buffer needs beside its classes. The buffer for an explicit list of
 *  classes needs this, plus `R_MEMPOOL_CLASS_SIZE` for each class. */
#define R_MEMPOOL_BUFFER_BASE ((size_t)(CMEMPOOL_PER_REGION + CMEMPOOL_PER_RANGED))

/** Bytes that one class adds to a buffer, with default alignment. */
#define R_MEMPOOL_CLASS_SIZE(elem_count, elem_size) \
    (CMEMPOOL_PER_CLASS + \
     (size_t)(elem_count) * \
         ((((size_t)(elem_size) + 8 + 15) & ~(size_t)15) + CMEMPOOL_PER_SLOT))

/* Classes of 2^s to 2^l bytes, n entries in the smallest: each has n * 2^s bytes of payload, and 16
 * bytes of header and padding per slot; all slots together are 2n less those of the last class. */
#define CMEMPOOL_RANGED_SIZE(s, l, n) \
    (R_MEMPOOL_BUFFER_BASE + ((l) - (s) + 1) * (CMEMPOOL_PER_CLASS + ((n) << (s))) + \
     (2 * (n) - ((n) >> ((l) - (s)))) * (16 + CMEMPOOL_PER_SLOT))

/* The smallest b, up to 47, with x <= 2^b; at least 4 for a class. */
#define CMEMPOOL_CLASS_BITS(x) (CMEMPOOL_BITS(x) < 4 ? 4 : CMEMPOOL_BITS(x))
#define CMEMPOOL_ABOVE(x, b) (((unsigned long long)(x) > 1ull << (b)) ? 1 : 0)
#define CMEMPOOL_ABOVE_4(x, b) \
    (CMEMPOOL_ABOVE(x, b) + CMEMPOOL_ABOVE(x, b + 1) + CMEMPOOL_ABOVE(x, b + 2) + \
     CMEMPOOL_ABOVE(x, b + 3))
#define CMEMPOOL_ABOVE_16(x, b) \
    (CMEMPOOL_ABOVE_4(x, b) + CMEMPOOL_ABOVE_4(x, b + 4) + CMEMPOOL_ABOVE_4(x, b + 8) + \
     CMEMPOOL_ABOVE_4(x, b + 12))
#define CMEMPOOL_BITS(x) \
    (CMEMPOOL_ABOVE_16(x, 0) + CMEMPOOL_ABOVE_16(x, 16) + CMEMPOOL_ABOVE_16(x, 32))

/* ---- Make a pool as the original's newer release does --------------------------------------- */

/** Declares a static array `name` that is a buffer for a pool of exactly `elem_count` entries of
 *  `elem_size` bytes: see `MEMPOOL_STATIC_BUFFER`.
 *
 *      DECLARE_STATIC_MEMPOOL_BUFFER(memory, 100, sizeof(struct session));
 *
 *      mempool *mp = mempool_create_from_preallocated_buffer(
 *          memory, sizeof memory, sizeof(struct session), false, false); */
#define DECLARE_STATIC_MEMPOOL_BUFFER(name, elem_count, elem_size) \
    MEMPOOL_STATIC_BUFFER(name, elem_count, elem_size)

/** Declares a static array `name` that is a buffer for exactly the ranged pool of these exponents:
 *  give `r_mempool_create_from_preallocated_buffer` the same. */
#define DECLARE_STATIC_RMEMPOOL_BUFFER(name, smallest_exponent, largest_exponent, count_exponent) \
    R_MEMPOOL_STATIC_BUFFER(name, (size_t)1 << (smallest_exponent), \
                            (size_t)1 << (largest_exponent), (size_t)1 << (count_exponent))

/* 2^e. For an exponent below the least, 0, which create refuses; for one beyond the width of a size, the
 * largest size, which no pool can have. */
#define CMEMPOOL_POWER_OF_TWO(e, least) \
    ((e) < (least) ? 0 : (size_t)(e) < 8 * sizeof(size_t) ? (size_t)1 << (e) : SIZE_MAX)

static inline CMEMPOOL_MUST_USE mempool *cmempool_create_4(size_t elem_count, size_t elem_size,
                                                           bool fall_back, bool single_thread)
{
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = elem_count;
    options.elem_size = elem_size;
    options.flags = (fall_back ? (uint64_t)MEMPOOL_FALL_BACK : 0) |
                    (single_thread ? (uint64_t)MEMPOOL_SINGLE_THREAD : 0);
    return mempool_create_with(&options);
}

static inline CMEMPOOL_MUST_USE r_mempool *cmempool_r_create_5(size_t smallest_exponent,
                                                               size_t largest_exponent,
                                                               size_t count_exponent,
                                                               r_memory_fallback_policy_t policy,
                                                               bool single_thread)
{
    r_mempool_options options = R_MEMPOOL_OPTIONS_INIT;
    options.smallest_size = CMEMPOOL_POWER_OF_TWO(smallest_exponent, 4);
    options.largest_size = CMEMPOOL_POWER_OF_TWO(largest_exponent, 1);
    options.smallest_count = CMEMPOOL_POWER_OF_TWO(count_exponent, 1);
    options.policy = policy;
    options.flags = single_thread ? MEMPOOL_SINGLE_THREAD : 0;
    return r_mempool_create_with(&options);
}

/* The number of arguments decides which name is in the sixth place. */
#define CMEMPOOL_SIXTH(a, b, c, d, e, f, ...) f
#define mempool_create(...) \
    CMEMPOOL_SIXTH(__VA_ARGS__, mempool_create, cmempool_create_4, mempool_create, \
                   mempool_create, mempool_create, 0)(__VA_ARGS__)
#define r_mempool_create(...) \
    CMEMPOOL_SIXTH(__VA_ARGS__, cmempool_r_create_5, r_mempool_create, r_mempool_create, \
                   r_mempool_create, r_mempool_create, 0)(__VA_ARGS__)

/* ---- The fast paths, inlined ----------------------------------------------------------------- */

/* With optimisation and without sanitizers, alloc and free are inlined: they do what needs no lock, and call
 * the library for the rest. Define CMEMPOOL_NO_INLINE before the header to turn that off. Do so in code that
 * may move to another thread in the middle of a function, as fibers and coroutines can: compilers look up a
 * thread's data once per function. `(mempool_alloc_entry)(mp)`, `(mempool_free_entry)(p)` and pointers to the
 * functions call the library.
 *
 * What this code reads of the library is layout 1, which no release changes: the thread block, the process
 * block, and the fields of pools and caches below. A library with another layout leaves the distance of layout
 * 1 negative, as it is in a thread without a cache; then this code calls the library. */

#ifdef __cplusplus
extern "C" {
#endif

/* Called when the thread's cache is empty, full or closed. */
void *_mempool_alloc_missed(mempool *mp);
void *_r_mempool_alloc_missed(r_mempool *rmp, void *pool, size_t size);
void _mempool_free_missed(void *pool);

#ifdef __cplusplus
}
#endif

#if defined(__has_feature)
#define CMEMPOOL_HAS(feature) __has_feature(feature)
#else
#define CMEMPOOL_HAS(feature) 0
#endif

#if defined(__GNUC__) && defined(__OPTIMIZE__) && !defined(__OPTIMIZE_SIZE__) && \
    defined(__GLIBC__) && defined(__LP64__) && (defined(__x86_64__) || defined(__aarch64__)) && \
    !defined(CMEMPOOL_NO_INLINE) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_HWADDRESS__) && \
    !CMEMPOOL_HAS(address_sanitizer) && !CMEMPOOL_HAS(memory_sanitizer) && \
    !CMEMPOOL_HAS(thread_sanitizer) && !CMEMPOOL_HAS(hwaddress_sanitizer)

#ifdef __cplusplus
extern "C" {
#endif

struct cmempool_process_1 {
    uintptr_t added;
    uintptr_t factor;
    uintptr_t likely[1024];
};

struct cmempool_thread_1 {
    uintptr_t distance;
    const struct cmempool_process_1 *process;
    uintptr_t other_layouts[6];
};

struct cmempool_pool_1 {
    uintptr_t first;
    uintptr_t end;
    size_t elem_size;
};

/* Addresses, compared as signed numbers: all 0 where no thread was. */
struct cmempool_cache_1 {
    intptr_t sp;
    intptr_t floor;
    intptr_t ceiling;
};

__extension__ extern __thread struct cmempool_thread_1 cmempool_thread
    __attribute__((tls_model("initial-exec")));

#ifdef __cplusplus
}
#endif

#define CMEMPOOL_CACHES_1 320
#define CMEMPOOL_SIZES_1 192
/* What makes a word that says "free" one that says "out", and back. */
#define CMEMPOOL_FREE_1 (~(uintptr_t)0x7E)
/* The word of the entry at an address, which may be anything. */
typedef uintptr_t cmempool_word_1 __attribute__((aligned(1), may_alias));
#define CMEMPOOL_WORD_1(address) ((cmempool_word_1 *)((address) - sizeof(uintptr_t)))
#define CMEMPOOL_LIKELY(x) __builtin_expect(!!(x), 1)

#define CMEMPOOL_FIRST_1(pool) __atomic_load_n(&(pool)->first, __ATOMIC_RELAXED)

/* Takes the top of the thread's cache, if it has one for the fast path. */
#define CMEMPOOL_POP_1(pool, distance, missed) \
    do { \
        uintptr_t cmempool_at = (distance) - CMEMPOOL_FIRST_1(pool); \
        if (CMEMPOOL_LIKELY(cmempool_at < (pool)->end)) { \
            struct cmempool_cache_1 *cmempool_cache = \
                (struct cmempool_cache_1 *)(void *)((char *)(pool) + CMEMPOOL_CACHES_1 + \
                                                    cmempool_at); \
            intptr_t cmempool_sp = cmempool_cache->sp - (intptr_t)sizeof(void *); \
            __atomic_store_n(&cmempool_cache->sp, cmempool_sp, __ATOMIC_RELEASE); \
            __atomic_signal_fence(__ATOMIC_SEQ_CST); \
            if (CMEMPOOL_LIKELY(cmempool_sp >= \
                                __atomic_load_n(&cmempool_cache->floor, __ATOMIC_RELAXED))) { \
                void *cmempool_entry = __atomic_load_n((void **)cmempool_sp, __ATOMIC_RELAXED); \
                *CMEMPOOL_WORD_1((uintptr_t)cmempool_entry) ^= CMEMPOOL_FREE_1; \
                return cmempool_entry; \
            } \
            return missed; \
        } \
    } while (0)

static inline CMEMPOOL_ENTRY void *cmempool_alloc_1(mempool *mp)
{
    uintptr_t distance = cmempool_thread.distance;
    if (CMEMPOOL_LIKELY((intptr_t)distance >= 0 && mp != NULL)) {
        struct cmempool_pool_1 *pool = (struct cmempool_pool_1 *)(void *)mp;
        CMEMPOOL_POP_1(pool, distance, _mempool_alloc_missed(mp));
    }
    return (mempool_alloc_entry)(mp);
}

static inline CMEMPOOL_ENTRY void *cmempool_r_alloc_1(r_mempool *rmp, size_t size)
{
    uintptr_t distance = cmempool_thread.distance;
    if (CMEMPOOL_LIKELY((intptr_t)distance >= 0 && rmp != NULL)) {
        struct cmempool_pool_1 *const *sizes =
            (struct cmempool_pool_1 *const *)(const void *)((const char *)rmp + CMEMPOOL_SIZES_1);
        /* The bits of size - 1. A size that no class has is found out below. */
        struct cmempool_pool_1 *pool = sizes[63 ^ __builtin_clzll(2 * (unsigned long long)size - 1)];
        if (CMEMPOOL_LIKELY(pool != NULL && size <= pool->elem_size && size != 0)) {
            CMEMPOOL_POP_1(pool, distance, _r_mempool_alloc_missed(rmp, pool, size));
        }
    }
    return (r_mempool_alloc_entry)(rmp, size);
}

static inline void cmempool_free_1(void *entry)
{
    const struct cmempool_thread_1 *thread = &cmempool_thread;
    uintptr_t distance = thread->distance;
    if (CMEMPOOL_LIKELY((intptr_t)distance >= 0 && entry != NULL)) {
        __extension__ typedef unsigned __int128 cmempool_product;
        const struct cmempool_process_1 *process = thread->process;
        uintptr_t address = (uintptr_t)entry;
        uintptr_t likely = process->likely[address / 16384 % 1024];
        uintptr_t compared = likely;
        cmempool_product product = (cmempool_product)(address ^ process->added) * process->factor;
        uintptr_t word, owner;
        /* The compiler is not to know that they are equal then: it would wait for the word. Nor that the
         * word lies outside of the entry, whose size it may know. */
        __asm__("" : "+r"(compared), "+r"(address));
        word = *CMEMPOOL_WORD_1(address);
        owner = word ^ (uintptr_t)product ^ (uintptr_t)(product >> 64);
        if (CMEMPOOL_LIKELY(owner == compared)) {
            const struct cmempool_pool_1 *pool = (const struct cmempool_pool_1 *)likely;
            uintptr_t at = distance - CMEMPOOL_FIRST_1(pool);
            if (CMEMPOOL_LIKELY(at < pool->end)) {
                struct cmempool_cache_1 *cache =
                    (struct cmempool_cache_1 *)(likely + CMEMPOOL_CACHES_1 + at);
                intptr_t sp = cache->sp;
                if (CMEMPOOL_LIKELY(sp > 0)) {
                    *CMEMPOOL_WORD_1(address) = word ^ CMEMPOOL_FREE_1;
                    __atomic_store_n((void **)sp, entry, __ATOMIC_RELAXED);
                    __atomic_store_n(&cache->sp, sp + (intptr_t)sizeof(void *), __ATOMIC_RELEASE);
                    __atomic_signal_fence(__ATOMIC_SEQ_CST);
                    if (CMEMPOOL_LIKELY(sp < __atomic_load_n(&cache->ceiling, __ATOMIC_RELAXED))) {
                        return;
                    }
                    _mempool_free_missed((void *)likely);
                    return;
                }
            }
        }
    }
    (mempool_free_entry)(entry);
}

#define mempool_alloc_entry(...) cmempool_alloc_1(__VA_ARGS__)
/* Where the library's own checks of sizes are on, the compiler learns them from a call alone. */
#if !defined(_FORTIFY_SOURCE) || _FORTIFY_SOURCE == 0
#define r_mempool_alloc_entry(...) cmempool_r_alloc_1(__VA_ARGS__)
#endif
#define CMEMPOOL_FREE(entry) cmempool_free_1(entry)
#define CMEMPOOL_R_FREE(entry) cmempool_free_1(entry)
#else
#define CMEMPOOL_FREE(entry) (mempool_free_entry)(entry)
#define CMEMPOOL_R_FREE(entry) (r_mempool_free_entry)(entry)
#endif

/* ---- Free and destroy: also set the caller's variable to NULL ------------------------------- */

/* Sets the pointer variable at `variable` to NULL and returns what it was. By bytes, since the
 * variable may be a pointer to anything. */
static inline CMEMPOOL_NONNULL void *cmempool_take_pointer(void *variable)
{
    void *pointer;
    void *none = NULL;
    CMEMPOOL_COPY(&pointer, variable, sizeof pointer);
    CMEMPOOL_COPY(variable, &none, sizeof none);
    return pointer;
}

/* The value of the pointer variable `v`, which is NULL afterwards. `v` is evaluated once: `sizeof`
 * only makes sure that it can be compared with a pointer. */
#define CMEMPOOL_TAKE(v) ((void)sizeof((v) == NULL), cmempool_take_pointer(&(v)))

#define mempool_free_entry(entry) CMEMPOOL_FREE(CMEMPOOL_TAKE(entry))
#define r_mempool_free_entry(entry) CMEMPOOL_R_FREE(CMEMPOOL_TAKE(entry))
#define mempool_destroy(mp) mempool_destroy((mempool *)CMEMPOOL_TAKE(mp))
#define r_mempool_destroy(rmp) r_mempool_destroy((r_mempool *)CMEMPOOL_TAKE(rmp))

#endif /* CMEMPOOL_H */
