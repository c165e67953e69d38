/* Does a hardened pool see what it promises to see, and is it a pool like any other apart from that? */
#include "check.h"

#include <cmempool.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { COUNT = 40 };

_Alignas(16) static char buffer[64 << 10];

static mempool *make(size_t size, uint64_t flags, bool in_buffer)
{
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = COUNT;
    options.elem_size = size;
    options.name = "guarded";
    options.flags = MEMPOOL_HARDENED | flags;
    if (in_buffer) {
        options.buffer = buffer;
        options.buffer_size = sizeof buffer;
    }
    mempool *pool = mempool_create_with(&options);
    CHECK(pool != NULL);
    return pool;
}

/* ---- What is caught -------------------------------------------------------------------------- */

struct fault {
    const char *what;
    void (*commit)(mempool *pool, size_t size);
    const char *line;
};

static void overflow_by_one(mempool *pool, size_t size)
{
    char *entry = mempool_alloc_entry(pool);
    entry[size]++;
    (mempool_free_entry)(entry);
}

static void overflow_of_the_last(mempool *pool, size_t size)
{
    char *highest = NULL;
    for (int i = 0; i < COUNT; i++) {
        char *entry = mempool_alloc_entry(pool);
        if (entry > highest)
            highest = entry;
    }
    highest[size]++;
    (mempool_free_entry)(highest);
}

static void write_after_free(mempool *pool, size_t size)
{
    char *entry = mempool_alloc_entry(pool);
    (mempool_free_entry)(entry);
    entry[size - 1]++;
    for (int i = 0; i < COUNT; i++)
        mempool_alloc_entry(pool);
}

static void double_free(mempool *pool, size_t size)
{
    (void)size;
    char *entry = mempool_alloc_entry(pool);
    (mempool_free_entry)(entry);
    (mempool_free_entry)(entry);
}

static _Atomic(char *) shared_entry;
static atomic_int ready;

static void *free_shared(void *unused)
{
    char *entry;
    while ((entry = atomic_load(&shared_entry)) == NULL)
        ;
    atomic_fetch_add(&ready, 1);
    while (atomic_load(&ready) < 2)
        ;
    (mempool_free_entry)(entry);
    return unused;
}

/* Two threads with the same entry at the same moment, many times: one of the two must be seen. */
static void double_free_at_once(mempool *pool, size_t size)
{
    (void)size;
    pthread_t other;
    char *entry = mempool_alloc_entry(pool);
    CHECK(pthread_create(&other, NULL, free_shared, NULL) == 0);
    atomic_store(&shared_entry, entry);
    while (atomic_load(&ready) < 1)
        ;
    atomic_fetch_add(&ready, 1);
    (mempool_free_entry)(entry);
    pthread_join(other, NULL);
}

static const struct fault faults[] = {
    {"one byte past the end", overflow_by_one, "past its end"},
    {"one byte past the end of the highest", overflow_of_the_last, "past its end"},
    {"write after free", write_after_free, "after it was freed"},
    {"double free", double_free, "double free"},
    {"double free at the same moment", double_free_at_once, "double free"},
};

static void must_die(const struct fault *fault, size_t size, uint64_t flags, bool in_buffer)
{
    int out[2], status;
    char line[512] = "";
    CHECK(pipe(out) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        dup2(out[1], 2);
        fault->commit(make(size, flags, in_buffer), size);
        _exit(0);
    }
    close(out[1]);
    size_t len = 0;
    for (ssize_t got; (got = read(out[0], line + len, sizeof line - 1 - len)) > 0;)
        len += (size_t)got;
    close(out[0]);
    CHECK(waitpid(child, &status, 0) == child);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT || !strstr(line, fault->line) ||
        !strstr(line, "\"guarded\"")) {
        fprintf(stderr, "%s, size %zu, flags %d, %s: status %#x, line '%s'\n", fault->what, size,
                (int)flags, in_buffer ? "buffer" : "own memory", (unsigned)status, line);
        CHECK(!"the child says one line and aborts");
    }
}

static void caught(void)
{
    static const size_t sizes[] = {1, 8, 24, 64, 100};
    static const uint64_t flags[] = {0, MEMPOOL_SINGLE_THREAD, MEMPOOL_ZERO_ON_FREE};
    for (size_t f = 0; f < sizeof faults / sizeof *faults; f++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
            for (size_t g = 0; g < sizeof flags / sizeof *flags; g++)
                for (int in_buffer = 0; in_buffer < 2; in_buffer++) {
                    bool at_once = faults[f].commit == double_free_at_once;
                    if (at_once && flags[g] == MEMPOOL_SINGLE_THREAD)
                        continue;
                    /* Behind the last slot of a buffer there is nothing to look at. */
                    if (faults[f].commit == overflow_of_the_last && in_buffer && sizes[s] % 16 == 8)
                        continue;
                    must_die(&faults[f], sizes[s], flags[g], in_buffer);
                }
}

/* ---- What is as ever ------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    const char *x = *(char *const *)a, *y = *(char *const *)b;
    return (x > y) - (x < y);
}

static void promises_hold(uint64_t flags, bool in_buffer)
{
    mempool *pool = make(48, flags, in_buffer);
    char *entries[COUNT], *sorted[COUNT], *first_order[COUNT];
    bool foreseen = true, same = true;
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < COUNT; i++) {
            entries[i] = mempool_alloc_entry(pool);
            CHECK(entries[i] != NULL && (uintptr_t)entries[i] % 16 == 0);
            CHECK(mempool_used_count(pool) == (size_t)i + 1);
            memset(entries[i], i, 48);
            foreseen = foreseen && (i == 0 || entries[i] > entries[i - 1]);
        }
        CHECK(mempool_alloc_entry(pool) == NULL);
        if (round == 0) {
            CHECK(!foreseen);
            memcpy(first_order, entries, sizeof entries);
        }
        same = same && memcmp(first_order, entries, sizeof entries) == 0;
        memcpy(sorted, entries, sizeof entries);
        qsort(sorted, COUNT, sizeof *sorted, compare);
        for (int i = 1; i < COUNT; i++)
            CHECK(sorted[i] - sorted[i - 1] >= 48 + 8);
        for (int i = 0; i < COUNT; i++) {
            for (int b = 0; b < 48; b++)
                CHECK(entries[i][b] == (char)i);
            (mempool_free_entry)(entries[i]);
            CHECK(mempool_used_count(pool) == (size_t)(COUNT - 1 - i));
        }
    }
    CHECK(!same);
    (mempool_destroy)(pool);
}

/* What was freed last is not handed out next, as long as there is another. */
static void kept_back(void)
{
    mempool *pool = make(64, 0, false);
    for (int round = 0; round < 1000; round++) {
        char *entry = mempool_alloc_entry(pool);
        (mempool_free_entry)(entry);
        char *next = mempool_alloc_entry(pool);
        CHECK(next != entry);
        (mempool_free_entry)(next);
    }
    (mempool_destroy)(pool);
}

static void zeroed_and_ranged(void)
{
    r_mempool_options options = R_MEMPOOL_OPTIONS_INIT;
    options.smallest_size = 16;
    options.largest_size = 1024;
    options.smallest_count = 256;
    options.flags = MEMPOOL_HARDENED;
    options.policy = fallback_at_last_exhaustion;
    r_mempool *pool = r_mempool_create_with(&options);
    CHECK(pool != NULL);
    for (size_t size = 1; size <= 1024; size += 13) {
        char *entry = r_mempool_calloc_entry(pool, size);
        for (size_t i = 0; i < size; i++)
            CHECK(entry[i] == 0);
        memset(entry, 7, size);
        char *larger = r_mempool_realloc_entry(pool, entry, size * 2 > 1024 ? 1024 : size * 2);
        CHECK(larger != NULL && larger[0] == 7 && larger[size - 1] == 7);
        (r_mempool_free_entry)(larger);
    }
    (r_mempool_destroy)(pool);
}

/* A page that can't be touched lies before the region and behind it. */
static void between_guard_pages(void)
{
    int status;
    for (int up = 0; up < 2; up++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            mempool *pool = make(64, 0, false);
            volatile char *at = mempool_alloc_entry(pool);
            signal(SIGSEGV, SIG_DFL);
            for (int i = 0; i < 1 << 16; i++, at += up ? 1 : -1)
                (void)*at;
            _exit(0);
        }
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    }
}

int main(void)
{
    caught();
    for (int in_buffer = 0; in_buffer < 2; in_buffer++) {
        promises_hold(0, in_buffer);
        promises_hold(MEMPOOL_SINGLE_THREAD, in_buffer);
    }
    kept_back();
    zeroed_and_ranged();
    if (!under_valgrind())
        between_guard_pages();
    return done();
}
