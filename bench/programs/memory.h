/* How does a workload take memory and give it back? One answer per build of a program:
 *
 *   (nothing)       malloc and free, of whichever allocator is preloaded
 *   MEMORY_POOL     cmempool and its shared library: with CMEMPOOL_NO_INLINE each alloc and free is a call,
 *                   without it the fast paths are inlined
 *   MEMORY_LOCKED   a list of free entries behind one pthread mutex
 *   MEMORY_BOOST    boost::pool (C++)
 *   MEMORY_PMR      std::pmr::unsynchronized_pool_resource (C++)
 *
 * The workloads see `source`, `take` and `give` only, and are C and C++ at once. */
#ifndef MEMORY_H
#define MEMORY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline void *must(void *result, const char *what)
{
    if (!result) {
        fprintf(stderr, "%s returned NULL: the workload needs memory that is not there\n", what);
        exit(1);
    }
    return result;
}

#if defined MEMORY_POOL

#include <cmempool.h>

typedef struct source {
    mempool *pool;
} source;

static inline source source_make(size_t count, size_t size, bool single_thread)
{
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = count;
    options.elem_size = size;
    options.flags = single_thread ? MEMPOOL_SINGLE_THREAD : 0;
    source s;
    s.pool = mempool_create_with(&options);
    must(s.pool, "mempool_create_with");
    return s;
}

static inline void *take(source *s)
{
    return mempool_alloc_entry(s->pool);
}

static inline void *take_zeroed(source *s)
{
    return mempool_calloc_entry(s->pool);
}

#define MEMORY_TAKES_MANY

static inline void take_many(source *s, void **entries, size_t n)
{
    mempool_alloc_bulk(s->pool, entries, n);
}

static inline void give_many(source *s, void **entries, size_t n)
{
    (void)s;
    mempool_free_bulk(entries, n);
}

static inline void give(source *s, void *entry)
{
    (void)s;
    mempool_free_entry(entry);
}

static inline void source_end(source *s)
{
    mempool_destroy(s->pool);
}

#elif defined MEMORY_LOCKED

#include <pthread.h>

typedef struct source {
    pthread_mutex_t lock;
    size_t size;
    size_t free_count;
    void **free;
} source;

static inline source source_make(size_t count, size_t size, bool single_thread)
{
    (void)single_thread;
    source s;
    memset(&s, 0, sizeof s);
    pthread_mutex_init(&s.lock, NULL);
    s.size = size;
    s.free = (void **)must(malloc(count * sizeof *s.free), "malloc");
    char *entries = (char *)must(malloc(count * size), "malloc");
    memset(entries, 0, count * size);
    for (size_t i = 0; i < count; ++i) {
        s.free[s.free_count++] = entries + i * size;
    }
    return s;
}

static inline void *take(source *s)
{
    void *entry = NULL;
    pthread_mutex_lock(&s->lock);
    if (s->free_count > 0) {
        entry = s->free[--s->free_count];
    }
    pthread_mutex_unlock(&s->lock);
    return entry;
}

static inline void give(source *s, void *entry)
{
    pthread_mutex_lock(&s->lock);
    s->free[s->free_count++] = entry;
    pthread_mutex_unlock(&s->lock);
}

static inline void *take_zeroed(source *s)
{
    void *entry = take(s);
    return entry ? memset(entry, 0, s->size) : NULL;
}

#elif defined MEMORY_BOOST

#include <boost/pool/pool.hpp>

struct source {
    boost::pool<> *pool;
    size_t size;
};

static inline source source_make(size_t count, size_t size, bool)
{
    source s = {new boost::pool<>(size, count), size};
    return s;
}

static inline void *take(source *s)
{
    return s->pool->malloc();
}

static inline void give(source *s, void *entry)
{
    s->pool->free(entry);
}

static inline void *take_zeroed(source *s)
{
    return memset(take(s), 0, s->size);
}

#elif defined MEMORY_PMR

#include <memory_resource>

struct source {
    std::pmr::unsynchronized_pool_resource *pool;
    size_t size;
};

static inline source source_make(size_t, size_t size, bool)
{
    source s = {new std::pmr::unsynchronized_pool_resource, size};
    return s;
}

static inline void *take(source *s)
{
    return s->pool->allocate(s->size);
}

static inline void give(source *s, void *entry)
{
    s->pool->deallocate(entry, s->size);
}

static inline void *take_zeroed(source *s)
{
    return memset(take(s), 0, s->size);
}

#else

typedef struct source {
    size_t size;
} source;

static inline source source_make(size_t count, size_t size, bool single_thread)
{
    (void)count;
    (void)single_thread;
    source s = {size};
    return s;
}

static inline void *take(source *s)
{
    return malloc(s->size);
}

static inline void *take_zeroed(source *s)
{
    return calloc(1, s->size);
}

static inline void give(source *s, void *entry)
{
    (void)s;
    free(entry);
}

/* Its memory stays warm. */
static inline void source_end(source *s)
{
    (void)s;
}

#endif

/* Entries of many sizes, where the build has them. */
#if defined MEMORY_POOL

typedef r_mempool *ranged_source;

/* Classes of 16 to 1024 bytes, the largest with 4096 entries and each smaller one with twice as
 * many as the next: whatever 4096 entries are asked for, no class runs out. */
enum { RANGED_SMALLEST = 16, RANGED_LARGEST = 1024, RANGED_COUNT = 4096 * 64 };

static inline ranged_source ranged_make(void)
{
    r_mempool *pool =
        r_mempool_create(RANGED_SMALLEST, RANGED_LARGEST, RANGED_COUNT, fallback_disabled);
    must(pool, "r_mempool_create");
    return pool;
}

static inline void *take_sized(ranged_source s, size_t size)
{
    return r_mempool_alloc_entry(s, size);
}

static inline void give_sized(void *entry)
{
    r_mempool_free_entry(entry);
}

#elif !defined MEMORY_LOCKED && !defined MEMORY_BOOST && !defined MEMORY_PMR

typedef int ranged_source;

static inline ranged_source ranged_make(void)
{
    return 0;
}

static inline void *take_sized(ranged_source s, size_t size)
{
    (void)s;
    return malloc(size);
}

static inline void give_sized(void *entry)
{
    free(entry);
}

#else
#define MEMORY_ONE_SIZE
#endif

#ifndef MEMORY_TAKES_MANY

/* Who has no call for many has one for each. */
static inline void take_many(source *s, void **entries, size_t n)
{
    for (size_t i = 0; i < n; ++i) {
        entries[i] = take(s);
    }
}

static inline void give_many(source *s, void **entries, size_t n)
{
    for (size_t i = 0; i < n; ++i) {
        give(s, entries[i]);
    }
}

#endif

#endif
