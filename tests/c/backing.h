/* A backing for tests: what was given, and what came back?
 *
 * The functions here write each block down. What they give is full of garbage, and what comes back is
 * made unreadable. */
#ifndef BACKING_H
#define BACKING_H

#include "check_memory.h"
#include "check_threads.h"

enum { MOST = 4096 };

/* ---- Functions that give memory ---- */

struct block {
    unsigned char *memory; /* NULL: none */
    size_t size;
    unsigned char *mapping;
    size_t mapped;
};

/* All that is to be known of a pool's memory. */
struct source {
    struct mutex lock;
    struct block blocks[MOST];
    size_t given, taken_back, refused;
    size_t largest_alignment;
    size_t fails_at;  /* the call with this number returns NULL, 0: none does */
    size_t misplaces_at; /* and this one memory that is not aligned */
    size_t calls;
    void (*meanwhile)(struct source *source); /* called by both */
};

static struct source source = {.lock = MUTEX_INIT};

static inline void reset(void)
{
    struct mutex lock = source.lock;
    memset(&source, 0, sizeof source);
    source.lock = lock;
}

/* A mapping for each block, so that no other can be there; it ends where the block does, as nearly as
 * the alignment allows. */
static inline void *give(size_t size, size_t alignment, void *context)
{
    struct source *its = context;
    CHECK(its == &source && size > 0);
    CHECK(alignment >= 16 && (alignment & (alignment - 1)) == 0 && alignment <= 4096);
    if (its->meanwhile != NULL)
        its->meanwhile(its);
    CHECK(mutex_lock(&its->lock));
    void *result = NULL;
    its->calls++;
    if (its->calls == its->fails_at) {
        its->refused++;
    } else {
        size_t i = 0;
        while (i < MOST && its->blocks[i].memory != NULL)
            i++;
        CHECK(i < MOST);
        struct block *block = &its->blocks[i];
        block->mapped = round_up(size + 8, 4096);
        block->mapping = pages_map(block->mapped);
        memset(block->mapping, 0xA5, block->mapped);
        size_t start = (block->mapped - size) / alignment * alignment;
        if (its->calls == its->misplaces_at)
            start = start >= 8 ? start - 8 : start + 8;
        block->memory = block->mapping + start;
        block->size = size;
        its->given++;
        if (alignment > its->largest_alignment)
            its->largest_alignment = alignment;
        result = block->memory;
    }
    CHECK(mutex_unlock(&its->lock));
    return result;
}

static inline void take_back(void *memory, size_t size, void *context)
{
    struct source *its = context;
    CHECK(its == &source && memory != NULL);
    if (its->meanwhile != NULL)
        its->meanwhile(its);
    CHECK(mutex_lock(&its->lock));
    size_t i = 0;
    while (i < MOST && its->blocks[i].memory != memory)
        i++;
    CHECK(i < MOST); /* else it was never given, or came back before */
    struct block *block = &its->blocks[i];
    CHECK(block->size == size);
    size_t before = (size_t)(block->memory - block->mapping);
    CHECK(all_bytes(block->mapping, 0xA5, before));
    CHECK(all_bytes(block->memory + size, 0xA5, block->mapped - before - size));
    /* Nobody may come here any more: not even to read. */
    pages_unmap(block->mapping, block->mapped);
    block->memory = NULL;
    its->taken_back++;
    CHECK(mutex_unlock(&its->lock));
}

static inline size_t out(void)
{
    return source.given - source.taken_back;
}

static inline const struct block *block_of(const void *entry)
{
    for (size_t i = 0; i < MOST; i++)
        if (source.blocks[i].memory != NULL &&
            address(entry) - address(source.blocks[i].memory) < source.blocks[i].size)
            return &source.blocks[i];
    return NULL;
}

/* ---- Pools ---- */

static const mempool_backing backing = {sizeof backing, give, take_back, &source};

static inline mempool_options options_for(size_t count, size_t size, uint64_t flags)
{
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = count;
    options.elem_size = size;
    options.flags = flags;
    options.backing = &backing;
    return options;
}

static void *entries[MOST];

static inline void take(mempool *mp, size_t from, size_t to, size_t size, size_t alignment)
{
    for (size_t i = from; i < to; i++) {
        entries[i] = mempool_alloc_entry(mp);
        CHECK(entries[i] != NULL && aligned(entries[i], alignment));
        memset(entries[i], (int)i, size);
    }
}

static inline void give_entries(size_t from, size_t to, size_t size)
{
    for (size_t i = from; i < to; i++) {
        CHECK(all_bytes(entries[i], (unsigned char)i, size));
        mempool_free_entry(entries[i]);
    }
}

/* ---- What the functions may do ---- */

static mempool *other;

static inline void use_another_pool(struct source *its)
{
    its->meanwhile = NULL; /* the other pool has a backing, too */
    void *all[4];
    for (size_t i = 0; i < LENGTH(all); i++)
        CHECK((all[i] = mempool_alloc_entry(other)) != NULL);
    for (size_t i = 0; i < LENGTH(all); i++)
        mempool_free_entry(all[i]);
    mempool *made = mempool_create(10, 10, true);
    CHECK(made != NULL);
    mempool_destroy(made);
    its->meanwhile = use_another_pool;
}

/* A pool whose memory comes from functions that do `what` each time. */
static inline void functions_that_do(void (*what)(struct source *), size_t size)
{
    enum { BEYOND = 7 };
    reset();
    mempool_options options = options_for(2, size, MEMPOOL_FALL_BACK);
    other = mempool_create_with(&options);
    source.meanwhile = what;
    mempool *mp = mempool_create_with(&options);
    CHECK(mp != NULL);
    take(mp, 0, 2 + BEYOND, size, 16);
    give_entries(0, BEYOND, size);
    mempool_reset(mp);
    take(mp, 0, 2 + BEYOND, size, 16);
    mempool_destroy(mp);
    source.meanwhile = NULL;
    mempool_destroy(other);
    CHECK(out() == 0);
}

#endif
