/* Does every misuse end in one line that says what happened, and an abort?
 *
 * A table of misuses is run over a table of pools, each pair in a child process. */
#include "check.h"

#include <sys/mman.h>

enum {
    COUNT = 8,
    /* What a misuse needs, and what its line names. */
    RANGED_ONLY = 1, /* of ranged pools only */
    BUFFER_ONLY = 2, /* the pool's memory must still be there after its end */
    NO_POOL = 4,     /* no pool has the pointer, so the line names none */
    ANY_POOL = 8,    /* or it may name one */
    OR_HEAP = 16,    /* with BUFFER_ONLY: or on the heap */
};

struct kind {
    bool ranged, in_buffer;
    uint64_t flags;
    const char *name;
    size_t count; /* of entries in each class */
};

/* What the child did, in memory that the parent sees too: what the line must contain. */
struct deed {
    char pointer[40], pool[120], detail[80];
};

/* A pool in the child, and its class of interest. */
struct world {
    const struct kind *kind;
    size_t size, shift;
    unsigned char value;
    mempool *mp;
    r_mempool *rmp;
    void *buffer;
    struct deed *deed;
};

struct misuse {
    const char *what;
    size_t size;
    void (*commit)(struct world *world);
    const char *says;
    int rules;
    size_t shift;        /* of the pointer, where the deed has one */
    unsigned char value; /* written over what must not be written */
};

static char buffer_memory[1 << 20] __attribute__((aligned(64)));
static char static_memory[256] __attribute__((aligned(128)));

/* ---- What a deed is made of ---- */

static r_mempool *create_ranged(const struct world *world, const char *name, void *buffer)
{
    const r_mempool_class classes[] = {{world->size / 2, world->kind->count},
                                       {world->size, world->kind->count},
                                       {world->size * 2, world->kind->count}};
    r_mempool_options options = R_MEMPOOL_OPTIONS_INIT;
    options.classes = classes;
    options.class_count = LENGTH(classes);
    options.name = name;
    options.buffer = buffer;
    options.buffer_size = buffer == NULL ? 0 : sizeof buffer_memory;
    options.flags = world->kind->flags;
    options.policy = fallback_at_first_exhaustion;
    r_mempool *rmp = r_mempool_create_with(&options);
    CHECK(rmp != NULL);
    return rmp;
}

static mempool *create_ordinary(const struct world *world, const char *name, void *buffer)
{
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = world->kind->count;
    options.elem_size = world->size;
    options.name = name;
    options.buffer = buffer;
    options.buffer_size = buffer == NULL ? 0 : sizeof buffer_memory;
    options.flags = world->kind->flags | MEMPOOL_FALL_BACK;
    mempool *mp = mempool_create_with(&options);
    CHECK(mp != NULL);
    return mp;
}

static void create(struct world *world)
{
    if (world->kind->ranged)
        world->rmp = create_ranged(world, world->kind->name, world->buffer);
    else
        world->mp = create_ordinary(world, world->kind->name, world->buffer);
}

static void destroy(struct world *world)
{
    (mempool_destroy)(world->mp);
    (r_mempool_destroy)(world->rmp);
}

static char *take(struct world *world)
{
    void *entry = world->kind->ranged ? r_mempool_alloc_entry(world->rmp, world->size)
                                      : mempool_alloc_entry(world->mp);
    CHECK(entry != NULL);
    return hide(entry);
}

/* The pool's own are all out: this one comes from the heap. */
static char *take_dynamic(struct world *world)
{
    for (size_t i = 0; i < world->kind->count; i++)
        take(world);
    char *entry = take(world);
    CHECK((world->kind->ranged ? r_mempool_dynamic_allocs_count(world->rmp, world->size)
                               : mempool_dynamic_allocs_count(world->mp)) == 1);
    return entry;
}

static void give(const struct world *world, void *entry)
{
    (world->kind->ranged ? r_mempool_free_entry : mempool_free_entry)(entry);
}

/* Two entries of which the second lies right behind the first. */
static void take_neighbours(struct world *world, char **first, char **second)
{
    char *entries[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        entries[i] = take(world);
    for (size_t i = 0; i < COUNT; i++)
        for (size_t j = 0; j < COUNT; j++)
            if (address(entries[j]) - address(entries[i]) == slot_size(world->size, 16)) {
                *first = entries[i];
                *second = entries[j];
                return;
            }
    CHECK(!"the pool has neighbours");
}

static void name_pool(struct world *world, const char *name, const void *pool)
{
    if (name != NULL)
        snprintf(world->deed->pool, sizeof world->deed->pool, " (pool \"%s\", %zu-byte entries)",
                 name, world->size);
    else
        snprintf(world->deed->pool, sizeof world->deed->pool, " (pool %#zx, %zu-byte entries)",
                 (size_t)address(pool), world->size);
}

/* The line will name this pointer, and the world's pool. */
static void *blame(struct world *world, const void *pointer)
{
    snprintf(world->deed->pointer, sizeof world->deed->pointer, " of %#zx",
             (size_t)address(pointer));
    name_pool(world, world->kind->name,
              world->kind->ranged ? (void *)world->rmp : (void *)world->mp);
    return hide(pointer);
}

static void blame_detail(struct world *world, size_t offset)
{
    snprintf(world->deed->detail, sizeof world->deed->detail, ", %zu bytes behind its start",
             offset);
}

/* ---- Entries that were freed before ---- */

static void twice_at_once(struct world *world)
{
    void *entry = blame(world, take(world));
    give(world, entry);
    give(world, entry);
}

static void twice_of_all(struct world *world)
{
    char *entries[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        entries[i] = take(world);
    for (size_t i = 0; i < COUNT; i++)
        give(world, entries[i]);
    give(world, blame(world, entries[COUNT / 2]));
}

/* Other calls in between, none of which hands the entry out again. */
static void twice_later(struct world *world)
{
    char *entry, *others[4];
    for (size_t i = 0; i < LENGTH(others); i++)
        others[i] = take(world);
    entry = take(world);
    give(world, entry);
    for (size_t i = 0; i < LENGTH(others); i++)
        give(world, others[i]);
    /* Neither the last given nor the lowest. */
    for (size_t i = 0; i < LENGTH(others) / 2; i++) {
        others[i] = take(world);
        CHECK(address(others[i]) != address(entry));
    }
    give(world, others[0]);
    give(world, blame(world, entry));
}

/* What the holder wrote into the entry, before and after, is of no interest. */
static void twice_with_content(struct world *world)
{
    char *entry = take(world), *other = take(world);
    memset(entry, world->value, world->size);
    give(world, entry);
    memset(entry, world->value, world->size);
    give(world, other);
    give(world, blame(world, entry));
}

/* The word is again what it was while the entry was out. It is seen where the entry comes to the depot
 * twice: at once, or when the thread's cache is full. */
static void twice_with_old_word(struct world *world)
{
    char word[8], *entry = blame(world, take(world));
    memcpy(word, entry - 8, sizeof word);
    for (size_t i = 0; i < 40; i++) {
        give(world, entry);
        memcpy(entry - 8, word, sizeof word);
    }
}

/* The same while all others are out: the depot has room for it, until it finds a slot that it has. */
static void twice_with_old_word_among_others(struct world *world)
{
    for (size_t i = 1; i < world->kind->count; i++)
        take(world);
    twice_with_old_word(world);
}

static void twice_by_other_names(struct world *world)
{
    char *entry = blame(world, take(world));
    _mempool_free_entry(entry);
    (world->kind->ranged ? mempool_free_entry : r_mempool_free_entry)(entry);
}

static void twice_after_realloc(struct world *world)
{
    char *entry = blame(world, take(world));
    char *moved = r_mempool_realloc_entry(world->rmp, entry, world->size * 2);
    CHECK(moved != NULL && address(moved) != address(entry));
    give(world, entry);
}

static void realloc_of_freed(struct world *world)
{
    char *entry = blame(world, take(world));
    give(world, entry);
    entry = r_mempool_realloc_entry(world->rmp, entry, world->size * 2);
    CHECK(entry == NULL);
}

static void dynamic_twice(struct world *world)
{
    char *entry = blame(world, take_dynamic(world));
    give(world, entry);
    give(world, entry);
}

/* Other calls of the heap's in between, none of which reaches for the freed memory. */
static void dynamic_twice_later(struct world *world)
{
    void *volatile large = malloc(3 * world->size), *volatile small = malloc(24);
    char *entry = take_dynamic(world), *other = take(world);
    give(world, entry);
    free(large);
    free(small);
    give(world, other);
    give(world, blame(world, entry));
}

/* The heap gave the memory to someone else: what the entry was can't be told any more. */
static void dynamic_twice_reused(struct world *world)
{
    char *entry = take_dynamic(world), *other = take(world);
    give(world, entry);
    char *volatile memory = malloc(world->size + 48);
    CHECK(memory != NULL);
    memset(memory, world->value, world->size + 48);
    give(world, other);
    give(world, blame(world, entry));
}

static void realloc_of_freed_dynamic(struct world *world)
{
    char *entry = blame(world, take_dynamic(world));
    give(world, entry);
    entry = r_mempool_realloc_entry(world->rmp, entry, world->size * 2);
    CHECK(entry == NULL);
}

/* ---- Pointers that are none of an entry ---- */

static void interior(struct world *world)
{
    char *entry = take(world);
    memset(entry, world->value, world->size);
    blame_detail(world, world->shift);
    give(world, blame(world, entry + world->shift));
}

static void interior_of_freed(struct world *world)
{
    char *entry = take(world);
    give(world, entry);
    blame_detail(world, world->shift);
    give(world, blame(world, entry + world->shift));
}

/* A pointer before an entry lies in the slot of the entry before that. */
static void before_an_entry(struct world *world)
{
    char *first, *second;
    take_neighbours(world, &first, &second);
    blame_detail(world, slot_size(world->size, 16) - world->shift);
    give(world, blame(world, second - world->shift));
}

static void realloc_of_interior(struct world *world)
{
    char *entry = take(world);
    memset(entry, world->value, world->size);
    blame_detail(world, world->shift);
    entry = blame(world, entry + world->shift);
    entry = r_mempool_realloc_entry(world->rmp, entry, world->size);
    CHECK(entry == NULL);
}

static void never_out(struct world *world)
{
    /* Far enough from the first that no cache took it along. */
    char *entry = take(world) + (world->kind->count - COUNT) * slot_size(world->size, 16);
    give(world, blame(world, entry + world->shift * slot_size(world->size, 16)));
}

/* The slot was out in a pool that is gone; this pool, in the same memory, never handed it out. */
static void never_out_of_this(struct world *world)
{
    char *entries[30];
    size_t count = world->kind->count, slot = count - COUNT + world->shift;
    CHECK(count <= LENGTH(entries));
    for (size_t i = 0; i < count; i++)
        entries[i] = take(world);
    give(world, entries[1]);
    destroy(world);
    create(world);
    char *entry = take(world);
    for (size_t i = 0; i < count; i++)
        if (address(entries[i]) - address(entry) == slot * slot_size(world->size, 16))
            give(world, blame(world, entries[i]));
}

/* The pool's entries had more than one size if it was ranged: the line names none. */
static void *blame_former(struct world *world, const void *pointer)
{
    pointer = blame(world, pointer);
    if (world->kind->ranged)
        strcpy(strchr(world->deed->pool, ','), ")");
    return hide(pointer);
}

static void entry_of_no_pool(struct world *world)
{
    char *entry = blame_former(world, take(world));
    destroy(world);
    give(world, entry);
}

/* Its word is again what it was while it was free. */
static void entry_of_no_pool_with_its_word(struct world *world)
{
    char word[8], *entry = blame_former(world, take(world));
    give(world, entry);
    memcpy(word, entry - 8, sizeof word);
    destroy(world);
    memcpy(entry - 8, word, sizeof word);
    give(world, entry);
}

static void make_and_destroy(char *memory, size_t size)
{
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = options.elem_size = 1;
    options.buffer = memory;
    options.buffer_size = size;
    mempool *other = mempool_create_with(&options);
    CHECK(other != NULL);
    mempool_destroy(other);
}

/* As many others are destroyed in between as still leave the memory of it. */
static void entry_of_no_pool_later(struct world *world)
{
    static char others[15][(MEMPOOL_BUFFER_SIZE(1, 1) + 15) & ~15] __attribute__((aligned(64)));
    char *entry = blame_former(world, take(world));
    destroy(world);
    for (size_t i = 0; i < LENGTH(others); i++)
        make_and_destroy(others[i], sizeof others[i]);
    give(world, entry);
}

/* Its memory became another pool's, of which nothing is left where the entry was. */
static void entry_of_no_pool_overlapped(struct world *world)
{
    char *entry;
    for (size_t i = 0; i < COUNT; i++)
        entry = take(world);
    destroy(world);
    size_t small = MEMPOOL_BUFFER_SIZE(1, 1);
    CHECK(address(entry) - address(world->buffer) > small + 16);
    make_and_destroy(world->buffer, small);
    give(world, blame(world, entry));
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
    give(world, blame(world, world->kind->ranged ? (void *)world->rmp : (void *)world->mp));
}

static void before_any_pool(struct world *world)
{
    destroy(world);
    give(world, blame(world, static_memory + 64));
}

/* ---- Words that were overwritten ---- */

static void overflow(struct world *world)
{
    char *first, *second;
    take_neighbours(world, &first, &second);
    memset(first, world->value, slot_size(world->size, 16));
    give(world, blame(world, second));
}

static void overflow_by_one_bit(struct world *world)
{
    char *entry = take(world);
    entry[-8 + (int)(world->shift / 8)] ^= (char)(1 << world->shift % 8);
    give(world, blame(world, entry));
}

static void overflow_then_realloc(struct world *world)
{
    char *first, *second;
    take_neighbours(world, &first, &second);
    memset(first, world->value, slot_size(world->size, 16));
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

/* A write past the end of what lies in front of a dynamic entry stops before its word. */
static void overflow_into_dynamic(struct world *world)
{
    char *entry = take_dynamic(world);
    memset(entry - 48, world->value, world->shift);
    give(world, blame(world, entry));
}

/* The same with an entry that has dynamic entries on both sides of it in the pool's list. */
static void overflow_into_listed(struct world *world)
{
    char *entries[3] = {take_dynamic(world), take(world), take(world)};
    memset(entries[1] - 48, world->value, world->shift);
    give(world, blame(world, entries[1]));
}

static void overflow_then_destroy(struct world *world)
{
    char *entries[3] = {take_dynamic(world), take(world), take(world)};
    memset(entries[1] - 48, world->value, world->shift);
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
    memcpy(entry - 32, &forged, sizeof forged);
    entry = r_mempool_realloc_entry(world->rmp, blame(world, entry), forged);
    CHECK(entry == NULL);
}

/* ---- The wrong pool, and none at all ---- */

static void wrong_pool(struct world *world)
{
    r_mempool *other = create_ranged(world, "other", NULL);
    char *entry = blame(world, r_mempool_alloc_entry(other, world->size));
    name_pool(world, "other", other);
    entry = r_mempool_realloc_entry(world->rmp, entry, world->size * 2);
    CHECK(entry == NULL);
}

static void wrong_pool_same_class(struct world *world)
{
    r_mempool *other = create_ranged(world, "other", NULL);
    char *entry = blame(world, r_mempool_alloc_entry(other, world->size));
    name_pool(world, "other", other);
    entry = r_mempool_realloc_entry(world->rmp, entry, world->size);
    CHECK(entry == NULL);
}

static void ordinary_pools_entry(struct world *world)
{
    mempool *other = create_ordinary(world, "other", NULL);
    char *entry = blame(world, mempool_alloc_entry(other));
    name_pool(world, "other", other);
    entry = r_mempool_realloc_entry(world->rmp, entry, world->size);
    CHECK(entry == NULL);
}

static void wrong_pool_dynamic(struct world *world)
{
    struct world other = *world;
    other.rmp = create_ranged(world, "other", NULL);
    char *entry = blame(world, take_dynamic(&other));
    name_pool(world, "other", other.rmp);
    entry = r_mempool_realloc_entry(world->rmp, entry, world->size * 2);
    CHECK(entry == NULL);
}

static void destroy_as(const struct world *world, void *pool, bool ranged)
{
    (void)world;
    if (ranged)
        (r_mempool_destroy)(pool);
    else
        (mempool_destroy)(pool);
}

static void destroy_static(struct world *world)
{
    memset(static_memory, world->value, sizeof static_memory);
    destroy_as(world, blame(world, static_memory + world->shift), world->kind->ranged);
}

static void destroy_zero_memory(struct world *world)
{
    void *memory;
    CHECK(posix_memalign(&memory, 128, 4096) == 0);
    memset(memory, 0, 4096);
    destroy_as(world, blame(world, memory), world->kind->ranged);
}

static void destroy_entry(struct world *world)
{
    destroy_as(world, blame(world, take(world)), world->kind->ranged);
}

static void destroy_interior(struct world *world)
{
    char *pool = world->kind->ranged ? (void *)world->rmp : (void *)world->mp;
    destroy_as(world, blame(world, pool + world->shift), world->kind->ranged);
}

/* A ranged pool's classes are pools too, but none of the caller's. */
static void destroy_class(struct world *world)
{
    destroy_as(world, blame(world, (char *)world->rmp + world->shift), false);
}

static void destroy_by_the_other(struct world *world)
{
    void *pool = world->kind->ranged ? (void *)world->rmp : (void *)world->mp;
    destroy_as(world, blame(world, pool), !world->kind->ranged);
}

static void destroy_twice(struct world *world)
{
    void *pool = blame(world, world->kind->ranged ? (void *)world->rmp : (void *)world->mp);
    take(world);
    destroy(world);
    destroy_as(world, pool, world->kind->ranged);
}

static void destroy_twice_by_the_other(struct world *world)
{
    void *pool = blame(world, world->kind->ranged ? (void *)world->rmp : (void *)world->mp);
    destroy(world);
    destroy_as(world, pool, !world->kind->ranged);
}

static void destroy_by_the_old_name(struct world *world)
{
    void *memory = blame(world, static_memory);
    world->kind->ranged ? _r_mempool_destroy(memory) : _mempool_destroy(memory);
}

/* ---- The tables ---- */

#define TWICE "double free"
#define DYNAMIC_TWICE ", a dynamic entry"
#define INTERIOR ", a pointer into the middle of an entry"
#define NEVER ", an entry that was never handed out"
#define OVERWRITTEN ", whose header was overwritten"
#define FOREIGN ", which is not an entry of any pool"
#define GONE ", in memory of a pool that was destroyed"
#define WRONG "realloc of 0x"
#define NO_LIVE_POOL ", which is not a live pool of this kind"

static const struct misuse misuses[] = {
    {"freed twice", 64, twice_at_once, TWICE, 0, 0, 0},
    {"freed twice, small", 8, twice_at_once, TWICE, 0, 0, 0},
    {"freed twice, 1000 bytes", 1000, twice_at_once, TWICE, 0, 0, 0},
    {"freed twice after all others", 64, twice_of_all, TWICE, 0, 0, 0},
    {"freed twice after other calls", 64, twice_later, TWICE, 0, 0, 0},
    {"freed twice after other calls, 1000 bytes", 1000, twice_later, TWICE, 0, 0, 0},
    {"freed twice, zeros", 64, twice_with_content, TWICE, 0, 0, 0},
    {"freed twice, ones", 64, twice_with_content, TWICE, 0, 0, 0xff},
    {"freed twice, with its old word", 64, twice_with_old_word, TWICE, 0, 0, 0},
    {"freed twice, with its old word, others out", 64, twice_with_old_word_among_others, TWICE, 0, 0,
     0},
    {"freed twice by other names", 64, twice_by_other_names, TWICE, 0, 0, 0},
    {"freed after realloc moved it", 64, twice_after_realloc, TWICE, RANGED_ONLY, 0, 0},
    {"realloc of a freed one", 64, realloc_of_freed, TWICE, RANGED_ONLY, 0, 0},
    {"dynamic freed twice", 64, dynamic_twice, DYNAMIC_TWICE, 0, 0, 0},
    {"dynamic freed twice, 64 KiB", 65536, dynamic_twice, DYNAMIC_TWICE, 0, 0, 0},
    {"dynamic freed twice later", 64, dynamic_twice_later, DYNAMIC_TWICE, 0, 0, 0},
    {"dynamic freed twice later, 64 KiB", 65536, dynamic_twice_later, DYNAMIC_TWICE, 0, 0, 0},
    {"dynamic freed twice, reused", 64, dynamic_twice_reused, "free of", ANY_POOL, 0, 'A'},
    {"dynamic freed twice, reused, 64 KiB", 65536, dynamic_twice_reused, "free of", ANY_POOL, 0,
     'A'},
    {"realloc of a freed dynamic one", 64, realloc_of_freed_dynamic, DYNAMIC_TWICE, RANGED_ONLY, 0,
     0},

    {"inside, 1", 64, interior, INTERIOR, 0, 1, 0},
    {"inside, 4", 64, interior, INTERIOR, 0, 4, 0},
    {"inside, 7", 64, interior, INTERIOR, 0, 7, 0},
    {"inside, 8", 64, interior, INTERIOR, 0, 8, 0},
    {"inside, 8, ones", 64, interior, INTERIOR, 0, 8, 0xff},
    {"inside, 8, letters", 64, interior, INTERIOR, 0, 8, 'A'},
    {"inside, 16", 64, interior, INTERIOR, 0, 16, 0},
    {"inside, 16, letters", 64, interior, INTERIOR, 0, 16, 'A'},
    {"inside, the last byte", 64, interior, INTERIOR, 0, 63, 'A'},
    {"inside, middle of 1000", 1000, interior, INTERIOR, 0, 496, 0},
    {"inside, middle of 1000, misaligned", 1000, interior, INTERIOR, 0, 501, 'A'},
    {"inside a freed one", 64, interior_of_freed, INTERIOR, 0, 32, 0},
    {"1 before", 64, before_an_entry, INTERIOR, 0, 1, 0},
    {"3 before", 64, before_an_entry, INTERIOR, 0, 3, 0},
    {"8 before", 64, before_an_entry, INTERIOR, 0, 8, 0},
    {"realloc inside, 8", 64, realloc_of_interior, INTERIOR, RANGED_ONLY, 8, 0},
    {"realloc inside, 5", 64, realloc_of_interior, INTERIOR, RANGED_ONLY, 5, 0},

    {"never out", 64, never_out, NEVER, 0, 1, 0},
    {"never out, the last", 64, never_out, NEVER, 0, COUNT - 1, 0},
    {"never out, 1000 bytes", 1000, never_out, NEVER, 0, 2, 0},
    {"never out of this pool", 64, never_out_of_this, NEVER, BUFFER_ONLY, 1, 0},
    {"never out of this pool, the last", 64, never_out_of_this, NEVER, BUFFER_ONLY, COUNT - 1, 0},
    {"of a pool that is gone", 64, entry_of_no_pool, GONE, BUFFER_ONLY, 0, 0},
    {"of a pool that is gone, with its word", 64, entry_of_no_pool_with_its_word, GONE, BUFFER_ONLY,
     0, 0},
    {"of a pool that is gone, small", 8, entry_of_no_pool, GONE, BUFFER_ONLY | OR_HEAP, 0, 0},
    {"of a pool that is gone, later", 8, entry_of_no_pool_later, GONE, BUFFER_ONLY | OR_HEAP, 0, 0},
    {"of a pool that is gone and overlapped", 1000, entry_of_no_pool_overlapped, FOREIGN,
     BUFFER_ONLY | NO_POOL, 0, 0},

    {"malloc's", 64, heap_pointer, FOREIGN, NO_POOL, 0, 0},
    {"malloc's, 100000 bytes", 100000, heap_pointer, FOREIGN, NO_POOL, 0, 0},
    {"inside malloc's", 64, heap_pointer, FOREIGN, NO_POOL, 16, 'A'},
    {"inside malloc's, misaligned", 64, heap_pointer, FOREIGN, NO_POOL, 13, 0xff},
    {"on the stack", 64, stack_pointer, FOREIGN, NO_POOL, 0, 0},
    {"on the stack, misaligned", 64, stack_pointer, FOREIGN, NO_POOL, 3, 0xff},
    {"static, zeros", 64, static_pointer, FOREIGN, NO_POOL, 0, 0},
    {"static, letters", 64, static_pointer, FOREIGN, NO_POOL, 0, 'A'},
    {"static, misaligned", 64, static_pointer, FOREIGN, NO_POOL, 1, 0},
    {"realloc of static", 64, realloc_of_static, FOREIGN, RANGED_ONLY | NO_POOL, 0, 0},
    {"the pool itself", 64, the_pool_itself, FOREIGN, NO_POOL, 0, 0},
    {"after the last pool", 64, before_any_pool, FOREIGN, NO_POOL, 0, 0},

    {"overwritten by zeros", 64, overflow, OVERWRITTEN, 0, 0, 0},
    {"overwritten by ones", 64, overflow, OVERWRITTEN, 0, 0, 0xff},
    {"overwritten by letters", 64, overflow, OVERWRITTEN, 0, 0, 'A'},
    {"overwritten by letters, 1000 bytes", 1000, overflow, OVERWRITTEN, 0, 0, 'A'},
    {"overwritten, no padding", 24, overflow, OVERWRITTEN, 0, 0, 'A'},
    {"overwritten, padding", 10, overflow, OVERWRITTEN, 0, 0, 'A'},
    {"bit 4 overwritten", 64, overflow_by_one_bit, OVERWRITTEN, 0, 4, 0},
    {"bit 6 overwritten", 64, overflow_by_one_bit, OVERWRITTEN, 0, 6, 0},
    {"bit 48 overwritten", 64, overflow_by_one_bit, OVERWRITTEN, 0, 48, 0},
    {"bit 63 overwritten", 64, overflow_by_one_bit, OVERWRITTEN, 0, 63, 0},
    {"overwritten, then realloc", 64, overflow_then_realloc, OVERWRITTEN, RANGED_ONLY, 0, 'A'},
    {"another's word", 64, word_of_another, OVERWRITTEN, 0, 0, 0},
    {"another's word, 1000 bytes", 1000, word_of_another, OVERWRITTEN, 0, 0, 0},
    {"a freed one's word", 64, word_of_a_freed_one, OVERWRITTEN, 0, 0, 0},

    /* Without its word, nothing tells that an entry was dynamic. */
    {"dynamic, word overwritten", 64, dynamic_underflow, FOREIGN, NO_POOL, 8, 'A'},
    {"dynamic, word zero", 64, dynamic_underflow, FOREIGN, NO_POOL, 8, 0},
    {"dynamic, word overwritten, 64 KiB", 65536, dynamic_underflow, FOREIGN, NO_POOL, 8, 'A'},
    {"dynamic, 9 to 16 before", 64, dynamic_underflow, OVERWRITTEN, 0, 16, 'A'},
    {"dynamic, 17 to 24 before", 64, dynamic_underflow, OVERWRITTEN, 0, 24, 'A'},
    {"dynamic, 25 to 32 before", 64, dynamic_underflow, OVERWRITTEN, 0, 32, 'A'},
    {"dynamic, 33 to 40 before", 64, dynamic_underflow, OVERWRITTEN, 0, 40, 'A'},
    {"dynamic, 41 to 48 before", 64, dynamic_underflow, OVERWRITTEN, 0, 48, 'A'},
    {"dynamic, 25 to 32 before, zeros", 64, dynamic_underflow, OVERWRITTEN, 0, 32, 0},
    {"overflow of 40 into dynamic", 64, overflow_into_dynamic, OVERWRITTEN, 0, 40, 'A'},
    {"overflow of 40 zeros into dynamic", 64, overflow_into_dynamic, OVERWRITTEN, 0, 40, 0},
    {"overflow of 24 into dynamic", 64, overflow_into_dynamic, OVERWRITTEN, 0, 24, 'A'},
    {"overflow of 16 into dynamic", 64, overflow_into_dynamic, OVERWRITTEN, 0, 16, 'A'},
    {"overflow of 16 into dynamic, 64 KiB", 65536, overflow_into_dynamic, OVERWRITTEN, 0, 16, 'A'},
    {"overflow of 8 zeros into a listed one", 64, overflow_into_listed, OVERWRITTEN, 0, 8, 0},
    {"overflow of 8 ones into a listed one", 64, overflow_into_listed, OVERWRITTEN, 0, 8, 0xff},
    {"overflow of 8 letters into a listed one", 64, overflow_into_listed, OVERWRITTEN, 0, 8, 'A'},
    {"overflow of 16 zeros into a listed one", 64, overflow_into_listed, OVERWRITTEN, 0, 16, 0},
    {"overflow of 16 ones into a listed one", 64, overflow_into_listed, OVERWRITTEN, 0, 16, 0xff},
    {"overflow of 16 letters into a listed one", 64, overflow_into_listed, OVERWRITTEN, 0, 16, 'A'},
    {"overflow of 24 zeros into a listed one", 64, overflow_into_listed, OVERWRITTEN, 0, 24, 0},
    {"overflow of 24 ones into a listed one", 64, overflow_into_listed, OVERWRITTEN, 0, 24, 0xff},
    {"overflow of 24 letters into a listed one", 64, overflow_into_listed, OVERWRITTEN, 0, 24, 'A'},
    {"overflow of 32 zeros into a listed one", 64, overflow_into_listed, OVERWRITTEN, 0, 32, 0},
    {"overflow of 32 ones into a listed one", 64, overflow_into_listed, OVERWRITTEN, 0, 32, 0xff},
    {"overflow of 32 letters into a listed one", 64, overflow_into_listed, OVERWRITTEN, 0, 32, 'A'},
    {"overflow of 40 zeros into a listed one", 64, overflow_into_listed, OVERWRITTEN, 0, 40, 0},
    {"overflow of 40 ones into a listed one", 64, overflow_into_listed, OVERWRITTEN, 0, 40, 0xff},
    {"overflow of 40 letters into a listed one", 64, overflow_into_listed, OVERWRITTEN, 0, 40, 'A'},
    {"overflow of 16 zeros, then destroy", 64, overflow_then_destroy, OVERWRITTEN, 0, 16, 0},
    {"overflow of 16 letters, then destroy", 64, overflow_then_destroy, OVERWRITTEN, 0, 16, 'A'},
    {"overflow of 40 zeros, then destroy", 64, overflow_then_destroy, OVERWRITTEN, 0, 40, 0},
    {"overflow of 40 letters, then destroy", 64, overflow_then_destroy, OVERWRITTEN, 0, 40, 'A'},
    {"dynamic, size overwritten, then realloc", 64, dynamic_underflow_then_realloc, OVERWRITTEN,
     RANGED_ONLY, 32, 'A'},
    {"dynamic, size forged, then realloc", 64, dynamic_size_forged, OVERWRITTEN, RANGED_ONLY, 0, 0},

    {"realloc by another pool", 64, wrong_pool, WRONG, RANGED_ONLY, 0, 0},
    {"realloc by another pool, same class", 64, wrong_pool_same_class, WRONG, RANGED_ONLY, 0, 0},
    {"realloc of an ordinary pool's", 64, ordinary_pools_entry, WRONG, RANGED_ONLY, 0, 0},
    {"realloc of another pool's dynamic one", 64, wrong_pool_dynamic, WRONG, RANGED_ONLY, 0, 0},

    {"destroy of zeros", 64, destroy_zero_memory, NO_LIVE_POOL, NO_POOL, 0, 0},
    {"destroy of static zeros", 64, destroy_static, NO_LIVE_POOL, NO_POOL, 0, 0},
    {"destroy of letters", 64, destroy_static, NO_LIVE_POOL, NO_POOL, 0, 'A'},
    {"destroy, misaligned", 64, destroy_static, NO_LIVE_POOL, NO_POOL, 8, 0},
    {"destroy of an entry", 64, destroy_entry, NO_LIVE_POOL, NO_POOL, 0, 0},
    {"destroy of an entry, 1000 bytes", 1000, destroy_entry, NO_LIVE_POOL, NO_POOL, 0, 0},
    {"destroy inside a pool", 64, destroy_interior, NO_LIVE_POOL, NO_POOL, 64, 0},
    {"destroy of a class, at 128", 64, destroy_class, NO_LIVE_POOL, RANGED_ONLY | NO_POOL, 128, 0},
    {"destroy of a class, at 256", 64, destroy_class, NO_LIVE_POOL, RANGED_ONLY | NO_POOL, 256, 0},
    {"destroy of a class, at 384", 64, destroy_class, NO_LIVE_POOL, RANGED_ONLY | NO_POOL, 384, 0},
    {"destroy of a class, at 512", 64, destroy_class, NO_LIVE_POOL, RANGED_ONLY | NO_POOL, 512, 0},
    {"destroy of a class, at 640", 64, destroy_class, NO_LIVE_POOL, RANGED_ONLY | NO_POOL, 640, 0},
    {"destroy of a class, at 768", 64, destroy_class, NO_LIVE_POOL, RANGED_ONLY | NO_POOL, 768, 0},
    {"destroy by the other function", 64, destroy_by_the_other, NO_LIVE_POOL, NO_POOL, 0, 0},
    {"destroy by the old name", 64, destroy_by_the_old_name, NO_LIVE_POOL, NO_POOL, 0, 0},
    {"destroyed twice", 64, destroy_twice, NO_LIVE_POOL, BUFFER_ONLY | NO_POOL, 0, 0},
    {"destroyed twice, by the other", 64, destroy_twice_by_the_other, NO_LIVE_POOL,
     BUFFER_ONLY | NO_POOL, 0, 0},
};

static const struct misuse *now;
static struct world world;

static void commit(void *argument)
{
    (void)argument;
    create(&world);
    now->commit(&world);
}

static void expect(const struct misuse *misuse, const struct kind *kind, struct deed *deed)
{
    if ((misuse->rules & RANGED_ONLY && !kind->ranged) ||
        (misuse->rules & BUFFER_ONLY && !kind->in_buffer &&
         /* Pools of less than a page are on the heap. */
         !(misuse->rules & OR_HEAP && misuse->size == 8 && kind->count == COUNT)))
        return;
    row("%s: %s%s%s pool of %zu, flags %d", misuse->what, kind->name != NULL ? "named " : "",
        kind->in_buffer ? "buffered " : "", kind->ranged ? "ranged" : "ordinary", kind->count,
        (int)kind->flags);
    now = misuse;
    world = (struct world){.kind = kind, .deed = deed, .size = misuse->size,
                           .shift = misuse->shift, .value = misuse->value,
                           .buffer = kind->in_buffer ? buffer_memory : NULL};
    memset(deed, 0, sizeof *deed);
    /* Every line has a newline; it stands for what a case does not say. */
    strcpy(deed->detail, "\n");
    bool names_pool = !(misuse->rules & (NO_POOL | ANY_POOL));
    const char *line = EXPECT_ABORT(commit, NULL, misuse->says, deed->pointer, deed->detail,
                                    names_pool ? deed->pool : "\n");
    CHECK(misuse->rules & ANY_POOL || (strstr(line, "(pool") != NULL) == names_pool);
}

static void free_without_pools(void *pointer)
{
    (mempool_free_entry)(pointer);
}

static void destroy_without_pools(void *pointer)
{
    (mempool_destroy)(pointer);
}

int main(void)
{
    /* As long as this process has no pool, nothing is an entry or a pool. */
    row("no pool yet");
    memset(static_memory, 'A', sizeof static_memory);
    EXPECT_ABORT(free_without_pools, static_memory + 64, FOREIGN);
    EXPECT_ABORT(destroy_without_pools, static_memory, NO_LIVE_POOL);

    struct deed *deed = mmap(NULL, sizeof *deed, PROT_READ | PROT_WRITE,
                             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(deed != MAP_FAILED);
    static const uint64_t flags[] = {0, MEMPOOL_SINGLE_THREAD, MEMPOOL_ZERO_ON_FREE};
    static const char *const names[] = {"sessions", NULL};
    static const size_t counts[] = {COUNT, 30}; /* below a page and above, for small entries */
    for (size_t k = 0; k < 2 * 2 * LENGTH(flags) * LENGTH(names) * LENGTH(counts); k++) {
        size_t n = k;
        struct kind kind = {.ranged = n % 2, .in_buffer = n / 2 % 2};
        n /= 4;
        kind.name = names[n % LENGTH(names)];
        n /= LENGTH(names);
        kind.flags = flags[n % LENGTH(flags)];
        kind.count = counts[n / LENGTH(flags)];
        if (under_valgrind() && (kind.flags != 0 || kind.count != COUNT || kind.name == NULL ||
                                 kind.ranged != kind.in_buffer))
            continue;
        for (size_t i = 0; i < LENGTH(misuses); i++)
            /* The largest entries of the larger pools would not fit the buffer. */
            if (misuses[i].size < 1 << 16 || (kind.count == COUNT && !kind.in_buffer))
                expect(&misuses[i], &kind, deed);
    }
    return done();
}
