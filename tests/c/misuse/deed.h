/* What is a deed made of?
 *
 * A deed says beforehand what must be told of it: the pointer, the pool, a detail. */
#ifndef MISUSE_DEED_H
#define MISUSE_DEED_H

#include "pool.h"

#include <pthread.h>
#include <sched.h>

/* What a misuse needs, and what its line names. */
enum {
    RANGED_ONLY = 1,    /* of ranged pools only */
    BUFFER_ONLY = 2,    /* it needs the same memory once more */
    NO_POOL = 4,        /* no pool has the pointer, so the line names none */
    ANY_POOL = 8,       /* or it may name one, and be of another kind */
    OF_HEAP = 16,       /* it is about a dynamic entry */
    HARDENED_ONLY = 32, /* others are the subject of another deed */
    DEFAULT_ONLY = 64,  /* needs the order in which others hand out */
    THREADS_ONLY = 128, /* two of them */
    LEAKS = 256,        /* destroy is asked to report, and goes on */
    HEAPS_OWN = 1024,   /* it touches what is the heap's, where AddressSanitizer looks */
};

/* The kinds of misuse. */
enum row {
    DOUBLE, AT_ONCE, IN_CALL, INSIDE, ODD, FOREIGN, NEVER, HEADER, REALLOC, NOT_A_POOL,
    TWICE_DESTROYED, GONE_ALLOC, GONE_FREE, GONE_COUNT, GONE_REALLOC, GONE_STATS,
    RESET_TWICE, STALE, AFTER_FREE, PAST_END, OUT, ROWS
};

struct misuse {
    enum row row;
    const char *what;
    size_t size;
    void (*commit)(struct world *world);
    const char *says;
    int rules;
    size_t shift;        /* of the pointer, or a choice, where the deed has one */
    unsigned char value; /* written over what must not be written */
};

#define TWICE "double free"
#define DYNAMIC_TWICE ", a dynamic entry"
#define FREED ", an entry that was freed"
#define INTERIOR ", a pointer into the middle of an entry"
#define NEVER_OUT ", an entry that was never handed out"
#define OVERWRITTEN ", whose header was overwritten"
#define NO_ENTRY ", which is not an entry of any pool"
#define GONE ", in memory of a pool that was destroyed"
#define WRONG "realloc of 0x"
#define NO_LIVE_POOL ", which is not a live pool of this kind"
#define POOL_GONE ", a pool that was destroyed"
#define WRITTEN "write to 0x"
#define PAST ", which was written past its end"
#define LEAK "leak of "

/* What a report's kind is, by what its text says. */
static const struct {
    const char *says;
    mempool_misuse_kind kind;
} public_kinds[] = {
    {TWICE, MEMPOOL_MISUSE_DOUBLE_FREE},
    {DYNAMIC_TWICE, MEMPOOL_MISUSE_DOUBLE_FREE},
    {FREED, MEMPOOL_MISUSE_USE_AFTER_FREE},
    {INTERIOR, MEMPOOL_MISUSE_INTERIOR_POINTER},
    {NEVER_OUT, MEMPOOL_MISUSE_NEVER_HANDED_OUT},
    {OVERWRITTEN, MEMPOOL_MISUSE_HEADER_OVERWRITTEN},
    {NO_ENTRY, MEMPOOL_MISUSE_FOREIGN_POINTER},
    {GONE, MEMPOOL_MISUSE_POOL_DESTROYED},
    {WRONG, MEMPOOL_MISUSE_WRONG_POOL},
    {NO_LIVE_POOL, MEMPOOL_MISUSE_NOT_A_POOL},
    {POOL_GONE, MEMPOOL_MISUSE_NOT_A_POOL},
    {WRITTEN, MEMPOOL_MISUSE_WRITE_AFTER_FREE},
    {PAST, MEMPOOL_MISUSE_OVERFLOW},
    {LEAK, MEMPOOL_MISUSE_LEAK},
};

static char static_memory[256] __attribute__((aligned(128)));

static char *take(struct world *world)
{
    void *entry = world->kind->ranged ? r_mempool_alloc_entry(world->rmp, world->size)
                                      : mempool_alloc_entry(world->mp);
    CHECK(entry != NULL);
    return hide(entry);
}

/* The pool's own are all out: this one comes from the heap. */
static char *take_dynamic(struct world *world)
{
    for (size_t i = 0; i < world->count; i++)
        take(world);
    char *entry = take(world);
    CHECK(figures_of(world).dynamic_used == 1);
    return entry;
}

static void give(const struct world *world, void *entry)
{
    (world->kind->ranged ? r_mempool_free_entry : mempool_free_entry)(entry);
}

static void reset(struct world *world)
{
    if (world->kind->ranged)
        r_mempool_reset(world->rmp);
    else
        mempool_reset(world->mp);
}

/* Two entries of which the second lies right after the first. */
static void take_neighbours(struct world *world, char **first, char **second)
{
    uintptr_t entries[MAX_COUNT];
    for (size_t i = 0; i < world->count; i++)
        entries[i] = address(take(world));
    qsort(entries, world->count, sizeof *entries, compare_addresses);
    CHECK(entries[1] - entries[0] == stride(world));
    *first = (char *)entries[0];
    *second = (char *)entries[1];
}

static void name_pool(struct world *world, const char *name, const void *pool)
{
    if (name != NULL)
        snprintf(world->deed->pool, sizeof world->deed->pool, " (pool \"%s\", %zu-byte entries)",
                 name, world->size);
    else
        snprintf(world->deed->pool, sizeof world->deed->pool, " (pool %#zx, %zu-byte entries)",
                 (size_t)address(pool), world->size);
    world->deed->handle = pool;
    world->deed->elem_size = world->size;
}

/* The line will name this pointer, and the world's pool. */
static void *blame(struct world *world, const void *pointer)
{
    snprintf(world->deed->pointer, sizeof world->deed->pointer, " of %#zx",
             (size_t)address(pointer));
    world->deed->at = pointer;
    name_pool(world, world->kind->name, pool_of(world));
    return hide(pointer);
}

/* The same of a pool that is gone. Its entries had more than one size if it was ranged: the line names
 * none. */
static void *blame_former(struct world *world, const void *pointer)
{
    pointer = blame(world, pointer);
    if (world->kind->ranged) {
        strcpy(strchr(world->deed->pool, ','), ")");
        world->deed->elem_size = 0;
    }
    return hide(pointer);
}

static void blame_offset(struct world *world, size_t offset)
{
    snprintf(world->deed->detail, sizeof world->deed->detail, ", %zu bytes past its start",
             offset);
}

/* The line begins with this name of a function, of which a ranged pool has another. */
static void blame_call(const struct world *world, bool ranged, const char *name)
{
    snprintf(world->deed->detail, sizeof world->deed->detail, "cmempool: %s%s of 0x",
             ranged ? "r_" : "", name);
}

/* A call that needs a live entry and is no free: the deed's choice. */
static void use(const struct world *world, void *entry)
{
    if (world->shift == 0) {
        blame_call(world, false, "mempool_usable_size");
        CHECK(mempool_usable_size(entry) == 0);
    } else if (world->shift == 1) {
        blame_call(world, false, "mempool_owner");
        CHECK(mempool_owner(entry) == NULL);
    } else {
        blame_call(world, false, "realloc");
        size_t size = world->shift == 2 ? world->size * 2 : world->size;
        CHECK(r_mempool_realloc_entry(world->rmp, entry, size) == NULL);
    }
}

/* ---- In two threads at once ---- */

static struct {
    void (*act)(const struct world *world, void *pointer);
    const struct world *world;
    void *pointer;
    atomic_int here;
} at_once;

/* Without sleep, or one of them would come too late to be seen by more than the entry's word. */
static void *act_at_once(void *unused)
{
    atomic_fetch_add(&at_once.here, 1);
    for (int spins = 0; atomic_load(&at_once.here) < 2; spins++)
        if (spins % 10000 == 9999)
            sched_yield();
    at_once.act(at_once.world, at_once.pointer);
    return unused;
}

static void in_two_threads(void (*act)(const struct world *world, void *pointer),
                           const struct world *world, void *pointer)
{
    pthread_t other;
    at_once.act = act;
    at_once.world = world;
    at_once.pointer = pointer;
    CHECK(pthread_create(&other, NULL, act_at_once, NULL) == 0);
    act_at_once(NULL);
    pthread_join(other, NULL);
}

#endif
