/* Misuse: writes into entries that were freed, and past the end of those that were not. */
#ifndef MISUSE_WRITES_H
#define MISUSE_WRITES_H

#include "deed.h"

/* The entry is one of the first two: something of the pool's is after it. */
static void overflow_by_one(struct world *world)
{
    char *entry = blame(world, take(world));
    entry[world->size]++;
    give(world, entry);
}

static void overflow_of_the_last(struct world *world)
{
    char *highest = take(world);
    for (size_t i = 1; i < world->count; i++) {
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
    blame_offset(world, at);
    for (size_t i = 0; i < world->count; i++)
        take(world);
}

/* The pool ends, or starts anew, before the entry goes out again. */
static void end(struct world *world)
{
    if (world->value == 'd')
        destroy(world);
    else
        reset(world);
}

static void write_after_free_and_end(struct world *world)
{
    char *entry = blame(world, take(world));
    snprintf(world->deed->pointer, sizeof world->deed->pointer, " to %#zx after",
             (size_t)address(entry));
    give(world, entry);
    entry[world->shift]++;
    blame_offset(world, world->shift);
    end(world);
}

static void overflow_of_one_out_and_end(struct world *world)
{
    char *entry = blame(world, take(world));
    entry[world->size]++;
    end(world);
}

static void overflow_of_dynamic_and_end(struct world *world)
{
    char *entry = blame(world, take_dynamic(world));
    entry[world->size]++;
    end(world);
}

static void overflow_of_dynamic(struct world *world)
{
    char *entry = blame(world, take_dynamic(world));
    entry[world->size]++;
    give(world, entry);
}

static void write_after_free_of_dynamic(struct world *world)
{
    char *entry = blame(world, take_dynamic(world));
    give(world, entry);
    entry[world->shift]++;
    take(world);
}

static const struct misuse writes_misuses[] = {
    {AFTER_FREE, "written after free, 1", 1, write_after_free, WRITTEN, 0, 0, 0},
    {AFTER_FREE, "written after free, 8", 8, write_after_free, WRITTEN, 0, 0, 0},
    {AFTER_FREE, "written after free, 24", 24, write_after_free, WRITTEN, 0, 0, 0},
    {AFTER_FREE, "written after free, 64", 64, write_after_free, WRITTEN, 0, 17, 0},
    {AFTER_FREE, "written after free, 100", 100, write_after_free, WRITTEN, 0, 0, 0},
    {AFTER_FREE, "written after free, the last byte", 64, write_after_free, WRITTEN, 0, 63,
     0},
    {PAST_END, "1 past the end of 1", 1, overflow_by_one, PAST, 0, 0, 0},
    {PAST_END, "1 past the end of 8", 8, overflow_by_one, PAST, 0, 0, 0},
    {PAST_END, "1 past the end of 24", 24, overflow_by_one, PAST, 0, 0, 0},
    {PAST_END, "1 past the end of 64", 64, overflow_by_one, PAST, 0, 0, 0},
    {PAST_END, "1 past the end of 100", 100, overflow_by_one, PAST, 0, 0, 0},
    {PAST_END, "the last, 1 past the end of 1", 1, overflow_of_the_last, PAST, 0, 0, 0},
    {PAST_END, "the last, 1 past the end of 64", 64, overflow_of_the_last, PAST, 0, 0, 0},
    {PAST_END, "the last, 1 past the end of 100", 100, overflow_of_the_last, PAST, 0, 0, 0},
    {PAST_END, "the last, 1 past the end of 8", 8, overflow_of_the_last, PAST,
     HARDENED_ONLY, 0, 0},
    {PAST_END, "the last, 1 past the end of 24", 24, overflow_of_the_last, PAST,
     HARDENED_ONLY, 0, 0},
    {AFTER_FREE, "written after free, destroyed", 64, write_after_free_and_end, WRITTEN, 0, 17, 'd'},
    {AFTER_FREE, "written after free, reset", 64, write_after_free_and_end, WRITTEN, 0, 17, 'r'},
    {PAST_END, "1 past the end, destroyed", 64, overflow_of_one_out_and_end, PAST, HARDENED_ONLY, 0,
     'd'},
    {PAST_END, "1 past the end, reset", 64, overflow_of_one_out_and_end, PAST, HARDENED_ONLY, 0,
     'r'},
    {PAST_END, "1 past the end of a dynamic one, destroyed", 64, overflow_of_dynamic_and_end, PAST,
     OF_HEAP | HEAPS_OWN | HARDENED_ONLY, 0, 'd'},
    {PAST_END, "1 past the end of a dynamic one, reset", 64, overflow_of_dynamic_and_end, PAST,
     OF_HEAP | HEAPS_OWN | HARDENED_ONLY, 0, 'r'},
    {AFTER_FREE, "dynamic written after free", 64, write_after_free_of_dynamic, WRITTEN,
     OF_HEAP | HEAPS_OWN, 17, 0},
    {PAST_END, "1 past the end of a dynamic one", 64, overflow_of_dynamic, PAST,
     OF_HEAP | HEAPS_OWN, 0, 0},
};

#endif
