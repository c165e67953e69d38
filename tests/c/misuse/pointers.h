/* Misuse: pointers that are none of an entry that was handed out. */
#ifndef MISUSE_POINTERS_H
#define MISUSE_POINTERS_H

#include "deed.h"

static void interior(struct world *world)
{
    char *entry = take(world);
    memset(entry, world->value, world->size);
    blame_offset(world, world->shift);
    give(world, blame(world, entry + world->shift));
}

static void interior_of_freed(struct world *world)
{
    char *entry = take(world);
    give(world, entry);
    blame_offset(world, world->shift);
    give(world, blame(world, entry + world->shift));
}

/* A pointer before an entry lies in the slot of the entry before that. */
static void before_an_entry(struct world *world)
{
    char *first, *second;
    take_neighbours(world, &first, &second);
    blame_offset(world, stride(world) - world->shift);
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
    blame_offset(world, world->shift);
    entry = blame(world, entry + world->shift);
    entry = r_mempool_realloc_entry(world->rmp, entry, world->size);
    CHECK(entry == NULL);
}

static void never_out(struct world *world)
{
    /* Far enough from the first that no cache took it along. */
    char *entry = take(world) + (world->count - COUNT) * stride(world);
    give(world, blame(world, entry + world->shift * stride(world)));
}

static void never_out_in_call(struct world *world)
{
    char *entry = take(world) + (world->count - 1) * stride(world);
    use(world, blame(world, entry));
}

/* Between two that were out, in whatever order they go out. That is drawn by the pool's address: if
 * there is none between two, another pool's order is another. With a value, all were out in an earlier
 * pool in the same place. With a choice, it is not freed but used. */
static void never_out_between(struct world *world)
{
    for (;; create(world)) {
        uintptr_t entries[MAX_COUNT];
        CHECK(world->count <= MAX_COUNT);
        if (world->value != 0) {
            for (size_t i = 0; i < world->count; i++)
                take(world);
            destroy(world);
            create(world);
        }
        for (size_t count = 0; count + 1 < world->count; count++) {
            entries[count] = address(take(world));
            qsort(entries, count + 1, sizeof *entries, compare_addresses);
            for (size_t i = 1; i <= count; i++)
                if (entries[i] - entries[i - 1] == 2 * stride(world))
                    (world->shift == 0 ? give : use)(
                        world, blame(world, (void *)(entries[i] - stride(world))));
        }
        if (world->buffer != NULL) {
            destroy(world);
            world->buffer += 128;
        }
    }
}

/* The slot was out in a pool that is gone; this pool, in the same memory, never handed it out. */
static void never_out_of_this(struct world *world)
{
    char *entries[MAX_COUNT];
    size_t count = world->count, slot = count - COUNT + world->shift;
    CHECK(count <= MAX_COUNT);
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
    give(world, blame(world, pool_of(world)));
}

static void before_any_pool(struct world *world)
{
    destroy(world);
    give(world, blame(world, static_memory + 64));
}

static const struct misuse pointers_misuses[] = {
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
    {NEVER, "never out, usable size", 64, never_out_in_call, NEVER_OUT, DEFAULT_ONLY, 0, 0},
    {NEVER, "never out, owner", 64, never_out_in_call, NEVER_OUT, DEFAULT_ONLY, 1, 0},
    {NEVER, "never out, realloc", 64, never_out_in_call, NEVER_OUT, DEFAULT_ONLY | RANGED_ONLY, 2, 0},
    {NEVER, "never out, between, owner", 64, never_out_between, NEVER_OUT, HARDENED_ONLY, 1, 0},
    {NEVER, "never out, between, realloc", 64, never_out_between, NEVER_OUT,
     HARDENED_ONLY | RANGED_ONLY, 2, 0},
    {NEVER, "never out of this pool, between", 64, never_out_between, NEVER_OUT,
     HARDENED_ONLY | BUFFER_ONLY, 0, 1},
    {NEVER, "never out of this pool", 64, never_out_of_this, NEVER_OUT, BUFFER_ONLY | DEFAULT_ONLY, 1,
     0},
    {NEVER, "never out of this pool, the last", 64, never_out_of_this, NEVER_OUT,
     BUFFER_ONLY | DEFAULT_ONLY, COUNT - 1, 0},
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
};

#endif
