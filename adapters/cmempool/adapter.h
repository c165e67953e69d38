/* How does a ranged pool stand in for malloc, calloc, realloc and free?
 *
 * The other headers of this directory plug it into libraries. By itself it serves any other
 * library that lets you replace its allocator.
 *
 *     r_mempool *pool = r_mempool_create(16, 4096, 1024, fallback_at_last_exhaustion);
 *     cmempool_adapter adapter;
 *     if (!cmempool_adapter_init(&adapter, pool)) ...
 *     void *block = cmempool_adapter_malloc(&adapter, 100);
 *
 * Blocks up to the size of the pool's largest class are entries of the pool. When it has none
 * left, its policy decides: fallback_disabled bounds the memory, the others ask the heap.
 * Larger blocks always come from the heap, and the pool's flags don't affect them. Realloc
 * moves blocks between the two.
 *
 * All blocks are aligned for max_align_t, entries also as their pool's options say. A size of 0
 * counts as 1. Functions that fail return NULL with errno set to ENOMEM, and change nothing.
 * Free and realloc need a live block of the same adapter; anything else is misuse, which the
 * pool reports: see mempool_free_entry. Any number of threads may use an adapter at once,
 * unless its pool is for a single one. Cost: that of the pool's functions, or of malloc's for
 * larger sizes; telling the two apart takes one load of memory that a free reads anyway.
 *
 * C11 and C++11; GCC and Clang. */
#if !defined(__cplusplus) && (!defined(__STDC_VERSION__) || __STDC_VERSION__ < 201112L)
#error "<cmempool/adapter.h> needs C11 or newer, such as -std=c11"
#elif !defined(CMEMPOOL_ADAPTER_H)
#define CMEMPOOL_ADAPTER_H

#include <cmempool.h>

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* Its members are for the functions below. */
typedef struct cmempool_adapter {
    r_mempool *pool;
    size_t largest;    /* usable bytes of the largest class's entries */
    size_t larger_out; /* blocks from the heap that are out; atomic */
    uintptr_t key;     /* random */
} cmempool_adapter;

/* What lies before a block from the heap. Before an entry, at the place of `mark`, lies the
 * pool's word, which can be read and depends on a secret of the library: it equals the mark
 * with a chance of 2^-64. */
typedef struct cmempool_adapter_header {
    size_t size;    /* usable bytes */
    uintptr_t mark; /* says that this is a live block of this adapter's */
} cmempool_adapter_header;

#ifdef __cplusplus
static_assert(sizeof(cmempool_adapter_header) % alignof(max_align_t) == 0, "keeps the alignment");
#else
_Static_assert(sizeof(cmempool_adapter_header) % _Alignof(max_align_t) == 0, "keeps the alignment");
#endif

/* Initialises an adapter for a live ranged pool, which must stay until the adapter's last
 * block is freed. The adapter itself needs no cleanup. False with errno set to EINVAL if
 * there is no pool. */
static inline bool cmempool_adapter_init(cmempool_adapter *adapter, r_mempool *pool)
{
    mempool_stats largest = MEMPOOL_STATS_INIT;
    if (!r_mempool_get_stats(pool, r_mempool_class_count(pool) - 1, &largest))
        return false;
    adapter->pool = pool;
    adapter->largest = largest.elem_size;
    adapter->larger_out = 0;
    if (getrandom(&adapter->key, sizeof adapter->key, GRND_NONBLOCK) != sizeof adapter->key)
        adapter->key = (uintptr_t)pool * (uintptr_t)0x9e3779b97f4a7c15; /* not for all to know */
    return true;
}

/* How many blocks are out that came from the heap because of their size. */
static inline size_t cmempool_adapter_larger_count(const cmempool_adapter *adapter)
{
    return __atomic_load_n(&adapter->larger_out, __ATOMIC_RELAXED);
}

/* ---- Blocks from the heap ------------------------------------------------------------------- */

#define CMEMPOOL_ADAPTER_COLD __attribute__((noinline, cold, unused))
/* No heap has larger ones, and tools complain of the question. */
#define CMEMPOOL_ADAPTER_MOST ((size_t)PTRDIFF_MAX - sizeof(cmempool_adapter_header))

/* What lies before a block. The compiler must not learn that an allocation begins at the
 * block: it would assume that nobody looks before it. */
static inline cmempool_adapter_header *cmempool_adapter_header_of(const void *memory)
{
    uintptr_t address = (uintptr_t)memory - sizeof(cmempool_adapter_header);
    __asm__("" : "+r"(address));
    return (cmempool_adapter_header *)address;
}

/* Differs from block to block, so that a copy elsewhere does not pass. */
static inline uintptr_t cmempool_adapter_mark(const cmempool_adapter *adapter, const void *memory)
{
    return ((uintptr_t)memory ^ adapter->key) * (uintptr_t)0x9e3779b97f4a7c15;
}

/* A mark wherever a foreign pointer may point. */
typedef struct __attribute__((packed, may_alias)) cmempool_adapter_any_mark {
    uintptr_t mark;
} cmempool_adapter_any_mark;

/* Whether a block is from the heap. A pointer that is neither that nor an entry goes to the
 * pool, too, which reports it. AddressSanitizer lets only the library read the bytes before
 * an entry, so this read is not instrumented. */
static inline __attribute__((no_sanitize_address)) bool
cmempool_adapter_is_larger(const cmempool_adapter *adapter, const void *memory)
{
    const cmempool_adapter_any_mark *any =
        (const cmempool_adapter_any_mark *)&cmempool_adapter_header_of(memory)->mark;
    return any->mark == cmempool_adapter_mark(adapter, memory);
}

/* Makes memory from the heap a live block; returns what its holder gets. */
static inline void *cmempool_adapter_open(const cmempool_adapter *adapter, void *memory,
                                          size_t size)
{
    cmempool_adapter_header *header = (cmempool_adapter_header *)memory;
    header->size = size;
    header->mark = cmempool_adapter_mark(adapter, header + 1);
    return header + 1;
}

/* Takes the mark off a block that goes back to the heap. Volatile, or the compiler would leave
 * out a store to what is freed. */
static inline void cmempool_adapter_close(cmempool_adapter_header *header)
{
    *(volatile uintptr_t *)&header->mark = 0;
}

static CMEMPOOL_ADAPTER_COLD void *cmempool_adapter_malloc_larger(cmempool_adapter *adapter,
                                                                  size_t size, bool zero)
{
    const size_t bytes = sizeof(cmempool_adapter_header) + size;
    void *memory = NULL;
    if (size <= CMEMPOOL_ADAPTER_MOST)
        memory = zero ? calloc(1, bytes) : malloc(bytes);
    if (!memory) {
        errno = ENOMEM;
        return NULL;
    }
    __atomic_fetch_add(&adapter->larger_out, 1, __ATOMIC_RELAXED);
    return cmempool_adapter_open(adapter, memory, size);
}

static CMEMPOOL_ADAPTER_COLD void cmempool_adapter_free_larger(cmempool_adapter *adapter,
                                                               void *memory)
{
    cmempool_adapter_header *header = cmempool_adapter_header_of(memory);
    cmempool_adapter_close(header);
    __atomic_fetch_sub(&adapter->larger_out, 1, __ATOMIC_RELAXED);
    free(header);
}

static CMEMPOOL_ADAPTER_COLD void *cmempool_adapter_realloc_larger(cmempool_adapter *adapter,
                                                                   void *memory, size_t size)
{
    cmempool_adapter_header *header = cmempool_adapter_header_of(memory);
    const size_t had = header->size;
    if (size <= adapter->largest) {
        void *entry = r_mempool_alloc_entry(adapter->pool, size);
        if (entry) {
            memcpy(entry, memory, had < size ? had : size);
            cmempool_adapter_free_larger(adapter, memory);
            return entry;
        }
        /* Without a free entry, it stays on the heap: shrinking must not fail. */
    }
    void *moved = NULL;
    cmempool_adapter_close(header);
    if (size <= CMEMPOOL_ADAPTER_MOST)
        moved = realloc(header, sizeof *header + size);
    if (moved)
        return cmempool_adapter_open(adapter, moved, size);
    cmempool_adapter_open(adapter, header, had);
    if (size <= had)
        return memory;
    errno = ENOMEM;
    return NULL;
}

/* An entry becomes a block on the heap. */
static CMEMPOOL_ADAPTER_COLD void *cmempool_adapter_outgrow(cmempool_adapter *adapter, void *entry,
                                                            size_t size)
{
    void *memory = cmempool_adapter_malloc_larger(adapter, size, false);
    if (memory) {
        /* The size that was asked for is not known here. So this asks for all of the entry,
         * which stays where it is, and copies that. It is less than `size`, which no class
         * serves. */
        const size_t had = mempool_usable_size(entry);
        entry = r_mempool_realloc_entry(adapter->pool, entry, had);
        memcpy(memory, entry, had);
        r_mempool_free_entry(entry);
    }
    return memory;
}

/* ---- What malloc and its like do ------------------------------------------------------------ */

static inline void *cmempool_adapter_malloc(cmempool_adapter *adapter, size_t size)
{
    if (size > adapter->largest)
        return cmempool_adapter_malloc_larger(adapter, size, false);
    return r_mempool_alloc_entry(adapter->pool, size + (size == 0));
}

static inline void *cmempool_adapter_calloc(cmempool_adapter *adapter, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        bytes = SIZE_MAX; /* more than there is */
    if (bytes > adapter->largest)
        return cmempool_adapter_malloc_larger(adapter, bytes, true);
    return r_mempool_calloc_entry(adapter->pool, bytes + (bytes == 0));
}

/* With NULL, the same as malloc. Making a block smaller never fails. */
static inline void *cmempool_adapter_realloc(cmempool_adapter *adapter, void *memory, size_t size)
{
    if (!memory)
        return cmempool_adapter_malloc(adapter, size);
    size += size == 0;
    if (cmempool_adapter_is_larger(adapter, memory))
        return cmempool_adapter_realloc_larger(adapter, memory, size);
    if (size > adapter->largest)
        return cmempool_adapter_outgrow(adapter, memory, size);
    return r_mempool_realloc_entry(adapter->pool, memory, size);
}

static inline void cmempool_adapter_free(cmempool_adapter *adapter, void *memory)
{
    if (memory && cmempool_adapter_is_larger(adapter, memory))
        cmempool_adapter_free_larger(adapter, memory);
    else
        r_mempool_free_entry(memory);
}

/* How many bytes a live block has: the size that was asked for, or more. 0 for NULL. The
 * bytes beyond become the holder's with cmempool_adapter_realloc of this size; before that,
 * compilers, sanitizers and hardened pools may report a write there as an overflow. */
static inline size_t cmempool_adapter_usable_size(const cmempool_adapter *adapter,
                                                  const void *memory)
{
    if (memory && cmempool_adapter_is_larger(adapter, memory))
        return cmempool_adapter_header_of(memory)->size;
    return mempool_usable_size(memory);
}

#endif /* CMEMPOOL_ADAPTER_H */
