/* Programs with one bug each, in an entry of a pool: what do the tools say?
 *
 * usage: bugs BUG, or bugs list WHOSE: the names of those that AddressSanitizer (asan) or Valgrind's
 * memcheck (memcheck) reports, and programs without a bug; those that memcheck does not (not_memcheck); and
 * those in code that no tool sees, which a hardened pool reports (hardened). */
#include <cmempool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COUNT = 100, SIZE = 64, SHORT = 24 };

_Alignas(16) static char memory[32 << 10], short_memory[32 << 10], ranged_memory[64 << 10];

static mempool *pool, *in_buffer, *of_short;
static r_mempool *ranged, *falls_back, *ranged_in_buffer;
static volatile char sink;

static void *taken_of(mempool *from, size_t size)
{
    char *entry = mempool_alloc_entry(from);
    if (!entry)
        abort();
    return memset(entry, 1, size);
}

static char *taken(mempool *from)
{
    return taken_of(from, SIZE);
}

/* The compiler knows nothing of what it points to. */
static char *hide(void *pointer)
{
    void *volatile hidden = pointer;
    return hidden;
}

static char *of_size(r_mempool *from, size_t size)
{
    char *entry = r_mempool_alloc_entry(from, size);
    if (!entry)
        abort();
    return hide(memset(entry, 1, size));
}

/* The class of 128 bytes is empty. */
static char *of_size_after_all(r_mempool *from, size_t size)
{
    for (int i = 0; i < 32; i++)
        of_size(from, 128);
    return of_size(from, size);
}

/* The compiler is not to leave the write out. */
static void write_to(void *pointer, int at)
{
    volatile char *byte = hide(pointer) + at;
    *byte = 1;
}

/* Writes as code does that was not built with the tool. */
__attribute__((noinline, no_sanitize_address)) static void write_quietly(void *pointer, int at)
{
    volatile char *byte = hide(pointer) + at;
    *byte = (char)(*byte ^ 0x55);
}

/* ---- No bug ---- */

static void none(void)
{
    static char *entries[COUNT + 10];
    /* The only pointer to a block of malloc's is in an entry. */
    char **holder = mempool_alloc_entry(pool);
    *holder = malloc(33);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < COUNT + 10; i++)
            entries[i] = taken(pool);
        for (int i = 0; i < COUNT + 10; i++)
            (mempool_free_entry)(entries[i]);
        for (size_t size = 1; size <= 1024; size += 7) {
            char *entry = r_mempool_calloc_entry(ranged, size);
            if (!entry || entry[size - 1] != 0)
                abort();
            entry = memset(entry, 2, size);
            char *moved = r_mempool_realloc_entry(ranged, entry, 1025 - size);
            if (!moved)
                abort();
            sink = moved[0];
            (r_mempool_free_entry)(moved);
        }
        (mempool_free_entry)(taken(in_buffer));
        (mempool_free_entry)(taken_of(of_short, SHORT));
    }
    free(*holder);
}

/* Up to the size asked for, wherever the entry comes from and however it got that size. */
static void none_of_sizes(void)
{
    r_mempool *const pools[] = {ranged, falls_back, ranged_in_buffer};
    for (size_t p = 0; p < sizeof pools / sizeof *pools; p++)
        for (int round = 0; round < 2; round++) {
            char *entries[60];
            size_t count = 0;
            for (size_t size = 1; size < 600 && count < 60; size += 13)
                if ((entries[count] = r_mempool_alloc_entry(pools[p], size)) != NULL)
                    memset(hide(entries[count++]), 1, size);
            for (size_t i = 0; i < count; i++)
                for (size_t size = 120; size > 0; size -= 15) {
                    char *entry = hide(r_mempool_realloc_entry(pools[p], entries[i], size));
                    memset(entry, 2, size);
                    if (entry[size - 1] != 2)
                        abort();
                    entries[i] = entry;
                }
            if (round == 0)
                mempool_free_bulk((void **)entries, count);
            else
                r_mempool_reset(pools[p]);
            void *many[10];
            if (r_mempool_alloc_bulk(pools[p], 90, many, 10)) {
                for (int i = 0; i < 10; i++)
                    memset(hide(many[i]), 3, 90);
                mempool_free_bulk(many, 10);
            }
        }
}

/* Pools of all sorts, of which two are in the heap's memory, are there until the end; so are entries. (No
 * dynamic ones of these: memcheck does not look for pointers in a block of the heap's that has others in
 * it.) */
static void none_at_exit(void)
{
    static char *entries[COUNT + 18];
    size_t count = 0;
    mempool *small = mempool_create(4, 16, true), *idle = mempool_create(4, 16, true);
    if (!small || !idle)
        abort();
    for (int i = 0; i < 3; i++)
        entries[count++] = mempool_alloc_entry(small);
    for (int i = 0; i < COUNT + 10; i++)
        entries[count++] = taken(pool);
    entries[count++] = taken(in_buffer);
    entries[count++] = r_mempool_alloc_entry(ranged, 100);
    while (count-- > 0)
        if (!entries[count])
            abort();
    exit(0);
}

/* Whatever a buffer held before, it can be asked of each of its bytes whether that is an entry. */
static void none_in_a_new_buffer(void)
{
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = COUNT;
    options.elem_size = SIZE;
    size_t size = mempool_buffer_size(&options), found = 0;
    char *buffer = malloc(size);
    options.buffer = buffer;
    options.buffer_size = size;
    mempool *inside = buffer ? mempool_create_with(&options) : NULL;
    if (!inside)
        abort();
    char *entry = taken(inside);
    for (size_t i = 0; i < size; i++)
        found += mempool_owns(inside, buffer + i);
    if (found > 1 || !mempool_owns(inside, entry)) /* With the word bypass it is elsewhere. */
        abort();
    mempool_destroy(inside);
    free(buffer);
}

/* A program may tell the tool of its own, and give back what nobody may touch: so it is with free. */
extern void __asan_poison_memory_region(const volatile void *bytes, size_t size) __attribute__((weak));

static void none_of_a_closed_entry(void)
{
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = 2;
    options.elem_size = SIZE;
    options.flags = MEMPOOL_ZERO_ON_FREE | MEMPOOL_FALL_BACK;
    mempool *zeroing = mempool_create_with(&options);
    for (int round = 0; round < 2; round++) {
        char *entries[4];
        for (int i = 0; i < 4; i++) {
            entries[i] = taken(zeroing);
            if (__asan_poison_memory_region)
                __asan_poison_memory_region(entries[i] + 8, 16);
        }
        for (int i = 0; i < 4; i++)
            (mempool_free_entry)(entries[i]);
    }
    mempool_destroy(zeroing);
}

/* A pool in an entry of another one: in a buffer, or by a backing. */
static void *from_pool(size_t size, size_t alignment, void *context)
{
    (void)size, (void)alignment;
    return mempool_alloc_entry(context);
}

static void to_pool(void *memory, size_t size, void *context)
{
    (void)size, (void)context;
    (mempool_free_entry)(memory);
}

static mempool *pool_in_an_entry(bool by_backing)
{
    mempool *outer = mempool_create(4, 16384, false);
    mempool_backing backing = MEMPOOL_BACKING_INIT;
    backing.alloc = from_pool;
    backing.free = to_pool;
    backing.context = outer;
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = COUNT;
    options.elem_size = SIZE;
    if (by_backing) {
        options.backing = &backing;
    } else {
        options.buffer = mempool_alloc_entry(outer);
        options.buffer_size = 16384;
    }
    mempool *inner = mempool_create_with(&options);
    if (!inner)
        abort();
    return inner;
}

/* Both are there at the end, with entries that are out. */
static void none_in_an_entry(void)
{
    static void *kept[3];
    kept[0] = malloc(33);
    for (int by_backing = 0; by_backing < 2; by_backing++) {
        mempool *inner = pool_in_an_entry(by_backing);
        kept[1 + by_backing] = taken(inner);
        (mempool_free_entry)(taken(inner));
    }
    if (!kept[0])
        abort();
    exit(0);
}

static void read_after_free_in_an_entry(void)
{
    char *entry = taken(pool_in_an_entry(false));
    (mempool_free_entry)(entry);
    sink = entry[3];
}

/* The memory is the program's again, all of it. */
static void none_after_destroy(void)
{
    mempool_destroy(in_buffer);
    mempool_destroy(of_short);
    r_mempool_destroy(ranged_in_buffer);
    memset(memory, 1, sizeof memory);
    memset(short_memory, 1, sizeof short_memory);
    memset(ranged_memory, 1, sizeof ranged_memory);
}

/* All entries of a pool come, though what was freed is held back. */
static void none_is_withheld(void)
{
    static char *entries[COUNT];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < COUNT; i++)
            entries[i] = taken(in_buffer);
        if (mempool_alloc_entry(in_buffer) != NULL)
            abort();
        for (int i = 0; i < COUNT; i++)
            (mempool_free_entry)(entries[i]);
    }
}

/* ---- After a free ---- */

static void read_after_free(void)
{
    char *entry = taken(pool);
    (mempool_free_entry)(entry);
    sink = entry[3];
}

static void write_after_free(void)
{
    char *entry = of_size(ranged, 100);
    (r_mempool_free_entry)(entry);
    write_to(entry, 99);
}

static void write_after_free_in_a_buffer(void)
{
    char *entry = taken(in_buffer);
    (mempool_free_entry)(entry);
    write_to(entry, 0);
}

/* Others were taken since. */
static void read_after_free_and_allocs(void)
{
    char *entry = taken(pool);
    (mempool_free_entry)(entry);
    for (int i = 0; i < COUNT / 2; i++)
        taken(pool);
    sink = hide(entry)[3];
}

static void read_after_free_and_pairs(void)
{
    char *entry = taken(in_buffer);
    (mempool_free_entry)(entry);
    for (int i = 0; i < COUNT / 5; i++)
        (mempool_free_entry)(taken(in_buffer));
    sink = hide(entry)[3];
}

static void read_after_realloc(void)
{
    char *entry = of_size(ranged, 16);
    char *moved = r_mempool_realloc_entry(ranged, entry, 200);
    sink = entry[0];
    (r_mempool_free_entry)(moved);
}

static void read_after_reset(void)
{
    char *entry = taken(pool);
    mempool_reset(pool);
    sink = entry[0];
}

/* Behind the lowest one that is out, before the next: in a hardened pool they lie anywhere. */
static void read_of_an_entry_that_was_never_out(void)
{
    enum { SLOT = 80, OUT = 4 };
    char *out[OUT], *lowest = NULL;
    for (int i = 0; i < OUT; i++) {
        out[i] = hide(taken(in_buffer));
        lowest = i == 0 || out[i] < lowest ? out[i] : lowest;
    }
    for (int i = 0; i < OUT; i++)
        for (int j = 0; j < OUT; j++)
            if (out[j] == lowest + SLOT)
                lowest = out[j];
    sink = lowest[SLOT];
}

/* ---- Past an end ---- */

static void read_past_the_end(void)
{
    sink = hide(taken(pool))[SIZE];
}

static void write_past_the_end(void)
{
    write_to(taken(pool), SIZE);
}

static void write_past_a_dynamic_entry(void)
{
    for (int i = 0; i < COUNT; i++)
        taken(pool);
    write_to(taken(pool), SIZE);
}

static void write_past_100_of_128(void)
{
    write_to(of_size(ranged, 100), 100);
}

static void read_past_100_of_128(void)
{
    sink = of_size(ranged, 100)[127];
}

static void write_past_100_in_a_buffer(void)
{
    write_to(of_size(ranged_in_buffer, 100), 100);
}

static void write_past_100_of_calloc(void)
{
    write_to(r_mempool_calloc_entry(ranged, 100), 100);
}

static void write_past_100_of_bulk(void)
{
    void *entries[5];
    if (!r_mempool_alloc_bulk(ranged, 100, entries, 5))
        abort();
    write_to(entries[3], 100);
}

static void write_past_100_in_a_larger_class(void)
{
    write_to(of_size_after_all(ranged, 100), 100);
}

static void write_past_100_of_the_heap(void)
{
    write_to(of_size_after_all(falls_back, 100), 100);
}

static void write_past_a_realloc_to_less(void)
{
    char *entry = of_size(ranged, 120);
    if (r_mempool_realloc_entry(ranged, entry, 70) != entry)
        abort();
    write_to(entry, 70);
}

static void write_past_a_realloc_to_more(void)
{
    char *entry = of_size(ranged, 70);
    if (r_mempool_realloc_entry(ranged, entry, 100) != entry)
        abort();
    memset(entry, 1, 100);
    write_to(entry, 100);
}

static void write_past_a_realloc_on_the_heap(void)
{
    char *entry = of_size_after_all(falls_back, 70);
    if (r_mempool_realloc_entry(falls_back, entry, 100) != entry)
        abort();
    memset(entry, 1, 100);
    write_to(entry, 100);
}

static void write_past_a_realloc_that_moved(void)
{
    write_to(r_mempool_realloc_entry(ranged, of_size(ranged, 60), 100), 100);
}

/* ---- Where the library keeps its own, which memcheck lets everybody read and write ---- */

static void write_past_24_in_a_buffer(void)
{
    write_to(taken_of(of_short, SHORT), SHORT);
}

static void write_past_all_of_24_in_a_buffer(void)
{
    char *last = NULL;
    for (int i = 0; i < COUNT; i++) {
        char *entry = taken_of(of_short, SHORT);
        last = entry > last ? entry : last;
    }
    write_to(last, SHORT);
}

static void read_before_an_entry(void)
{
    sink = hide(taken(pool))[-1];
}

static void write_before_an_entry(void)
{
    write_to(taken(in_buffer), -8);
}

static void read_before_a_dynamic_entry(void)
{
    sink = of_size_after_all(falls_back, 100)[-1];
}

static void write_before_a_dynamic_entry(void)
{
    write_to(of_size_after_all(falls_back, 100), -32);
}

static void read_before_a_freed_entry(void)
{
    char *entry = taken(pool);
    (mempool_free_entry)(entry);
    sink = hide(entry)[-1];
}

/* ---- By code that no tool sees ---- */

static void quietly_past_the_end(void)
{
    char *entry = taken(pool);
    write_quietly(entry, SIZE);
    (mempool_free_entry)(entry);
}

static void quietly_past_24_in_a_buffer(void)
{
    char *entry = taken_of(of_short, SHORT);
    write_quietly(entry, SHORT);
    (mempool_free_entry)(entry);
}

static void quietly_past_24_at_destroy(void)
{
    write_quietly(taken_of(of_short, SHORT), SHORT);
}

static void quietly_past_100_in_a_buffer(void)
{
    char *entry = of_size(ranged_in_buffer, 100);
    write_quietly(entry, 100);
    (r_mempool_free_entry)(entry);
}

static void quietly_past_100_then_realloc(void)
{
    char *entry = of_size(ranged_in_buffer, 100);
    write_quietly(entry, 100);
    entry = r_mempool_realloc_entry(ranged_in_buffer, entry, 110);
}

static void quietly_past_100_of_the_heap(void)
{
    char *entry = of_size_after_all(falls_back, 100);
    write_quietly(entry, 100);
    (r_mempool_free_entry)(entry);
}

static void quietly_past_100_of_the_heap_at_destroy(void)
{
    write_quietly(of_size_after_all(falls_back, 100), 100);
}

static void quietly_after_free_in_a_buffer(void)
{
    char *entry = taken(in_buffer);
    (mempool_free_entry)(entry);
    write_quietly(entry, 5);
    for (int i = 0; i < COUNT; i++)
        taken(in_buffer);
}

static void quietly_after_free_at_destroy(void)
{
    char *entry = taken(pool);
    (mempool_free_entry)(entry);
    write_quietly(entry, 5);
}

/* ---- Leaks ---- */

/* Of several, for a register may still hold the last one. memcheck looks for leaks if a block of malloc's is
 * there at the end. */
static void leak(void)
{
    static void *volatile held;
    if (!(held = malloc(33)))
        abort();
    for (int i = 0; i < 10; i++)
        taken(pool);
    exit(0);
}

static void leak_at_destroy(void)
{
    taken(pool);
}

enum { ASAN = 1, MEMCHECK = 2, TOOLS = 3, HARDENED = 4, NOBODY = 8 };

static const struct {
    const char *name;
    void (*commit)(void);
    int seen_by;
} bugs[] = {
    {"none", none, TOOLS},
    {"none_of_sizes", none_of_sizes, TOOLS},
    {"none_at_exit", none_at_exit, TOOLS},
    {"none_in_a_new_buffer", none_in_a_new_buffer, TOOLS},
    {"none_of_a_closed_entry", none_of_a_closed_entry, TOOLS},
    {"none_in_an_entry", none_in_an_entry, TOOLS},
    {"read_after_free_in_an_entry", read_after_free_in_an_entry, TOOLS},
    {"none_after_destroy", none_after_destroy, TOOLS},
    {"none_is_withheld", none_is_withheld, TOOLS},
    {"read_after_free", read_after_free, TOOLS},
    {"write_after_free", write_after_free, TOOLS},
    {"write_after_free_in_a_buffer", write_after_free_in_a_buffer, TOOLS},
    {"read_after_free_and_allocs", read_after_free_and_allocs, TOOLS},
    {"read_after_free_and_pairs", read_after_free_and_pairs, TOOLS},
    {"read_after_realloc", read_after_realloc, TOOLS},
    {"read_after_reset", read_after_reset, TOOLS},
    {"read_past_the_end", read_past_the_end, TOOLS},
    {"write_past_the_end", write_past_the_end, TOOLS},
    {"write_past_a_dynamic_entry", write_past_a_dynamic_entry, TOOLS},
    {"write_past_100_of_128", write_past_100_of_128, TOOLS},
    {"read_past_100_of_128", read_past_100_of_128, TOOLS},
    {"write_past_100_in_a_buffer", write_past_100_in_a_buffer, TOOLS},
    {"write_past_100_of_calloc", write_past_100_of_calloc, TOOLS},
    {"write_past_100_of_bulk", write_past_100_of_bulk, TOOLS},
    {"write_past_100_in_a_larger_class", write_past_100_in_a_larger_class, TOOLS},
    {"write_past_100_of_the_heap", write_past_100_of_the_heap, TOOLS},
    {"write_past_a_realloc_to_less", write_past_a_realloc_to_less, TOOLS},
    {"write_past_a_realloc_to_more", write_past_a_realloc_to_more, TOOLS},
    {"write_past_a_realloc_on_the_heap", write_past_a_realloc_on_the_heap, TOOLS},
    {"write_past_a_realloc_that_moved", write_past_a_realloc_that_moved, TOOLS},
    {"read_before_a_dynamic_entry", read_before_a_dynamic_entry, ASAN},
    {"write_before_a_dynamic_entry", write_before_a_dynamic_entry, ASAN},
    {"read_before_an_entry", read_before_an_entry, ASAN},
    {"write_before_an_entry", write_before_an_entry, ASAN},
    {"read_before_a_freed_entry", read_before_a_freed_entry, ASAN},
    {"write_past_24_in_a_buffer", write_past_24_in_a_buffer, ASAN},
    {"write_past_all_of_24_in_a_buffer", write_past_all_of_24_in_a_buffer, ASAN},
    {"read_of_an_entry_that_was_never_out", read_of_an_entry_that_was_never_out, TOOLS},
    {"quietly_past_the_end", quietly_past_the_end, HARDENED},
    {"quietly_past_24_in_a_buffer", quietly_past_24_in_a_buffer, HARDENED},
    {"quietly_past_24_at_destroy", quietly_past_24_at_destroy, HARDENED},
    {"quietly_past_100_in_a_buffer", quietly_past_100_in_a_buffer, HARDENED},
    {"quietly_past_100_then_realloc", quietly_past_100_then_realloc, HARDENED},
    {"quietly_past_100_of_the_heap", quietly_past_100_of_the_heap, HARDENED},
    {"quietly_past_100_of_the_heap_at_destroy", quietly_past_100_of_the_heap_at_destroy, HARDENED},
    {"quietly_after_free_in_a_buffer", quietly_after_free_in_a_buffer, HARDENED},
    {"quietly_after_free_at_destroy", quietly_after_free_at_destroy, HARDENED},
    {"leak", leak, NOBODY},
    {"leak_at_destroy", leak_at_destroy, NOBODY},
};

static int is_on(const char *list, int seen_by)
{
    return strcmp(list, "asan") == 0 ? seen_by & ASAN
           : strcmp(list, "memcheck") == 0 ? seen_by & MEMCHECK
           : strcmp(list, "not_memcheck") == 0 ? seen_by == ASAN
           : strcmp(list, "hardened") == 0 ? seen_by & HARDENED
                                           : 0;
}

int main(int argc, char **argv)
{
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    r_mempool_options ranged_options = R_MEMPOOL_OPTIONS_INIT;
    if (argc == 3 && strcmp(argv[1], "list") == 0) {
        for (size_t i = 0; i < sizeof bugs / sizeof *bugs; i++)
            if (is_on(argv[2], bugs[i].seen_by))
                puts(bugs[i].name);
        return 0;
    }
    options.elem_count = COUNT;
    options.elem_size = SIZE;
    options.flags = MEMPOOL_ZERO_ON_FREE;
    options.buffer = memory;
    options.buffer_size = sizeof memory;
    pool = mempool_create(COUNT, SIZE, true);
    in_buffer = mempool_create_with(&options);
    options.elem_size = SHORT;
    options.flags = 0;
    options.buffer = short_memory;
    of_short = mempool_create_with(&options);
    ranged = r_mempool_create(16, 2048, 256, fallback_disabled);
    falls_back = r_mempool_create(16, 2048, 256, fallback_at_first_exhaustion);
    ranged_options.smallest_size = 16;
    ranged_options.largest_size = 512;
    ranged_options.smallest_count = 128;
    ranged_options.buffer = ranged_memory;
    ranged_options.buffer_size = sizeof ranged_memory;
    ranged_in_buffer = r_mempool_create_with(&ranged_options);
    if (argc != 2 || !pool || !in_buffer || !of_short || !ranged || !falls_back || !ranged_in_buffer)
        return 2;
    for (size_t i = 0; i < sizeof bugs / sizeof *bugs; i++)
        if (strcmp(argv[1], bugs[i].name) == 0)
            bugs[i].commit();
    mempool_destroy(pool);
    mempool_destroy(in_buffer);
    mempool_destroy(of_short);
    r_mempool_destroy(ranged);
    r_mempool_destroy(falls_back);
    r_mempool_destroy(ranged_in_buffer);
    return 0;
}
