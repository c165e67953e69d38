/* What does a program know of what its probes report?
 *
 * Prints a line for each probe that a call of its reaches, with the arguments that the probe must have:
 * "probe NAME POOL POOL'S-NAME ENTRY-SIZE OTHERS...". tests/probes.sh compares them with what a debugger sees.
 * Not of a refill or flush that moves nothing, nor of one in the pool "shortage": the figures of a pool don't
 * show the first, and not for certain the second. */
#include <cmempool.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { COUNT = 256, MOST = 4096, SIZE = 56, OTHERS = 32 };

/* Another library with probes has this, too, and a linker keeps one of them. */
__asm__(".pushsection .stapsdt.base,\"aG\",%progbits,.stapsdt.base,comdat\n"
        ".weak _.stapsdt.base\n"
        ".hidden _.stapsdt.base\n"
        "_.stapsdt.base: .space 1\n"
        ".size _.stapsdt.base, 1\n"
        ".popsection");

static const char *name = "sessions";
static size_t capacity = COUNT;
static void *entries[MOST];
static int refills, flushes;

static void report(const char *probe, const void *pool, size_t count)
{
    printf("probe %s %#" PRIxPTR " %s %d %zu\n", probe, (uintptr_t)pool, name, SIZE, count);
}

/* Who finds the pool empty looks for entries in all caches first. */
static void report_exhausted(const void *pool)
{
    report("take_back", pool, 0);
    report("exhausted", pool, capacity);
}

static void demand(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "traced: %s\n", what);
        exit(1);
    }
}

static mempool *make(uint64_t flags)
{
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = capacity;
    options.elem_size = SIZE;
    options.name = name;
    options.flags = flags;
    mempool *pool = mempool_create_with(&options);
    demand(pool != NULL, "there is no pool");
    report("create", pool, capacity);
    return pool;
}

static void destroy(mempool *pool)
{
    report("destroy", pool, capacity);
    mempool_destroy(pool);
}

static size_t cached(mempool *pool)
{
    mempool_stats stats = MEMPOOL_STATS_INIT;
    demand(mempool_get_stats(pool, &stats), "there are no figures");
    return stats.cached;
}

/* A plain call takes one entry out of the caches. */
static void *take(mempool *pool)
{
    size_t before = cached(pool);
    void *entry = mempool_alloc_entry(pool);
    demand(entry != NULL, "there is no entry");
    size_t after = cached(pool);
    if (after >= before) {
        report("refill", pool, after + 1 - before);
        refills++;
    }
    return entry;
}

/* A plain call brings one entry into the caches. */
static void give(mempool *pool, void *entry)
{
    size_t before = cached(pool);
    mempool_free_entry(entry);
    size_t after = cached(pool);
    if (after != before + 1) {
        report("flush", pool, before + 1 - after);
        flushes++;
    }
}

/* Caches exchange single entries with the depot, a magazine, or two, by the size of the pool. */
static void refills_and_flushes(void)
{
    static const size_t capacities[] = {20, 128, COUNT, MOST};
    for (size_t i = 0; i < sizeof capacities / sizeof *capacities; i++) {
        capacity = capacities[i];
        refills = flushes = 0;
        mempool *pool = make(i == 0 ? MEMPOOL_SINGLE_THREAD : 0);
        for (size_t used = 0; used < capacity; used += capacity / 4) {
            for (size_t n = 0; n < used; n++)
                entries[n] = take(pool);
            for (size_t n = 0; n < used; n++)
                give(pool, entries[n]);
        }
        demand(refills > 1, "nothing was refilled");
        demand(flushes > 1 || i == 0, "nothing was flushed");
        destroy(pool);
    }
    capacity = COUNT;
}

static void *leave_entries_in_a_cache(void *pool)
{
    void *own[OTHERS];
    for (int i = 0; i < OTHERS; i++)
        own[i] = mempool_alloc_entry(pool);
    for (int i = 0; i < OTHERS; i++)
        mempool_free_entry(own[i]);
    return NULL;
}

static void take_back_and_fail(void)
{
    name = "shortage";
    mempool *pool = make(0);
    (void)mempool_alloc_entry(pool);
    pthread_t other;
    demand(pthread_create(&other, NULL, leave_entries_in_a_cache, pool) == 0, "there is no thread");
    pthread_join(other, NULL);
    int take_backs = 0;
    for (int i = 1; i < COUNT; i++) {
        size_t before = cached(pool);
        demand(mempool_alloc_entry(pool) != NULL, "there is no entry");
        size_t after = cached(pool);
        if (before > after + 1) {
            report("take_back", pool, before - after);
            take_backs++;
        }
    }
    demand(take_backs > 0, "nothing was taken back");
    report_exhausted(pool);
    report("failed", pool, capacity);
    demand(mempool_alloc_entry(pool) == NULL, "there is one entry too many");
    destroy(pool);
    name = "sessions";
}

static void fall_back(void)
{
    mempool *pool = make(MEMPOOL_FALL_BACK | MEMPOOL_SINGLE_THREAD);
    while (mempool_used_count(pool) < COUNT)
        (void)take(pool);
    for (size_t i = 1; i <= 3; i++) {
        report_exhausted(pool);
        report("fall_back", pool, i);
        demand(mempool_alloc_entry(pool) && mempool_dynamic_allocs_count(pool) == i, "the heap has none");
    }
    destroy(pool);
}

/* Of a ranged pool, each class is reported. */
static void classes(void)
{
    r_mempool *pool = r_mempool_create(16, 64, 10, fallback_disabled);
    demand(pool != NULL, "there is no ranged pool");
    static const char *const probes[] = {"create", "destroy"};
    for (int i = 0; i < 2; i++)
        for (size_t size = 16; size <= 64; size *= 2)
            printf("probe %s %#" PRIxPTR "  %zu %zu\n", probes[i], (uintptr_t)pool, size,
                   r_mempool_total_capacity(pool, size));
    r_mempool_destroy(pool);
}

static void on_misuse(const mempool_misuse *misuse, void *context)
{
    (void)context;
    printf("probe misuse %#" PRIxPTR " %s %zu %u %#" PRIxPTR " %s\n", (uintptr_t)misuse->pool,
           misuse->pool_name, misuse->entry_size, (unsigned)misuse->kind, (uintptr_t)misuse->pointer,
           misuse->text);
}

/* A leak is the one misuse after which a program goes on. */
static void misuse(void)
{
    mempool_set_misuse_handler(on_misuse, NULL);
    mempool *pool = make(MEMPOOL_REPORT_LEAKS);
    (void)take(pool);
    destroy(pool);
}

int main(void)
{
    refills_and_flushes();
    take_back_and_fail();
    fall_back();
    classes();
    misuse();
    return 0;
}
