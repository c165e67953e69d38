/*
 * Crashes with pools of each sort, after it said what a debugger is to find.
 *
 * It writes lines for tests/gdb.sh: `command` and a command for gdb, then what that prints: `expect` and how a
 * line begins, in the order of the lines; `inside` and what any of them has in it; `lines` and how many there are.
 */
#define _GNU_SOURCE
#include <cmempool.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef NAMED
#define NAMED 0
#endif

enum { THREADS = 3, TAKEN = 40, KEPT = 7, ROUNDS = 60, BURST = 2500 };

static mempool *nodes, *guarded, *alone, *small, *busy, *hidden, *known;
static r_mempool *texts;
static pthread_barrier_t barrier;

/* tests/gdb.sh puts a copy of the library's table here. */
char decoy[2048] = {1};

struct worker {
    long lwp;
    void *held, *freed;
};
static struct worker workers[THREADS];

static void must(bool condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "crash.c: %s\n", what);
        _Exit(9);
    }
}

static mempool *make(const char *name, size_t count, uint64_t flags)
{
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = count;
    options.elem_size = 40;
    options.name = name;
    options.flags = flags;
    mempool *mp = mempool_create_with(&options);
    must(mp != NULL, name);
    return mp;
}

/* Has threads exchange magazines of all sizes with the depot. */
static void churn(void)
{
    void **taken = calloc(BURST, sizeof *taken);
    must(taken != NULL, "a list");
    for (int round = 0; round < ROUNDS; round++) {
        int count = BURST - round * 40;
        for (int i = 0; i < count; i++)
            must((taken[i] = mempool_alloc_entry(busy)) != NULL, "an entry of a burst");
        for (int i = 0; i < count; i++)
            mempool_free_entry(taken[i]);
    }
    free(taken);
}

/* Holds some entries, has others in its cache, and is in no call when the program crashes. */
static void *work(void *argument)
{
    struct worker *self = argument;
    void *taken[TAKEN];
    for (int i = 0; i < TAKEN; i++) {
        taken[i] = mempool_alloc_entry(nodes);
        must(taken[i] != NULL, "an entry for a thread");
    }
    for (int i = KEPT; i < TAKEN; i++) {
        self->freed = taken[i];
        mempool_free_entry(taken[i]);
    }
    self->held = taken[0];
    self->lwp = syscall(SYS_gettid);
    must(r_mempool_alloc_entry(texts, 20) != NULL, "a text");
    churn();
    pthread_barrier_wait(&barrier);
    for (;;)
        pause();
    return NULL;
}

/* Leaves entries in a cache that is nobody's when it has ended. */
static void *leave(void *freed)
{
    void *taken[TAKEN];
    for (int i = 0; i < TAKEN; i++) {
        taken[i] = mempool_alloc_entry(nodes);
        must(taken[i] != NULL, "an entry for a thread that ends");
    }
    *(void **)freed = taken[TAKEN - 1];
    for (int i = 0; i < TAKEN; i++)
        mempool_free_entry(taken[i]);
    return NULL;
}

/* What `mempool show` prints of a class; `kept` are kept back. */
static void expect_row(const mempool_stats *s, size_t kept)
{
    printf("expect %9zu%10zu%10zu%10zu%8zu%10zu%5zu%10llu%8llu%10zu%10zu\n", s->elem_size, s->capacity, s->used,
           s->peak_used, s->cached, s->capacity - s->used - s->cached - kept, kept, (unsigned long long)s->exhausted,
           (unsigned long long)s->failed, s->dynamic_used, s->dynamic_peak);
}

/* What is after a call is done in the same function. */
#define STAY __asm__ volatile("" ::: "memory")

static __attribute__((noipa)) void *take_known(void)
{
    void *entry = mempool_alloc_entry(known);
    STAY;
    return entry;
}

static __attribute__((noipa)) void free_known(void *entry)
{
    mempool_free_entry(entry);
    STAY;
}

static bool expect_entry(void *entry, size_t usable_size, void *context)
{
    (void)usable_size;
    ++*(size_t *)context;
    printf("expect %p  \n", entry);
    return true;
}

static void expect_live(size_t count, size_t from_heap)
{
    printf("expect %zu %s out, %zu from the heap\n", count, count == 1 ? "entry" : "entries", from_heap);
    if (count > 0)
        printf("expect who took them is not recorded: \n");
    printf("lines %zu\n", count + 1 + (count > 0));
}

static void show_ordinary(mempool *mp, const char *how, const char *title, size_t kept)
{
    mempool_stats stats = MEMPOOL_STATS_INIT;
    must(mempool_get_stats(mp, &stats), "figures");
    printf("command mempool show %s\nexpect pool \"%s\" at %p: %zu bytes from 0x\n", how, title, (void *)mp,
           stats.bytes_reserved);
    expect_row(&stats, kept);
    printf("expect   40 B: first entry at 0x\n");
    size_t count = 0;
    printf("command mempool live %s\n", how);
    mempool_for_each_live(mp, expect_entry, &count);
    must(count == stats.used + stats.dynamic_used, "a walk");
    expect_live(count, stats.dynamic_used);
}

static void show_ranged(void)
{
    mempool_stats stats = MEMPOOL_STATS_INIT;
    size_t from_heap = 0;
    printf("command mempool show \"texts\"\nexpect ranged pool \"texts\" at %p: \n", (void *)texts);
    for (size_t i = 0; r_mempool_get_stats(texts, i, &stats); i++) {
        expect_row(&stats, 0);
        from_heap += stats.dynamic_used;
    }
    size_t count = 0;
    printf("command mempool live \"texts\"\n");
    r_mempool_for_each_live(texts, expect_entry, &count);
    expect_live(count, from_heap);
}

/* One place has three entries, one of them from the heap; one is free. */
static void show_holders(void *const *taken, void *freed)
{
    char by[64];
    snprintf(by, sizeof by, ", by thread 1 (LWP %ld), call ", (long)syscall(SYS_gettid));
    printf("command mempool show known\ninside , records holders; hands out\nexpect   40 B:         3 taken at ");
    printf(NAMED ? "take_known (" : "0x");
    /* A line of the program, and not of the header's code in it. */
    if (NAMED)
        printf("\ninside crash.c:");
    printf("\ncommand mempool live known\ninside , 40 bytes, taken at %s\nlines 4\n", NAMED ? "take_known (" : "0x");
    for (int i = 0; i < 3; i++) {
        printf("command mempool whose %p\nexpect   taken at %s\ninside %s%d\n", taken[i], NAMED ? "take_known (" : "0x",
               by, i < 2 ? i + 1 : 4);
        printf("lines %d\n", i < 2 ? 5 : 3);
    }
    printf("command mempool whose %p\nexpect   free, in the depot; 40 bytes\n", freed);
    printf("expect   taken at %s\nexpect   freed at %s\ninside %s5\n", NAMED ? "take_known (" : "0x",
           NAMED ? "free_known (" : "0x", by);
}

static void list_all(void)
{
    mempool_stats stats = MEMPOOL_STATS_INIT;
    mempool_get_stats(nodes, &stats);
    printf("command mempool list\n");
    printf("expect %#-18zx ordinary        1 %10d %10d %10d  \"known\"\n", (size_t)known, 2, 3, 1);
    printf("expect %#-18zx ordinary        1 %10d %10d %10d  \"hidden\"\n", (size_t)hidden, 1, 5000, 0);
    printf("expect %#-18zx ordinary        1 %10d %10d %10d  \"busy\"\n", (size_t)busy, 0, 20000, 0);
    printf("expect %#-18zx ordinary        1 %10d %10d %10d  \"small\"\n", (size_t)small, 1, 1, 1);
    printf("expect %#-18zx ordinary        1 \n", (size_t)alone);
    printf("expect %#-18zx ordinary        1 \n", (size_t)guarded);
    printf("expect %#-18zx ranged          7 \n", (size_t)texts);
    printf("expect %#-18zx ordinary        1 %10zu %10zu %10zu  \"nodes\"\n", (size_t)nodes, stats.used, stats.capacity,
           stats.dynamic_used);
    printf("lines 9\n");
}

/* One address: where it lies, and what state the entry there is in. */
static void whose(const void *address, const char *place, const char *state)
{
    printf("command mempool whose %p\nexpect %p %s\n", address, address, place);
    if (state)
        printf("expect   %s\n", state);
}

int main(void)
{
    char state[128];

    nodes = make("nodes", 1000, 0);
    r_mempool_options options = R_MEMPOOL_OPTIONS_INIT;
    options.smallest_size = 16;
    options.largest_size = 1024;
    options.smallest_count = 64;
    options.policy = fallback_at_first_exhaustion;
    options.name = "texts";
    texts = r_mempool_create_with(&options);
    must(texts != NULL, "texts");
    guarded = make("guarded", 100, MEMPOOL_HARDENED);
    alone = make("alone", 500, MEMPOOL_SINGLE_THREAD);
    small = make("small", 1, MEMPOOL_FALL_BACK);
    busy = make("busy", 20000, 0);
    hidden = make("hidden", 5000, 0);
    mempool *former = make("former", 2000, 0);
    void *former_address = former;
    mempool_destroy(former);

    void *mine[3];
    for (int i = 0; i < 3; i++)
        mine[i] = mempool_alloc_entry(nodes);
    void *mine_freed = mine[2];
    mempool_free_entry(mine[2]);

    pthread_t thread;
    pthread_barrier_init(&barrier, NULL, THREADS + 1);
    for (int i = 0; i < THREADS; i++)
        must(pthread_create(&thread, NULL, work, &workers[i]) == 0, "a thread");
    pthread_barrier_wait(&barrier);
    void *left;
    must(pthread_create(&thread, NULL, leave, &left) == 0 && pthread_join(thread, NULL) == 0, "a thread that ends");

    void *large[5];
    for (int i = 0; i < 5; i++)
        large[i] = r_mempool_alloc_entry(texts, 1000);
    r_mempool_free_entry(large[4]);
    /* A quarter of the pool is kept back; the others are in the depot's bits. */
    void *strict[60];
    for (int i = 0; i < 60; i++)
        strict[i] = mempool_alloc_entry(guarded);
    void *freed_strict = strict[59], *freed_first = strict[6];
    for (int i = 6; i < 60; i++)
        mempool_free_entry(strict[i]);
    for (int i = 0; i < 90; i++)
        must(mempool_alloc_entry(alone) != NULL, "an entry for one thread");
    void *damaged = mempool_alloc_entry(hidden);
    must(damaged != NULL, "an entry to be damaged");
    memset((char *)damaged - 8, 'x', 8);
    void *only = mempool_alloc_entry(small);
    void *more = mempool_alloc_entry(small), *freed_more = mempool_alloc_entry(small), *copy = freed_more;
    must(only != NULL && more != NULL && copy != NULL, "entries from the heap");
    mempool_free_entry(copy);
    must(mempool_used_count(nodes) == THREADS * KEPT + 2 && r_mempool_dynamic_allocs_count(texts, 1024) == 3, "counts");

    known = make("known", 3, MEMPOOL_RECORD_HOLDERS | MEMPOOL_FALL_BACK);
    void *taken[4];
    for (int i = 0; i < 4; i++)
        taken[i] = take_known();
    /* The fourth is from the heap, and one of the pool's own goes back. */
    void *freed_known = taken[2];
    taken[2] = taken[3];
    free_known(freed_known);

    list_all();
    show_ordinary(nodes, "nodes", "nodes", 0);
    printf("command mempool show nodes\n");
    for (int i = 0; i < THREADS; i++)
        printf("inside (LWP %ld)\n", workers[i].lwp);
    printf("inside in the cache of a thread that has ended\n");
    show_ordinary(nodes, "\"nodes\"", "nodes", 0);
    show_ordinary(guarded, "guarded", "guarded", 25);
    show_ordinary(alone, "alone", "alone", 0);
    show_ordinary(small, "small", "small", 0);
    show_ordinary(busy, "busy", "busy", 0);
    show_ranged();
    show_holders(taken, freed_known);

    whose(mine[0], "is entry ", "out; 40 bytes");
    whose((char *)mine[0] + 12, "points 12 bytes into entry ", "out; 40 bytes");
    whose((char *)mine[0] - 5, "lies in the header of entry ", "out; 40 bytes");
    snprintf(state, sizeof state, "free, in the cache of thread 1 (LWP %ld); 40 bytes", (long)syscall(SYS_gettid));
    whose(mine_freed, "is entry ", state);
    for (int i = 0; i < THREADS; i++) {
        whose(workers[i].held, "is entry ", "out; 40 bytes");
        snprintf(state, sizeof state, "(LWP %ld); 40 bytes", workers[i].lwp);
        printf("command mempool whose %p\nexpect %p is entry \ninside %s\n", workers[i].freed, workers[i].freed, state);
    }
    whose(left, "is entry ", "free, in the cache of a thread that has ended; 40 bytes");
    whose(nodes, "is the pool \"nodes\"", NULL);
    whose((char *)nodes + 16, "is the library's own, in the memory of the pool \"nodes\"", NULL);
    whose(large[0], "is entry 0 of 1 of the 1024-byte class of the ranged pool \"texts\"", "out; 1024 bytes");
    printf("expect   before it: no entry\nexpect   after it: no entry\n");
    whose(large[3], "is an entry that the ranged pool \"texts\"", "out; 1024 bytes");
    whose((char *)large[3] + 7, "points 7 bytes into an entry that the ranged pool \"texts\"", "out; 1024 bytes");
    whose(more, "is an entry that the pool \"small\"", "out; 40 bytes");
    whose(freed_more, "was an entry that the pool \"small\"", "freed");
    whose(strict[0], "is entry ", "out; 40 bytes");
    whose((char *)strict[0] + 41, "lies 1 byte past the end of entry ", "out; 40 bytes");
    whose(freed_strict, "is entry ", "free, kept back in quarantine; 40 bytes");
    whose(freed_first, "is entry ", "free, in the depot; 40 bytes");
    whose(damaged, "is entry 0 of 5000 of the pool \"hidden\"", "its header was overwritten: it is 0x7878787878787878; 40 bytes");
    whose(former_address, "lies where the pool \"former\" was", NULL);
    whose(&barrier, "belongs to no pool", NULL);
    printf("command mempool whose 0\nexpect 0x0 belongs to no pool\n");
    fflush(stdout);

    /* A core has no memory that it is not to have. */
    if (getenv("CRASH_WITHOUT_HIDDEN")) {
        uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
        madvise((void *)((uintptr_t)hidden & ~(page - 1)), page, MADV_DONTDUMP);
    }
    *(volatile int *)NULL = 0;
    return 0;
}
