/* Misuse: entries that are given to the wrong pool, calls on what is no pool, and entries that are out
 * when their pool goes. */
#ifndef MISUSE_POOLS_H
#define MISUSE_POOLS_H

#include "deed.h"

static void realloc_in_wrong_pool(struct world *world, struct world *other, void *entry, size_t size)
{
    entry = blame(world, entry);
    name_pool(world, "other", pool_of(other));
    CHECK(r_mempool_realloc_entry(world->rmp, entry, size) == NULL);
}

static void wrong_pool(struct world *world)
{
    struct kind kind;
    struct world other = create_other(world, &kind, true);
    realloc_in_wrong_pool(world, &other, take(&other), world->size * 2);
}

static void wrong_pool_same_class(struct world *world)
{
    struct kind kind;
    struct world other = create_other(world, &kind, true);
    realloc_in_wrong_pool(world, &other, take(&other), world->size);
}

static void ordinary_pools_entry(struct world *world)
{
    struct kind kind;
    struct world other = create_other(world, &kind, false);
    realloc_in_wrong_pool(world, &other, take(&other), world->size);
}

static void wrong_pool_dynamic(struct world *world)
{
    struct kind kind;
    struct world other = create_other(world, &kind, true);
    realloc_in_wrong_pool(world, &other, take_dynamic(&other), world->size * 2);
}

static void destroy_static(struct world *world)
{
    memset(static_memory, world->value, sizeof static_memory);
    destroy_as(blame(world, static_memory + world->shift), world->kind->ranged);
}

static void destroy_zero_memory(struct world *world)
{
    void *memory;
    CHECK(posix_memalign(&memory, 128, 4096) == 0);
    memset(memory, 0, 4096);
    destroy_as(blame(world, memory), world->kind->ranged);
}

static void destroy_entry(struct world *world)
{
    destroy_as(blame(world, take(world)), world->kind->ranged);
}

static void destroy_dynamic_entry(struct world *world)
{
    destroy_as(blame(world, take_dynamic(world)), world->kind->ranged);
}

static void destroy_interior(struct world *world)
{
    destroy_as(blame(world, (const char *)pool_of(world) + world->shift), world->kind->ranged);
}

/* A ranged pool's classes are pools too, but none of the caller's. */
static void destroy_class(struct world *world)
{
    destroy_as(blame(world, (char *)world->rmp + world->shift), false);
}

static void destroy_by_the_other(struct world *world)
{
    destroy_as(blame(world, pool_of(world)), !world->kind->ranged);
}

static void destroy_by_the_old_name(struct world *world)
{
    void *memory = blame(world, static_memory);
    world->kind->ranged ? _r_mempool_destroy(memory) : _mempool_destroy(memory);
}

/* Nothing is mapped there any more. */
static void destroy_unmapped(struct world *world)
{
    size_t page = (size_t)getpagesize();
    char *memory = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED && munmap(memory, page) == 0);
    destroy_as(blame(world, memory + world->shift), world->kind->ranged);
}

/* No address that a program can have. */
static void destroy_odd_number(struct world *world)
{
    destroy_as(blame(world, (void *)(UINTPTR_MAX / 3)), world->kind->ranged);
}

/* A pool of the other sort is none of this. */
static void count_by_the_other(struct world *world)
{
    void *pool = blame(world, pool_of(world));
    blame_call(world, !world->kind->ranged, "mempool_used_count");
    if (world->kind->ranged)
        mempool_used_count(pool);
    else
        r_mempool_used_count(pool, world->size);
}

static void count_of_static(struct world *world)
{
    void *pool = blame(world, static_memory);
    blame_call(world, world->kind->ranged, "mempool_total_capacity");
    if (world->kind->ranged)
        r_mempool_total_capacity(pool, world->size);
    else
        mempool_total_capacity(pool);
}

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
    for (size_t i = 1; i < world->count; i++) {
        char *entry = take(world);
        lowest = entry < lowest ? entry : lowest;
    }
    blame_leak(world, lowest, world->count);
    destroy(world);
}

static void dynamic_is_out(struct world *world)
{
    char *entries[MAX_COUNT];
    for (size_t i = 0; i < world->count; i++)
        entries[i] = take(world);
    blame_leak(world, take(world), 1);
    for (size_t i = 0; i < world->count; i++)
        give(world, entries[i]);
    destroy(world);
}

static const struct misuse pools_misuses[] = {
    {REALLOC, "realloc by another pool", 64, wrong_pool, WRONG, RANGED_ONLY, 0, 0},
    {REALLOC, "realloc by another pool, same class", 64, wrong_pool_same_class, WRONG,
     RANGED_ONLY, 0, 0},
    {REALLOC, "realloc of an ordinary pool's", 64, ordinary_pools_entry, WRONG, RANGED_ONLY, 0, 0},
    {REALLOC, "realloc of another pool's dynamic one", 64, wrong_pool_dynamic, WRONG,
     RANGED_ONLY | OF_HEAP, 0, 0},
    {NOT_A_POOL, "destroy of zeros", 64, destroy_zero_memory, NO_LIVE_POOL, NO_POOL, 0, 0},
    {NOT_A_POOL, "destroy of static zeros", 64, destroy_static, NO_LIVE_POOL, NO_POOL, 0, 0},
    {NOT_A_POOL, "destroy of letters", 64, destroy_static, NO_LIVE_POOL, NO_POOL, 0, 'A'},
    {NOT_A_POOL, "destroy, misaligned", 64, destroy_static, NO_LIVE_POOL, NO_POOL, 8, 0},
    {NOT_A_POOL, "destroy of an entry", 64, destroy_entry, NO_LIVE_POOL, NO_POOL, 0, 0},
    {NOT_A_POOL, "destroy of an entry, 1000 bytes", 1000, destroy_entry, NO_LIVE_POOL, NO_POOL, 0, 0},
    {NOT_A_POOL, "destroy of a dynamic entry", 64, destroy_dynamic_entry, NO_LIVE_POOL,
     NO_POOL | OF_HEAP, 0, 0},
    {NOT_A_POOL, "destroy inside a pool", 64, destroy_interior, NO_LIVE_POOL, NO_POOL, 64, 0},
    {NOT_A_POOL, "destroy of a class, at 128", 64, destroy_class, NO_LIVE_POOL,
     RANGED_ONLY | NO_POOL, 128, 0},
    {NOT_A_POOL, "destroy of a class, at 256", 64, destroy_class, NO_LIVE_POOL,
     RANGED_ONLY | NO_POOL, 256, 0},
    {NOT_A_POOL, "destroy of a class, at 384", 64, destroy_class, NO_LIVE_POOL,
     RANGED_ONLY | NO_POOL, 384, 0},
    {NOT_A_POOL, "destroy of a class, at 512", 64, destroy_class, NO_LIVE_POOL,
     RANGED_ONLY | NO_POOL, 512, 0},
    {NOT_A_POOL, "destroy of a class, at 640", 64, destroy_class, NO_LIVE_POOL,
     RANGED_ONLY | NO_POOL, 640, 0},
    {NOT_A_POOL, "destroy of a class, at 768", 64, destroy_class, NO_LIVE_POOL,
     RANGED_ONLY | NO_POOL, 768, 0},
    {NOT_A_POOL, "destroy by the other function", 64, destroy_by_the_other, NO_LIVE_POOL, NO_POOL, 0,
     0},
    {NOT_A_POOL, "destroy by the old name", 64, destroy_by_the_old_name, NO_LIVE_POOL, NO_POOL, 0, 0},
    {NOT_A_POOL, "destroy of unmapped memory", 64, destroy_unmapped, NO_LIVE_POOL, NO_POOL, 128, 0},
    {NOT_A_POOL, "destroy of a number", 64, destroy_odd_number, NO_LIVE_POOL, NO_POOL, 0, 0},
    {NOT_A_POOL, "count by the other function", 64, count_by_the_other, NO_LIVE_POOL, NO_POOL, 0, 0},
    {NOT_A_POOL, "count of static zeros", 64, count_of_static, NO_LIVE_POOL, NO_POOL, 0, 0},

    {OUT, "one is out", 64, one_is_out, LEAK, LEAKS, 0, 0},
    {OUT, "one is out, small", 8, one_is_out, LEAK, LEAKS, 0, 0},
    {OUT, "all are out", 64, all_are_out, LEAK, LEAKS, 0, 0},
    {OUT, "dynamic is out", 64, dynamic_is_out, LEAK, LEAKS | OF_HEAP, 0, 0},
};

#endif
