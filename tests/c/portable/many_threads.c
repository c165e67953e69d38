/* Has each of 4,096 threads at once a cache, and do those beyond get on without?
 *
 * All threads are there at the same time. Each takes some entries and frees them, and what it has in its
 * cache then is counted. One thread takes all that the pool has, out of all their caches. */
#include "../check_threads.h"

enum { MOST = 4096, BEYOND = 100, EACH = 12, SMALL = 1000 };
/* A thread's stack may be small, but for what sanitizers put there. */
enum { STACK = 1 << 18 };

static struct barrier turn;
static struct mutex alone = MUTEX_INIT;
static size_t with_cache; /* threads */

struct worker {
    struct thread thread;
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
    barrier_wait(&turn);
    /* What it takes comes from its cache, and what it frees goes there. */
    CHECK(mutex_lock(&alone));
    size_t before = figures(worker->mp).cached;
    void *one = mempool_alloc_entry(worker->mp);
    size_t between = figures(worker->mp).cached;
    mempool_free_entry(one);
    with_cache += between == before - 1 && figures(worker->mp).cached == before;
    CHECK(mutex_unlock(&alone));
    barrier_wait(&turn);
    barrier_wait(&turn);
    /* Nothing is in its cache any more. */
    void *entry = mempool_alloc_entry(worker->mp);
    CHECK(entry == NULL);
    barrier_wait(&turn);
    barrier_wait(&turn);
    worker->entries[0] = mempool_alloc_entry(worker->mp);
    CHECK(worker->entries[0] != NULL);
    mempool_free_entry(worker->entries[0]);
    return NULL;
}

static void *no_work(void *unused)
{
    barrier_wait(&turn);
    return unused;
}

/* Whether the system lets a process have so many threads. */
static bool can_have(size_t threads)
{
    struct thread *all = malloc(threads * sizeof *all);
    CHECK(all != NULL);
    size_t made = 0;
    struct barrier never;
    CHECK(barrier_init(&never, 1));
    CHECK(barrier_init(&turn, threads + 1));
    while (made < threads && thread_start_with(&all[made], no_work, NULL, STACK))
        made++;
    bool can = made == threads;
    if (!can) {
        printf("the system lets a process have %zu threads\n", made);
        puts("ok 1");
        exit(0);
    }
    barrier_wait(&turn);
    for (size_t i = 0; i < made; i++)
        CHECK(thread_join(&all[i]));
    free(all);
    return can;
}

/* `caches` of the threads have one, at least. */
static void meet(size_t threads, size_t count, size_t caches)
{
    row("%zu threads, %zu entries", threads, count);
    mempool *mp = mempool_create(count, sizeof(void *), false);
    CHECK(mp != NULL);
    void **entries = malloc((count + 1) * sizeof *entries);
    struct worker *workers = calloc(threads, sizeof *workers);
    CHECK(entries != NULL && workers != NULL);
    CHECK(barrier_init(&turn, threads + 1));
    with_cache = 0;
    for (size_t i = 0; i < threads; i++) {
        workers[i].mp = mp;
        workers[i].entries[0] = mempool_alloc_entry(mp);
        CHECK(workers[i].entries[0] != NULL);
        CHECK(thread_start_with(&workers[i].thread, work, &workers[i], STACK));
    }
    barrier_wait(&turn);
    barrier_wait(&turn);
    mempool_stats stats = figures(mp);
    CHECK(stats.used == 0 && stats.peak_used >= EACH);
    CHECK(with_cache >= caches);
    double longest = 0;
    for (size_t i = 0; i < count; i++) {
        /* Of this thread alone: others want the processor, too. */
        double before = thread_seconds();
        entries[i] = mempool_alloc_entry(mp);
        double took = (thread_seconds() - before) * 1e6;
        longest = took > longest ? took : longest;
        CHECK(entries[i] != NULL);
    }
    printf("%s: %zu had a cache, %zu entries were there; the longest of all calls took %.0f microseconds\n", check_row,
           with_cache, stats.cached, longest);
    CHECK_FAILS(mempool_alloc_entry(mp), ENOMEM);
    CHECK(figures(mp).cached == 0 && figures(mp).peak_used == count);
    barrier_wait(&turn);
    barrier_wait(&turn);
    for (size_t i = 0; i < count; i++)
        mempool_free_entry(entries[i]);
    barrier_wait(&turn);
    for (size_t i = 0; i < threads; i++)
        CHECK(thread_join(&workers[i].thread));
    CHECK(mempool_used_count(mp) == 0);
    mempool_destroy(mp);
    free(entries);
    free(workers);
}

int main(void)
{
    if (under_valgrind()) {
        meet(100, 101 * 64, 100);
        return done();
    }
    row("as many threads as are to meet");
    CHECK(can_have(scaled(MOST + BEYOND, 1000)));
    meet(1000, 1001 * 64, 1000);
    /* One of those with a cache is the thread that made the pool. */
    if (!is_brief())
        meet(MOST + BEYOND, MOST * 64, MOST - 1);
    meet(1000, SMALL + 1000, SMALL / 100);
    return done();
}
