/* Reports of misuse for tests: what did a handler get, and how did the process end?
 *
 * Each deed is done in a process of its own; what its handler got comes back in shared memory. */
#ifndef HANDLER_H
#define HANDLER_H

#include "check_child.h"

enum { COUNT = 8, SIZE = 64 };

#define NAME "sessions"

/* What handlers got, as the parent reads it. */
struct seen {
    atomic_int calls;
    atomic_long after; /* what the child notes when a call came back */
    atomic_int ended;  /* that a handler ended it; valgrind has its own exit status */
    mempool_misuse report;
    char pool_name[80], text[400];
    const void *context;
    /* What the deed says that the report must have. */
    const void *pointer, *pool;
    size_t used;
};

static struct seen *seen;
static char buffer[1 << 14] __attribute__((aligned(64)));

static inline void note(const mempool_misuse *report, void *context)
{
    if (atomic_fetch_add(&seen->calls, 1) > 0)
        return;
    seen->report = *report;
    snprintf(seen->pool_name, sizeof seen->pool_name, "%s", report->pool_name);
    snprintf(seen->text, sizeof seen->text, "%s", report->text);
    seen->context = context;
}

static inline void end(int how)
{
    atomic_store(&seen->ended, how);
    _Exit(0);
}

static inline void note_and_exit(const mempool_misuse *report, void *context)
{
    note(report, context);
    end(42);
}

static inline mempool *create_with_flags(uint64_t flags, void *memory)
{
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = COUNT;
    options.elem_size = SIZE;
    options.name = NAME;
    options.flags = flags;
    options.buffer = memory;
    options.buffer_size = memory != NULL ? sizeof buffer : 0;
    mempool *mp = mempool_create_with(&options);
    CHECK(mp != NULL);
    return mp;
}

/* Classes of 16, 32 and 64 bytes, with as many as COUNT entries in the smallest. */
static inline r_mempool *create_ranged(uint64_t flags, void *memory)
{
    r_mempool_options options = R_MEMPOOL_OPTIONS_INIT;
    options.smallest_size = 16;
    options.largest_size = SIZE;
    options.smallest_count = COUNT;
    options.name = NAME;
    options.flags = flags;
    options.buffer = memory;
    options.buffer_size = memory != NULL ? sizeof buffer : 0;
    options.policy = fallback_at_first_exhaustion;
    r_mempool *rmp = r_mempool_create_with(&options);
    CHECK(rmp != NULL);
    return rmp;
}

static inline char *taken(mempool *mp)
{
    char *entry = hide(mempool_alloc_entry(mp));
    CHECK(entry != NULL);
    return entry;
}

/* The report will be about this pointer, and this pool. */
static inline void blame(const void *pointer, const void *pool)
{
    seen->pointer = pointer;
    seen->pool = pool;
}

/* ---- Deeds ---- */

static inline void double_free(void)
{
    mempool *mp = create_with_flags(0, NULL);
    char *entry = taken(mp);
    blame(entry, mp);
    (mempool_free_entry)(entry);
    (mempool_free_entry)(entry);
}

/* Frees it again and again with the word that it had while it was out: that tells nothing. */
static inline void free_with_old_word(char *entry, size_t count)
{
    char word[8];
    memcpy(word, entry - 8, sizeof word);
    for (; count > 0; count--) {
        (mempool_free_entry)(entry);
        memcpy(entry - 8, word, sizeof word);
    }
}

/* Here and below the depot sees it, behind its lock. */
static inline void double_free_in_depot(void)
{
    mempool *mp = create_with_flags(0, NULL);
    char *entry = taken(mp);
    blame(entry, mp);
    free_with_old_word(entry, 2);
}

/* ---- Their processes ---- */

static mempool_misuse_handler handler;
static void (*deed)(void);
static int context;

static inline void with_handler(void *unused)
{
    (void)unused;
    mempool_set_misuse_handler(handler, &context);
    deed();
    atomic_store(&seen->after, 1);
}

/* Runs a deed in a child; what it wrote to stderr. */
static inline const char *commit(void (*what)(void), mempool_misuse_handler with, int *status)
{
    memset(seen, 0, sizeof *seen);
    deed = what;
    handler = with;
    return run_in_child(with_handler, NULL, status);
}

#endif
