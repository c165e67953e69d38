/* How many instructions does the longest of many calls take, of each function?
 *
 * The program steps through its calls and counts. Pools of several sizes are filled and emptied, with and
 * without entries in the caches of other threads, in shortages and behind them. Prints a line for each
 * function: its name and the most that was seen. What the kernel does counts for nothing, the instruction
 * that calls it for one. x86-64 only. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#define CMEMPOOL_NO_INLINE
#include <cmempool.h>

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/personality.h>
#include <unistd.h>
#include <x86intrin.h>

enum function {
    NOTHING,
    ALLOC,
    FREE,
    CALLOC,
    R_ALLOC,
    R_FREE,
    REALLOC,
    USABLE_SIZE,
    OWNER,
    OWNS,
    USED_COUNT,
    TOTAL_CAPACITY,
    GET_STATS,
    RESET_PEAK,
    ALLOC_BULK,
    FREE_BULK,
    FUNCTIONS
};

static const char *const names[FUNCTIONS] = {
    [ALLOC] = "mempool_alloc_entry",
    [FREE] = "mempool_free_entry",
    [CALLOC] = "mempool_calloc_entry",
    [R_ALLOC] = "r_mempool_alloc_entry",
    [R_FREE] = "r_mempool_free_entry",
    [REALLOC] = "r_mempool_realloc_entry",
    [USABLE_SIZE] = "mempool_usable_size",
    [OWNER] = "mempool_owner",
    [OWNS] = "mempool_owns",
    [USED_COUNT] = "mempool_used_count",
    [TOTAL_CAPACITY] = "mempool_total_capacity",
    [GET_STATS] = "mempool_get_stats",
    [RESET_PEAK] = "mempool_reset_peak",
    [ALLOC_BULK] = "mempool_alloc_bulk",
    [FREE_BULK] = "mempool_free_bulk",
};

enum { SIZE = 64, BULK = 32, OTHERS = 3, MOST_ENTRIES = 20000 };

/* All calls are made several times, in the same order. First the time is taken, the shortest of all passes, and
 * then those that took longest are stepped through: this takes a thousand times as long. */
enum { MOST_CALLS = 1 << 19, PASSES = 5, STEPPED = 100 };

static struct {
    unsigned ticks;
    unsigned char function;
} times[MOST_CALLS];
static size_t calls;
static unsigned started, threshold[FUNCTIONS]; /* of what is stepped through */
static int pass;
static bool stepping;

static volatile sig_atomic_t steps;
static sig_atomic_t most[FUNCTIONS];
static long all_steps;

static void must(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "longest: %s\n", what);
        exit(1);
    }
}

static void count_instruction(int signal)
{
    (void)signal;
    steps++;
}

/* The processor traps behind each instruction from here on, if the call is one to step through. (Below the
 * part of the stack that the compiler uses as it likes.) */
static inline void begin(enum function function)
{
    must(calls < MOST_CALLS, "too many calls");
    steps = 0;
    if (!stepping)
        started = (unsigned)__rdtsc();
    else if (times[calls].ticks >= threshold[function])
        __asm__ volatile("sub $128, %%rsp; pushfq; orq $0x100, (%%rsp); popfq; lea 128(%%rsp), %%rsp"
                         ::: "memory", "cc");
}

static inline void end(enum function function)
{
    if (!stepping) {
        unsigned ticks = (unsigned)__rdtsc() - started;
        times[calls].ticks = pass == 0 || ticks < times[calls].ticks ? ticks : times[calls].ticks;
        times[calls].function = (unsigned char)function;
    } else if (times[calls].ticks >= threshold[function]) {
        __asm__ volatile(
            "lea -128(%%rsp), %%rsp; pushfq; andq $~0x100, (%%rsp); popfq; lea 128(%%rsp), %%rsp"
            ::: "memory", "cc");
        must(times[calls].function == function, "not the call that it was");
        most[function] = steps > most[function] ? steps : most[function];
        all_steps += steps;
    }
    calls++;
}

static int larger_first(const void *a, const void *b)
{
    unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;
    return (x < y) - (x > y);
}

static void find_thresholds(void)
{
    static unsigned of_function[MOST_CALLS];
    for (int function = 0; function < FUNCTIONS; function++) {
        size_t count = 0;
        for (size_t i = 0; i < calls; i++)
            if (times[i].function == function)
                of_function[count++] = times[i].ticks;
        qsort(of_function, count, sizeof of_function[0], larger_first);
        threshold[function] = count <= STEPPED ? 0 : of_function[STEPPED - 1];
    }
}

#define STEP(function, call) \
    do { \
        begin(function); \
        call; \
        end(function); \
    } while (0)

/* ---- Other threads, with something in their caches ---- */

static pthread_barrier_t turn;
static mempool *pool_of_others;
static size_t taken_by_others;

static void *other(void *unused)
{
    static __thread void *held[MOST_ENTRIES];
    for (;;) {
        pthread_barrier_wait(&turn);
        if (pool_of_others == NULL)
            return unused;
        for (size_t i = 0; i < taken_by_others; i++)
            held[i] = mempool_alloc_entry(pool_of_others);
        for (size_t i = 0; i < taken_by_others; i++)
            mempool_free_entry(held[i]);
        pthread_barrier_wait(&turn);
    }
}

static void let_others(mempool *mp, size_t each)
{
    pool_of_others = mp;
    taken_by_others = each;
    pthread_barrier_wait(&turn);
    if (mp != NULL)
        pthread_barrier_wait(&turn);
}

/* ---- What is stepped through ---- */

static void *entries[MOST_ENTRIES];

/* Takes until `to` are out, or gives back. */
static void go(mempool *mp, size_t *out, size_t to)
{
    for (void *entry; *out < to; entries[(*out)++] = entry) {
        STEP(ALLOC, entry = mempool_alloc_entry(mp));
        must(entry != NULL, "less than there are");
    }
    while (*out > to) {
        --*out;
        STEP(FREE, mempool_free_entry(entries[*out]));
    }
}

static void one_pool(size_t count, bool with_others, uint64_t flags)
{
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = count;
    options.elem_size = SIZE;
    options.flags = flags;
    mempool *mp = mempool_create_with(&options);
    must(mp != NULL, "no pool");
    size_t out = 0;
    for (int round = 0; round < 2; round++) {
        if (with_others)
            let_others(mp, count / (OTHERS + 2));
        go(mp, &out, count); /* a shortage, if others have some */
        void *none;
        STEP(ALLOC, none = mempool_alloc_entry(mp));
        must(none == NULL, "more than there are");
        go(mp, &out, 0);
        if (with_others)
            let_others(mp, count / (OTHERS + 2));
        go(mp, &out, count / 2);
        /* The caches open again. */
        for (int i = 0; i < 5000; i++)
            (mempool_free_entry)(mempool_alloc_entry(mp));
        STEP(ALLOC, entries[out] = mempool_alloc_entry(mp));
        out += entries[out] != NULL;
        void *bulk[BULK];
        bool got;
        STEP(ALLOC_BULK, got = mempool_alloc_bulk(mp, bulk, BULK));
        if (got)
            STEP(FREE_BULK, mempool_free_bulk(bulk, BULK));
        go(mp, &out, 0);
        STEP(RESET_PEAK, mempool_reset_peak(mp));
        mempool_stats stats = MEMPOOL_STATS_INIT;
        STEP(GET_STATS, mempool_get_stats(mp, &stats));
        STEP(USED_COUNT, mempool_used_count(mp));
        STEP(TOTAL_CAPACITY, mempool_total_capacity(mp));
    }
    void *entry = mempool_alloc_entry(mp);
    STEP(USABLE_SIZE, mempool_usable_size(entry));
    STEP(OWNER, mempool_owner(entry));
    STEP(OWNS, mempool_owns(mp, entry));
    mempool_free_entry(entry);
    for (int i = 0; i < 100; i++) {
        STEP(CALLOC, entries[i] = mempool_calloc_entry(mp));
        if (entries[i] != NULL)
            out++;
    }
    for (size_t i = 0; i < out; i++)
        mempool_free_entry(entries[i]);
    mempool_destroy(mp);
}

static void ranged_pool(void)
{
    enum { CLASSES = 7, COUNT = 512 };
    r_mempool *rmp = r_mempool_create(16, 16 << (CLASSES - 1), COUNT, fallback_disabled);
    must(rmp != NULL, "no ranged pool");
    size_t out = 0;
    for (int round = 0; round < 2; round++) {
        /* Each class runs empty, and larger ones serve in its place. */
        for (void *entry; out < MOST_ENTRIES; out++) {
            STEP(R_ALLOC, entry = r_mempool_alloc_entry(rmp, 16));
            if (entry == NULL)
                break;
            entries[out] = entry;
        }
        while (out > 0) {
            out--;
            STEP(R_FREE, r_mempool_free_entry(entries[out]));
        }
    }
    void *entry = r_mempool_alloc_entry(rmp, 16);
    for (size_t size = 16; size <= 16 << (CLASSES - 1); size += 24) {
        STEP(REALLOC, entry = r_mempool_realloc_entry(rmp, entry, size));
        must(entry != NULL, "no larger entry");
    }
    STEP(REALLOC, entry = r_mempool_realloc_entry(rmp, entry, 16));
    r_mempool_free_entry(entry);
    r_mempool_destroy(rmp);
}

static void make_calls(void)
{
    pthread_t others[OTHERS];
    must(pthread_barrier_init(&turn, NULL, OTHERS + 1) == 0, "no barrier");
    for (int i = 0; i < OTHERS; i++)
        must(pthread_create(&others[i], NULL, other, NULL) == 0, "no thread");
    for (int i = 0; i < 10; i++)
        STEP(NOTHING, (void)0);
    static const size_t counts[] = {16, 150, 700, 2600, MOST_ENTRIES};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        one_pool(counts[i], false, 0);
        one_pool(counts[i], true, 0);
        one_pool(counts[i], false, MEMPOOL_SINGLE_THREAD);
    }
    ranged_pool();
    let_others(NULL, 0);
    for (int i = 0; i < OTHERS; i++)
        pthread_join(others[i], NULL);
}

int main(int argc, char **argv)
{
    (void)argc;
    /* With each run's addresses the same, so are the numbers. */
    if (!(personality(0xffffffff) & ADDR_NO_RANDOMIZE)) {
        personality(ADDR_NO_RANDOMIZE);
        execv("/proc/self/exe", argv);
    }
    struct sigaction action = {.sa_handler = count_instruction};
    must(sigaction(SIGTRAP, &action, NULL) == 0, "no handler");
    for (; pass < PASSES; pass++) {
        calls = 0;
        make_calls();
    }
    find_thresholds();
    calls = 0;
    stepping = true;
    make_calls();
    for (int function = NOTHING + 1; function < FUNCTIONS; function++)
        printf("%s %ld\n", names[function], (long)(most[function] - most[NOTHING]));
    fprintf(stderr, "%zu calls, %ld instructions stepped through\n", calls, all_steps);
    return 0;
}
