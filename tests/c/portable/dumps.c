/* May any thread look at all pools at any time: at a single-thread pool that its thread uses, while pools
 * come and go, with many pools? What a stream may do meanwhile, dump_streams.c knows. */
#include "../check_threads.h"

enum { COUNT = 2000, SIZE = 24, FEWEST = 200, MOST = 1800 };

static mempool *create(size_t count, const char *name, uint64_t flags)
{
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = count;
    options.elem_size = SIZE;
    options.name = name;
    options.flags = flags;
    mempool *mp = mempool_create_with(&options);
    CHECK(mp != NULL);
    return mp;
}

/* ---- A single-thread pool, seen from another thread ---- */

static atomic_bool stop;
static mempool *its_pool;

/* Once it has begun, it holds FEWEST to MOST entries at any time. */
static void *swing(void *begun)
{
    static void *held[MOST];
    size_t count = 0;
    while (!atomic_load(&stop)) {
        while (count < MOST)
            held[count++] = mempool_alloc_entry(its_pool);
        atomic_store((atomic_bool *)begun, true);
        while (count > FEWEST)
            mempool_free_entry(held[--count]);
    }
    while (count > 0)
        mempool_free_entry(held[--count]);
    return NULL;
}

static void seen_from_another_thread(uint64_t flags)
{
    row("seen from another thread, flags %llu", (unsigned long long)flags);
    static atomic_bool begun;
    atomic_store(&begun, false);
    atomic_store(&stop, false);
    its_pool = create(COUNT, "swinging", MEMPOOL_SINGLE_THREAD | flags);
    struct thread thread;
    CHECK(thread_start(&thread, swing, &begun));
    while (!atomic_load(&begun))
        continue;
    FILE *out = null_stream();
    for (size_t i = 0; i < scaled(30000, 300); i++) {
        mempool_stats stats = MEMPOOL_STATS_INIT;
        CHECK(mempool_get_stats(its_pool, &stats));
        /* It may be inside one call. */
        CHECK(stats.used >= FEWEST - 1 && stats.used <= MOST + 1);
        CHECK(stats.peak_used >= MOST - 1 && stats.peak_used <= MOST + 1);
        size_t used = mempool_used_count(its_pool);
        CHECK(used >= FEWEST - 1 && used <= MOST + 1);
        CHECK(mempool_dynamic_allocs_count(its_pool) == 0);
        if (i % 100 == 0) {
            mempool_dump_all(out);
            mempool_dump_all_json(out);
            mempool_dump(its_pool, out);
        }
    }
    atomic_store(&stop, true);
    CHECK(thread_join(&thread));
    mempool_stats stats = MEMPOOL_STATS_INIT;
    CHECK(mempool_get_stats(its_pool, &stats) && stats.used == 0 && stats.peak_used == MOST);
    fclose(out);
    mempool_destroy(its_pool);
}

/* ---- Many pools ---- */

static double seconds_for(size_t count)
{
    mempool **many = malloc(count * sizeof(mempool *));
    CHECK(many != NULL);
    for (size_t i = 0; i < count; i++)
        many[i] = create(1, NULL, 0);
    FILE *out = null_stream();
    /* Long enough for a clock that moves in steps of 16 ms. */
    double start = thread_seconds(), seconds;
    int rounds = 0;
    do {
        mempool_dump_all_json(out);
        rounds++;
        seconds = thread_seconds() - start;
    } while (seconds < 0.1 || rounds < 3);
    fclose(out);
    for (size_t i = 0; i < count; i++)
        mempool_destroy(many[i]);
    free(many);
    return seconds / rounds;
}

/* Sixteen times as many take about that much longer, not its square. */
static void many_pools(void)
{
    row("many pools");
    if (under_valgrind())
        return;
    CHECK(seconds_for(16 * 1500) < 64 * seconds_for(1500));
}

int main(void)
{
    static const uint64_t flags[] = {0, MEMPOOL_ZERO_ON_FREE, MEMPOOL_HARDENED};
    for (size_t i = 0; i < LENGTH(flags); i++)
        seen_from_another_thread(flags[i]);
    many_pools();
    return done();
}
