/* What does a process of cmempool-try count, and where?
 *
 * Into a file of its own, which it has mapped (see figures.h). Nothing here calls the heap. A block counts
 * from before it is taken until after it was given back: counts are never too low. */
#ifndef CMEMPOOL_TRY_RECORD_H
#define CMEMPOOL_TRY_RECORD_H

#include "figures.h"

#if defined(__has_include)
#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#define RECORD_ALONE __libc_single_threaded
#endif
#endif
#ifndef RECORD_ALONE /* before version 2.32 */
#define RECORD_ALONE 0
#endif

/* NULL if nobody wants to know. */
extern struct measured *record_of;

/* Begins this process's file in the folder. `measured` also counts sizes. */
void record_begin(const char *folder, bool measured);

/* A child of fork has a file of its own, and what is out in it. */
void record_in_child(void);

/* A grain has more blocks than ever in this epoch. */
void record_rise(struct grain *grain, uint32_t count);

/* Adds, and returns the sum. No two threads lose a count; one alone pays nothing for that. */
#define RECORD_ADD(place, value) \
    (RECORD_ALONE ? (*(place) += (value)) \
                            : __atomic_add_fetch((place), (value), __ATOMIC_RELAXED))

#define RECORD_MOST(place, value) \
    do { \
        __typeof__(*(place)) most_ = __atomic_load_n((place), __ATOMIC_RELAXED); \
        while (most_ < (value) && \
               !__atomic_compare_exchange_n((place), &most_, (value), true, __ATOMIC_RELAXED, \
                                            __ATOMIC_RELAXED)) { \
        } \
    } while (0)

static inline void record_taken(unsigned index, size_t size)
{
    struct grain *grain = &record_of->figures.grains[index];
    RECORD_ADD(&grain->taken, 1);
    const uint32_t live = RECORD_ADD(&grain->live, 1);
    if (size > __atomic_load_n(&grain->largest, __ATOMIC_RELAXED))
        RECORD_MOST(&grain->largest, (uint32_t)size);
    if (live > __atomic_load_n(&grain->high, __ATOMIC_RELAXED))
        record_rise(grain, live);
}

static inline void record_given(unsigned index)
{
    RECORD_ADD(&record_of->figures.grains[index].live, (uint32_t)-1);
}

/* One that was counted as taken, and was not to be had. */
static inline void record_refused(unsigned index)
{
    RECORD_ADD(&record_of->figures.grains[index].taken, (uint64_t)-1);
    record_given(index);
}

/* Blocks that the pool does not serve. */
static inline void record_blocks_taken(struct blocks *blocks, size_t size)
{
    RECORD_ADD(&blocks->taken, 1);
    const uint64_t live = RECORD_ADD(&blocks->live, 1);
    const uint64_t bytes = RECORD_ADD(&blocks->live_bytes, size);
    RECORD_MOST(&blocks->most, live);
    RECORD_MOST(&blocks->most_bytes, bytes);
}

static inline void record_blocks_given(struct blocks *blocks, size_t size)
{
    RECORD_ADD(&blocks->live, (uint64_t)-1);
    RECORD_ADD(&blocks->live_bytes, -(uint64_t)size);
}

#endif
