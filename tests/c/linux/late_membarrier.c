/* What becomes of pools when a filter refuses membarrier that came after they were made, and which pools
 * never need the call?
 *
 * Each row runs in a child, since a filter can't be taken away. */
#include "../check_linux.h"

#include <limits.h>
#include <pthread.h>

enum { COUNT = 1000, SMALL = 11, SIZE = 40 };

static mempool *create(size_t count, uint64_t flags)
{
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = count;
    options.elem_size = SIZE;
    options.flags = flags;
    mempool *mp = mempool_create_with(&options);
    CHECK(mp != NULL);
    return mp;
}

static size_t cached(mempool *mp)
{
    mempool_stats stats = MEMPOOL_STATS_INIT;
    CHECK(mempool_get_stats(mp, &stats));
    CHECK(stats.used == mempool_used_count(mp) && stats.peak_used >= stats.used);
    return stats.cached;
}

/* Takes what there is, at most `most`; each entry once. */
static size_t take(mempool *mp, void **entries, size_t most)
{
    size_t count = 0;
    for (void **entry; count < most && (entry = mempool_alloc_entry(mp)) != NULL; count++) {
        entries[count] = entry;
        *entry = NULL;
    }
    for (size_t i = 0; i < count; i++) {
        CHECK(*(void **)entries[i] == NULL);
        *(void **)entries[i] = entries[i];
    }
    return count;
}

static void give(void **entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        CHECK(*(void **)entries[i] == entries[i]);
        mempool_free_entry(entries[i]);
    }
}

static void *held[COUNT + 1];

static void take_all_and_give(mempool *mp, size_t count)
{
    CHECK(take(mp, held, count + 1) == count);
    CHECK_FAILS(mempool_alloc_entry(mp), ENOMEM);
    CHECK(mempool_used_count(mp) == count);
    give(held, count);
    CHECK(mempool_used_count(mp) == 0);
}

/* ---- A thread with a cache, which does what it is told ---- */

static mempool *its_pool;
static pthread_barrier_t turn;

static void fill_own_cache(void)
{
    void *entries[COUNT / 4];
    for (int i = 0; i < 3; i++) {
        CHECK(take(its_pool, entries, LENGTH(entries)) == LENGTH(entries));
        give(entries, LENGTH(entries));
    }
}

static void *other_thread(void *stays)
{
    fill_own_cache();
    pthread_barrier_wait(&turn); /* its cache has entries */
    if (stays == NULL)
        return NULL;
    pthread_barrier_wait(&turn); /* the filter is there, and the pool ran short */
    /* Each call brings a part of what is in the cache. */
    for (int i = 0; i < 4; i++) {
        void *entry = mempool_alloc_entry(its_pool);
        CHECK(entry != NULL);
        mempool_free_entry(entry);
    }
    pthread_barrier_wait(&turn); /* it came by */
    pthread_barrier_wait(&turn);
    return NULL;
}

static void *stays = &stays;

static pthread_t start_other(mempool *mp, void *argument)
{
    pthread_t thread;
    its_pool = mp;
    CHECK(pthread_barrier_init(&turn, NULL, 2) == 0);
    CHECK(pthread_create(&thread, NULL, other_thread, argument) == 0);
    pthread_barrier_wait(&turn);
    return thread;
}

/* ---- Rows ---- */

static void no_caches(void *unused)
{
    (void)unused;
    mempool *mp = create(SMALL, 0), *large = create(COUNT, 0);
    CHECK(refuse_membarrier());
    for (int i = 0; i < 5000; i++)
        take_all_and_give(mp, SMALL);
    mempool_reset_peak(mp);
    mempool_reset_peak(large);
    take_all_and_give(large, COUNT);
}

static void one_thread(void *flags)
{
    mempool *mp = create(COUNT, *(uint64_t *)flags);
    take_all_and_give(mp, COUNT);
    CHECK(refuse_membarrier());
    for (int i = 0; i < 50; i++) {
        take_all_and_give(mp, COUNT);
        mempool_reset_peak(mp);
    }
}

static void thread_that_comes_by(void *flags)
{
    mempool *mp = create(COUNT, *(uint64_t *)flags);
    pthread_t thread = start_other(mp, stays);
    CHECK(refuse_membarrier());
    size_t out_of_reach = cached(mp);
    size_t count = take(mp, held, COUNT + 1);
    CHECK(count >= COUNT - out_of_reach && count <= COUNT);
    CHECK(mempool_used_count(mp) == count && cached(mp) == COUNT - count);
    void *all[COUNT + 1];
    CHECK(!mempool_alloc_bulk(mp, all, COUNT - count + 1));
    CHECK(mempool_used_count(mp) == count);
    pthread_barrier_wait(&turn);
    pthread_barrier_wait(&turn);
    CHECK(cached(mp) == 0);
    CHECK(count + take(mp, held + count, COUNT + 1 - count) == COUNT);
    give(held, COUNT);
    take_all_and_give(mp, COUNT);
    pthread_barrier_wait(&turn);
    CHECK(pthread_join(thread, NULL) == 0);
    take_all_and_give(mp, COUNT);
}

static void thread_that_ended(void *flags)
{
    mempool *mp = create(COUNT, *(uint64_t *)flags);
    pthread_t thread = start_other(mp, NULL);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(cached(mp) > 0);
    CHECK(refuse_membarrier());
    take_all_and_give(mp, COUNT);
    CHECK(take(mp, held, SMALL) == SMALL);
    void *rest[COUNT];
    CHECK(mempool_alloc_bulk(mp, rest, COUNT - SMALL));
    CHECK(mempool_used_count(mp) == COUNT);
}

static pthread_key_t last_key;

/* In the last round of destructors: the library's own does not run any more. */
static void call_in_the_last_round(void *rounds)
{
    uintptr_t left = (uintptr_t)rounds;
    if (left > 1)
        CHECK(pthread_setspecific(last_key, (void *)(left - 1)) == 0);
    else
        fill_own_cache();
}

static void *end_unnoticed(void *unused)
{
    (void)unused;
    CHECK(pthread_setspecific(last_key, (void *)(uintptr_t)PTHREAD_DESTRUCTOR_ITERATIONS) == 0);
    return NULL;
}

static void thread_that_ended_unnoticed(void *flags)
{
    mempool *mp = its_pool = create(COUNT, *(uint64_t *)flags);
    fill_own_cache(); /* or this thread would inherit the other's */
    pthread_t thread;
    size_t own = cached(mp);
    CHECK(pthread_key_create(&last_key, call_in_the_last_round) == 0);
    CHECK(pthread_create(&thread, NULL, end_unnoticed, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(cached(mp) > own);
    CHECK(refuse_membarrier());
    take_all_and_give(mp, COUNT);
}

static void reset_pool(void *flags)
{
    mempool *mp = create(COUNT, *(uint64_t *)flags);
    pthread_t thread = start_other(mp, stays);
    CHECK(refuse_membarrier());
    CHECK(take(mp, held, COUNT + 1) <= COUNT);
    mempool_reset(mp);
    CHECK(mempool_used_count(mp) == 0 && cached(mp) == 0);
    pthread_barrier_wait(&turn);
    pthread_barrier_wait(&turn);
    CHECK(cached(mp) == 0);
    take_all_and_give(mp, COUNT); /* the other thread kept none */
    pthread_barrier_wait(&turn);
    CHECK(pthread_join(thread, NULL) == 0);
}

static void pool_made_later(void *flags)
{
    mempool *mp = create(COUNT, 0);
    take_all_and_give(mp, COUNT);
    CHECK(refuse_membarrier());
    mempool_reset_peak(mp); /* finds out */
    take_all_and_give(mp, COUNT);
    mempool *later = create(COUNT, *(uint64_t *)flags);
    pthread_t thread = start_other(later, stays);
    take_all_and_give(later, COUNT); /* the other thread's, too */
    pthread_barrier_wait(&turn);
    pthread_barrier_wait(&turn);
    take_all_and_give(later, COUNT);
    pthread_barrier_wait(&turn);
    CHECK(pthread_join(thread, NULL) == 0);
}

/* ---- Pools that never call it ---- */

static void *wait_for_the_end(void *unused)
{
    (void)unused;
    pthread_barrier_wait(&turn);
    return NULL;
}

static bool kill_for_membarrier(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {LENGTH(filter), filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void never_called(void *unused)
{
    (void)unused;
    pthread_t thread;
    CHECK(pthread_barrier_init(&turn, NULL, 2) == 0);
    CHECK(pthread_create(&thread, NULL, wait_for_the_end, NULL) == 0);
    CHECK(kill_for_membarrier());
    static const struct {
        size_t count;
        uint64_t flags;
    } pools[] = {
        {SMALL, 0},
        {COUNT, MEMPOOL_SINGLE_THREAD},
        {COUNT, MEMPOOL_SINGLE_THREAD | MEMPOOL_ZERO_ON_FREE},
        {COUNT, MEMPOOL_HARDENED},
    };
    for (size_t i = 0; i < LENGTH(pools); i++) {
        mempool *mp = create(pools[i].count, pools[i].flags);
        take_all_and_give(mp, pools[i].count);
        mempool_reset_peak(mp);
        take_all_and_give(mp, pools[i].count);
        mempool_destroy(mp);
    }
    pthread_barrier_wait(&turn);
    CHECK(pthread_join(thread, NULL) == 0);
}

static void can_filter(void *unused)
{
    (void)unused;
    _exit(refuse_membarrier() ? 0 : 1);
}

int main(void)
{
    static uint64_t flags[] = {0, MEMPOOL_ZERO_ON_FREE};
    static const struct {
        const char *what;
        void (*run)(void *);
    } rows[] = {
        {"pools without caches", no_caches},
        {"one thread", one_thread},
        {"a thread that comes by again", thread_that_comes_by},
        {"a thread that ended", thread_that_ended},
        {"a thread that ended unnoticed", thread_that_ended_unnoticed},
        {"a pool that is reset", reset_pool},
        {"a pool that is made later", pool_made_later},
        {"pools that need no fence", never_called},
    };
    int status;
    run_in_child(can_filter, NULL, &status);
    if (status != 0) {
        puts("no filter can be installed here");
        CHECK(true);
        return done();
    }
    for (size_t i = 0; i < LENGTH(rows); i++)
        for (size_t f = 0; f < LENGTH(flags); f++) {
            row("%s, flags %llu", rows[i].what, (unsigned long long)flags[f]);
            const char *text = run_in_child(rows[i].run, &flags[f], &status);
            if (status != 0)
                fprintf(stderr, "status %#x, said: %s\n", (unsigned)status, text);
            CHECK(status == 0 && text[0] == '\0');
        }
    return done();
}
