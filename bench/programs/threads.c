/* What does a pair of take and give cost several threads on one pool?
 *
 * usage: threads WORKLOAD THREADS MILLISECONDS [CPU,CPU,...]
 *
 * Thread i runs on the i-th CPU of the list, around and around; without a list the system decides.
 * The time is that from the first thread's start to the last one's end, divided by the pairs of all.
 * Prints one line of JSON. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "memory.h"
#include "timing.h"

enum { ENTRY = 64, THREADS_MAX = 1024, LINE = 64 };

static source pool;
static int thread_count;
static int cpus[THREADS_MAX];
static int cpu_count;

/* ---- The workloads: thread `id` does `pairs` pairs ------------------------------------------- */

static void loop(int id, uint64_t pairs)
{
    (void)id;
    for (uint64_t i = 0; i < pairs; ++i) {
        give(&pool, take(&pool));
    }
}

enum { BURST = 200 };

static void bursts(int id, uint64_t pairs)
{
    (void)id;
    void *live[BURST];
    for (uint64_t done = 0; done < pairs; done += BURST) {
        for (size_t i = 0; i < BURST; ++i) {
            live[i] = take(&pool);
        }
        for (size_t i = 0; i < BURST; ++i) {
            give(&pool, live[i]);
        }
    }
}

/* Each thread has its share of the pool but for one entry, and takes that before it gives its oldest
 * one back: with N threads, all but N entries are out at least, and all at times. */
static size_t pool_entries;

static void full(int id, uint64_t pairs)
{
    (void)id;
    size_t share = pool_entries / (size_t)thread_count;
    void **live = must(malloc(share * sizeof *live), "malloc");
    size_t held = share - 1;
    size_t next = held; /* The free place; the oldest entry is in the one after it. */
    for (size_t i = 0; i < held; ++i) {
        live[i] = must(take(&pool), "take");
    }
    for (uint64_t i = 0; i < pairs; ++i) {
        void *entry = take(&pool);
        if (!entry) {
            fprintf(stderr, "threads: the pool returned NULL although not all entries were out\n");
            exit(1);
        }
        live[next] = entry;
        next = next + 1 == share ? 0 : next + 1;
        give(&pool, live[next]);
    }
    for (size_t i = 0; i < share; ++i) {
        if (i != next) {
            give(&pool, live[i]);
        }
    }
    free(live);
}

/* The first thread takes, the second gives back. Entries travel in batches through a ring that has
 * one writer and one reader, and are written by the one and read by the other. */
enum { BATCH = 64, RING = 64 };

struct ring {
    _Alignas(LINE) _Atomic uint64_t written;
    _Alignas(LINE) _Atomic uint64_t read;
    _Alignas(LINE) void *batches[RING][BATCH];
};

static struct ring ring;

static void wait_a_little(unsigned *waits)
{
    if (++*waits % 256 == 0) {
        sched_yield();
    } else {
#if defined __x86_64__
        __builtin_ia32_pause();
#endif
    }
}

static void pass_on(int id, uint64_t pairs)
{
    uint64_t batches = (pairs * (uint64_t)thread_count) / BATCH;
    unsigned waits = 0;
    unsigned char sum = 0;
    uint64_t base = atomic_load(id == 0 ? &ring.written : &ring.read);
    for (uint64_t n = base; n < base + batches; ++n) {
        void **batch = ring.batches[n % RING];
        if (id == 0) {
            while (n - atomic_load_explicit(&ring.read, memory_order_acquire) == RING) {
                wait_a_little(&waits);
            }
            for (size_t i = 0; i < BATCH; ++i) {
                batch[i] = take(&pool);
                *(volatile unsigned char *)batch[i] = (unsigned char)n;
            }
            atomic_store_explicit(&ring.written, n + 1, memory_order_release);
        } else {
            while (atomic_load_explicit(&ring.written, memory_order_acquire) == n) {
                wait_a_little(&waits);
            }
            for (size_t i = 0; i < BATCH; ++i) {
                sum = (unsigned char)(sum + *(volatile unsigned char *)batch[i]);
                give(&pool, batch[i]);
            }
            atomic_store_explicit(&ring.read, n + 1, memory_order_release);
        }
    }
    (void)sum;
}

/* ---- Starting together, and waiting for the last ----------------------------------------------- */

struct worker {
    _Alignas(LINE) pthread_t thread;
    int id;
    uint64_t started;
    uint64_t ended;
};

static struct worker workers[THREADS_MAX];
static void (*work)(int id, uint64_t pairs);
static uint64_t share_of_pairs;
static pthread_barrier_t round_begins, round_ends;
static _Atomic int arrived;

static void *worker_main(void *argument)
{
    struct worker *self = argument;
    if (cpu_count > 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(cpus[self->id % cpu_count], &set);
        /* Where that is not allowed, the thread runs wherever it does. */
        (void)pthread_setaffinity_np(pthread_self(), sizeof set, &set);
    }
    for (;;) {
        pthread_barrier_wait(&round_begins);
        if (share_of_pairs == 0) {
            return NULL;
        }
        /* The barrier wakes one after the other: this makes them start together. */
        atomic_fetch_add(&arrived, 1);
        while (atomic_load(&arrived) < thread_count) {
            sched_yield();
        }
        self->started = now_ns();
        work(self->id, share_of_pairs);
        self->ended = now_ns();
        pthread_barrier_wait(&round_ends);
    }
}

static uint64_t run_round(uint64_t *pairs)
{
    /* Each workload does whole ones of its own then. */
    uint64_t unit = work == pass_on ? BATCH : BURST;
    uint64_t share = *pairs / (uint64_t)thread_count;
    share_of_pairs = (share + unit - 1) / unit * unit;
    if (share_of_pairs == 0) {
        share_of_pairs = unit;
    }
    *pairs = share_of_pairs * (uint64_t)thread_count;
    atomic_store(&arrived, 0);
    pthread_barrier_wait(&round_begins);
    pthread_barrier_wait(&round_ends);
    uint64_t first = UINT64_MAX;
    uint64_t last = 0;
    for (int i = 0; i < thread_count; ++i) {
        first = workers[i].started < first ? workers[i].started : first;
        last = workers[i].ended > last ? workers[i].ended : last;
    }
    return last - first;
}

int main(int argc, char **argv)
{
    thread_count = argc > 3 ? atoi(argv[2]) : 0;
    if (thread_count < 1 || thread_count > THREADS_MAX) {
        fprintf(stderr, "usage: threads WORKLOAD THREADS MILLISECONDS [CPU,CPU,...]\n");
        return 2;
    }
    const char *name = argv[1];
    if (argc > 4) {
        for (char *next = argv[4]; *next && cpu_count < THREADS_MAX; next += *next == ',') {
            cpus[cpu_count++] = (int)strtol(next, &next, 10);
        }
    }
    pool_entries = 16384;
    /* Twice what all threads hold at once. */
    if (2 * BURST * (size_t)thread_count > pool_entries) {
        pool_entries = 2 * BURST * (size_t)thread_count;
    }
    if (strcmp(name, "loop") == 0) {
        work = loop;
    } else if (strcmp(name, "bursts") == 0) {
        work = bursts;
    } else if (strcmp(name, "pass_on") == 0 && thread_count == 2) {
        work = pass_on;
    } else if (strcmp(name, "full16") == 0) {
        work = full;
        pool_entries = 16;
    } else if (strcmp(name, "full4096") == 0) {
        work = full;
        pool_entries = 4096;
    } else {
        fprintf(stderr, "threads: there is no workload '%s' for %d threads\n", name, thread_count);
        return 2;
    }
    pool = source_make(pool_entries, ENTRY, false);

    pthread_barrier_init(&round_begins, NULL, (unsigned)thread_count + 1);
    pthread_barrier_init(&round_ends, NULL, (unsigned)thread_count + 1);
    for (int i = 0; i < thread_count; ++i) {
        workers[i].id = i;
        if (pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]) != 0) {
            fprintf(stderr, "threads: can't start thread %d of %d\n", i + 1, thread_count);
            return 1;
        }
    }
    measure(run_round, strtoull(argv[3], NULL, 10));
    share_of_pairs = 0;
    pthread_barrier_wait(&round_begins);
    for (int i = 0; i < thread_count; ++i) {
        pthread_join(workers[i].thread, NULL);
    }
    return 0;
}
