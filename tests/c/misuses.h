/* Which misuses are there, and how is each committed in a pool of any kind?
 *
 * A deed says beforehand what must be told of it: the pointer, the pool, a detail. The table at the end
 * has all of them; misuse.c runs it. */
#ifndef MISUSES_H
#define MISUSES_H

#include "check.h"

#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>

enum {
    COUNT = 8,
    /* What a misuse needs, and what its line names. */
    RANGED_ONLY = 1,    /* of ranged pools only */
    BUFFER_ONLY = 2,    /* the pool's memory must still be there after its end */
    NO_POOL = 4,        /* no pool has the pointer, so the line names none */
    ANY_POOL = 8,       /* or it may name one, and be of another kind */
    ON_HEAP = 16,       /* with BUFFER_ONLY: or on the heap, if it is small and not hardened */
    OF_HEAP = 32,       /* it is about a dynamic entry */
    HARDENED_ONLY = 64, /* others don't look for it */
    DEFAULT_ONLY = 128, /* needs the order in which others hand out */
    THREADS_ONLY = 256, /* two of them */
    LEAKS = 512,        /* destroy is asked to report, and goes on */
};

/* The kinds of misuse. */
enum row {
    DOUBLE, AT_ONCE, INSIDE, ODD, FOREIGN, NEVER, HEADER, LATE, REALLOC, DESTROY, AFTER_FREE, PAST_END,
    OUT, ROWS
};

struct kind {
    bool ranged, in_buffer, single, hardened;
    /* No columns of their own: */
    bool zeroing, handler;
    const char *name;
    size_t count; /* of entries in each class */
};

/* What the child did and its handler got, in memory that the parent sees too. */
struct deed {
    /* What the line must contain. */
    char pointer[40], pool[120], detail[80];
    /* What the report must have. */
    const void *at, *handle;
    size_t elem_size;
    /* What it had. */
    atomic_int calls;
    mempool_misuse report;
    char name[80], text[400];
};

/* A pool in the child, and its class of interest. */
struct world {
    const struct kind *kind;
    size_t size, shift;
    unsigned char value;
    bool leaks;
    mempool *mp;
    r_mempool *rmp;
    void *buffer;
    struct deed *deed;
};

struct misuse {
    enum row row;
    const char *what;
    size_t size;
    void (*commit)(struct world *world);
    const char *says;
    int rules;
    size_t shift;        /* of the pointer, where the deed has one */
    unsigned char value; /* written over what must not be written */
};

static char buffer_memory[1 << 20] __attribute__((aligned(64)));
static char static_memory[256] __attribute__((aligned(128)));

/* ---- What a deed is made of ---- */

static uint64_t flags(const struct world *world)
{
    return (world->kind->single ? MEMPOOL_SINGLE_THREAD : 0) |
           (world->kind->hardened ? MEMPOOL_HARDENED : 0) |
           (world->kind->zeroing ? MEMPOOL_ZERO_ON_FREE : 0) |
           (world->leaks ? MEMPOOL_REPORT_LEAKS : 0);
}

/* Bytes from an entry to the next. */
static size_t stride(const struct world *world)
{
    bool guarded = world->kind->hardened && !world->kind->in_buffer;
    return slot_size(world->size + (guarded ? 16 : 0), 16);
}

static r_mempool *create_ranged(const struct world *world, const char *name, void *buffer)
{
    const r_mempool_class classes[] = {{world->size / 2, world->kind->count},
                                       {world->size, world->kind->count},
                                       {world->size * 2, world->kind->count}};
    size_t left_out = world->size == 1; /* half of it is no size */
    r_mempool_options options = R_MEMPOOL_OPTIONS_INIT;
    options.classes = classes + left_out;
    options.class_count = LENGTH(classes) - left_out;
    options.name = name;
    options.buffer = buffer;
    options.buffer_size = buffer == NULL ? 0 : sizeof buffer_memory / 2;
    options.flags = flags(world);
    options.policy = fallback_at_first_exhaustion;
    r_mempool *rmp = r_mempool_create_with(&options);
    CHECK(rmp != NULL);
    return rmp;
}

static mempool *create_ordinary(const struct world *world, const char *name, void *buffer)
{
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = world->kind->count;
    options.elem_size = world->size;
    options.name = name;
    options.buffer = buffer;
    options.buffer_size = buffer == NULL ? 0 : sizeof buffer_memory / 2;
    options.flags = flags(world) | MEMPOOL_FALL_BACK;
    mempool *mp = mempool_create_with(&options);
    CHECK(mp != NULL);
    return mp;
}

static void create(struct world *world)
{
    if (world->kind->ranged)
        world->rmp = create_ranged(world, world->kind->name, world->buffer);
    else
        world->mp = create_ordinary(world, world->kind->name, world->buffer);
}

static void destroy(struct world *world)
{
    (mempool_destroy)(world->mp);
    (r_mempool_destroy)(world->rmp);
}

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
    for (size_t i = 0; i < world->kind->count; i++)
        take(world);
    char *entry = take(world);
    CHECK((world->kind->ranged ? r_mempool_dynamic_allocs_count(world->rmp, world->size)
                               : mempool_dynamic_allocs_count(world->mp)) == 1);
    return entry;
}

static void give(const struct world *world, void *entry)
{
    (world->kind->ranged ? r_mempool_free_entry : mempool_free_entry)(entry);
}

/* Two entries of which the second lies right behind the first. A hardened pool's come from anywhere: of more
 * than half of them two are neighbours. */
static void take_neighbours(struct world *world, char **first, char **second)
{
    char *entries[32];
    for (size_t count = 0; count < world->kind->count && count < LENGTH(entries); count++) {
        entries[count] = take(world);
        for (size_t i = 0; i < count; i++) {
            bool is_second = entries[count] > entries[i];
            *first = entries[is_second ? i : count];
            *second = entries[is_second ? count : i];
            if (address(*second) - address(*first) == stride(world))
                return;
        }
    }
    CHECK(!"the pool has neighbours");
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
    name_pool(world, world->kind->name,
              world->kind->ranged ? (void *)world->rmp : (void *)world->mp);
    return hide(pointer);
}

static void blame_detail(struct world *world, size_t offset)
{
    snprintf(world->deed->detail, sizeof world->deed->detail, ", %zu bytes behind its start",
             offset);
}

/* ---- Entries that were freed before ---- */

static void twice_at_once(struct world *world)
{
    void *entry = blame(world, take(world));
    give(world, entry);
    give(world, entry);
}

static void twice_of_all(struct world *world)
{
    char *entries[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        entries[i] = take(world);
    for (size_t i = 0; i < COUNT; i++)
        give(world, entries[i]);
    give(world, blame(world, entries[COUNT / 2]));
}

/* Other calls in between, none of which hands the entry out again. */
static void twice_later(struct world *world)
{
    char *entry, *others[4];
    /* A hardened pool keeps the last two back. */
    size_t count = world->kind->hardened ? 1 : LENGTH(others);
    for (size_t i = 0; i < count; i++)
        others[i] = take(world);
    entry = take(world);
    give(world, entry);
    for (size_t i = 0; i < count; i++)
        give(world, others[i]);
    /* Neither the last given nor the lowest. */
    for (size_t i = 0; i < (count + 1) / 2; i++) {
        others[i] = take(world);
        CHECK(address(others[i]) != address(entry));
    }
    give(world, others[0]);
    give(world, blame(world, entry));
}

/* What the holder wrote into the entry, before and after, is of no interest. */
static void twice_with_content(struct world *world)
{
    char *entry = take(world), *other = take(world);
    memset(entry, world->value, world->size);
    give(world, entry);
    memset(entry, world->value, world->size);
    give(world, other);
    give(world, blame(world, entry));
}

/* The word is again what it was while the entry was out. It is seen where the entry comes to the depot
 * twice: at once, or when the thread's cache is full. */
static void twice_with_old_word(struct world *world)
{
    char word[8], *entry = blame(world, take(world));
    memcpy(word, entry - 8, sizeof word);
    for (size_t i = 0; i < 40; i++) {
        give(world, entry);
        memcpy(entry - 8, word, sizeof word);
    }
}

/* The same while all others are out: the depot has room for it, until it finds a slot that it has. */
static void twice_with_old_word_among_others(struct world *world)
{
    for (size_t i = 1; i < world->kind->count; i++)
        take(world);
    twice_with_old_word(world);
}

static void twice_by_other_names(struct world *world)
{
    char *entry = blame(world, take(world));
    _mempool_free_entry(entry);
    (world->kind->ranged ? mempool_free_entry : r_mempool_free_entry)(entry);
}

static void twice_after_realloc(struct world *world)
{
    char *entry = blame(world, take(world));
    char *moved = r_mempool_realloc_entry(world->rmp, entry, world->size * 2);
    CHECK(moved != NULL && address(moved) != address(entry));
    give(world, entry);
}

static void realloc_of_freed(struct world *world)
{
    char *entry = blame(world, take(world));
    give(world, entry);
    entry = r_mempool_realloc_entry(world->rmp, entry, world->size * 2);
    CHECK(entry == NULL);
}

static void dynamic_twice(struct world *world)
{
    char *entry = blame(world, take_dynamic(world));
    give(world, entry);
    give(world, entry);
}

/* Other calls of the heap's in between, none of which reaches for the freed memory. */
static void dynamic_twice_later(struct world *world)
{
    void *volatile large = malloc(3 * world->size), *volatile small = malloc(24);
    char *entry = take_dynamic(world), *other = take(world);
    give(world, entry);
    free(large);
    free(small);
    give(world, other);
    give(world, blame(world, entry));
}

/* The heap gave the memory to someone else: what the entry was can't be told any more. */
static void dynamic_twice_reused(struct world *world)
{
    char *entry = take_dynamic(world), *other = take(world);
    give(world, entry);
    char *volatile memory = malloc(world->size + 48);
    CHECK(memory != NULL);
    memset(memory, world->value, world->size + 48);
    give(world, other);
    give(world, blame(world, entry));
}

static void realloc_of_freed_dynamic(struct world *world)
{
    char *entry = blame(world, take_dynamic(world));
    give(world, entry);
    entry = r_mempool_realloc_entry(world->rmp, entry, world->size * 2);
    CHECK(entry == NULL);
}

/* ---- Pointers that are none of an entry ---- */

static void interior(struct world *world)
{
    char *entry = take(world);
    memset(entry, world->value, world->size);
    blame_detail(world, world->shift);
    give(world, blame(world, entry + world->shift));
}

static void interior_of_freed(struct world *world)
{
    char *entry = take(world);
    give(world, entry);
    blame_detail(world, world->shift);
    give(world, blame(world, entry + world->shift));
}

/* A pointer before an entry lies in the slot of the entry before that. */
static void before_an_entry(struct world *world)
{
    char *first, *second;
    take_neighbours(world, &first, &second);
    blame_detail(world, stride(world) - world->shift);
    give(world, blame(world, second - world->shift));
}

static void interior_of_dynamic(struct world *world)
{
    char *entry = take_dynamic(world);
    memset(entry, world->value, world->size);
    give(world, blame(world, entry + world->shift));
}

static void realloc_of_interior(struct world *world)
{
    char *entry = take(world);
    memset(entry, world->value, world->size);
    blame_detail(world, world->shift);
    entry = blame(world, entry + world->shift);
    entry = r_mempool_realloc_entry(world->rmp, entry, world->size);
    CHECK(entry == NULL);
}

static void never_out(struct world *world)
{
    /* Far enough from the first that no cache took it along. */
    char *entry = take(world) + (world->kind->count - COUNT) * stride(world);
    give(world, blame(world, entry + world->shift * stride(world)));
}

/* Between two that were out, in whatever order they go out. That is drawn by the pool's address: if
 * there is none between two, another pool's order is another. With a value, all were out in an earlier
 * pool in the same place. */
static void never_out_between(struct world *world)
{
    for (;; create(world)) {
        uintptr_t entries[30];
        CHECK(world->kind->count <= LENGTH(entries));
        if (world->value != 0) {
            for (size_t i = 0; i < world->kind->count; i++)
                take(world);
            destroy(world);
            create(world);
        }
        for (size_t count = 0; count + 1 < world->kind->count; count++) {
            entries[count] = address(take(world));
            qsort(entries, count + 1, sizeof *entries, compare_addresses);
            for (size_t i = 1; i <= count; i++)
                if (entries[i] - entries[i - 1] == 2 * stride(world))
                    give(world, blame(world, (void *)(entries[i] - stride(world))));
        }
        if (world->buffer != NULL) {
            destroy(world);
            world->buffer = (char *)world->buffer + 128;
        }
    }
}

/* The slot was out in a pool that is gone; this pool, in the same memory, never handed it out. */
static void never_out_of_this(struct world *world)
{
    char *entries[30];
    size_t count = world->kind->count, slot = count - COUNT + world->shift;
    CHECK(count <= LENGTH(entries));
    for (size_t i = 0; i < count; i++)
        entries[i] = take(world);
    give(world, entries[1]);
    destroy(world);
    create(world);
    char *entry = take(world);
    for (size_t i = 0; i < count; i++)
        if (address(entries[i]) - address(entry) == slot * stride(world))
            give(world, blame(world, entries[i]));
}

/* The pool's entries had more than one size if it was ranged: the line names none. */
static void *blame_former(struct world *world, const void *pointer)
{
    pointer = blame(world, pointer);
    if (world->kind->ranged) {
        strcpy(strchr(world->deed->pool, ','), ")");
        world->deed->elem_size = 0;
    }
    return hide(pointer);
}

static void entry_of_no_pool(struct world *world)
{
    char *entry = blame_former(world, take(world));
    destroy(world);
    give(world, entry);
}

/* Its word is again what it was while it was free. */
static void entry_of_no_pool_with_its_word(struct world *world)
{
    char word[8], *entry = blame_former(world, take(world));
    give(world, entry);
    memcpy(word, entry - 8, sizeof word);
    destroy(world);
    memcpy(entry - 8, word, sizeof word);
    give(world, entry);
}

static void make_and_destroy(char *memory, size_t size)
{
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = options.elem_size = 1;
    options.buffer = memory;
    options.buffer_size = size;
    mempool *other = mempool_create_with(&options);
    CHECK(other != NULL);
    mempool_destroy(other);
}

/* The heap has not used the memory again. */
static void dynamic_of_no_pool(struct world *world)
{
    char *entry = blame(world, take_dynamic(world));
    destroy(world);
    give(world, entry);
}

/* As many others are destroyed in between as still leave the memory of it. */
static void entry_of_no_pool_later(struct world *world)
{
    static char others[15][(MEMPOOL_BUFFER_SIZE(1, 1) + 15) & ~15] __attribute__((aligned(64)));
    char *entry = blame_former(world, take(world));
    destroy(world);
    for (size_t i = 0; i < LENGTH(others); i++)
        make_and_destroy(others[i], sizeof others[i]);
    give(world, entry);
}

/* Its memory became another pool's, of which nothing is left where the entry was. */
static void entry_of_no_pool_overlapped(struct world *world)
{
    char *entry = take(world);
    for (size_t i = 1; i < COUNT; i++) {
        char *other = take(world);
        entry = other > entry ? other : entry;
    }
    destroy(world);
    size_t small = MEMPOOL_BUFFER_SIZE(1, 1);
    CHECK(address(entry) - address(world->buffer) > small + 16);
    make_and_destroy(world->buffer, small);
    give(world, blame(world, entry));
}

static void heap_pointer(struct world *world)
{
    char *volatile memory = malloc(world->size);
    CHECK(memory != NULL);
    memset(memory, world->value, world->size);
    give(world, blame(world, memory + world->shift));
}

static void stack_pointer(struct world *world)
{
    char memory[256];
    memset(memory, world->value, sizeof memory);
    give(world, blame(world, memory + 64 + world->shift));
}

static void static_pointer(struct world *world)
{
    memset(static_memory, world->value, sizeof static_memory);
    give(world, blame(world, static_memory + 64 + world->shift));
}

static void realloc_of_static(struct world *world)
{
    char *entry = blame(world, static_memory + 64);
    entry = r_mempool_realloc_entry(world->rmp, entry, world->size);
    CHECK(entry == NULL);
}

static void the_pool_itself(struct world *world)
{
    give(world, blame(world, world->kind->ranged ? (void *)world->rmp : (void *)world->mp));
}

static void before_any_pool(struct world *world)
{
    destroy(world);
    give(world, blame(world, static_memory + 64));
}

/* ---- Words that were overwritten ---- */

static void overflow(struct world *world)
{
    char *first, *second;
    take_neighbours(world, &first, &second);
    memset(first, world->value, stride(world));
    give(world, blame(world, second));
}

static void overflow_by_one_bit(struct world *world)
{
    char *entry = take(world);
    entry[-8 + (int)(world->shift / 8)] ^= (char)(1 << world->shift % 8);
    give(world, blame(world, entry));
}

static void overflow_then_realloc(struct world *world)
{
    char *first, *second;
    take_neighbours(world, &first, &second);
    memset(first, world->value, stride(world));
    second = r_mempool_realloc_entry(world->rmp, blame(world, second), world->size);
    CHECK(second == NULL);
}

static void word_of_another(struct world *world)
{
    char *first, *second;
    take_neighbours(world, &first, &second);
    memcpy(second - 8, first - 8, 8);
    give(world, blame(world, second));
}

static void word_of_a_freed_one(struct world *world)
{
    char *first, *second;
    take_neighbours(world, &first, &second);
    give(world, first);
    memcpy(second - 8, first - 8, 8);
    give(world, blame(world, second));
}

/* Overwrites 8 of the bytes in front of a dynamic entry. */
static void dynamic_underflow(struct world *world)
{
    char *entry = take_dynamic(world);
    memset(entry - world->shift, world->value, 8);
    give(world, blame(world, entry));
}

/* A write past the end of what lies in front of a dynamic entry stops before its word. */
static void overflow_into_dynamic(struct world *world)
{
    char *entry = take_dynamic(world);
    memset(entry - 48, world->value, world->shift);
    give(world, blame(world, entry));
}

/* The same with an entry that has dynamic entries on both sides of it in the pool's list. */
static void overflow_into_listed(struct world *world)
{
    char *entries[3] = {take_dynamic(world), take(world), take(world)};
    memset(entries[1] - 48, world->value, world->shift);
    give(world, blame(world, entries[1]));
}

static void overflow_then_destroy(struct world *world)
{
    char *entries[3] = {take_dynamic(world), take(world), take(world)};
    memset(entries[1] - 48, world->value, world->shift);
    blame(world, entries[1]);
    destroy(world);
}

static void dynamic_underflow_then_realloc(struct world *world)
{
    char *entry = take_dynamic(world);
    memset(entry - world->shift, world->value, 8);
    entry = r_mempool_realloc_entry(world->rmp, blame(world, entry), world->size * 2);
    CHECK(entry == NULL);
}

/* The size that is noted becomes that of the class asked for: nothing would have to move. */
static void dynamic_size_forged(struct world *world)
{
    char *entry = take_dynamic(world);
    size_t forged = world->size * 2;
    memcpy(entry - 32, &forged, sizeof forged);
    entry = r_mempool_realloc_entry(world->rmp, blame(world, entry), forged);
    CHECK(entry == NULL);
}

/* ---- What hardened pools look for ---- */

/* The entry is one of the first two: something of the pool's is behind it. */
static void overflow_by_one(struct world *world)
{
    char *entry = blame(world, take(world));
    entry[world->size]++;
    give(world, entry);
}

static void overflow_of_the_last(struct world *world)
{
    char *highest = take(world);
    for (size_t i = 1; i < world->kind->count; i++) {
        char *entry = take(world);
        highest = entry > highest ? entry : highest;
    }
    highest[world->size]++;
    give(world, blame(world, highest));
}

static void write_after_free(struct world *world)
{
    char *entry = blame(world, take(world));
    snprintf(world->deed->pointer, sizeof world->deed->pointer, " to %#zx after",
             (size_t)address(entry));
    give(world, entry);
    size_t at = world->shift < world->size ? world->shift : world->size - 1;
    entry[at]++;
    blame_detail(world, at);
    for (size_t i = 0; i < world->kind->count; i++)
        take(world);
}

/* ---- At the same moment ---- */

static struct {
    const struct world *world;
    void *entry;
    atomic_int here;
} at_once;

/* Without sleep, or one of them would come too late to be seen by more than the entry's word. */
static void *free_at_once(void *unused)
{
    atomic_fetch_add(&at_once.here, 1);
    for (int spins = 0; atomic_load(&at_once.here) < 2; spins++)
        if (spins % 10000 == 9999)
            sched_yield();
    give(at_once.world, at_once.entry);
    return unused;
}

static void free_in_two_threads(const struct world *world, void *entry)
{
    pthread_t other;
    at_once.world = world;
    at_once.entry = entry;
    CHECK(pthread_create(&other, NULL, free_at_once, NULL) == 0);
    free_at_once(NULL);
    pthread_join(other, NULL);
}

static void twice_by_two_threads(struct world *world)
{
    free_in_two_threads(world, blame(world, take(world)));
}

static void dynamic_twice_by_two_threads(struct world *world)
{
    free_in_two_threads(world, blame(world, take_dynamic(world)));
}

/* ---- Entries that are out when their pool goes ---- */

static void blame_leak(struct world *world, const void *entry, size_t count)
{
    blame(world, entry);
    snprintf(world->deed->pointer, sizeof world->deed->pointer, " %zu %s: %#zx", count,
             count == 1 ? "entry" : "entries", (size_t)address(entry));
}

static void one_is_out(struct world *world)
{
    char *entries[4];
    for (size_t i = 0; i < LENGTH(entries); i++)
        entries[i] = take(world);
    blame_leak(world, entries[1], 1);
    give(world, entries[0]);
    give(world, entries[3]);
    give(world, entries[2]);
    destroy(world);
}

static void all_are_out(struct world *world)
{
    char *lowest = take(world);
    for (size_t i = 1; i < world->kind->count; i++) {
        char *entry = take(world);
        lowest = entry < lowest ? entry : lowest;
    }
    blame_leak(world, lowest, world->kind->count);
    destroy(world);
}

static void dynamic_is_out(struct world *world)
{
    char *entries[30];
    for (size_t i = 0; i < world->kind->count; i++)
        entries[i] = take(world);
    blame_leak(world, take(world), 1);
    for (size_t i = 0; i < world->kind->count; i++)
        give(world, entries[i]);
    destroy(world);
}

/* ---- The wrong pool, and none at all ---- */

static void wrong_pool(struct world *world)
{
    r_mempool *other = create_ranged(world, "other", NULL);
    char *entry = blame(world, r_mempool_alloc_entry(other, world->size));
    name_pool(world, "other", other);
    entry = r_mempool_realloc_entry(world->rmp, entry, world->size * 2);
    CHECK(entry == NULL);
}

static void wrong_pool_same_class(struct world *world)
{
    r_mempool *other = create_ranged(world, "other", NULL);
    char *entry = blame(world, r_mempool_alloc_entry(other, world->size));
    name_pool(world, "other", other);
    entry = r_mempool_realloc_entry(world->rmp, entry, world->size);
    CHECK(entry == NULL);
}

static void ordinary_pools_entry(struct world *world)
{
    mempool *other = create_ordinary(world, "other", NULL);
    char *entry = blame(world, mempool_alloc_entry(other));
    name_pool(world, "other", other);
    entry = r_mempool_realloc_entry(world->rmp, entry, world->size);
    CHECK(entry == NULL);
}

static void wrong_pool_dynamic(struct world *world)
{
    struct world other = *world;
    other.rmp = create_ranged(world, "other", NULL);
    char *entry = blame(world, take_dynamic(&other));
    name_pool(world, "other", other.rmp);
    entry = r_mempool_realloc_entry(world->rmp, entry, world->size * 2);
    CHECK(entry == NULL);
}

static void destroy_as(const struct world *world, void *pool, bool ranged)
{
    (void)world;
    if (ranged)
        (r_mempool_destroy)(pool);
    else
        (mempool_destroy)(pool);
}

static void destroy_static(struct world *world)
{
    memset(static_memory, world->value, sizeof static_memory);
    destroy_as(world, blame(world, static_memory + world->shift), world->kind->ranged);
}

static void destroy_zero_memory(struct world *world)
{
    void *memory;
    CHECK(posix_memalign(&memory, 128, 4096) == 0);
    memset(memory, 0, 4096);
    destroy_as(world, blame(world, memory), world->kind->ranged);
}

static void destroy_entry(struct world *world)
{
    destroy_as(world, blame(world, take(world)), world->kind->ranged);
}

static void destroy_dynamic_entry(struct world *world)
{
    destroy_as(world, blame(world, take_dynamic(world)), world->kind->ranged);
}

static void destroy_interior(struct world *world)
{
    char *pool = world->kind->ranged ? (void *)world->rmp : (void *)world->mp;
    destroy_as(world, blame(world, pool + world->shift), world->kind->ranged);
}

/* A ranged pool's classes are pools too, but none of the caller's. */
static void destroy_class(struct world *world)
{
    destroy_as(world, blame(world, (char *)world->rmp + world->shift), false);
}

static void destroy_by_the_other(struct world *world)
{
    void *pool = world->kind->ranged ? (void *)world->rmp : (void *)world->mp;
    destroy_as(world, blame(world, pool), !world->kind->ranged);
}

static void destroy_twice(struct world *world)
{
    void *pool = blame(world, world->kind->ranged ? (void *)world->rmp : (void *)world->mp);
    take(world);
    destroy(world);
    destroy_as(world, pool, world->kind->ranged);
}

static void destroy_twice_by_the_other(struct world *world)
{
    void *pool = blame(world, world->kind->ranged ? (void *)world->rmp : (void *)world->mp);
    destroy(world);
    destroy_as(world, pool, !world->kind->ranged);
}

static void destroy_by_the_old_name(struct world *world)
{
    void *memory = blame(world, static_memory);
    world->kind->ranged ? _r_mempool_destroy(memory) : _mempool_destroy(memory);
}

/* ---- The tables ---- */

#define TWICE "double free"
#define DYNAMIC_TWICE ", a dynamic entry"
#define INTERIOR ", a pointer into the middle of an entry"
#define NEVER_OUT ", an entry that was never handed out"
#define OVERWRITTEN ", whose header was overwritten"
#define NO_ENTRY ", which is not an entry of any pool"
#define GONE ", in memory of a pool that was destroyed"
#define WRONG "realloc of 0x"
#define NO_LIVE_POOL ", which is not a live pool of this kind"
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
    {INTERIOR, MEMPOOL_MISUSE_INTERIOR_POINTER},
    {NEVER_OUT, MEMPOOL_MISUSE_NEVER_HANDED_OUT},
    {OVERWRITTEN, MEMPOOL_MISUSE_HEADER_OVERWRITTEN},
    {NO_ENTRY, MEMPOOL_MISUSE_FOREIGN_POINTER},
    {GONE, MEMPOOL_MISUSE_POOL_DESTROYED},
    {WRONG, MEMPOOL_MISUSE_WRONG_POOL},
    {NO_LIVE_POOL, MEMPOOL_MISUSE_NOT_A_POOL},
    {WRITTEN, MEMPOOL_MISUSE_WRITE_AFTER_FREE},
    {PAST, MEMPOOL_MISUSE_OVERFLOW},
    {LEAK, MEMPOOL_MISUSE_LEAK},
};

static const struct misuse misuses[] = {
    {DOUBLE, "freed twice", 64, twice_at_once, TWICE, 0, 0, 0},
    {AT_ONCE, "freed by two threads", 64, twice_by_two_threads, TWICE,
     HARDENED_ONLY | THREADS_ONLY, 0, 0},
    {AT_ONCE, "freed by two threads, small", 8, twice_by_two_threads, TWICE,
     HARDENED_ONLY | THREADS_ONLY, 0, 0},
    {AT_ONCE, "dynamic freed by two threads", 64, dynamic_twice_by_two_threads, DYNAMIC_TWICE,
     OF_HEAP | THREADS_ONLY, 0, 0},
    {DOUBLE, "freed twice, small", 8, twice_at_once, TWICE, 0, 0, 0},
    {DOUBLE, "freed twice, 1000 bytes", 1000, twice_at_once, TWICE, 0, 0, 0},
    {DOUBLE, "freed twice after all others", 64, twice_of_all, TWICE, 0, 0, 0},
    {DOUBLE, "freed twice after other calls", 64, twice_later, TWICE, 0, 0, 0},
    {DOUBLE, "freed twice after other calls, 1000 bytes", 1000, twice_later, TWICE, 0, 0, 0},
    {DOUBLE, "freed twice, zeros", 64, twice_with_content, TWICE, 0, 0, 0},
    {DOUBLE, "freed twice, ones", 64, twice_with_content, TWICE, 0, 0, 0xff},
    {DOUBLE, "freed twice, with its old word", 64, twice_with_old_word, TWICE, 0, 0, 0},
    {DOUBLE, "freed twice, with its old word, others out", 64, twice_with_old_word_among_others,
     TWICE, 0, 0, 0},
    {DOUBLE, "freed twice by other names", 64, twice_by_other_names, TWICE, 0, 0, 0},
    {DOUBLE, "freed after realloc moved it", 64, twice_after_realloc, TWICE, RANGED_ONLY, 0, 0},
    {DOUBLE, "realloc of a freed one", 64, realloc_of_freed, TWICE, RANGED_ONLY, 0, 0},
    {DOUBLE, "dynamic freed twice", 64, dynamic_twice, DYNAMIC_TWICE, OF_HEAP, 0, 0},
    {DOUBLE, "dynamic freed twice, 64 KiB", 65536, dynamic_twice, DYNAMIC_TWICE, OF_HEAP, 0, 0},
    {DOUBLE, "dynamic freed twice later", 64, dynamic_twice_later, DYNAMIC_TWICE, OF_HEAP, 0, 0},
    {DOUBLE, "dynamic freed twice later, 64 KiB", 65536, dynamic_twice_later, DYNAMIC_TWICE,
     OF_HEAP, 0, 0},
    {DOUBLE, "dynamic freed twice, reused", 64, dynamic_twice_reused, "free of",
     ANY_POOL | OF_HEAP, 0, 'A'},
    {DOUBLE, "dynamic freed twice, reused, 64 KiB", 65536, dynamic_twice_reused, "free of",
     ANY_POOL | OF_HEAP, 0, 'A'},
    {DOUBLE, "realloc of a freed dynamic one", 64, realloc_of_freed_dynamic, DYNAMIC_TWICE,
     RANGED_ONLY | OF_HEAP, 0, 0},

    {ODD, "inside, 1", 64, interior, INTERIOR, 0, 1, 0},
    {ODD, "inside, 4", 64, interior, INTERIOR, 0, 4, 0},
    {ODD, "inside, 7", 64, interior, INTERIOR, 0, 7, 0},
    {ODD, "inside, 8", 64, interior, INTERIOR, 0, 8, 0},
    {ODD, "inside, 8, ones", 64, interior, INTERIOR, 0, 8, 0xff},
    {ODD, "inside, 8, letters", 64, interior, INTERIOR, 0, 8, 'A'},
    {INSIDE, "inside, 16", 64, interior, INTERIOR, 0, 16, 0},
    {INSIDE, "inside, 16, letters", 64, interior, INTERIOR, 0, 16, 'A'},
    {ODD, "inside, the last byte", 64, interior, INTERIOR, 0, 63, 'A'},
    {INSIDE, "inside, middle of 1000", 1000, interior, INTERIOR, 0, 496, 0},
    {ODD, "inside, middle of 1000, misaligned", 1000, interior, INTERIOR, 0, 501, 'A'},
    {INSIDE, "inside a freed one", 64, interior_of_freed, INTERIOR, 0, 32, 0},
    {INSIDE, "inside dynamic, 16", 64, interior_of_dynamic, NO_ENTRY, OF_HEAP | NO_POOL, 16, 'A'},
    {INSIDE, "inside dynamic, 64 KiB", 65536, interior_of_dynamic, NO_ENTRY, OF_HEAP | NO_POOL, 4096,
     0},
    {ODD, "inside dynamic, 5", 64, interior_of_dynamic, NO_ENTRY, OF_HEAP | NO_POOL, 5, 0xff},
    {ODD, "inside dynamic, 8", 64, interior_of_dynamic, NO_ENTRY, OF_HEAP | NO_POOL, 8, 0},
    {ODD, "1 before", 64, before_an_entry, INTERIOR, 0, 1, 0},
    {ODD, "3 before", 64, before_an_entry, INTERIOR, 0, 3, 0},
    {ODD, "8 before", 64, before_an_entry, INTERIOR, 0, 8, 0},
    {ODD, "realloc inside, 8", 64, realloc_of_interior, INTERIOR, RANGED_ONLY, 8, 0},
    {ODD, "realloc inside, 5", 64, realloc_of_interior, INTERIOR, RANGED_ONLY, 5, 0},

    {NEVER, "never out", 64, never_out, NEVER_OUT, DEFAULT_ONLY, 1, 0},
    {NEVER, "never out, the last", 64, never_out, NEVER_OUT, DEFAULT_ONLY, COUNT - 1, 0},
    {NEVER, "never out, 1000 bytes", 1000, never_out, NEVER_OUT, DEFAULT_ONLY, 2, 0},
    {NEVER, "never out, between", 64, never_out_between, NEVER_OUT, HARDENED_ONLY, 0, 0},
    {NEVER, "never out, between, 996 bytes", 996, never_out_between, NEVER_OUT, HARDENED_ONLY, 0, 0},
    {NEVER, "never out of this pool, between", 64, never_out_between, NEVER_OUT,
     HARDENED_ONLY | BUFFER_ONLY, 0, 1},
    {NEVER, "never out of this pool", 64, never_out_of_this, NEVER_OUT, BUFFER_ONLY | DEFAULT_ONLY, 1,
     0},
    {NEVER, "never out of this pool, the last", 64, never_out_of_this, NEVER_OUT,
     BUFFER_ONLY | DEFAULT_ONLY, COUNT - 1, 0},
    {LATE, "of a pool that is gone", 64, entry_of_no_pool, GONE, BUFFER_ONLY, 0, 0},
    {LATE, "of a pool that is gone, with its word", 64, entry_of_no_pool_with_its_word, GONE,
     BUFFER_ONLY, 0, 0},
    {LATE, "of a pool that is gone, small", 8, entry_of_no_pool, GONE, BUFFER_ONLY | ON_HEAP, 0, 0},
    {LATE, "of a pool that is gone, later", 8, entry_of_no_pool_later, GONE,
     BUFFER_ONLY | ON_HEAP, 0, 0},
    {LATE, "dynamic of a pool that is gone", 64, dynamic_of_no_pool, NO_ENTRY, NO_POOL | OF_HEAP, 0,
     0},
    {LATE, "of a pool that is gone and overlapped", 1000, entry_of_no_pool_overlapped, NO_ENTRY,
     BUFFER_ONLY | NO_POOL, 0, 0},

    {FOREIGN, "malloc's", 64, heap_pointer, NO_ENTRY, NO_POOL, 0, 0},
    {FOREIGN, "malloc's, 100000 bytes", 100000, heap_pointer, NO_ENTRY, NO_POOL, 0, 0},
    {FOREIGN, "inside malloc's", 64, heap_pointer, NO_ENTRY, NO_POOL, 16, 'A'},
    {FOREIGN, "inside malloc's, misaligned", 64, heap_pointer, NO_ENTRY, NO_POOL, 13, 0xff},
    {FOREIGN, "on the stack", 64, stack_pointer, NO_ENTRY, NO_POOL, 0, 0},
    {FOREIGN, "on the stack, misaligned", 64, stack_pointer, NO_ENTRY, NO_POOL, 3, 0xff},
    {FOREIGN, "static, zeros", 64, static_pointer, NO_ENTRY, NO_POOL, 0, 0},
    {FOREIGN, "static, letters", 64, static_pointer, NO_ENTRY, NO_POOL, 0, 'A'},
    {FOREIGN, "static, misaligned", 64, static_pointer, NO_ENTRY, NO_POOL, 1, 0},
    {FOREIGN, "realloc of static", 64, realloc_of_static, NO_ENTRY, RANGED_ONLY | NO_POOL, 0, 0},
    {FOREIGN, "the pool itself", 64, the_pool_itself, NO_ENTRY, NO_POOL, 0, 0},
    {FOREIGN, "after the last pool", 64, before_any_pool, NO_ENTRY, NO_POOL, 0, 0},

    {HEADER, "overwritten by zeros", 64, overflow, OVERWRITTEN, 0, 0, 0},
    {HEADER, "overwritten by ones", 64, overflow, OVERWRITTEN, 0, 0, 0xff},
    {HEADER, "overwritten by letters", 64, overflow, OVERWRITTEN, 0, 0, 'A'},
    {HEADER, "overwritten by letters, 1000 bytes", 1000, overflow, OVERWRITTEN, 0, 0, 'A'},
    {HEADER, "overwritten, no padding", 24, overflow, OVERWRITTEN, 0, 0, 'A'},
    {HEADER, "overwritten, padding", 10, overflow, OVERWRITTEN, 0, 0, 'A'},
    {HEADER, "bit 4 overwritten", 64, overflow_by_one_bit, OVERWRITTEN, 0, 4, 0},
    {HEADER, "bit 6 overwritten", 64, overflow_by_one_bit, OVERWRITTEN, 0, 6, 0},
    {HEADER, "bit 48 overwritten", 64, overflow_by_one_bit, OVERWRITTEN, 0, 48, 0},
    {HEADER, "bit 63 overwritten", 64, overflow_by_one_bit, OVERWRITTEN, 0, 63, 0},
    {HEADER, "overwritten, then realloc", 64, overflow_then_realloc, OVERWRITTEN, RANGED_ONLY, 0,
     'A'},
    {HEADER, "another's word", 64, word_of_another, OVERWRITTEN, 0, 0, 0},
    {HEADER, "another's word, 1000 bytes", 1000, word_of_another, OVERWRITTEN, 0, 0, 0},
    {HEADER, "a freed one's word", 64, word_of_a_freed_one, OVERWRITTEN, 0, 0, 0},

    /* Without its word, nothing tells that an entry was dynamic. */
    {HEADER, "dynamic, word overwritten", 64, dynamic_underflow, NO_ENTRY, NO_POOL | OF_HEAP, 8,
     'A'},
    {HEADER, "dynamic, word zero", 64, dynamic_underflow, NO_ENTRY, NO_POOL | OF_HEAP, 8, 0},
    {HEADER, "dynamic, word overwritten, 64 KiB", 65536, dynamic_underflow, NO_ENTRY,
     NO_POOL | OF_HEAP, 8, 'A'},
    {HEADER, "dynamic, 9 to 16 before", 64, dynamic_underflow, OVERWRITTEN, OF_HEAP, 16, 'A'},
    {HEADER, "dynamic, 17 to 24 before", 64, dynamic_underflow, OVERWRITTEN, OF_HEAP, 24, 'A'},
    {HEADER, "dynamic, 25 to 32 before", 64, dynamic_underflow, OVERWRITTEN, OF_HEAP, 32, 'A'},
    {HEADER, "dynamic, 33 to 40 before", 64, dynamic_underflow, OVERWRITTEN, OF_HEAP, 40, 'A'},
    {HEADER, "dynamic, 41 to 48 before", 64, dynamic_underflow, OVERWRITTEN, OF_HEAP, 48, 'A'},
    {HEADER, "dynamic, 25 to 32 before, zeros", 64, dynamic_underflow, OVERWRITTEN, OF_HEAP, 32, 0},
    {HEADER, "overflow of 40 into dynamic", 64, overflow_into_dynamic, OVERWRITTEN, OF_HEAP, 40,
     'A'},
    {HEADER, "overflow of 40 zeros into dynamic", 64, overflow_into_dynamic, OVERWRITTEN, OF_HEAP,
     40, 0},
    {HEADER, "overflow of 24 into dynamic", 64, overflow_into_dynamic, OVERWRITTEN, OF_HEAP, 24,
     'A'},
    {HEADER, "overflow of 16 into dynamic", 64, overflow_into_dynamic, OVERWRITTEN, OF_HEAP, 16,
     'A'},
    {HEADER, "overflow of 16 into dynamic, 64 KiB", 65536, overflow_into_dynamic, OVERWRITTEN,
     OF_HEAP, 16, 'A'},
    {HEADER, "overflow of 8 zeros into a listed one", 64, overflow_into_listed, OVERWRITTEN,
     OF_HEAP, 8, 0},
    {HEADER, "overflow of 8 ones into a listed one", 64, overflow_into_listed, OVERWRITTEN,
     OF_HEAP, 8, 0xff},
    {HEADER, "overflow of 8 letters into a listed one", 64, overflow_into_listed, OVERWRITTEN,
     OF_HEAP, 8, 'A'},
    {HEADER, "overflow of 16 zeros into a listed one", 64, overflow_into_listed, OVERWRITTEN,
     OF_HEAP, 16, 0},
    {HEADER, "overflow of 16 ones into a listed one", 64, overflow_into_listed, OVERWRITTEN,
     OF_HEAP, 16, 0xff},
    {HEADER, "overflow of 16 letters into a listed one", 64, overflow_into_listed, OVERWRITTEN,
     OF_HEAP, 16, 'A'},
    {HEADER, "overflow of 24 zeros into a listed one", 64, overflow_into_listed, OVERWRITTEN,
     OF_HEAP, 24, 0},
    {HEADER, "overflow of 24 ones into a listed one", 64, overflow_into_listed, OVERWRITTEN,
     OF_HEAP, 24, 0xff},
    {HEADER, "overflow of 24 letters into a listed one", 64, overflow_into_listed, OVERWRITTEN,
     OF_HEAP, 24, 'A'},
    {HEADER, "overflow of 32 zeros into a listed one", 64, overflow_into_listed, OVERWRITTEN,
     OF_HEAP, 32, 0},
    {HEADER, "overflow of 32 ones into a listed one", 64, overflow_into_listed, OVERWRITTEN,
     OF_HEAP, 32, 0xff},
    {HEADER, "overflow of 32 letters into a listed one", 64, overflow_into_listed, OVERWRITTEN,
     OF_HEAP, 32, 'A'},
    {HEADER, "overflow of 40 zeros into a listed one", 64, overflow_into_listed, OVERWRITTEN,
     OF_HEAP, 40, 0},
    {HEADER, "overflow of 40 ones into a listed one", 64, overflow_into_listed, OVERWRITTEN,
     OF_HEAP, 40, 0xff},
    {HEADER, "overflow of 40 letters into a listed one", 64, overflow_into_listed, OVERWRITTEN,
     OF_HEAP, 40, 'A'},
    {HEADER, "overflow of 16 zeros, then destroy", 64, overflow_then_destroy, OVERWRITTEN,
     OF_HEAP, 16, 0},
    {HEADER, "overflow of 16 letters, then destroy", 64, overflow_then_destroy, OVERWRITTEN,
     OF_HEAP, 16, 'A'},
    {HEADER, "overflow of 40 zeros, then destroy", 64, overflow_then_destroy, OVERWRITTEN,
     OF_HEAP, 40, 0},
    {HEADER, "overflow of 40 letters, then destroy", 64, overflow_then_destroy, OVERWRITTEN,
     OF_HEAP, 40, 'A'},
    {HEADER, "dynamic, size overwritten, then realloc", 64, dynamic_underflow_then_realloc,
     OVERWRITTEN, RANGED_ONLY | OF_HEAP, 32, 'A'},
    {HEADER, "dynamic, size forged, then realloc", 64, dynamic_size_forged, OVERWRITTEN,
     RANGED_ONLY | OF_HEAP, 0, 0},

    {REALLOC, "realloc by another pool", 64, wrong_pool, WRONG, RANGED_ONLY, 0, 0},
    {REALLOC, "realloc by another pool, same class", 64, wrong_pool_same_class, WRONG,
     RANGED_ONLY, 0, 0},
    {REALLOC, "realloc of an ordinary pool's", 64, ordinary_pools_entry, WRONG, RANGED_ONLY, 0, 0},
    {REALLOC, "realloc of another pool's dynamic one", 64, wrong_pool_dynamic, WRONG,
     RANGED_ONLY | OF_HEAP, 0, 0},

    {DESTROY, "destroy of zeros", 64, destroy_zero_memory, NO_LIVE_POOL, NO_POOL, 0, 0},
    {DESTROY, "destroy of static zeros", 64, destroy_static, NO_LIVE_POOL, NO_POOL, 0, 0},
    {DESTROY, "destroy of letters", 64, destroy_static, NO_LIVE_POOL, NO_POOL, 0, 'A'},
    {DESTROY, "destroy, misaligned", 64, destroy_static, NO_LIVE_POOL, NO_POOL, 8, 0},
    {DESTROY, "destroy of an entry", 64, destroy_entry, NO_LIVE_POOL, NO_POOL, 0, 0},
    {DESTROY, "destroy of an entry, 1000 bytes", 1000, destroy_entry, NO_LIVE_POOL, NO_POOL, 0, 0},
    {DESTROY, "destroy of a dynamic entry", 64, destroy_dynamic_entry, NO_LIVE_POOL,
     NO_POOL | OF_HEAP, 0, 0},
    {DESTROY, "destroy inside a pool", 64, destroy_interior, NO_LIVE_POOL, NO_POOL, 64, 0},
    {DESTROY, "destroy of a class, at 128", 64, destroy_class, NO_LIVE_POOL,
     RANGED_ONLY | NO_POOL, 128, 0},
    {DESTROY, "destroy of a class, at 256", 64, destroy_class, NO_LIVE_POOL,
     RANGED_ONLY | NO_POOL, 256, 0},
    {DESTROY, "destroy of a class, at 384", 64, destroy_class, NO_LIVE_POOL,
     RANGED_ONLY | NO_POOL, 384, 0},
    {DESTROY, "destroy of a class, at 512", 64, destroy_class, NO_LIVE_POOL,
     RANGED_ONLY | NO_POOL, 512, 0},
    {DESTROY, "destroy of a class, at 640", 64, destroy_class, NO_LIVE_POOL,
     RANGED_ONLY | NO_POOL, 640, 0},
    {DESTROY, "destroy of a class, at 768", 64, destroy_class, NO_LIVE_POOL,
     RANGED_ONLY | NO_POOL, 768, 0},
    {DESTROY, "destroy by the other function", 64, destroy_by_the_other, NO_LIVE_POOL, NO_POOL, 0,
     0},
    {DESTROY, "destroy by the old name", 64, destroy_by_the_old_name, NO_LIVE_POOL, NO_POOL, 0, 0},
    {DESTROY, "destroyed twice", 64, destroy_twice, NO_LIVE_POOL, BUFFER_ONLY | NO_POOL, 0, 0},
    {DESTROY, "destroyed twice, by the other", 64, destroy_twice_by_the_other, NO_LIVE_POOL,
     BUFFER_ONLY | NO_POOL, 0, 0},

    {AFTER_FREE, "written after free, 1", 1, write_after_free, WRITTEN, HARDENED_ONLY, 0, 0},
    {AFTER_FREE, "written after free, 8", 8, write_after_free, WRITTEN, HARDENED_ONLY, 0, 0},
    {AFTER_FREE, "written after free, 24", 24, write_after_free, WRITTEN, HARDENED_ONLY, 0, 0},
    {AFTER_FREE, "written after free, 64", 64, write_after_free, WRITTEN, HARDENED_ONLY, 17, 0},
    {AFTER_FREE, "written after free, 100", 100, write_after_free, WRITTEN, HARDENED_ONLY, 0, 0},
    {AFTER_FREE, "written after free, the last byte", 64, write_after_free, WRITTEN, HARDENED_ONLY,
     63, 0},
    {PAST_END, "1 past the end of 1", 1, overflow_by_one, PAST, HARDENED_ONLY, 0, 0},
    {PAST_END, "1 past the end of 8", 8, overflow_by_one, PAST, HARDENED_ONLY, 0, 0},
    {PAST_END, "1 past the end of 24", 24, overflow_by_one, PAST, HARDENED_ONLY, 0, 0},
    {PAST_END, "1 past the end of 64", 64, overflow_by_one, PAST, HARDENED_ONLY, 0, 0},
    {PAST_END, "1 past the end of 100", 100, overflow_by_one, PAST, HARDENED_ONLY, 0, 0},
    {PAST_END, "the last, 1 past the end of 1", 1, overflow_of_the_last, PAST, HARDENED_ONLY, 0,
     0},
    {PAST_END, "the last, 1 past the end of 64", 64, overflow_of_the_last, PAST, HARDENED_ONLY, 0,
     0},
    {PAST_END, "the last, 1 past the end of 100", 100, overflow_of_the_last, PAST, HARDENED_ONLY, 0,
     0},
    {PAST_END, "the last, 1 past the end of 8", 8, overflow_of_the_last, PAST,
     HARDENED_ONLY, 0, 0},
    {PAST_END, "the last, 1 past the end of 24", 24, overflow_of_the_last, PAST,
     HARDENED_ONLY, 0, 0},

    {OUT, "one is out", 64, one_is_out, LEAK, LEAKS, 0, 0},
    {OUT, "one is out, small", 8, one_is_out, LEAK, LEAKS, 0, 0},
    {OUT, "all are out", 64, all_are_out, LEAK, LEAKS, 0, 0},
    {OUT, "dynamic is out", 64, dynamic_is_out, LEAK, LEAKS | OF_HEAP, 0, 0},
};

#endif
