/* Programs with one bug each, in an entry of a pool: what do the tools say?
 *
 * usage: bugs BUG, or bugs list */
#include <cmempool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COUNT = 100, SIZE = 64 };

_Alignas(16) static char memory[32 << 10];

static mempool *pool, *in_buffer;
static r_mempool *ranged;
static volatile char sink;

static char *taken(mempool *from)
{
    char *entry = mempool_alloc_entry(from);
    if (!entry)
        abort();
    return memset(entry, 1, SIZE);
}

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
    }
    free(*holder);
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

static void read_after_free(void)
{
    char *entry = taken(pool);
    (mempool_free_entry)(entry);
    sink = entry[3];
}

static void write_after_free(void)
{
    char *entry = memset(r_mempool_alloc_entry(ranged, 100), 1, 100);
    (r_mempool_free_entry)(entry);
    entry[99] = 1;
}

static void read_past_the_end(void)
{
    sink = taken(pool)[SIZE];
}

static void write_past_the_end(void)
{
    taken(pool)[SIZE] = 1;
}

static void write_after_free_in_a_buffer(void)
{
    char *entry = taken(in_buffer);
    (mempool_free_entry)(entry);
    entry[0] = 1;
}

static void read_after_realloc(void)
{
    char *entry = memset(r_mempool_alloc_entry(ranged, 16), 1, 16);
    char *moved = r_mempool_realloc_entry(ranged, entry, 200);
    sink = entry[0];
    (r_mempool_free_entry)(moved);
}

static void write_past_a_dynamic_entry(void)
{
    for (int i = 0; i < COUNT; i++)
        taken(pool);
    taken(pool)[SIZE] = 1;
}

static const struct {
    const char *name;
    void (*commit)(void);
} bugs[] = {
    {"none", none},
    {"none_at_exit", none_at_exit},
    {"read_after_free", read_after_free},
    {"write_after_free", write_after_free},
    {"read_past_the_end", read_past_the_end},
    {"write_past_the_end", write_past_the_end},
    {"write_after_free_in_a_buffer", write_after_free_in_a_buffer},
    {"read_after_realloc", read_after_realloc},
    {"write_past_a_dynamic_entry", write_past_a_dynamic_entry},
};

int main(int argc, char **argv)
{
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = COUNT;
    options.elem_size = SIZE;
    options.flags = MEMPOOL_ZERO_ON_FREE;
    options.buffer = memory;
    options.buffer_size = sizeof memory;
    pool = mempool_create(COUNT, SIZE, true);
    in_buffer = mempool_create_with(&options);
    ranged = r_mempool_create(16, 2048, 256, fallback_disabled);
    if (argc != 2 || !pool || !in_buffer || !ranged)
        return 2;
    for (size_t i = 0; i < sizeof bugs / sizeof *bugs; i++) {
        if (strcmp(argv[1], "list") == 0)
            puts(bugs[i].name);
        else if (strcmp(argv[1], bugs[i].name) == 0)
            bugs[i].commit();
    }
    mempool_destroy(pool);
    mempool_destroy(in_buffer);
    r_mempool_destroy(ranged);
    return 0;
}
