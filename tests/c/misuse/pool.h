/* Of which kinds are pools, and how does a deed get one of its cell's kind?
 *
 * A deed is run on pools that `create` makes, from the description of a kind alone, and looks at: their
 * figures, and where they lie. Behind the end of this file nothing else can make a pool. */
#ifndef MISUSE_POOL_H
#define MISUSE_POOL_H

#include "../check_child.h"
#include "../check_linux.h"

#include <fcntl.h>
#include <sys/mman.h>

enum {
    COUNT = 8, /* entries of a small pool */
    MORE = 200,
    MAX_COUNT = 5000,
};

/* How much memory a pool takes, or whose it is. */
enum memory { SMALL, LARGE, CALLERS, MEMORIES };

/* Where it lies. A small pool is on the heap, unless it is hardened. */
enum place { ON_HEAP, IN_MAPPING, IN_BUFFER, ELSEWHERE };

struct kind {
    bool ranged, single, hardened;
    enum memory memory;
    /* No columns of their own: */
    bool zeroing, handler, more;
    const char *name;
};

/* What the child did and its handler got, in memory that the parent sees too. */
struct deed {
    /* What the line must contain. */
    char pointer[40], pool[120], detail[80];
    /* What the report must have. */
    const void *at, *handle;
    size_t elem_size;
    /* What it had. */
    atomic_int calls;
    mempool_misuse report;
    char name[80], text[400];
    /* How far the child came. */
    bool made, done;
};

/* A pool in the child, and its class of interest. */
struct world {
    const struct kind *kind;
    size_t size, count, shift;
    unsigned char value;
    bool leaks, placed; /* it is to be in its kind's place, and that is looked at */
    mempool *mp;
    r_mempool *rmp;
    char *buffer;
    struct deed *deed;
};

static char buffer_memory[1 << 24] __attribute__((aligned(64)));
/* Whether the heap's memory is known by its name in the list of mappings. */
static bool heap_has_name;

static enum place place_wanted(const struct kind *kind)
{
    return kind->memory == CALLERS                       ? IN_BUFFER
           : kind->memory == LARGE || kind->hardened ? IN_MAPPING
                                                         : ON_HEAP;
}

static enum place place_of(const void *pointer)
{
    static char maps[1 << 18];
    uintptr_t at = address(pointer);
    if (at - address(buffer_memory) < sizeof buffer_memory)
        return IN_BUFFER;
    /* Without the heap, which is looked at. */
    int file = open("/proc/self/maps", O_RDONLY);
    size_t length = 0;
    for (ssize_t got; (got = read(file, maps + length, sizeof maps - 1 - length)) > 0;)
        length += (size_t)got;
    close(file);
    maps[length] = '\0';
    for (char *line = maps, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        char *rest;
        *end = '\0';
        uintptr_t from = strtoul(line, &rest, 16), to = strtoul(rest + 1, NULL, 16);
        if (from <= at && at < to)
            return strstr(line, "[heap]") != NULL      ? ON_HEAP
                   : strstr(line, " 00:00 0") != NULL ? IN_MAPPING
                                                       : ELSEWHERE;
    }
    return ELSEWHERE;
}

static uint64_t flags(const struct world *world)
{
    return (world->kind->single ? MEMPOOL_SINGLE_THREAD : 0) |
           (world->kind->hardened ? MEMPOOL_HARDENED : 0) |
           (world->kind->zeroing ? MEMPOOL_ZERO_ON_FREE : 0) |
           (world->leaks ? MEMPOOL_REPORT_LEAKS : 0);
}

/* How many entries the class of interest has. */
static size_t count_of(const struct kind *kind, size_t size)
{
    /* The slots alone fill a page. */
    size_t fills = (size_t)getpagesize() / slot_size(size, 16) + 1;
    if (kind->memory != LARGE)
        return kind->memory == CALLERS && kind->more ? MORE : COUNT;
    return size >= 1 << 16 ? COUNT : fills > MORE ? fills : MORE;
}

/* Bytes from an entry to the next. */
static size_t stride(const struct world *world)
{
    bool guarded = world->kind->hardened && world->kind->memory != CALLERS;
    return slot_size(world->size + (guarded ? 16 : 0), 16);
}

static const void *pool_of(const struct world *world)
{
    return world->kind->ranged ? (const void *)world->rmp : (const void *)world->mp;
}

static mempool_stats figures_of(const struct world *world)
{
    mempool_stats stats = MEMPOOL_STATS_INIT;
    /* A size of 1 has no class of half of it below. */
    size_t class = world->size == 1 ? 0 : 1;
    CHECK(world->kind->ranged ? r_mempool_get_stats(world->rmp, class, &stats)
                              : mempool_get_stats(world->mp, &stats));
    return stats;
}

/* A bit for each slot, one for each word of those, and so on; and 4 bytes for each of a quarter of the slots, 64 at
 * most. */
static size_t depot_bytes(size_t count)
{
    size_t ring = (count + 3) / 4, words = 0, level = count;
    do {
        level = (level + 63) / 64;
        words += level;
    } while (level > 1);
    return 8 * words + 4 * (ring < 64 ? ring : 64);
}

/* Whether the pool is of the kind, as far as can be told without using it. */
static void check_kind(const struct world *world)
{
    mempool_stats stats = figures_of(world);
    CHECK(stats.elem_size == world->size && stats.capacity == world->count);
    CHECK(stats.bytes_per_entry == stride(world));
    /* In brief, once for a kind: an emulator writes the list of mappings anew each time. */
    if (!is_brief() || world->placed) {
        enum place place = place_of(pool_of(world)), wanted = place_wanted(world->kind);
        CHECK(place == wanted || (wanted == ON_HEAP && place == IN_MAPPING && !heap_has_name));
    }
    /* Caches take 8 bytes per entry less the depot's, and the only one of a thread that is alone 64 beside: not in
     * pools of so few that they have an only one anyhow. With pointers of 32 bits they take less. */
    size_t budget = 8 * world->count - depot_bytes(world->count);
    if (world->kind->hardened)
        CHECK(stats.cache_bytes == 0);
    else if (UINTPTR_MAX > UINT32_MAX && world->count >= MORE && budget % 128 < 64)
        CHECK((stats.cache_bytes > budget) == world->kind->single && stats.cache_bytes != 0);
}

static void create_ranged(struct world *world)
{
    size_t others = world->kind->memory == SMALL ? 1 : world->count;
    const r_mempool_class classes[] = {
        {world->size / 2, others}, {world->size, world->count}, {world->size * 2, others}};
    size_t left_out = world->size == 1; /* half of it is no size */
    r_mempool_options options = R_MEMPOOL_OPTIONS_INIT;
    options.classes = classes + left_out;
    options.class_count = LENGTH(classes) - left_out;
    options.name = world->kind->name;
    options.buffer = world->buffer;
    options.buffer_size = world->buffer == NULL ? 0 : sizeof buffer_memory / 2;
    options.flags = flags(world);
    options.policy = fallback_at_first_exhaustion;
    world->rmp = r_mempool_create_with(&options);
    CHECK(world->rmp != NULL);
}

static void create_ordinary(struct world *world)
{
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = world->count;
    options.elem_size = world->size;
    options.name = world->kind->name;
    options.buffer = world->buffer;
    options.buffer_size = world->buffer == NULL ? 0 : sizeof buffer_memory / 2;
    options.flags = flags(world) | MEMPOOL_FALL_BACK;
    world->mp = mempool_create_with(&options);
    CHECK(world->mp != NULL);
}

static void create(struct world *world)
{
    (world->kind->ranged ? create_ranged : create_ordinary)(world);
    check_kind(world);
    world->deed->made = true;
}

/* A pool beside the world's, of the same kind but for its name, and for its sort if that is to differ. */
static struct world create_other(const struct world *world, struct kind *kind, bool ranged)
{
    *kind = *world->kind;
    kind->name = "other";
    kind->ranged = ranged;
    struct world other = *world;
    other.kind = kind;
    if (other.buffer != NULL)
        other.buffer += sizeof buffer_memory / 2;
    create(&other);
    return other;
}

static void destroy_as(const void *pool, bool ranged)
{
    if (ranged)
        (r_mempool_destroy)(hide(pool));
    else
        (mempool_destroy)(hide(pool));
}

/* The world still knows the pointer. */
static void destroy(struct world *world)
{
    destroy_as(pool_of(world), world->kind->ranged);
}

/* Pools that are of no interest come and go, in memory of the caller's: the first at `memory`, if any is
 * given. */
static void pass_by(char *memory, size_t count)
{
    enum { BYTES = (MEMPOOL_BUFFER_SIZE(1, 1) + 15) & ~15 };
    static char others[16][BYTES] __attribute__((aligned(64)));
    CHECK(count <= LENGTH(others));
    for (size_t i = 0; i < count; i++) {
        mempool_options options = MEMPOOL_OPTIONS_INIT;
        options.elem_count = options.elem_size = 1;
        options.buffer = memory != NULL ? memory : others[i];
        options.buffer_size = BYTES;
        mempool *other = mempool_create_with(&options);
        CHECK(other != NULL);
        mempool_destroy(other);
    }
}

#undef mempool_create
#undef r_mempool_create
#pragma GCC poison mempool_create mempool_create_with mempool_create_from_preallocated_buffer
#pragma GCC poison r_mempool_create r_mempool_create_with r_mempool_create_from_preallocated_buffer

#endif
