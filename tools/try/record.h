/* What does a process of cmempool-try count, and where?
 *
 * Into a file of its own, which it has mapped (see figures.h). Nothing here calls the heap. A block counts
 * from before it is taken until after it was given back: counts are never too low. What is out now is counted in
 * memory of the process's own: fork copies it at one moment, and the file only later. */
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

/* What is out. */
struct out {
    uint32_t grains[GRAINS];
    struct {
        uint64_t count, bytes;
    } heap[SORTS];
};
extern struct out record_out;

/* Begins this process's file in the folder. `measured` also counts sizes. */
void record_begin(const char *folder, bool measured);

/* Gives a child of fork its own file, which begins with the blocks that were out. */
void record_in_child(void);

/* A grain has more blocks than ever in this epoch. */
void record_rise(struct grain *grain, uint32_t count);

/* The process ends, perhaps: what is out goes into the file. */
void record_note(void);

/* Adds, and returns the sum. No two threads lose a count; one alone pays nothing for that. Whoever adds to what is
 * out looks at the mark after it, and who ends an epoch the other way round: one of them sees the other. */
#define RECORD_ADD(place, value) \
    (RECORD_ALONE ? (*(place) += (value)) \
                            : __atomic_add_fetch((place), (value), __ATOMIC_SEQ_CST))

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
    const uint32_t live = RECORD_ADD(&record_out.grains[index], 1);
    if (size > __atomic_load_n(&grain->largest, __ATOMIC_RELAXED))
        RECORD_MOST(&grain->largest, (uint32_t)size);
    if (live > __atomic_load_n(&grain->high, __ATOMIC_SEQ_CST))
        record_rise(grain, live);
}

static inline void record_given(unsigned index)
{
    RECORD_ADD(&record_out.grains[index], (uint32_t)-1);
}

/* One that was counted as taken, and was not to be had. */
static inline void record_refused(unsigned index)
{
    RECORD_ADD(&record_of->figures.grains[index].taken, (uint64_t)-1);
    record_given(index);
}

/* Blocks that the pool does not serve. They are counted from the first on, before there is a file. */
static inline void record_heap_taken(enum sort sort, size_t size)
{
    const uint64_t count = RECORD_ADD(&record_out.heap[sort].count, 1);
    const uint64_t bytes = RECORD_ADD(&record_out.heap[sort].bytes, size);
    if (!record_of)
        return;
    struct blocks *blocks = &record_of->figures.heap[sort];
    RECORD_ADD(&blocks->taken, 1);
    RECORD_MOST(&blocks->most, count);
    RECORD_MOST(&blocks->most_bytes, bytes);
}

/* A call alone. */
static inline void record_call(enum sort sort)
{
    if (record_of)
        RECORD_ADD(&record_of->figures.heap[sort].taken, 1);
}

static inline void record_heap_given(enum sort sort, size_t size)
{
    RECORD_ADD(&record_out.heap[sort].count, (uint64_t)-1);
    RECORD_ADD(&record_out.heap[sort].bytes, -(uint64_t)size);
}

#endif
