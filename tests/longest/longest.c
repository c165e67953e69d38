/* How many instructions does the longest of many calls take, of each function?
 *
 * The program steps through its calls and counts. Pools of several sizes are filled and emptied, with and
 * without entries in the caches of other threads, in shortages and after them. Prints a line for each
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

/* All public functions but the dumps, whose instructions are mostly the C library's. */
#define MEASURED(X) \
    X(mempool_alloc_entry) X(mempool_free_entry) X(mempool_calloc_entry) X(mempool_alloc_bulk) \
    X(mempool_free_bulk) X(mempool_usable_size) X(mempool_owner) X(mempool_owns) X(mempool_used_count) \
    X(mempool_total_capacity) X(mempool_dynamic_allocs_count) X(mempool_get_stats) \
    X(mempool_reset_peak) X(mempool_create) X(mempool_create_with) \
    X(mempool_create_from_preallocated_buffer) X(mempool_buffer_size) X(mempool_reset) \
    X(mempool_for_each_live) X(mempool_destroy) X(mempool_set_misuse_handler) \
    X(r_mempool_alloc_entry) X(r_mempool_free_entry) X(r_mempool_calloc_entry) \
    X(r_mempool_realloc_entry) X(r_mempool_alloc_bulk) X(r_mempool_owns) X(r_mempool_used_count) \
    X(r_mempool_total_capacity) X(r_mempool_dynamic_allocs_count) X(r_mempool_class_count) \
    X(r_mempool_get_stats) X(r_mempool_reset_peak) X(r_mempool_create) X(r_mempool_create_with) \
    X(r_mempool_create_from_preallocated_buffer) X(r_mempool_buffer_size) X(r_mempool_reset) \
    X(r_mempool_for_each_live) X(r_mempool_destroy)
#define NUMBER(name) NUMBER_##name,
#define NAME(name) [NUMBER_##name] = #name,

enum function { NUMBER_nothing, MEASURED(NUMBER) FUNCTIONS };

static const char *const names[FUNCTIONS] = {MEASURED(NAME)};

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

/* The processor traps after each instruction from here on, if the call is one to step through. (Below the
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

#define STEP(name, call) \
    do { \
        begin(NUMBER_##name); \
        call; \
        end(NUMBER_##name); \
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
        STEP(mempool_alloc_entry, entry = mempool_alloc_entry(mp));
        must(entry != NULL, "less than there are");
    }
    while (*out > to) {
        --*out;
        STEP(mempool_free_entry, mempool_free_entry(entries[*out]));
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
        STEP(mempool_alloc_entry, none = mempool_alloc_entry(mp));
        must(none == NULL, "more than there are");
        go(mp, &out, 0);
        if (with_others)
            let_others(mp, count / (OTHERS + 2));
        go(mp, &out, count / 2);
        /* The caches open again. */
        for (int i = 0; i < 5000; i++)
            (mempool_free_entry)(mempool_alloc_entry(mp));
        STEP(mempool_alloc_entry, entries[out] = mempool_alloc_entry(mp));
        out += entries[out] != NULL;
        void *bulk[BULK];
        bool got;
        STEP(mempool_alloc_bulk, got = mempool_alloc_bulk(mp, bulk, BULK));
        if (got)
            STEP(mempool_free_bulk, mempool_free_bulk(bulk, BULK));
        go(mp, &out, 0);
        STEP(mempool_reset_peak, mempool_reset_peak(mp));
        mempool_stats stats = MEMPOOL_STATS_INIT;
        STEP(mempool_get_stats, mempool_get_stats(mp, &stats));
        STEP(mempool_used_count, mempool_used_count(mp));
        STEP(mempool_total_capacity, mempool_total_capacity(mp));
    }
    void *entry = mempool_alloc_entry(mp);
    STEP(mempool_usable_size, mempool_usable_size(entry));
    STEP(mempool_owner, mempool_owner(entry));
    STEP(mempool_owns, mempool_owns(mp, entry));
    mempool_free_entry(entry);
    for (int i = 0; i < 100; i++) {
        STEP(mempool_calloc_entry, entries[i] = mempool_calloc_entry(mp));
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
            STEP(r_mempool_alloc_entry, entry = r_mempool_alloc_entry(rmp, 16));
            if (entry == NULL)
                break;
            entries[out] = entry;
        }
        while (out > 0) {
            out--;
            STEP(r_mempool_free_entry, r_mempool_free_entry(entries[out]));
        }
    }
    void *entry = r_mempool_alloc_entry(rmp, 16);
    for (size_t size = 16; size <= 16 << (CLASSES - 1); size += 24) {
        STEP(r_mempool_realloc_entry, entry = r_mempool_realloc_entry(rmp, entry, size));
        must(entry != NULL, "no larger entry");
    }
    STEP(r_mempool_realloc_entry, entry = r_mempool_realloc_entry(rmp, entry, 16));
    r_mempool_free_entry(entry);
    r_mempool_destroy(rmp);
}

static bool see(void *entry, size_t size, void *seen)
{
    (void)entry, (void)size;
    ++*(size_t *)seen;
    return true;
}

static char buffer[1 << 20] __attribute__((aligned(16)));

/* What goes over a whole pool: one of 1,000 entries of which 100 are out, a ranged one of 7 classes and as
 * many. */
static void whole_pools(void)
{
    enum { COUNT = 1000, OUT = 100 };
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = COUNT;
    options.elem_size = SIZE;
    mempool *mp;
    STEP(mempool_buffer_size, mempool_buffer_size(&options));
    STEP(mempool_create, mp = (mempool_create)(COUNT, SIZE, false));
    STEP(mempool_destroy, (mempool_destroy)(mp));
    STEP(mempool_create_from_preallocated_buffer,
         mp = (mempool_create_from_preallocated_buffer)(buffer, sizeof buffer, SIZE, false, false));
    (mempool_destroy)(mp);
    STEP(mempool_create_with, mp = mempool_create_with(&options));
    must(mp != NULL, "no pool");
    for (int i = 0; i < OUT; i++)
        entries[i] = mempool_alloc_entry(mp);
    size_t seen = 0;
    STEP(mempool_for_each_live, mempool_for_each_live(mp, see, &seen));
    must(seen == OUT, "not all of those that are out");
    STEP(mempool_dynamic_allocs_count, mempool_dynamic_allocs_count(mp));
    STEP(mempool_reset, mempool_reset(mp));
    (mempool_destroy)(mp);
    STEP(mempool_set_misuse_handler, mempool_set_misuse_handler(NULL, NULL));

    r_mempool_options ranged = R_MEMPOOL_OPTIONS_INIT;
    ranged.smallest_size = 16;
    ranged.largest_size = 1024;
    ranged.smallest_count = COUNT;
    ranged.policy = fallback_disabled;
    r_mempool *rmp;
    STEP(r_mempool_buffer_size, r_mempool_buffer_size(&ranged));
    STEP(r_mempool_create, rmp = (r_mempool_create)(16, 1024, COUNT, fallback_disabled));
    STEP(r_mempool_destroy, (r_mempool_destroy)(rmp));
    STEP(r_mempool_create_from_preallocated_buffer,
         rmp = (r_mempool_create_from_preallocated_buffer)(buffer, sizeof buffer, 4, 10, 10,
                                                           fallback_disabled, false));
    must(rmp != NULL, "no ranged pool in the buffer");
    (r_mempool_destroy)(rmp);
    STEP(r_mempool_create_with, rmp = r_mempool_create_with(&ranged));
    must(rmp != NULL, "no ranged pool");
    for (int i = 0; i < OUT; i++)
        entries[i] = r_mempool_alloc_entry(rmp, 16);
    void *entry, *bulk[BULK];
    STEP(r_mempool_calloc_entry, entry = r_mempool_calloc_entry(rmp, SIZE));
    STEP(r_mempool_owns, r_mempool_owns(rmp, entry));
    STEP(r_mempool_alloc_bulk, r_mempool_alloc_bulk(rmp, SIZE, bulk, BULK));
    STEP(r_mempool_used_count, r_mempool_used_count(rmp, SIZE));
    STEP(r_mempool_total_capacity, r_mempool_total_capacity(rmp, SIZE));
    STEP(r_mempool_dynamic_allocs_count, r_mempool_dynamic_allocs_count(rmp, SIZE));
    STEP(r_mempool_class_count, r_mempool_class_count(rmp));
    mempool_stats stats = MEMPOOL_STATS_INIT;
    STEP(r_mempool_get_stats, r_mempool_get_stats(rmp, 2, &stats));
    STEP(r_mempool_reset_peak, r_mempool_reset_peak(rmp));
    seen = 0;
    STEP(r_mempool_for_each_live, r_mempool_for_each_live(rmp, see, &seen));
    must(seen == OUT + 1 + BULK, "not all of those that are out of the ranged pool");
    STEP(r_mempool_reset, r_mempool_reset(rmp));
    (r_mempool_destroy)(rmp);
}

static void make_calls(void)
{
    pthread_t others[OTHERS];
    must(pthread_barrier_init(&turn, NULL, OTHERS + 1) == 0, "no barrier");
    for (int i = 0; i < OTHERS; i++)
        must(pthread_create(&others[i], NULL, other, NULL) == 0, "no thread");
    for (int i = 0; i < 10; i++)
        STEP(nothing, (void)0);
    static const size_t counts[] = {16, 150, 700, 2600, MOST_ENTRIES};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        one_pool(counts[i], false, 0);
        one_pool(counts[i], true, 0);
        one_pool(counts[i], false, MEMPOOL_SINGLE_THREAD);
    }
    ranged_pool();
    whole_pools();
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
    for (int function = NUMBER_nothing + 1; function < FUNCTIONS; function++)
        printf("%s %ld\n", names[function], (long)(most[function] - most[NUMBER_nothing]));
    fprintf(stderr, "%zu calls, %ld instructions stepped through\n", calls, all_steps);
    return 0;
}
