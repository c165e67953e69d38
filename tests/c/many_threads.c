/* Has each of 4,096 threads at once a cache, and do those beyond get on without?
 *
 * All threads are there at the same time. Each takes some entries and frees them, and what it has in its
 * cache then is counted. One thread takes all that the pool has, out of all their caches. */
#include "check.h"

#include <pthread.h>
#include <time.h>

enum { MOST = 4096, BEYOND = 100, EACH = 12, SMALL = 1000 };
/* A thread's stack may be small, but for what sanitizers put there. */
enum { STACK = 1 << 18 };

static pthread_barrier_t turn;
static pthread_mutex_t alone = PTHREAD_MUTEX_INITIALIZER;
static size_t with_cache; /* threads */

struct worker {
    pthread_t thread;
    mempool *mp;
    void *entries[EACH];
};

static mempool_stats figures(mempool *mp)
{
    mempool_stats stats = MEMPOOL_STATS_INIT;
    CHECK(mempool_get_stats(mp, &stats));
    return stats;
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    mempool_free_entry(worker->entries[0]); /* first a free, then as many times both */
    for (int i = 0; i < EACH; i++) {
        worker->entries[i] = mempool_alloc_entry(worker->mp);
        CHECK(worker->entries[i] != NULL);
    }
    for (int i = 0; i < EACH; i++)
        mempool_free_entry(worker->entries[i]);
    pthread_barrier_wait(&turn);
    /* What it takes comes from its cache, and what it frees goes there. */
    CHECK(pthread_mutex_lock(&alone) == 0);
    size_t before = figures(worker->mp).cached;
    void *one = mempool_alloc_entry(worker->mp);
    size_t between = figures(worker->mp).cached;
    mempool_free_entry(one);
    with_cache += between == before - 1 && figures(worker->mp).cached == before;
    CHECK(pthread_mutex_unlock(&alone) == 0);
    pthread_barrier_wait(&turn);
    pthread_barrier_wait(&turn);
    /* Nothing is in its cache any more. */
    void *entry = mempool_alloc_entry(worker->mp);
    CHECK(entry == NULL);
    pthread_barrier_wait(&turn);
    pthread_barrier_wait(&turn);
    worker->entries[0] = mempool_alloc_entry(worker->mp);
    CHECK(worker->entries[0] != NULL);
    mempool_free_entry(worker->entries[0]);
    return NULL;
}

/* Of this thread alone: others want the processor, too. */
static double microseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void *no_work(void *unused)
{
    pthread_barrier_wait(&turn);
    return unused;
}

/* Whether the system lets a process have so many threads. */
static bool can_have(size_t threads, const pthread_attr_t *attributes)
{
    pthread_t *all = malloc(threads * sizeof *all);
    CHECK(all != NULL);
    size_t made = 0;
    pthread_barrier_t never;
    CHECK(pthread_barrier_init(&never, NULL, 1) == 0);
    CHECK(pthread_barrier_init(&turn, NULL, (unsigned)threads + 1) == 0);
    while (made < threads && pthread_create(&all[made], attributes, no_work, NULL) == 0)
        made++;
    bool can = made == threads;
    if (!can) {
        printf("the system lets a process have %zu threads\n", made);
        puts("ok 1");
        exit(0);
    }
    pthread_barrier_wait(&turn);
    for (size_t i = 0; i < made; i++)
        CHECK(pthread_join(all[i], NULL) == 0);
    free(all);
    return can;
}

/* `caches` of the threads have one, at least. */
static void meet(size_t threads, size_t count, size_t caches, const pthread_attr_t *attributes)
{
    row("%zu threads, %zu entries", threads, count);
    mempool *mp = mempool_create(count, sizeof(void *), false);
    CHECK(mp != NULL);
    void **entries = malloc((count + 1) * sizeof *entries);
    struct worker *workers = calloc(threads, sizeof *workers);
    CHECK(entries != NULL && workers != NULL);
    CHECK(pthread_barrier_init(&turn, NULL, (unsigned)threads + 1) == 0);
    with_cache = 0;
    for (size_t i = 0; i < threads; i++) {
        workers[i].mp = mp;
        workers[i].entries[0] = mempool_alloc_entry(mp);
        CHECK(workers[i].entries[0] != NULL);
        CHECK(pthread_create(&workers[i].thread, attributes, work, &workers[i]) == 0);
    }
    pthread_barrier_wait(&turn);
    pthread_barrier_wait(&turn);
    mempool_stats stats = figures(mp);
    CHECK(stats.used == 0 && stats.peak_used >= EACH);
    CHECK(with_cache >= caches);
    double longest = 0;
    for (size_t i = 0; i < count; i++) {
        double before = microseconds();
        entries[i] = mempool_alloc_entry(mp);
        double took = microseconds() - before;
        longest = took > longest ? took : longest;
        CHECK(entries[i] != NULL);
    }
    printf("%s: %zu had a cache, %zu entries were there; the longest of all calls took %.0f microseconds\n", check_row,
           with_cache, stats.cached, longest);
    CHECK_FAILS(mempool_alloc_entry(mp), ENOMEM);
    CHECK(figures(mp).cached == 0 && figures(mp).peak_used == count);
    pthread_barrier_wait(&turn);
    pthread_barrier_wait(&turn);
    for (size_t i = 0; i < count; i++)
        mempool_free_entry(entries[i]);
    pthread_barrier_wait(&turn);
    for (size_t i = 0; i < threads; i++)
        CHECK(pthread_join(workers[i].thread, NULL) == 0);
    CHECK(mempool_used_count(mp) == 0);
    mempool_destroy(mp);
    free(entries);
    free(workers);
}

int main(void)
{
    pthread_attr_t attributes;
    CHECK(pthread_attr_init(&attributes) == 0);
    CHECK(pthread_attr_setstacksize(&attributes, STACK) == 0);
    if (under_valgrind()) {
        meet(100, 101 * 64, 100, &attributes);
        return done();
    }
    row("as many threads as are to meet");
    CHECK(can_have(MOST + BEYOND, &attributes));
    meet(1000, 1001 * 64, 1000, &attributes);
    /* One of those with a cache is the thread that made the pool. */
    meet(MOST + BEYOND, MOST * 64, MOST - 1, &attributes);
    meet(1000, SMALL + 1000, SMALL / 100, &attributes);
    return done();
}
