/* May any thread look at all pools at any time: at a single-thread pool that its thread uses, while pools
 * come and go, with a stream that is slow, with many pools? */
#include "check.h"

#include <pthread.h>
#include <time.h>

enum { COUNT = 2000, SIZE = 24, FEWEST = 200, MOST = 1800 };

static FILE *sink(void)
{
    FILE *out = fopen("/dev/null", "w");
    CHECK(out != NULL);
    return out;
}

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
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, swing, &begun) == 0);
    while (!atomic_load(&begun))
        continue;
    FILE *out = sink();
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
    CHECK(pthread_join(thread, NULL) == 0);
    mempool_stats stats = MEMPOOL_STATS_INIT;
    CHECK(mempool_get_stats(its_pool, &stats) && stats.used == 0 && stats.peak_used == MOST);
    fclose(out);
    mempool_destroy(its_pool);
}

/* ---- A stream that does things ---- */

static void *make_and_destroy(void *done)
{
    mempool *mp = create(COUNT, "meanwhile", 0);
    mempool_destroy(mp);
    atomic_store((atomic_bool *)done, true);
    return NULL;
}

/* Waits until another thread made and destroyed a pool. */
static ssize_t write_slowly(void *done, const char *text, size_t size)
{
    (void)text;
    pthread_t thread;
    atomic_store((atomic_bool *)done, false);
    CHECK(pthread_create(&thread, NULL, make_and_destroy, done) == 0);
    for (int i = 0; i < 10000 && !atomic_load((atomic_bool *)done); i++)
        usleep(1000);
    CHECK(atomic_load((atomic_bool *)done));
    CHECK(pthread_join(thread, NULL) == 0);
    return (ssize_t)size;
}

static void with_a_slow_stream(void)
{
    row("a slow stream");
    static atomic_bool done;
    FILE *out = fopencookie(&done, "w", (cookie_io_functions_t){.write = write_slowly});
    CHECK(out != NULL && setvbuf(out, NULL, _IOFBF, 128) == 0);
    mempool *mp = create(COUNT, "slow", 0);
    mempool_dump_all(out);
    mempool_dump_all_json(out);
    fclose(out);
    mempool_destroy(mp);
}

enum { POOLS = 6 };

static mempool *pools[POOLS];
static const char *const names[POOLS] = {"<0>", "<1>", "<2>", "<3>", "<4>", "<5>"};

struct scene {
    char seen[POOLS + 1]; /* in the order in which they were */
    size_t goes_with[POOLS]; /* the pools that go when one is seen, a bit for each */
};

/* A line of JSON is one write. */
static ssize_t look_and_destroy(void *context, const char *text, size_t size)
{
    struct scene *scene = context;
    for (size_t i = 0; i < POOLS; i++) {
        if (memmem(text, size, names[i], strlen(names[i])) == NULL)
            continue;
        scene->seen[strlen(scene->seen)] = (char)('0' + i);
        for (size_t j = 0; j < POOLS; j++)
            if (scene->goes_with[i] >> j & 1)
                mempool_destroy(pools[j]);
    }
    return (ssize_t)size;
}

static void pools_that_go_meanwhile(void)
{
    static const struct {
        struct scene scene;
        const char *seen;
    } scenes[] = {
        {{"", {0}}, "543210"},
        {{"", {[5] = 1 << 5}}, "543210"},            /* the one that is shown */
        {{"", {[5] = 1 << 4}}, "53210"},             /* the next */
        {{"", {[5] = 1 << 5 | 1 << 4 | 1 << 3}}, "5210"},
        {{"", {[3] = 1 << 5 | 1 << 4}}, "543210"},   /* those before */
        {{"", {[1] = 1 << 0}}, "54321"},             /* the last */
        {{"", {[4] = 0x3F}}, "54"},                  /* all */
        {{"", {[5] = 1 << 5, [4] = 1 << 4, [3] = 1 << 3, [2] = 1 << 2}}, "543210"},
    };
    for (size_t i = 0; i < LENGTH(scenes); i++) {
        row("pools that go meanwhile, %zu", i);
        for (size_t j = 0; j < POOLS; j++)
            pools[j] = create(COUNT, names[j], 0);
        struct scene scene = scenes[i].scene;
        FILE *out = fopencookie(&scene, "w", (cookie_io_functions_t){.write = look_and_destroy});
        CHECK(out != NULL && setvbuf(out, NULL, _IOLBF, 4096) == 0);
        mempool_dump_all_json(out);
        fclose(out);
        CHECK(strcmp(scene.seen, scenes[i].seen) == 0);
        for (size_t j = 0; j < POOLS; j++)
            mempool_destroy(pools[j]);
    }
}

/* ---- Many pools ---- */

static double seconds_for(size_t count)
{
    mempool **many = malloc(count * sizeof(mempool *));
    CHECK(many != NULL);
    for (size_t i = 0; i < count; i++)
        many[i] = create(1, NULL, 0);
    FILE *out = sink();
    struct timespec start, end;
    double shortest = 1e9;
    for (int i = 0; i < 3; i++) {
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
        mempool_dump_all_json(out);
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
        double seconds = (double)(end.tv_sec - start.tv_sec) +
                         (double)(end.tv_nsec - start.tv_nsec) / 1e9;
        shortest = seconds < shortest ? seconds : shortest;
    }
    fclose(out);
    for (size_t i = 0; i < count; i++)
        mempool_destroy(many[i]);
    free(many);
    return shortest;
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
    with_a_slow_stream();
    pools_that_go_meanwhile();
    many_pools();
    return done();
}
