/* What the tests of the adapters share: how do two runs of a library compare, with and without a
 * pool?
 *
 * A run writes all it sees into a text. The text must be the same with the library's own
 * allocator and with each of some pools, which must be used by the run and empty after it. */
#ifndef PLUG_H
#define PLUG_H

#include "../c/check_child.h"

#include <cmempool/adapter.h>

struct text {
    char *bytes;
    size_t length, room;
};

static inline void add(struct text *text, const void *bytes, size_t size)
{
    if (size > text->room - text->length) {
        text->room = 2 * (text->length + size);
        text->bytes = realloc(text->bytes, text->room);
        CHECK(text->bytes != NULL);
    }
    if (size > 0)
        memcpy(text->bytes + text->length, bytes, size);
    text->length += size;
}

static inline __attribute__((format(printf, 2, 3))) void say(struct text *text, const char *format,
                                                             ...)
{
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    CHECK(length >= 0 && (size_t)length < sizeof line);
    add(text, line, (size_t)length);
}

/* Pools that a library may find itself in. */
enum pool_plan {
    AMPLE,       /* with room for all */
    SMALL_SIZES, /* whose largest class is small: much goes to the heap, and to and fro */
    ODD_SIZES,   /* whose classes are no powers of two */
    SOON_EMPTY,  /* with few entries: most come from the heap */
    PLANS
};

static const char *const plan_names[] = {"ample", "small sizes", "odd sizes", "soon empty"};

static inline r_mempool *make_pool(enum pool_plan plan)
{
    static const r_mempool_class odd[] = {{24, 20000}, {40, 20000}, {56, 20000},  {100, 20000},
                                          {300, 5000}, {1000, 500}, {4481, 1000}, {20001, 100}};
    r_mempool_options options = R_MEMPOOL_OPTIONS_INIT;
    options.policy = fallback_at_last_exhaustion;
    options.name = plan_names[plan];
    options.smallest_size = plan == ODD_SIZES ? 0 : 16;
    switch (plan) {
    case SMALL_SIZES:
        options.largest_size = 128;
        options.smallest_count = 65536;
        break;
    case ODD_SIZES:
        options.classes = odd;
        options.class_count = LENGTH(odd);
        break;
    case SOON_EMPTY:
        options.largest_size = 4096;
        options.smallest_count = 256;
        options.policy = fallback_at_first_exhaustion;
        break;
    default:
        options.largest_size = 262144;
        options.smallest_count = 262144;
    }
    row("%s", plan_names[plan]);
    r_mempool *pool = r_mempool_create_with(&options);
    CHECK(pool != NULL);
    return pool;
}

/* Entries that are out, those from the heap included. */
static inline size_t entries_out(const r_mempool *pool)
{
    size_t out = 0;
    mempool_stats stats = MEMPOOL_STATS_INIT;
    for (size_t i = 0; r_mempool_get_stats(pool, i, &stats); i++)
        out += stats.used + stats.dynamic_used;
    return out;
}

/* The most entries that were out at once, and of these from the heap. */
static inline size_t peak_out(const r_mempool *pool, size_t *dynamic)
{
    size_t out = 0;
    *dynamic = 0;
    mempool_stats stats = MEMPOOL_STATS_INIT;
    for (size_t i = 0; r_mempool_get_stats(pool, i, &stats); i++) {
        out += stats.peak_used + stats.dynamic_peak;
        *dynamic += stats.dynamic_peak;
    }
    return out;
}

/* After a run: the pool was used as planned, nothing is out, and the texts are the same. */
static inline void expect_same(enum pool_plan plan, r_mempool *pool,
                               const cmempool_adapter *adapter, size_t least_peak,
                               const struct text *plain, struct text *pooled)
{
    size_t dynamic, peak = peak_out(pool, &dynamic);
    CHECK(adapter->pool == pool);
    CHECK(peak >= least_peak);
    if (plan == AMPLE && !getenv("CMEMPOOL_OPTIONS"))
        CHECK(dynamic == 0);
    CHECK(entries_out(pool) == 0);
    CHECK(cmempool_adapter_larger_count(adapter) == 0);
    CHECK(pooled->length == plain->length);
    CHECK(memcmp(pooled->bytes, plain->bytes, plain->length) == 0);
    free(pooled->bytes);
    *pooled = (struct text){0};
    r_mempool_destroy(pool);
}

#endif
