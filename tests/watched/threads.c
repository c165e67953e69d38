/* Entries that go from thread to thread through a pool, and nothing else that says which thread is first:
 * ThreadSanitizer must not take that for a race, and must see one that is.
 *
 * usage: threads WHAT */
#include <cmempool.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { ENTRIES = 8, SIZE = 64, THREADS = 3, ROUNDS = 2000 };

static mempool *pool;
static r_mempool *ranged;
static bool in_bulk;
static char *shared;

static void *take_and_give(void *number)
{
    for (int round = 0; round < ROUNDS; round++) {
        void *entries[2] = {NULL, NULL};
        if (in_bulk)
            mempool_alloc_bulk(pool, entries, 2);
        else
            entries[0] = ranged ? r_mempool_alloc_entry(ranged, 50) : mempool_alloc_entry(pool);
        for (int i = 0; i < 2; i++) {
            char *entry = entries[i];
            /* Byte by byte, in code of the program's own. */
            for (int at = 0; entry && at < 50; at++)
                entry[at] = (char)(at + round);
        }
        mempool_free_bulk(entries, 2);
    }
    return number;
}

static void *make_and_destroy(void *number)
{
    for (int round = 0; round < 100; round++) {
        mempool *own = mempool_create(round % 2 ? 8 : 1000, SIZE, true);
        char *entry = own ? mempool_alloc_entry(own) : NULL;
        if (entry)
            memset(entry, 1, SIZE);
        mempool_free_entry(entry);
        mempool_destroy(own);
    }
    return number;
}

static void *write_at_once(void *number)
{
    for (int round = 0; round < ROUNDS; round++)
        shared[0]++;
    return number;
}

int main(int argc, char **argv)
{
    const char *what = argc == 2 ? argv[1] : "";
    void *(*run)(void *) = take_and_give;
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = ENTRIES;
    options.elem_size = SIZE;
    if (strcmp(what, "none_zeroing") == 0)
        options.flags = MEMPOOL_ZERO_ON_FREE;
    if (strcmp(what, "none_from_the_heap") == 0) {
        options.elem_count = 1;
        options.flags = MEMPOOL_FALL_BACK;
    }
    in_bulk = strcmp(what, "none_in_bulk") == 0;
    pool = mempool_create_with(&options);
    if (strcmp(what, "none_ranged") == 0 &&
        !(ranged = r_mempool_create(16, 128, ENTRIES * 4, fallback_at_last_exhaustion)))
        return 2;
    if (strcmp(what, "none_of_their_own") == 0)
        run = make_and_destroy;
    if (strcmp(what, "race") == 0) {
        run = write_at_once;
        shared = pool ? mempool_calloc_entry(pool) : NULL;
    }
    if (!pool || (run == write_at_once && !shared))
        return 2;
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, run, NULL) != 0)
            abort();
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    mempool_destroy(pool);
    r_mempool_destroy(ranged);
    return 0;
}
