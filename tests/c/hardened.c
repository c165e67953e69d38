/* Is a hardened pool a pool like any other, but for its order and its guard pages? What it catches,
 * misuse.c knows. */
#include "check.h"

#include <cmempool.h>
#include <signal.h>
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
