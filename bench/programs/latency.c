/* How long do single calls take, the slowest ones included?
 *
 * usage: latency WORKLOAD CALLS [THREADS]
 *
 * Times every take and every give on its own, with the processor's time stamp counter, and sorts the
 * times into buckets that are 1/32 of a power of two wide. Prints one line of JSON: for each kind of
 * call, the buckets' middles in ticks with their counts, and the longest time; what timing nothing
 * says; the smallest step of the counter; how many ticks a nanosecond has. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <pthread.h>

#include "memory.h"
#include "timing.h"

enum { ENTRY = 64, DRAWS = 1 << 17, CHURN_LIVE = 10000, BURST = 1000 };

#if defined __x86_64__

#include <x86intrin.h>

/* The fences keep calls from moving across the reading of the counter. */
static inline uint64_t ticks_before(void)
{
    _mm_lfence();
    uint64_t ticks = __rdtsc();
    _mm_lfence();
    return ticks;
}

static inline uint64_t ticks_after(void)
{
    unsigned cpu;
    uint64_t ticks = __rdtscp(&cpu);
    _mm_lfence();
    return ticks;
}

#else

static inline uint64_t ticks_before(void)
{
    return now_ns();
}

static inline uint64_t ticks_after(void)
{
    return now_ns();
}

#endif

/* ---- Times in buckets -------------------------------------------------------------------------- */

enum { STEPS = 32, BUCKETS = STEPS * 60 };

struct histogram {
    uint64_t count[BUCKETS];
    uint64_t longest;
};

static inline void note(struct histogram *h, uint64_t ticks)
{
    unsigned shift = ticks < 2 * STEPS ? 0 : 58 - (unsigned)__builtin_clzll(ticks);
    ++h->count[shift * STEPS + (ticks >> shift)];
    if (ticks > h->longest) {
        h->longest = ticks;
    }
}

static uint64_t middle_of(size_t bucket)
{
    if (bucket < 2 * STEPS) {
        return bucket;
    }
    unsigned shift = (unsigned)(bucket / STEPS) - 1;
    return ((bucket - shift * STEPS) << shift) + ((UINT64_C(1) << shift) >> 1);
}

static void print_histogram(const char *name, const struct histogram *h)
{
    printf("\"%s\": {\"longest\": %llu, \"buckets\": [", name, (unsigned long long)h->longest);
    const char *separator = "";
    for (size_t i = 0; i < BUCKETS; ++i) {
        if (h->count[i] > 0) {
            printf("%s[%llu, %llu]", separator, (unsigned long long)middle_of(i),
                   (unsigned long long)h->count[i]);
            separator = ", ";
        }
    }
    printf("]}");
}

/* Of each thread. */
static __thread struct histogram takes, gives;
static struct histogram nothing, all_takes, all_gives;
static pthread_mutex_t adding = PTHREAD_MUTEX_INITIALIZER;

static void add(struct histogram *sum, const struct histogram *h)
{
    for (size_t i = 0; i < BUCKETS; ++i) {
        sum->count[i] += h->count[i];
    }
    sum->longest = h->longest > sum->longest ? h->longest : sum->longest;
}

static uint64_t median_of(const struct histogram *h)
{
    uint64_t all = 0;
    for (size_t i = 0; i < BUCKETS; ++i) {
        all += h->count[i];
    }
    uint64_t seen = 0;
    for (size_t i = 0; i < BUCKETS; ++i) {
        seen += h->count[i];
        if (2 * seen >= all) {
            return middle_of(i);
        }
    }
    return 0;
}

/* ---- The workloads ------------------------------------------------------------------------------- */

static source pool;
static __thread void *live[CHURN_LIVE];
static uint32_t which[DRAWS];

static inline void *timed_take(void)
{
    uint64_t before = ticks_before();
    void *entry = take(&pool);
    note(&takes, ticks_after() - before);
    return entry;
}

static inline void timed_give(void *entry)
{
    uint64_t before = ticks_before();
    give(&pool, entry);
    note(&gives, ticks_after() - before);
}

static void churn(uint64_t calls)
{
    for (uint64_t i = 0; i < calls; ++i) {
        void **place = &live[which[i % DRAWS]];
        volatile unsigned char *first = *place;
        *first = (unsigned char)(*first + 1);
        timed_give(*place);
        *place = timed_take();
    }
}

static void bursts(uint64_t calls)
{
    for (uint64_t done = 0; done < calls; done += BURST) {
        for (size_t i = 0; i < BURST; ++i) {
            live[i] = timed_take();
        }
        for (size_t i = 0; i < BURST; ++i) {
            timed_give(live[i]);
        }
    }
}

static void (*workload)(uint64_t calls);
static uint64_t calls;
static size_t held;
static pthread_barrier_t together;

static void *work(void *unused)
{
    for (size_t i = 0; i < held; ++i) {
        live[i] = must(take(&pool), "take");
        memset(live[i], 1, ENTRY);
    }
    /* What the first calls of all do is another question. */
    workload(calls / 20);
    memset(&takes, 0, sizeof takes);
    memset(&gives, 0, sizeof gives);
    pthread_barrier_wait(&together);
    workload(calls);
    pthread_barrier_wait(&together);
    pthread_mutex_lock(&adding);
    add(&all_takes, &takes);
    add(&all_gives, &gives);
    pthread_mutex_unlock(&adding);
    return unused;
}

int main(int argc, char **argv)
{
    enum { THREADS_MAX = 64 };
    int threads = argc > 3 ? atoi(argv[3]) : 1;
    if (argc < 3 || threads < 1 || threads > THREADS_MAX) {
        fprintf(stderr, "usage: latency WORKLOAD CALLS [THREADS]\n");
        return 2;
    }
    calls = strtoull(argv[2], NULL, 10) / (uint64_t)threads;
    if (strcmp(argv[1], "churn") == 0) {
        workload = churn;
        held = CHURN_LIVE;
    } else if (strcmp(argv[1], "bursts") == 0) {
        workload = bursts;
    } else {
        fprintf(stderr, "latency: there is no workload '%s'\n", argv[1]);
        return 2;
    }

    uint64_t seed = RANDOM_SEED;
    pool = source_make(2 * CHURN_LIVE, ENTRY, false);
    for (size_t i = 0; i < DRAWS; ++i) {
        which[i] = random_below(&seed, CHURN_LIVE);
    }
    pthread_t others[THREADS_MAX];
    pthread_barrier_init(&together, NULL, (unsigned)threads + 1);
    for (int i = 0; i < threads; ++i) {
        if (pthread_create(&others[i], NULL, work, NULL) != 0) {
            fprintf(stderr, "latency: can't start thread %d of %d\n", i + 1, threads);
            return 1;
        }
    }
    pthread_barrier_wait(&together);
    uint64_t ns = now_ns();
    uint64_t ticks = ticks_before();
    pthread_barrier_wait(&together);
    ticks = ticks_after() - ticks;
    ns = now_ns() - ns;
    for (int i = 0; i < threads; ++i) {
        pthread_join(others[i], NULL);
    }
    uint64_t step = UINT64_MAX;
    uint64_t previous = 0;
    for (int i = 0; i < 100000; ++i) {
        uint64_t before = ticks_before();
        uint64_t took = ticks_after() - before;
        note(&nothing, took);
        uint64_t apart = took > previous ? took - previous : previous - took;
        step = apart > 0 && apart < step ? apart : step;
        previous = took;
    }
    printf("{\"ticks_per_ns\": %.6f, \"timer_ticks\": %llu, \"step_ticks\": %llu, ",
           (double)ticks / (double)ns, (unsigned long long)median_of(&nothing),
           (unsigned long long)step);
    print_histogram("take", &all_takes);
    printf(", ");
    print_histogram("give", &all_gives);
    printf("}\n");
    return 0;
}
