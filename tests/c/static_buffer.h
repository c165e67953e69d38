/* Pools in buffers for tests: do they fit the size that the header promises, stay inside, and make no call
 * for memory?
 *
 * Who includes this has a number `memory_calls` of the calls for memory, as far as it can count them. */
#ifndef STATIC_BUFFER_H
#define STATIC_BUFFER_H

#include "check_memory.h"

enum { GUARD = 4096, SLACK = 4096 };

static char arena[GUARD + SLACK + (1 << 20) + GUARD] __attribute__((aligned(4096)));

struct session {
    char name[40];
    int number;
};

MEMPOOL_STATIC_BUFFER(sessions_memory, 100, sizeof(struct session));
MEMPOOL_STATIC_BUFFER(one_byte_memory, 1, 1);
R_MEMPOOL_STATIC_BUFFER(ranged_memory, 16, 1024, 64);
R_MEMPOOL_STATIC_BUFFER(odd_ranged_memory, 1, 100, 9);

static void *entries[4096];

/* Takes all of the pool, which must be exactly `count`, uses them, frees them in another order. */
static inline void use(mempool *mp, size_t count, size_t size, size_t alignment)
{
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < count; i++) {
            entries[i] = round ? mempool_calloc_entry(mp) : mempool_alloc_entry(mp);
            CHECK(entries[i] != NULL && aligned(entries[i], alignment));
            memset(entries[i], (int)i, size);
        }
        CHECK_FAILS(mempool_alloc_entry(mp), ENOMEM);
        CHECK(mempool_used_count(mp) == count && mempool_total_capacity(mp) == count);
        CHECK(mempool_dynamic_allocs_count(mp) == 0);
        for (size_t i = count; i-- > 0;) {
            CHECK(all_bytes(entries[i], (unsigned char)i, size));
            mempool_free_entry(entries[i]);
        }
    }
}

/* The same for each class of a ranged pool. */
static inline void r_use(r_mempool *rmp, const r_mempool_class *classes, size_t class_count)
{
    size_t count = 0;
    for (size_t c = 0; c < class_count; c++) {
        size_t size = hide_size(classes[c].elem_size);
        CHECK(r_mempool_total_capacity(rmp, size) == classes[c].elem_count);
        for (size_t i = 0; i < classes[c].elem_count; i++, count++) {
            entries[count] = r_mempool_alloc_entry(rmp, size);
            CHECK(entries[count] != NULL && aligned(entries[count], 16));
            memset(entries[count], (int)count, size);
            CHECK(r_mempool_used_count(rmp, size) == i + 1);
        }
    }
    CHECK_FAILS(r_mempool_alloc_entry(rmp, 1), ENOMEM);
    for (size_t c = 0, at = 0; c < class_count; c++)
        for (size_t i = 0; i < classes[c].elem_count; i++, at++) {
            CHECK(all_bytes(entries[at], (unsigned char)at, classes[c].elem_size));
            if (i % 2 == 0) {
                entries[at] = r_mempool_realloc_entry(rmp, entries[at], classes[c].elem_size);
                CHECK(entries[at] != NULL);
            }
            r_mempool_free_entry(entries[at]);
        }
}

/* A pool in a buffer: made, used, destroyed and made again in the same memory. Where it does not
 * fall back no call for memory is made; returns how many were. */
static inline unsigned long live(const mempool_options *options)
{
    unsigned long before = memory_calls;
    size_t alignment = options->alignment < 16 ? 16 : options->alignment;
    for (int round = 0; round < 3; round++) {
        mempool *mp = mempool_create_with(options);
        CHECK(mp != NULL);
        if (options->buffer != NULL) {
            uintptr_t from = (uintptr_t)options->buffer;
            CHECK(address(mp) >= from && address(mp) < from + options->buffer_size);
        }
        if (!(options->flags & MEMPOOL_FALL_BACK))
            use(mp, options->elem_count, options->elem_size, alignment);
        /* Some are still out when the pool goes. */
        for (size_t i = 0; i < options->elem_count / 2; i++)
            CHECK(mempool_alloc_entry(mp) != NULL);
        mempool_destroy(mp);
    }
    return memory_calls - before;
}

static inline unsigned long r_live(const r_mempool_options *options)
{
    r_mempool_class classes[256];
    size_t count = options->class_count;
    if (options->classes != NULL)
        memcpy(classes, options->classes, count * sizeof *classes);
    else
        for (size_t size = 16, n = 1; size < 2 * options->largest_size; size *= 2) {
            while (n < options->smallest_count)
                n *= 2;
            if (size < options->smallest_size)
                continue;
            classes[count] = (r_mempool_class){size, n >> count};
            count++;
        }
    unsigned long before = memory_calls;
    for (int round = 0; round < 3; round++) {
        r_mempool *rmp = r_mempool_create_with(options);
        CHECK(rmp != NULL);
        r_use(rmp, classes, count);
        r_use(rmp, classes, count);
        CHECK(r_mempool_alloc_entry(rmp, 1) != NULL);
        r_mempool_destroy(rmp);
    }
    return memory_calls - before;
}

static inline mempool_options ordinary(size_t count, size_t size, void *buffer, size_t bytes)
{
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = count;
    options.elem_size = size;
    options.buffer = buffer;
    options.buffer_size = bytes;
    return options;
}

static inline r_mempool_options ranged(size_t smallest, size_t largest, size_t count, void *buffer,
                                size_t bytes)
{
    r_mempool_options options = R_MEMPOOL_OPTIONS_INIT;
    options.smallest_size = smallest;
    options.largest_size = largest;
    options.smallest_count = count;
    options.buffer = buffer;
    options.buffer_size = bytes;
    return options;
}

static inline void static_buffers(void)
{
    MEMPOOL_STATIC_BUFFER(inner, 7, 24);
    R_MEMPOOL_STATIC_BUFFER(r_inner, 20, 500, 16);
    const mempool_options with[] = {
        ordinary(100, sizeof(struct session), sessions_memory, sizeof sessions_memory),
        ordinary(1, 1, one_byte_memory, sizeof one_byte_memory),
        ordinary(7, 24, inner, sizeof inner),
    };
    const r_mempool_options r_with[] = {
        ranged(16, 1024, 64, ranged_memory, sizeof ranged_memory),
        ranged(1, 100, 9, odd_ranged_memory, sizeof odd_ranged_memory),
        ranged(20, 500, 16, r_inner, sizeof r_inner),
    };
    const uint64_t flags[] = {0, MEMPOOL_SINGLE_THREAD, MEMPOOL_NO_PREFAULT, MEMPOOL_ZERO_ON_FREE};
    for (size_t i = 0; i < LENGTH(with); i++)
        for (size_t f = 0; f < LENGTH(flags); f++) {
            row("static buffer %zu, flags %d", i, (int)flags[f]);
            mempool_options options = with[i];
            r_mempool_options r_options = r_with[i];
            options.flags = r_options.flags = flags[f];
            CHECK(options.buffer_size == mempool_buffer_size(&options));
            CHECK(r_options.buffer_size == r_mempool_buffer_size(&r_options));
            CHECK(live(&options) == 0);
            CHECK(r_live(&r_options) == 0);
            options.buffer_size -= 1;
            r_options.buffer_size -= 1;
            CHECK_FAILS(mempool_create_with(&options), EINVAL);
            CHECK_FAILS(r_mempool_create_with(&r_options), EINVAL);
        }
}

/* `mempool_buffer_size` is enough wherever the buffer starts, one byte less is refused, and nothing
 * outside is touched. */
static inline void exact_sizes(void)
{
    static const struct {
        size_t count, size, alignment;
    } table[] = {
        {1, 1, 0},    {1, 8, 0},     {2, 9, 0},     {7, 4, 0},      {16, 16, 0},
        {100, 24, 0}, {1000, 10, 0}, {3, 4096, 0},  {4, 100000, 0}, {9, 5, 1},
        {9, 5, 16},   {9, 40, 32},   {9, 40, 64},   {50, 1, 128},   {9, 120, 256},
        {9, 300, 512}, {9, 1, 1024}, {9, 2041, 2048}, {9, 4088, 4096}, {9, 4089, 4096},
    };
    static const r_mempool_class classes[] = {{1, 3}, {24, 10}, {100, 5}, {1000, 2}};
    memset(arena, 0xa5, sizeof arena);
    for (size_t i = 0; i < LENGTH(table); i++)
        for (size_t offset = 0; offset < SLACK; offset = offset < 256 ? offset + 16 : offset * 2) {
            row("count %zu, size %zu, alignment %zu, buffer at %zu", table[i].count,
                table[i].size, table[i].alignment, offset);
            char *start = arena + GUARD + offset;
            mempool_options options = ordinary(table[i].count, table[i].size, start, 0);
            options.alignment = table[i].alignment;
            size_t bytes = options.buffer_size = mempool_buffer_size(&options);
            CHECK(bytes > 0 && bytes <= sizeof arena - 2 * GUARD - SLACK);
            CHECK(table[i].alignment > 16 ||
                  bytes == MEMPOOL_BUFFER_SIZE(table[i].count, table[i].size));
            CHECK(live(&options) == 0);
            CHECK(all_bytes(arena, 0xa5, GUARD + offset));
            CHECK(all_bytes(start + bytes, 0xa5, GUARD));
            /* What is refused writes nothing at all. */
            memset(start, 0xa5, bytes);
            options.buffer_size = bytes - 1;
            CHECK_FAILS(mempool_create_with(&options), EINVAL);
            options.buffer_size = bytes + 16;
            for (size_t off = 1; off < 16; off += off == 1 ? 3 : 4) {
                options.buffer = start + off;
                CHECK_FAILS(mempool_create_with(&options), EINVAL);
            }
            CHECK(all_bytes(arena, 0xa5, GUARD + offset + bytes + GUARD));
        }
    for (size_t offset = 0; offset < 256; offset += 16) {
        row("a list, buffer at %zu", offset);
        char *start = arena + GUARD + offset;
        r_mempool_options options = ranged(0, 0, 0, start, 0);
        options.classes = classes;
        options.class_count = LENGTH(classes);
        size_t bytes = options.buffer_size = r_mempool_buffer_size(&options), sum = 0;
        for (size_t c = 0; c < LENGTH(classes); c++)
            sum += R_MEMPOOL_CLASS_SIZE(classes[c].elem_count, classes[c].elem_size);
        CHECK(bytes == R_MEMPOOL_BUFFER_BASE + sum);
        CHECK(r_live(&options) == 0);
        CHECK(all_bytes(arena, 0xa5, GUARD + offset));
        CHECK(all_bytes(start + bytes, 0xa5, GUARD));
        memset(start, 0xa5, bytes);
        options.buffer_size = bytes - 1;
        CHECK_FAILS(r_mempool_create_with(&options), EINVAL);
        options.buffer_size = bytes + 16;
        options.buffer = start + 8;
        CHECK_FAILS(r_mempool_create_with(&options), EINVAL);
        options.buffer = start + 1;
        CHECK_FAILS(r_mempool_create_with(&options), EINVAL);
        CHECK(all_bytes(arena, 0xa5, GUARD + offset + bytes + GUARD));
    }
}

/* The macros say what the functions say, whatever the values. */
static inline void macros_say_the_same(void)
{
    static const size_t counts[] = {1,    2,     3,      7,       8,          9,          100,
                                    1000, 65535, 131072, 1000001, 2147483647, 2147483648,
                                    4294967295};
    static const size_t sizes[] = {1,  2,  7,   8,    9,    15,    16,    17,     23,       24,
                                   25, 32, 100, 1000, 4096, 65535, 65536, 100000, 99999999,
                                   1 << 30};
    for (size_t i = 0; i < LENGTH(counts); i++)
        for (size_t j = 0; j < LENGTH(sizes); j++) {
            row("macro, count %zu, size %zu", counts[i], sizes[j]);
            mempool_options options = ordinary(counts[i], sizes[j], NULL, 0);
            size_t bytes = mempool_buffer_size(&options);
            /* Slots, and bytes beside them, alone. */
            bool fits = (uint64_t)counts[i] * (slot_size(sizes[j], 16) + CMEMPOOL_PER_SLOT) <
                        PTRDIFF_MAX - 4096;
            CHECK((bytes != 0) == fits);
            CHECK(!fits || bytes == MEMPOOL_BUFFER_SIZE(counts[i], sizes[j]));
        }
    size_t valid = 0;
    for (size_t i = 0; i < LENGTH(counts); i++)
        for (size_t j = 0; j < LENGTH(sizes); j++)
            for (size_t k = 0; k < LENGTH(sizes); k++) {
                row("macro, from %zu to %zu, count %zu", sizes[j], sizes[k], counts[i]);
                r_mempool_options options = ranged(sizes[j], sizes[k], counts[i], NULL, 0);
                size_t bytes = r_mempool_buffer_size(&options);
                if (bytes == 0)
                    continue; /* no valid pool: the macro promises nothing */
                valid++;
                CHECK(bytes == R_MEMPOOL_BUFFER_SIZE(sizes[j], sizes[k], counts[i]));
            }
    CHECK(valid > 500);

    /* Constant expressions of each sort, and arguments that are expressions themselves. */
    enum { FOUR = 4, CONSTANT = MEMPOOL_BUFFER_SIZE(FOUR + 1, 1 ? 24 : 8) };
    enum { R_CONSTANT = R_MEMPOOL_BUFFER_SIZE(FOUR | 1, 1 ? 64 : 8, FOUR + FOUR) };
    _Static_assert(CONSTANT == MEMPOOL_BUFFER_SIZE(5, 24), "arguments are in parentheses");
    _Static_assert(R_CONSTANT == R_MEMPOOL_BUFFER_SIZE(5, 64, 8), "arguments are in parentheses");
}

/* What the options say of buffer, name, flags and policy has no influence on the size. */
static inline void size_depends_on_little(void)
{
    row("what the size depends on");
    mempool_options options = ordinary(10, 24, NULL, 0), other = options;
    other.name = "a name";
    other.buffer = arena;
    other.buffer_size = 3;
    other.flags = ~(uint64_t)0;
    other.backing = hide("none at all");
    CHECK(mempool_buffer_size(&options) == mempool_buffer_size(&other));
    r_mempool_options r_options = ranged(16, 64, 8, NULL, 0), r_other = r_options;
    r_other.name = "a name";
    r_other.buffer = arena;
    r_other.buffer_size = 3;
    r_other.flags = ~(uint64_t)0;
    r_other.backing = hide("none at all");
    r_other.policy = (r_memory_fallback_policy_t)77;
    CHECK(r_mempool_buffer_size(&r_options) == r_mempool_buffer_size(&r_other));
}

/* Any memory that is aligned to 16 bytes will do, the heap's for a pool with large alignment. */
static inline void buffer_from_the_heap(void)
{
    for (size_t alignment = 16; alignment <= 4096; alignment *= 2) {
        row("malloc's memory, alignment %zu", alignment);
        mempool_options options = ordinary(10, 100, NULL, 0);
        options.alignment = alignment;
        options.buffer_size = mempool_buffer_size(&options);
        options.buffer = heap_aligned(16, options.buffer_size);
        CHECK(options.buffer != NULL);
        CHECK(live(&options) == 0);
        heap_aligned_free(options.buffer);
    }
}

static inline void all_of_buffers(void)
{
    static_buffers();
    exact_sizes();
    macros_say_the_same();
    size_depends_on_little();
    buffer_from_the_heap();
}

#endif
