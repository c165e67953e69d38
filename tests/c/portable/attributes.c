/* Is what the header tells compilers true of every program?
 *
 * The library and the program's own callbacks reach an entry by other pointers than the one that alloc
 * returned. What is written through one must be read through the other, at every level of optimisation:
 * tests/c/run.sh builds this at more of them than the other programs. And the size that compilers know is
 * the one that was asked for: the rest of the entry becomes its holder's by realloc. */
#include "../check_child.h"
#include "../check_memory.h"

enum { ENTRIES = 4, FIRST = 17, SECOND = 42 };

/* ---- Entries have other ways to them --------------------------------------------------------- */

/* The functions that take an entry, each from a pool of its own kind. */
struct source {
    const char *name;
    mempool *mp;
    r_mempool *rmp;
    bool zero;
};

/* Not passed on to a call, the pointer stays the compiler's to reason about: so nobody frees it, and it
 * goes with its pool. */
static inline int *take(const struct source *from)
{
    if (from->mp)
        return (int *)(from->zero ? mempool_calloc_entry(from->mp) : mempool_alloc_entry(from->mp));
    return (int *)(from->zero ? r_mempool_calloc_entry(from->rmp, sizeof(int))
                              : r_mempool_alloc_entry(from->rmp, sizeof(int)));
}

static int seen;

static bool look_and_change(void *entry, size_t usable_size, void *context)
{
    (void)usable_size, (void)context;
    seen = *(int *)entry;
    *(int *)entry = SECOND;
    return true;
}

static void walk(const struct source *from)
{
    if (from->mp)
        mempool_for_each_live(from->mp, look_and_change, NULL);
    else
        r_mempool_for_each_live(from->rmp, look_and_change, NULL);
}

/* Written by the holder, read and changed by the visitor. */
static void by_a_walk(const struct source *from)
{
    seen = 0;
    int *p = take(from);
    *p = FIRST;
    walk(from);
    CHECK(*p == SECOND);
    CHECK(seen == FIRST);
}

/* The same where the visitor alone reads. */
static void by_a_walk_alone(const struct source *from)
{
    seen = 0;
    int *p = take(from);
    *p = FIRST;
    walk(from);
    CHECK(seen == FIRST);
}

static void look_at_leak(const mempool_misuse *report, void *context)
{
    CHECK(report->kind == MEMPOOL_MISUSE_LEAK);
    seen = *(const int *)report->pointer;
    (void)context;
}

/* The last reader of an entry is the handler of leaks. */
static void by_a_leak(const struct source *from)
{
    seen = 0;
    mempool_set_misuse_handler(look_at_leak, NULL);
    int *p = take(from);
    *p = FIRST;
    mempool *mp = from->mp;
    r_mempool *rmp = from->rmp;
    mempool_destroy(mp);
    r_mempool_destroy(rmp);
    CHECK(seen == FIRST);
    mempool_set_misuse_handler(NULL, NULL);
}

static mempool_options ordinary_options(void)
{
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = ENTRIES;
    options.elem_size = sizeof(int);
    options.flags = MEMPOOL_REPORT_LEAKS;
    return options;
}

static r_mempool_options ranged_options(void)
{
    static const r_mempool_class classes[] = {{16, ENTRIES}, {100, ENTRIES}};
    r_mempool_options options = R_MEMPOOL_OPTIONS_INIT;
    options.classes = classes;
    options.class_count = LENGTH(classes);
    options.policy = fallback_at_first_exhaustion;
    options.flags = MEMPOOL_REPORT_LEAKS;
    return options;
}

/* Pools of both sorts, and both functions of each. */
static struct source make_source(size_t number)
{
    const mempool_options ordinary = ordinary_options();
    const r_mempool_options ranged = ranged_options();
    struct source source = {"mempool_alloc_entry", NULL, NULL, number % 2 == 1};
    if (number < 2) {
        source.mp = mempool_create_with(&ordinary);
        source.name = number == 0 ? "mempool_alloc_entry" : "mempool_calloc_entry";
    } else {
        source.rmp = r_mempool_create_with(&ranged);
        source.name = number == 2 ? "r_mempool_alloc_entry" : "r_mempool_calloc_entry";
    }
    CHECK(source.mp != NULL || source.rmp != NULL);
    return source;
}

static void end(struct source *source)
{
    if (source->mp)
        mempool_reset(source->mp);
    else
        r_mempool_reset(source->rmp);
    mempool_destroy(source->mp);
    r_mempool_destroy(source->rmp);
}

static void by_callbacks(void)
{
    static void (*const ways[])(const struct source *) = {by_a_walk, by_a_walk_alone};
    for (size_t number = 0; number < 4; number++) {
        for (size_t way = 0; way < LENGTH(ways); way++) {
            struct source source = make_source(number);
            row("%s, walk %zu", source.name, way);
            ways[way](&source);
            end(&source);
        }
        struct source source = make_source(number);
        row("%s, leak", source.name);
        by_a_leak(&source);
    }
}

/* The example in full, with nothing around it that hides the pointer. */
static void in_one_function(void)
{
    row("in one function");
    mempool *mp = mempool_create(ENTRIES, sizeof(int), false);
    CHECK(mp != NULL);
    int *p = (int *)mempool_alloc_entry(mp);
    *p = FIRST;
    mempool_for_each_live(mp, look_and_change, NULL);
    CHECK(*p == SECOND && seen == FIRST);
    mempool_destroy(mp);

    r_mempool *rmp = r_mempool_create(16, 64, ENTRIES, fallback_disabled);
    CHECK(rmp != NULL);
    p = (int *)r_mempool_alloc_entry(rmp, sizeof(int));
    *p = FIRST;
    r_mempool_for_each_live(rmp, look_and_change, NULL);
    CHECK(*p == SECOND && seen == FIRST);
    r_mempool_destroy(rmp);
}

/* Where in memory of the program's own an int of that value is. AddressSanitizer knows of the free entries
 * and headers beside it, and is not asked; valgrind can't be kept out. */
__attribute__((noinline, no_sanitize("address"))) static int *place_of(void *memory, size_t size,
                                                                       int value)
{
    for (size_t at = 0; at + sizeof value <= size; at += 16) {
        const volatile unsigned char *bytes = (unsigned char *)memory + at;
        int found;
        for (size_t i = 0; i < sizeof found; i++)
            ((unsigned char *)&found)[i] = bytes[i];
        if (found == value)
            return (int *)(void *)((char *)memory + at);
    }
    return NULL;
}

MEMPOOL_STATIC_BUFFER(buffer, ENTRIES, sizeof(int));

static void by_the_buffer(void)
{
    enum { RARE = 0x5eed1e55 };
    if (under_valgrind())
        return;
    row("the caller's buffer");
    mempool_options options = ordinary_options();
    options.flags = 0;
    options.buffer = buffer;
    options.buffer_size = sizeof buffer;
    mempool *mp = mempool_create_with(&options);
    CHECK(mp != NULL);
    int *p = (int *)mempool_alloc_entry(mp);
    *p = RARE;
    int *place = place_of(buffer, sizeof buffer, RARE);
    CHECK(place != NULL);
    *place = SECOND;
    CHECK(*p == SECOND);
    mempool_destroy(mp);
}

/* A backing that remembers what it gave. */
struct given {
    void *blocks[4];
    size_t sizes[4];
    size_t count;
};

static void *give(size_t size, size_t alignment, void *context)
{
    struct given *given = (struct given *)context;
    void *memory = given->count < LENGTH(given->blocks) ? heap_aligned(alignment, size) : NULL;
    if (memory == NULL)
        return NULL;
    given->blocks[given->count] = memory;
    given->sizes[given->count++] = size;
    return memory;
}

static void take_back(void *memory, size_t size, void *context)
{
    (void)size, (void)context;
    heap_aligned_free(memory);
}

static int *place_in(struct given *given, int value)
{
    for (size_t i = 0; i < given->count; i++) {
        int *place = place_of(given->blocks[i], given->sizes[i], value);
        if (place)
            return place;
    }
    return NULL;
}

/* Of the pool's own memory, and of an entry that the backing gave by itself. */
static void by_the_backing(void)
{
    enum { OWN = 0x5eed1e55, DYNAMIC = 0x0dd1e550 };
    if (under_valgrind())
        return;
    row("a backing");
    struct given given = {{NULL}, {0}, 0};
    mempool_backing backing = MEMPOOL_BACKING_INIT;
    backing.alloc = give;
    backing.free = take_back;
    backing.context = &given;
    mempool_options options = ordinary_options();
    options.elem_count = 1;
    options.flags = MEMPOOL_FALL_BACK;
    options.backing = &backing;
    mempool *mp = mempool_create_with(&options);
    CHECK(mp != NULL);
    int *own = (int *)mempool_alloc_entry(mp);
    *own = OWN;
    int *place = place_in(&given, OWN);
    CHECK(place != NULL);
    *place = FIRST;
    int *dynamic = (int *)mempool_alloc_entry(mp);
    *dynamic = DYNAMIC;
    place = place_in(&given, DYNAMIC);
    CHECK(place != NULL);
    *place = SECOND;
    CHECK(*own == FIRST && *dynamic == SECOND);
    mempool_destroy(mp);
}

/* ---- The size that compilers know ------------------------------------------------------------ */

#if defined(__has_builtin) && defined(__OPTIMIZE__)
#if __has_builtin(__builtin_dynamic_object_size)
#define KNOWN_SIZE(pointer) __builtin_dynamic_object_size(pointer, 0)
#endif
#endif

static void sizes_are_known(void)
{
#ifdef KNOWN_SIZE
    row("known sizes");
    r_mempool *rmp = r_mempool_create(16, 256, 64, fallback_disabled);
    mempool *mp = mempool_create(ENTRIES, 100, false);
    size_t asked = hide_size(100), more = hide_size(120);
    char *entry = (char *)(r_mempool_alloc_entry)(rmp, asked);
    CHECK(KNOWN_SIZE(entry) == asked);
#if defined(_FORTIFY_SOURCE) && _FORTIFY_SOURCE > 0
    /* Not inlined where the compiler is to check sizes. */
    char *checked = (char *)r_mempool_alloc_entry(rmp, asked);
    CHECK(KNOWN_SIZE(checked) == asked);
#endif
    char *other = (char *)r_mempool_calloc_entry(rmp, asked);
    CHECK(KNOWN_SIZE(other) == asked);
    char *larger = (char *)r_mempool_realloc_entry(rmp, entry, more);
    CHECK(KNOWN_SIZE(larger) == more);
    /* The pool knows this one, and the compiler not. */
    char *unsized = (char *)mempool_alloc_entry(mp);
    CHECK(KNOWN_SIZE(unsized) == SIZE_MAX);
    r_mempool_destroy(rmp);
    mempool_destroy(mp);
#endif
}

/* All of an entry is the holder's once realloc was asked for it. */
static void all_of_an_entry(r_memory_fallback_policy_t policy)
{
    row("all of an entry, policy %d", (int)policy);
    static const r_mempool_class classes[] = {{24, 1}, {128, 2}, {300, 2}};
    r_mempool_options options = R_MEMPOOL_OPTIONS_INIT;
    options.classes = classes;
    options.class_count = LENGTH(classes);
    options.policy = policy;
    r_mempool *rmp = r_mempool_create_with(&options);
    CHECK(rmp != NULL);
    /* Its own class, then a larger one's entry or one from the heap. */
    for (int i = 0; i < 4; i++) {
        char *entry = (char *)r_mempool_alloc_entry(rmp, hide_size(100));
        CHECK(entry != NULL);
        memset(entry, 1, 100);
        uintptr_t old = address(entry);
        size_t usable = mempool_usable_size(entry);
        CHECK(usable >= 128);
        char *whole = (char *)r_mempool_realloc_entry(rmp, entry, usable);
        CHECK(whole != NULL);
        memset(whole, 2, usable);
        CHECK(address(whole) == old);
        CHECK(all_bytes(whole, 2, usable));
    }
    mempool_stats stats = MEMPOOL_STATS_INIT;
    size_t out = 0;
    for (size_t i = 0; r_mempool_get_stats(rmp, i, &stats); i++)
        out += stats.used + stats.dynamic_used;
    CHECK(out == 4);
    r_mempool_destroy(rmp);
}

/* Compilers that put one pointer in place of another that is equal must keep what they know of each. */
static void all_of_an_entry_that_stayed(void)
{
    row("an entry that stayed");
    r_mempool *rmp = r_mempool_create(16, 256, 64, fallback_disabled);
    CHECK(rmp != NULL);
    char *entry = (char *)r_mempool_alloc_entry(rmp, hide_size(100));
    size_t usable = mempool_usable_size(entry);
    char *whole = (char *)r_mempool_realloc_entry(rmp, entry, usable);
    if (whole == entry) {
        memset(whole, 3, usable);
        whole[usable - 1] = 4;
        CHECK(whole[usable - 2] == 3 && whole[usable - 1] == 4);
    } else {
        CHECK(!"it moved");
    }
    r_mempool_free_entry(whole);
    r_mempool_destroy(rmp);
}

#if defined(_FORTIFY_SOURCE) && _FORTIFY_SOURCE >= 3
static void write_past_what_was_asked_for(void *unused)
{
    (void)unused;
    r_mempool *rmp = r_mempool_create(16, 256, 64, fallback_disabled);
    char *entry = (char *)r_mempool_alloc_entry(rmp, hide_size(100));
    memset(entry, 0, hide_size(101));
    printf("%d\n", entry[0]);
}
#endif

/* That compilers know the size finds overflows. */
static void overflows_are_found(void)
{
#if defined(_FORTIFY_SOURCE) && _FORTIFY_SOURCE >= 3
    row("an overflow");
    int status;
    const char *text = run_in_child(write_past_what_was_asked_for, NULL, &status);
    CHECK(ended_by_abort(status));
    CHECK(strstr(text, "buffer overflow detected") != NULL);
#endif
}

int main(void)
{
    by_callbacks();
    in_one_function();
    by_the_buffer();
    by_the_backing();
    sizes_are_known();
    all_of_an_entry(fallback_disabled);
    all_of_an_entry(fallback_at_first_exhaustion);
    all_of_an_entry(fallback_at_last_exhaustion);
    all_of_an_entry_that_stayed();
    overflows_are_found();
    return done();
}
