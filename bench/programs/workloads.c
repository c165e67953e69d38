/* What does a pair of take and give cost one thread?
 *
 * usage: workloads WORKLOAD MILLISECONDS [single]
 *
 * `single` makes pools for a single thread. Which entry is next, and of what size, is drawn before
 * the clock starts. Prints one line of JSON. C, and C++ for the peers that are. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "memory.h"
#include "timing.h"

enum { ENTRY = 64 };

/* Long enough that no branch predictor learns it, and that 500,000 entries have their turn. */
enum { DRAWS = 1 << 20 };

static source pool;
static void **live;

/* Entries are in use: their first byte is read and written, and the compiler must not know. */
static inline void touch(void *entry)
{
    volatile unsigned char *first = (volatile unsigned char *)entry;
    *first = (unsigned char)(*first + 1);
}

static void *array(size_t count, size_t size)
{
    void *memory = must(malloc(count * size), "malloc");
    /* No page fault is to fall into the measurement. */
    memset(memory, 1, count * size);
    return memory;
}

/* ---- One entry, taken and given back --------------------------------------------------------- */

static uint64_t loop(uint64_t *pairs)
{
    uint64_t start = now_ns();
    for (uint64_t i = 0; i < *pairs; ++i) {
        give(&pool, take(&pool));
    }
    return now_ns() - start;
}

/* ---- Many taken, then as many given back in the order they were taken ------------------------ */

enum { BURST = 1000 };

static size_t burst = BURST;

static uint64_t bursts(uint64_t *pairs)
{
    uint64_t count = (*pairs + burst - 1) / burst;
    *pairs = count * burst;
    uint64_t start = now_ns();
    for (uint64_t n = 0; n < count; ++n) {
        for (size_t i = 0; i < burst; ++i) {
            live[i] = take(&pool);
        }
        for (size_t i = 0; i < burst; ++i) {
            give(&pool, live[i]);
        }
    }
    return now_ns() - start;
}

/* ---- The same with a call for all of them, where there is one -------------------------------- */

enum { BULK = 32 };

static uint64_t bulk(uint64_t *pairs)
{
    uint64_t count = (*pairs + BULK - 1) / BULK;
    *pairs = count * BULK;
    uint64_t start = now_ns();
    for (uint64_t n = 0; n < count; ++n) {
        take_many(&pool, live, BULK);
        give_many(&pool, live, BULK);
    }
    return now_ns() - start;
}

/* ---- A random one of many live entries is given back, and another taken in its place: of 10,000,
 *      or of more than the caches of the processor hold. ---------------------------------------- */

enum { CHURN_LIVE = 10000, COLD_LIVE = 500000 };

static uint32_t *which;

static uint64_t churn(uint64_t *pairs)
{
    size_t draw = 0;
    uint64_t start = now_ns();
    for (uint64_t i = 0; i < *pairs; ++i) {
        void **place = &live[which[draw]];
        draw = (draw + 1) % DRAWS;
        touch(*place);
        give(&pool, *place);
        *place = take(&pool);
    }
    return now_ns() - start;
}

/* ---- 500,000 entries: all are given back in random order, then all are taken again ------------- */

static uint64_t cold_seed = RANDOM_SEED;

static uint64_t cold(uint64_t *pairs)
{
    uint64_t count = (*pairs + COLD_LIVE - 1) / COLD_LIVE;
    uint64_t took = 0;
    *pairs = count * COLD_LIVE;
    for (uint64_t n = 0; n < count; ++n) {
        for (uint32_t i = COLD_LIVE - 1; i > 0; --i) {
            uint32_t other = random_below(&cold_seed, i + 1);
            void *swapped = live[i];
            live[i] = live[other];
            live[other] = swapped;
        }
        uint64_t start = now_ns();
        for (size_t i = 0; i < COLD_LIVE; ++i) {
            touch(live[i]);
            give(&pool, live[i]);
        }
        for (size_t i = 0; i < COLD_LIVE; ++i) {
            live[i] = take(&pool);
        }
        took += now_ns() - start;
    }
    return took;
}

#if !defined MEMORY_LOCKED && !defined MEMORY_BOOST && !defined MEMORY_PMR

/* ---- A new pool, filled for the first time: all its entries are taken. A malloc has its memory warm. -- */

enum { FILLED = 100000 };

static uint64_t fill(uint64_t *pairs)
{
    uint64_t count = (*pairs + FILLED - 1) / FILLED;
    uint64_t took = 0;
    *pairs = count * FILLED;
    for (uint64_t n = 0; n < count; ++n) {
        pool = source_make(FILLED, ENTRY, false);
        uint64_t start = now_ns();
        for (size_t i = 0; i < FILLED; ++i) {
            live[i] = take(&pool);
        }
        took += now_ns() - start;
        for (size_t i = 0; i < FILLED; ++i) {
            give(&pool, live[i]);
        }
        source_end(&pool);
    }
    return took;
}

#endif

/* ---- Zeroed entries in use for a while: the oldest of 64 is given back, and another taken ------ */

enum { ZEROED_LIVE = 64 };

static uint64_t zeroed(uint64_t *pairs)
{
    size_t oldest = 0;
    uint64_t start = now_ns();
    for (uint64_t i = 0; i < *pairs; ++i) {
        give(&pool, live[oldest]);
        live[oldest] = take_zeroed(&pool);
        touch(live[oldest]);
        oldest = (oldest + 1) % ZEROED_LIVE;
    }
    return now_ns() - start;
}

#ifndef MEMORY_ONE_SIZE

/* ---- A random one of 4,000 entries of random sizes, and another of a random size --------------- */

enum { RANGED_LIVE = 4000, RANGED_FROM = 16, RANGED_TO = 1015 };

static ranged_source ranged_pool;
static uint32_t *size_of;

static uint64_t ranged(uint64_t *pairs)
{
    size_t draw = 0;
    uint64_t start = now_ns();
    for (uint64_t i = 0; i < *pairs; ++i) {
        void **place = &live[which[draw]];
        size_t size = size_of[draw];
        draw = (draw + 1) % DRAWS;
        touch(*place);
        give_sized(*place);
        *place = take_sized(ranged_pool, size);
    }
    return now_ns() - start;
}

/* ---- Eight entries of eight sizes that the compiler knows ---------------------------------------- */

enum { KNOWN = 8 };

static uint64_t ranged_known(uint64_t *pairs)
{
    uint64_t count = (*pairs + KNOWN - 1) / KNOWN;
    *pairs = count * KNOWN;
    uint64_t start = now_ns();
    for (uint64_t n = 0; n < count; ++n) {
        live[0] = take_sized(ranged_pool, 16);
        live[1] = take_sized(ranged_pool, 24);
        live[2] = take_sized(ranged_pool, 48);
        live[3] = take_sized(ranged_pool, 100);
        live[4] = take_sized(ranged_pool, 200);
        live[5] = take_sized(ranged_pool, 320);
        live[6] = take_sized(ranged_pool, 600);
        live[7] = take_sized(ranged_pool, 1000);
        for (size_t i = 0; i < KNOWN; ++i) {
            give_sized(live[i]);
        }
    }
    return now_ns() - start;
}

/* ---- A random one of 1,000 entries, and another of a random one of several pools, each with a size
 *      of its own: 64 and 96 bytes, or 16, 32, 48 and so on ---------------------------------------- */

enum { MIXED_LIVE = 1000, MIXED_POOLS_MAX = 13 };

static source pools[MIXED_POOLS_MAX];
static source **pool_of;

static uint64_t mixed(uint64_t *pairs)
{
    size_t draw = 0;
    uint64_t start = now_ns();
    for (uint64_t i = 0; i < *pairs; ++i) {
        void **place = &live[which[draw]];
        source *from = pool_of[draw];
        draw = (draw + 1) % DRAWS;
        touch(*place);
        give(from, *place); /* Which pool it came from is not known here, nor needed. */
        *place = take(from);
    }
    return now_ns() - start;
}

static void prepare_mixed(uint32_t count)
{
    uint64_t seed = RANDOM_SEED;
    for (uint32_t i = 0; i < count; ++i) {
        size_t size = count == 2 ? ENTRY + 32 * (size_t)i : 16 * ((size_t)i + 1);
        pools[i] = source_make(2 * MIXED_LIVE, size, false);
    }
    pool_of = (source **)array(DRAWS, sizeof *pool_of);
    for (size_t i = 0; i < DRAWS; ++i) {
        which[i] = random_below(&seed, MIXED_LIVE);
        pool_of[i] = &pools[random_below(&seed, count)];
    }
    for (size_t i = 0; i < MIXED_LIVE; ++i) {
        live[i] = take(pool_of[i]);
    }
}

static void prepare_ranged(void)
{
    uint64_t seed = RANDOM_SEED;
    ranged_pool = ranged_make();
    size_of = (uint32_t *)array(DRAWS, sizeof *size_of);
    for (size_t i = 0; i < DRAWS; ++i) {
        which[i] = random_below(&seed, RANGED_LIVE);
        size_of[i] = RANGED_FROM + random_below(&seed, RANGED_TO - RANGED_FROM + 1);
    }
    for (size_t i = 0; i < RANGED_LIVE; ++i) {
        live[i] = take_sized(ranged_pool, size_of[i]);
    }
}

#endif

/* Takes `count` entries to begin with, of a pool with room for `room`. */
static void prepare(size_t room, size_t size, bool single_thread, size_t count)
{
    uint64_t seed = RANDOM_SEED;
    pool = source_make(room, size, single_thread);
    for (size_t i = 0; i < count; ++i) {
        live[i] = must(take(&pool), "take");
        memset(live[i], 1, size);
    }
    for (size_t i = 0; i < DRAWS; ++i) {
        which[i] = random_below(&seed, count > 0 ? (uint32_t)count : 1);
    }
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: workloads WORKLOAD MILLISECONDS [single]\n");
        return 2;
    }
    const char *name = argv[1];
    uint64_t milliseconds = strtoull(argv[2], NULL, 10);
    bool single_thread = argc > 3 && strcmp(argv[3], "single") == 0;
    round_function run = NULL;

    live = (void **)array(COLD_LIVE, sizeof *live);
    which = (uint32_t *)array(DRAWS, sizeof *which);
    if (strcmp(name, "loop") == 0) {
        prepare(16384, ENTRY, single_thread, 0);
        run = loop;
    } else if (strcmp(name, "bursts") == 0) {
        prepare(16384, ENTRY, single_thread, 0);
        run = bursts;
    } else if (strcmp(name, "bursts32") == 0) {
        prepare(16384, ENTRY, single_thread, 0);
        burst = BULK;
        run = bursts;
    } else if (strcmp(name, "bulk32") == 0) {
        prepare(16384, ENTRY, single_thread, 0);
        run = bulk;
    } else if (strcmp(name, "churn") == 0) {
        prepare(2 * CHURN_LIVE, ENTRY, single_thread, CHURN_LIVE);
        run = churn;
    } else if (strcmp(name, "cold_churn") == 0) {
        prepare(2 * COLD_LIVE, ENTRY, single_thread, COLD_LIVE);
        run = churn;
    } else if (strcmp(name, "cold") == 0) {
        prepare(COLD_LIVE, ENTRY, single_thread, COLD_LIVE);
        run = cold;
    } else if (strcmp(name, "calloc64") == 0) {
        prepare(4096, 64, single_thread, ZEROED_LIVE);
        run = zeroed;
    } else if (strcmp(name, "calloc4096") == 0) {
        prepare(4096, 4096, single_thread, ZEROED_LIVE);
        run = zeroed;
    }
#ifndef MEMORY_ONE_SIZE
    if (strcmp(name, "ranged") == 0) {
        prepare_ranged();
        run = ranged;
    } else if (strcmp(name, "ranged_known") == 0) {
        ranged_pool = ranged_make();
        run = ranged_known;
    } else if (strcmp(name, "fill") == 0) {
        run = fill;
    } else if (strcmp(name, "mixed2") == 0) {
        prepare_mixed(2);
        run = mixed;
    } else if (strcmp(name, "mixed13") == 0) {
        prepare_mixed(13);
        run = mixed;
    }
#endif
    if (!run) {
        fprintf(stderr, "workloads: this build has no workload '%s'\n", name);
        return 2;
    }
    measure(run, milliseconds);
    return 0;
}
