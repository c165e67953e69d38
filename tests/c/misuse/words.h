/* Misuse: the library's words in front of an entry are overwritten. */
#ifndef MISUSE_WORDS_H
#define MISUSE_WORDS_H

#include "deed.h"

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
    uint64_t word;
    memcpy(&word, entry - 8, sizeof word);
    word ^= (uint64_t)1 << world->shift;
    memcpy(entry - 8, &word, sizeof word);
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

/* Where what lies in front of a dynamic entry begins, and its size. */
enum { LEAD = UINTPTR_MAX > UINT32_MAX ? 48 : 32, SIZE_AT = UINTPTR_MAX > UINT32_MAX ? 32 : 24 };

/* Somebody writes past the end of what lies there, and stops before the word. */
static void write_into_lead(struct world *world, char *entry)
{
    size_t most = LEAD - 8, count = (size_t)world->shift;
    memset(entry - LEAD, world->value, count < most ? count : most);
}

static void overflow_into_dynamic(struct world *world)
{
    char *entry = take_dynamic(world);
    write_into_lead(world, entry);
    give(world, blame(world, entry));
}

/* The same with an entry that has dynamic entries on both sides of it in the pool's list. */
static void overflow_into_listed(struct world *world)
{
    char *entries[3] = {take_dynamic(world), take(world), take(world)};
    write_into_lead(world, entries[1]);
    give(world, blame(world, entries[1]));
}

static void overflow_then_destroy(struct world *world)
{
    char *entries[3] = {take_dynamic(world), take(world), take(world)};
    write_into_lead(world, entries[1]);
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
    memcpy(entry - SIZE_AT, &forged, sizeof forged);
    entry = r_mempool_realloc_entry(world->rmp, blame(world, entry), forged);
    CHECK(entry == NULL);
}

static const struct misuse words_misuses[] = {
    {HEADER, "overwritten by zeros", 64, overflow, OVERWRITTEN, 0, 0, 0},
    {HEADER, "overwritten by ones", 64, overflow, OVERWRITTEN, 0, 0, 0xff},
    {HEADER, "overwritten by letters", 64, overflow, OVERWRITTEN, 0, 0, 'A'},
    {HEADER, "overwritten by letters, 1000 bytes", 1000, overflow, OVERWRITTEN, 0, 0, 'A'},
    {HEADER, "overwritten, no padding", 24, overflow, OVERWRITTEN, 0, 0, 'A'},
    {HEADER, "overwritten, padding", 10, overflow, OVERWRITTEN, 0, 0, 'A'},
    {HEADER, "bit 4 overwritten", 64, overflow_by_one_bit, OVERWRITTEN, 0, 4, 0},
    {HEADER, "bit 6 overwritten", 64, overflow_by_one_bit, OVERWRITTEN, 0, 6, 0},
#if UINTPTR_MAX <= UINT32_MAX
    /* Of an address of 64 bits, where a change may name another one. */
    {HEADER, "bit 32 overwritten", 64, overflow_by_one_bit, OVERWRITTEN, 0, 32, 0},
    {HEADER, "bit 47 overwritten", 64, overflow_by_one_bit, OVERWRITTEN, 0, 47, 0},
#endif
    {HEADER, "bit 48 overwritten", 64, overflow_by_one_bit, OVERWRITTEN, 0, 48, 0},
    {HEADER, "bit 63 overwritten", 64, overflow_by_one_bit, OVERWRITTEN, 0, 63, 0},
    {HEADER, "overwritten, then realloc", 64, overflow_then_realloc, OVERWRITTEN, RANGED_ONLY, 0,
     'A'},
    {HEADER, "another's word", 64, word_of_another, OVERWRITTEN, 0, 0, 0},
    {HEADER, "another's word, 1000 bytes", 1000, word_of_another, OVERWRITTEN, 0, 0, 0},
    {HEADER, "a freed one's word", 64, word_of_a_freed_one, OVERWRITTEN, 0, 0, 0},
    {HEADER, "dynamic, word overwritten", 64, dynamic_underflow, NO_ENTRY, NO_POOL | OF_HEAP, 8,
     'A'},
    {HEADER, "dynamic, word zero", 64, dynamic_underflow, NO_ENTRY, NO_POOL | OF_HEAP, 8, 0},
    {HEADER, "dynamic, word overwritten, 64 KiB", 65536, dynamic_underflow, NO_ENTRY,
     NO_POOL | OF_HEAP, 8, 'A'},
    {HEADER, "dynamic, 9 to 16 before", 64, dynamic_underflow, OVERWRITTEN, OF_HEAP, 16, 'A'},
    {HEADER, "dynamic, 17 to 24 before", 64, dynamic_underflow, OVERWRITTEN, OF_HEAP, 24, 'A'},
    {HEADER, "dynamic, 25 to 32 before", 64, dynamic_underflow, OVERWRITTEN, OF_HEAP, 32, 'A'},
#if UINTPTR_MAX > UINT32_MAX
    /* With pointers of 32 bits it begins 32 before. */
    {HEADER, "dynamic, 33 to 40 before", 64, dynamic_underflow, OVERWRITTEN, OF_HEAP, 40, 'A'},
    {HEADER, "dynamic, 41 to 48 before", 64, dynamic_underflow, OVERWRITTEN, OF_HEAP, 48, 'A'},
#endif
    {HEADER, "dynamic, its size, zeros", 64, dynamic_underflow, OVERWRITTEN, OF_HEAP, SIZE_AT, 0},
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
     OVERWRITTEN, RANGED_ONLY | OF_HEAP, SIZE_AT, 'A'},
    {HEADER, "dynamic, size forged, then realloc", 64, dynamic_size_forged, OVERWRITTEN,
     RANGED_ONLY | OF_HEAP, 0, 0},
};

#endif
