/* Misuse: entries that were freed before, and are freed again or used. */
#ifndef MISUSE_FREED_H
#define MISUSE_FREED_H

#include "deed.h"

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
    for (size_t i = 0; i < world->count + 10; i++) {
        give(world, entry);
        memcpy(entry - 8, word, sizeof word);
    }
}

/* The same while all others are out: the depot has room for it, until it finds a slot that it has. */
static void twice_with_old_word_among_others(struct world *world)
{
    for (size_t i = 1; i < world->count; i++)
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

static void twice_by_two_threads(struct world *world)
{
    in_two_threads(give, world, blame(world, take(world)));
}

static void dynamic_twice_by_two_threads(struct world *world)
{
    in_two_threads(give, world, blame(world, take_dynamic(world)));
}

static void freed_in_call(struct world *world)
{
    char *entry = take(world);
    give(world, entry);
    use(world, blame(world, entry));
}

static void freed_dynamic_in_call(struct world *world)
{
    char *entry = take_dynamic(world);
    give(world, entry);
    use(world, blame(world, entry));
}

static const struct misuse freed_misuses[] = {
    {DOUBLE, "freed twice", 64, twice_at_once, TWICE, 0, 0, 0},
    {AT_ONCE, "freed by two threads", 64, twice_by_two_threads, TWICE,
     THREADS_ONLY, 0, 0},
    {AT_ONCE, "freed by two threads, small", 8, twice_by_two_threads, TWICE,
     THREADS_ONLY, 0, 0},
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
    {DOUBLE, "dynamic freed twice", 64, dynamic_twice, DYNAMIC_TWICE, OF_HEAP, 0, 0},
    {DOUBLE, "dynamic freed twice, 64 KiB", 65536, dynamic_twice, DYNAMIC_TWICE, OF_HEAP, 0, 0},
    {DOUBLE, "dynamic freed twice later", 64, dynamic_twice_later, DYNAMIC_TWICE, OF_HEAP, 0, 0},
    {DOUBLE, "dynamic freed twice later, 64 KiB", 65536, dynamic_twice_later, DYNAMIC_TWICE,
     OF_HEAP, 0, 0},
    {DOUBLE, "dynamic freed twice, reused", 64, dynamic_twice_reused, "free of",
     ANY_POOL | OF_HEAP, 0, 'A'},
    {DOUBLE, "dynamic freed twice, reused, 64 KiB", 65536, dynamic_twice_reused, "free of",
     ANY_POOL | OF_HEAP, 0, 'A'},
    {IN_CALL, "usable size of a freed one", 64, freed_in_call, FREED, 0, 0, 0},
    {IN_CALL, "owner of a freed one", 64, freed_in_call, FREED, 0, 1, 0},
    {IN_CALL, "realloc of a freed one", 64, freed_in_call, FREED, RANGED_ONLY, 2, 0},
    {IN_CALL, "realloc of a freed one, same class", 64, freed_in_call, FREED, RANGED_ONLY, 3, 0},
    {IN_CALL, "usable size of a freed dynamic one", 64, freed_dynamic_in_call, FREED, OF_HEAP, 0, 0},
    {IN_CALL, "owner of a freed dynamic one", 64, freed_dynamic_in_call, FREED, OF_HEAP, 1, 0},
    {IN_CALL, "realloc of a freed dynamic one", 64, freed_dynamic_in_call, FREED,
     RANGED_ONLY | OF_HEAP, 2, 0},
};

#endif
