/* Misuse: pools that were destroyed, and pools that were reset, are used as if they had not been. */
#ifndef MISUSE_ENDED_H
#define MISUSE_ENDED_H

#include "deed.h"

/* ---- Destroyed twice ---- */

static void destroy_twice(struct world *world)
{
    take(world);
    const void *copy = blame_former(world, pool_of(world));
    destroy(world);
    destroy_as(copy, world->kind->ranged);
}

static void destroy_twice_with_dynamic(struct world *world)
{
    take_dynamic(world);
    const void *copy = blame_former(world, pool_of(world));
    destroy(world);
    destroy_as(copy, world->kind->ranged);
}

static void destroy_twice_by_the_other(struct world *world)
{
    const void *copy = blame_former(world, pool_of(world));
    destroy(world);
    destroy_as(copy, !world->kind->ranged);
}

static void destroy_twice_by_the_old_name(struct world *world)
{
    void *copy = blame_former(world, pool_of(world));
    destroy(world);
    world->kind->ranged ? _r_mempool_destroy(copy) : _mempool_destroy(copy);
}

/* As many others are destroyed in between as still leave the memory of it. */
static void destroy_twice_later(struct world *world)
{
    const void *copy = blame_former(world, pool_of(world));
    destroy(world);
    pass_by(NULL, 15);
    destroy_as(copy, world->kind->ranged);
}

/* One more: what it was can't be told any more. */
static void destroy_twice_much_later(struct world *world)
{
    const void *copy = blame(world, pool_of(world));
    destroy(world);
    pass_by(NULL, 16);
    destroy_as(copy, world->kind->ranged);
}

static void destroy_copy(const struct world *world, void *pool)
{
    destroy_as(pool, world->kind->ranged);
}

static void destroy_in_two_threads(struct world *world)
{
    in_two_threads(destroy_copy, world, blame(world, pool_of(world)));
}

/* ---- Used after it was destroyed ---- */

static void blame_alloc(struct world *world, bool ranged, const char *name)
{
    blame_former(world, pool_of(world));
    blame_call(world, ranged, name);
    destroy(world);
}

static void alloc_after_destroy(struct world *world)
{
    give(world, take(world)); /* where there are caches, one has something */
    blame_alloc(world, false, "alloc");
    take(world);
}

/* What it was can't be told any more, but for the handle that its user had. */
static void alloc_much_later_after_destroy(struct world *world)
{
    blame(world, pool_of(world));
    blame_call(world, false, "alloc");
    destroy(world);
    pass_by(NULL, 16);
    take(world);
}

static void calloc_after_destroy(struct world *world)
{
    blame_alloc(world, false, "alloc");
    if (world->kind->ranged)
        CHECK(r_mempool_calloc_entry(world->rmp, world->size) == NULL);
    else
        CHECK(mempool_calloc_entry(world->mp) == NULL);
}

static void alloc_bulk_after_destroy(struct world *world)
{
    void *entries[2];
    blame_alloc(world, world->kind->ranged, "mempool_alloc_bulk");
    if (world->kind->ranged)
        CHECK(!r_mempool_alloc_bulk(world->rmp, world->size, entries, LENGTH(entries)));
    else
        CHECK(!mempool_alloc_bulk(world->mp, entries, LENGTH(entries)));
}

static void free_after_destroy(struct world *world)
{
    char *entry = blame_former(world, take(world));
    destroy(world);
    give(world, entry);
}

static void free_bulk_after_destroy(struct world *world)
{
    void *entries[1] = {blame_former(world, take(world))};
    destroy(world);
    mempool_free_bulk(entries, LENGTH(entries));
}

/* Its word is again what it was while it was free. */
static void free_with_its_word_after_destroy(struct world *world)
{
    char word[8], *entry = blame_former(world, take(world));
    give(world, entry);
    memcpy(word, entry - 8, sizeof word);
    destroy(world);
    memcpy(entry - 8, word, sizeof word);
    give(world, entry);
}

/* As many others are destroyed in between as still leave the memory of it. */
static void free_later_after_destroy(struct world *world)
{
    char *entry = blame_former(world, take(world));
    destroy(world);
    pass_by(NULL, 15);
    give(world, entry);
}

/* Its memory became another pool's, of which nothing is left where the entry was. */
static void free_in_another_pools_memory(struct world *world)
{
    char *entry = take(world);
    for (size_t i = 1; i < COUNT; i++) {
        char *other = take(world);
        entry = other > entry ? other : entry;
    }
    destroy(world);
    CHECK(address(entry) - address(world->buffer) > MEMPOOL_BUFFER_SIZE(1, 1) + 16);
    pass_by(world->buffer, 1);
    give(world, blame(world, entry));
}

/* The heap has not used the memory again. */
static void free_dynamic_after_destroy(struct world *world)
{
    char *entry = blame(world, take_dynamic(world));
    destroy(world);
    give(world, entry);
}

static void count_after_destroy(struct world *world)
{
    static const char *const names[] = {"mempool_total_capacity", "mempool_used_count",
                                        "mempool_dynamic_allocs_count"};
    static size_t (*const ordinary[])(const mempool *) = {
        mempool_total_capacity, mempool_used_count, mempool_dynamic_allocs_count};
    static size_t (*const ranged[])(const r_mempool *, size_t) = {
        r_mempool_total_capacity, r_mempool_used_count, r_mempool_dynamic_allocs_count};
    take(world);
    blame_former(world, pool_of(world));
    blame_call(world, world->kind->ranged, names[world->shift]);
    destroy(world);
    if (world->kind->ranged)
        ranged[world->shift](world->rmp, world->size);
    else
        ordinary[world->shift](world->mp);
}

static void realloc_after_destroy(struct world *world)
{
    char *entry = blame_former(world, take(world));
    blame_call(world, false, "realloc");
    destroy(world);
    CHECK(r_mempool_realloc_entry(world->rmp, entry, world->size * 2) == NULL);
}

static void realloc_of_null_after_destroy(struct world *world)
{
    blame_alloc(world, false, "alloc");
    CHECK(r_mempool_realloc_entry(world->rmp, NULL, world->size) == NULL);
}

static void realloc_of_dynamic_after_destroy(struct world *world)
{
    char *entry = blame(world, take_dynamic(world));
    blame_call(world, false, "realloc");
    destroy(world);
    CHECK(r_mempool_realloc_entry(world->rmp, entry, world->size * 2) == NULL);
}

enum inspection { GET_STATS, DUMP, DUMP_JSON, OWNS, FOR_EACH_LIVE, RESET_PEAK, RESET, CLASS_COUNT };

static void inspect_after_destroy(struct world *world)
{
    static const char *const names[] = {
        [GET_STATS] = "mempool_get_stats",   [DUMP] = "mempool_dump",
        [DUMP_JSON] = "mempool_dump_json",   [OWNS] = "mempool_owns",
        [FOR_EACH_LIVE] = "mempool_for_each_live", [RESET_PEAK] = "mempool_reset_peak",
        [RESET] = "mempool_reset",           [CLASS_COUNT] = "mempool_class_count",
    };
    mempool_stats stats = MEMPOOL_STATS_INIT;
    char *entry = take(world);
    bool ranged = world->kind->ranged;
    mempool *mp = world->mp;
    r_mempool *rmp = world->rmp;
    blame_former(world, pool_of(world));
    blame_call(world, ranged, names[world->shift]);
    destroy(world);
    switch ((enum inspection)world->shift) {
    case GET_STATS:
        ranged ? r_mempool_get_stats(rmp, 0, &stats) : mempool_get_stats(mp, &stats);
        break;
    case DUMP: ranged ? r_mempool_dump(rmp, stdout) : mempool_dump(mp, stdout); break;
    case DUMP_JSON: ranged ? r_mempool_dump_json(rmp, stdout) : mempool_dump_json(mp, stdout); break;
    case OWNS: ranged ? r_mempool_owns(rmp, entry) : mempool_owns(mp, entry); break;
    case FOR_EACH_LIVE:
        ranged ? r_mempool_for_each_live(rmp, NULL, NULL) : mempool_for_each_live(mp, NULL, NULL);
        break;
    case RESET_PEAK: ranged ? r_mempool_reset_peak(rmp) : mempool_reset_peak(mp); break;
    case RESET: reset(world); break;
    case CLASS_COUNT: r_mempool_class_count(rmp); break;
    }
}

/* ---- Reset ---- */

static void check_all_free(struct world *world)
{
    mempool_stats stats = figures_of(world);
    CHECK(stats.used == 0 && stats.dynamic_used == 0);
}

/* No misuse: the second finds nothing, and the pool is as good as new. */
static void reset_twice(struct world *world)
{
    blame(world, take_dynamic(world));
    for (size_t i = 0; i < 2; i++) {
        reset(world);
        check_all_free(world);
    }
    for (size_t i = 0; i < world->count; i++)
        take(world);
    mempool_stats stats = figures_of(world);
    CHECK(stats.used == world->count && stats.dynamic_used == 0);
    reset(world);
    check_all_free(world);
    destroy(world);
}

static void stale(struct world *world)
{
    take(world);
    char *entry = blame(world, take(world));
    reset(world);
    give(world, entry);
}

static void stale_after_two_resets(struct world *world)
{
    char *entry = blame(world, take(world));
    reset(world);
    reset(world);
    give(world, entry);
}

/* It was free already when all others became so. */
static void stale_that_was_free(struct world *world)
{
    char *entry = blame(world, take(world));
    take(world);
    give(world, entry);
    reset(world);
    give(world, entry);
}

static void stale_in_bulk(struct world *world)
{
    void *entries[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        entries[i] = take(world);
    reset(world);
    blame(world, entries[0]);
    mempool_free_bulk(entries, COUNT);
}

static void stale_realloc(struct world *world)
{
    char *entry = blame(world, take(world));
    blame_call(world, false, "realloc");
    reset(world);
    CHECK(r_mempool_realloc_entry(world->rmp, entry, world->size * 2) == NULL);
}

static void stale_dynamic(struct world *world)
{
    char *entry = blame(world, take_dynamic(world));
    reset(world);
    give(world, entry);
}

/* Some are out again, of which it is none. */
static void stale_dynamic_later(struct world *world)
{
    take_dynamic(world);
    char *entry = blame(world, take(world));
    reset(world);
    for (size_t i = 0; i < COUNT / 2; i++)
        take(world);
    give(world, entry);
}

static const struct misuse ended_misuses[] = {
    {TWICE_DESTROYED, "destroyed twice", 64, destroy_twice, POOL_GONE, 0, 0, 0},
    {TWICE_DESTROYED, "destroyed twice, small", 8, destroy_twice, POOL_GONE, 0, 0, 0},
    {TWICE_DESTROYED, "destroyed twice, 1000 bytes", 1000, destroy_twice, POOL_GONE, 0, 0, 0},
    {TWICE_DESTROYED, "destroyed twice, 64 KiB", 65536, destroy_twice, POOL_GONE, 0, 0, 0},
    {TWICE_DESTROYED, "destroyed twice, dynamic out", 64, destroy_twice_with_dynamic, POOL_GONE, 0,
     0, 0},
    {TWICE_DESTROYED, "destroyed twice, by the other", 64, destroy_twice_by_the_other, POOL_GONE, 0,
     0, 0},
    {TWICE_DESTROYED, "destroyed twice, by the old name", 64, destroy_twice_by_the_old_name,
     POOL_GONE, 0, 0, 0},
    {TWICE_DESTROYED, "destroyed twice later", 64, destroy_twice_later, POOL_GONE, 0, 0, 0},
    {TWICE_DESTROYED, "destroyed twice much later", 64, destroy_twice_much_later, NO_LIVE_POOL,
     NO_POOL, 0, 0},
    {TWICE_DESTROYED, "destroyed by two threads", 64, destroy_in_two_threads, "destroy of",
     ANY_POOL | THREADS_ONLY, 0, 0},

    {GONE_ALLOC, "alloc after destroy", 64, alloc_after_destroy, POOL_GONE, HEAPS_OWN, 0, 0},
    {GONE_ALLOC, "alloc after destroy, small", 8, alloc_after_destroy, POOL_GONE, HEAPS_OWN, 0, 0},
    {GONE_ALLOC, "alloc much later after destroy", 64, alloc_much_later_after_destroy, NO_LIVE_POOL,
     BUFFER_ONLY | NO_POOL, 0, 0},
    {GONE_ALLOC, "calloc after destroy", 64, calloc_after_destroy, POOL_GONE, HEAPS_OWN, 0, 0},
    {GONE_ALLOC, "alloc in bulk after destroy", 64, alloc_bulk_after_destroy, POOL_GONE, HEAPS_OWN,
     0, 0},

    {GONE_FREE, "free after destroy", 64, free_after_destroy, GONE, 0, 0, 0},
    {GONE_FREE, "free after destroy, small", 8, free_after_destroy, GONE, 0, 0, 0},
    {GONE_FREE, "free in bulk after destroy", 64, free_bulk_after_destroy, GONE, 0, 0, 0},
    {GONE_FREE, "free after destroy, with its word", 64, free_with_its_word_after_destroy, GONE,
     HEAPS_OWN, 0, 0},
    {GONE_FREE, "free after destroy, later", 8, free_later_after_destroy, GONE, 0, 0, 0},
    {GONE_FREE, "free after destroy, in another pool's memory", 1000, free_in_another_pools_memory,
     NO_ENTRY, BUFFER_ONLY | NO_POOL, 0, 0},
    {GONE_FREE, "free of dynamic after destroy", 64, free_dynamic_after_destroy, NO_ENTRY,
     NO_POOL | OF_HEAP, 0, 0},

    {GONE_COUNT, "capacity after destroy", 64, count_after_destroy, POOL_GONE, 0, 0, 0},
    {GONE_COUNT, "count after destroy", 64, count_after_destroy, POOL_GONE, 0, 1, 0},
    {GONE_COUNT, "dynamic count after destroy", 64, count_after_destroy, POOL_GONE, 0, 2, 0},

    {GONE_REALLOC, "realloc after destroy", 64, realloc_after_destroy, GONE,
     RANGED_ONLY | HEAPS_OWN, 0, 0},
    {GONE_REALLOC, "realloc of NULL after destroy", 64, realloc_of_null_after_destroy, POOL_GONE,
     RANGED_ONLY | HEAPS_OWN, 0, 0},
    {GONE_REALLOC, "realloc of dynamic after destroy", 64, realloc_of_dynamic_after_destroy,
     NO_ENTRY, RANGED_ONLY | NO_POOL | OF_HEAP, 0, 0},

    {GONE_STATS, "stats after destroy", 64, inspect_after_destroy, POOL_GONE, 0, GET_STATS, 0},
    {GONE_STATS, "dump after destroy", 64, inspect_after_destroy, POOL_GONE, 0, DUMP, 0},
    {GONE_STATS, "JSON after destroy", 64, inspect_after_destroy, POOL_GONE, 0, DUMP_JSON, 0},
    {GONE_STATS, "owns after destroy", 64, inspect_after_destroy, POOL_GONE, 0, OWNS, 0},
    {GONE_STATS, "walk after destroy", 64, inspect_after_destroy, POOL_GONE, 0, FOR_EACH_LIVE, 0},
    {GONE_STATS, "peak reset after destroy", 64, inspect_after_destroy, POOL_GONE, 0, RESET_PEAK, 0},
    {GONE_STATS, "reset after destroy", 64, inspect_after_destroy, POOL_GONE, 0, RESET, 0},
    {GONE_STATS, "classes after destroy", 64, inspect_after_destroy, POOL_GONE, RANGED_ONLY,
     CLASS_COUNT, 0},

    {RESET_TWICE, "reset twice", 64, reset_twice, "", 0, 0, 0},
    {RESET_TWICE, "reset twice, small", 8, reset_twice, "", 0, 0, 0},
    {STALE, "freed after reset", 64, stale, TWICE, 0, 0, 0},
    {STALE, "freed after reset, small", 8, stale, TWICE, 0, 0, 0},
    {STALE, "freed after reset, 1000 bytes", 1000, stale, TWICE, 0, 0, 0},
    {STALE, "freed after two resets", 64, stale_after_two_resets, TWICE, 0, 0, 0},
    {STALE, "freed before and after reset", 64, stale_that_was_free, TWICE, 0, 0, 0},
    {STALE, "freed in bulk after reset", 64, stale_in_bulk, TWICE, 0, 0, 0},
    {STALE, "realloc after reset", 64, stale_realloc, FREED, RANGED_ONLY, 0, 0},
    {STALE, "dynamic freed after reset", 64, stale_dynamic, DYNAMIC_TWICE, OF_HEAP, 0, 0},
    {STALE, "dynamic freed after reset, 64 KiB", 65536, stale_dynamic, DYNAMIC_TWICE, OF_HEAP, 0,
     0},
    {STALE, "dynamic freed after reset, later", 64, stale_dynamic_later, DYNAMIC_TWICE, OF_HEAP, 0,
     0},
};

#endif
