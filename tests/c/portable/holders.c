/* Does a pool that records holders know who took each entry, and who freed it?
 *
 * Each call is made from a function of its own that begins at a multiple of 256 bytes and is shorter, so that a place
 * in it is told apart from those in others. */
#include "../check_child.h"
#include "../check_threads.h"

/* Where arguments lie on the stack, callers are not known. In a library that is built for ThreadSanitizer a call
 * that ends a function is no jump: what is noted is a place in the library. */
#if defined(__i386__) || defined(__SANITIZE_THREAD__)
#define KNOWN 0
#else
#define KNOWN 1
#endif
#if defined(__SANITIZE_THREAD__)
#define NOTED 1
#else
#define NOTED KNOWN
#endif

#if defined(__clang__)
#define PLACE __attribute__((noinline, aligned(256))) static
#else
#define PLACE __attribute__((noipa, aligned(256))) static
#endif
/* What is after a call is done in the same function. */
#define STAY __asm__ volatile("" ::: "memory")

enum { COUNT = 100, SIZE = 64, MANY = 6 };

static char text[1 << 16];

/* ---- Ways to take and to free ---- */

typedef void *take_function(mempool *mp, r_mempool *rmp);
typedef void free_function(void *entry);

#define TAKE(name, call)                                                                          \
    PLACE void *name(mempool *mp, r_mempool *rmp)                                                 \
    {                                                                                             \
        (void)mp;                                                                                 \
        (void)rmp;                                                                                \
        void *entry = call;                                                                       \
        STAY;                                                                                     \
        return entry;                                                                             \
    }
TAKE(by_alloc, mempool_alloc_entry(mp))
TAKE(by_calloc, mempool_calloc_entry(mp))
TAKE(by_sized_alloc, r_mempool_alloc_entry(rmp, SIZE))
TAKE(by_sized_calloc, r_mempool_calloc_entry(rmp, SIZE))
TAKE(by_realloc_of_null, r_mempool_realloc_entry(rmp, NULL, SIZE))

static void *bulk[MANY];

PLACE void *by_bulk(mempool *mp, r_mempool *rmp)
{
    (void)rmp;
    bool taken = mempool_alloc_bulk(mp, bulk, 1);
    STAY;
    return taken ? bulk[0] : NULL;
}

PLACE void *by_sized_bulk(mempool *mp, r_mempool *rmp)
{
    (void)mp;
    bool taken = r_mempool_alloc_bulk(rmp, SIZE, bulk, 1);
    STAY;
    return taken ? bulk[0] : NULL;
}

PLACE void *grown(r_mempool *rmp, void *entry, size_t size)
{
    void *larger = r_mempool_realloc_entry(rmp, entry, size);
    STAY;
    return larger;
}

PLACE void by_free(void *entry)
{
    (mempool_free_entry)(entry);
    STAY;
}

PLACE void by_macro(void *entry)
{
    mempool_free_entry(entry);
    STAY;
}

PLACE void by_ranged_free(void *entry)
{
    (r_mempool_free_entry)(entry);
    STAY;
}

PLACE void by_free_bulk(void *entry)
{
    void *entries[] = {NULL, entry};
    mempool_free_bulk(entries, 2);
    STAY;
}

PLACE void by_reset(void *entry)
{
    mempool *mp = (mempool *)mempool_owner(entry);
    mempool_reset(mp);
    STAY;
}

static const struct {
    take_function *take;
    bool ranged;
} takes[] = {
    {by_alloc, false},      {by_calloc, false},          {by_bulk, false},      {by_sized_alloc, true},
    {by_sized_calloc, true}, {by_realloc_of_null, true}, {by_sized_bulk, true},
};

/* ---- What the pool says ---- */

static const char *dump(mempool *mp, r_mempool *rmp)
{
    FILE *out = new_stream();
    if (mp != NULL)
        mempool_dump_json(mp, out);
    else
        r_mempool_dump_json(rmp, out);
    close_stream(out, text, sizeof text);
    return text;
}

static bool lies_in(uintptr_t place, uintptr_t function)
{
    if (!KNOWN)
        return (place != 0) == NOTED;
    return place > function && place < function + 256;
}

/* How many entries of all classes are out by a place in the function. */
static size_t count_of(mempool *mp, r_mempool *rmp, uintptr_t function)
{
    static const char field[] = "\"address\":\"0x", after[] = "\",\"count\":";
    size_t sum = 0;
    const char *holders = strstr(dump(mp, rmp), "\"holders\":[");
    CHECK(holders != NULL);
    for (const char *at = strstr(holders, field); at != NULL; at = strstr(at, field)) {
        char *end;
        uintptr_t place = (uintptr_t)strtoull(at + strlen(field), &end, 16);
        if (strncmp(end, after, strlen(after)) == 0 && lies_in(place, function))
            sum += strtoul(end + strlen(after), NULL, 10);
        at = end;
    }
    return sum;
}

#define COUNT_OF(function) count_of(mp, NULL, (uintptr_t)(function))
#define SIZED_COUNT_OF(function) count_of(NULL, rmp, (uintptr_t)(function))

static mempool *create(size_t count, uint64_t flags)
{
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = count;
    options.elem_size = SIZE;
    options.name = "held";
    options.flags = MEMPOOL_RECORD_HOLDERS | flags;
    mempool *mp = mempool_create_with(&options);
    CHECK(mp != NULL);
    return mp;
}

static r_mempool *create_ranged(size_t count, uint64_t flags)
{
    r_mempool_options options = R_MEMPOOL_OPTIONS_INIT;
    options.smallest_size = SIZE;
    options.largest_size = 4 * SIZE;
    options.smallest_count = count;
    options.policy = fallback_at_last_exhaustion;
    options.flags = MEMPOOL_RECORD_HOLDERS | flags;
    r_mempool *rmp = r_mempool_create_with(&options);
    CHECK(rmp != NULL);
    return rmp;
}

/* ---- Who took ---- */

static void who_took(uint64_t flags)
{
    row("who took, flags %llu", (unsigned long long)flags);
    mempool *mp = create(COUNT, MEMPOOL_FALL_BACK | flags);
    r_mempool *rmp = create_ranged(128, flags);
    for (size_t i = 0; i < LENGTH(takes); i++) {
        void *entries[MANY];
        for (size_t n = 0; n < MANY; n++) {
            entries[n] = takes[i].take(mp, rmp);
            CHECK(entries[n] != NULL && aligned(entries[n], 16));
            memset(entries[n], 0xA5, SIZE);
        }
        CHECK(count_of(takes[i].ranged ? NULL : mp, rmp, (uintptr_t)takes[i].take) == MANY);
        for (size_t n = 0; n < MANY; n++)
            by_free(entries[n]);
        if (KNOWN)
            CHECK(count_of(takes[i].ranged ? NULL : mp, rmp, (uintptr_t)takes[i].take) == 0);
    }

    row("an entry that moves, flags %llu", (unsigned long long)flags);
    void *entry = by_sized_alloc(NULL, rmp);
    entry = grown(rmp, entry, 2 * SIZE);
    CHECK(entry != NULL && SIZED_COUNT_OF(grown) == 1);
    by_ranged_free(entry);

    row("entries of the heap, flags %llu", (unsigned long long)flags);
    void *all[COUNT + MANY];
    for (size_t i = 0; i < LENGTH(all); i++) {
        all[i] = i < COUNT ? by_alloc(mp, NULL) : by_calloc(mp, NULL);
        CHECK(all[i] != NULL && aligned(all[i], 16));
        memset(all[i], 0xA5, SIZE);
    }
    CHECK(mempool_dynamic_allocs_count(mp) == MANY);
    if (KNOWN) {
        CHECK(COUNT_OF(by_alloc) == COUNT);
        CHECK(COUNT_OF(by_calloc) == MANY);
    }
    for (size_t i = 0; i < LENGTH(all); i++)
        by_macro(all[i]);
    CHECK(strstr(dump(mp, NULL), "\"holders\":[],\"taken_elsewhere\":0") != NULL);
    r_mempool_destroy(rmp);
    mempool_destroy(mp);
}

static void in_a_buffer(void)
{
    row("in a buffer");
    MEMPOOL_STATIC_BUFFER(buffer, COUNT, SIZE);
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = COUNT;
    options.elem_size = SIZE;
    options.flags = MEMPOOL_RECORD_HOLDERS;
    options.buffer = buffer;
    options.buffer_size = sizeof buffer;
    mempool *mp = mempool_create_with(&options);
    CHECK(mp != NULL);
    for (size_t i = 0; i < COUNT; i++)
        CHECK(by_alloc(mp, NULL) != NULL);
    CHECK(by_alloc(mp, NULL) == NULL);
    CHECK(COUNT_OF(by_alloc) == COUNT);
    mempool_destroy(mp);
}

/* More callers than a dump keeps apart, each with one entry. */
static void many_callers(void)
{
    row("many callers");
    mempool *mp = create(COUNT, 0);
    /* Compilers would make one of calls that are the same. */
#define ONE                                                                                       \
    CHECK((mempool_alloc_entry)(mp) != NULL);                                                     \
    __asm__ volatile("/* %c0 */" ::"i"(__COUNTER__));
#define TEN ONE ONE ONE ONE ONE ONE ONE ONE ONE ONE
    TEN TEN TEN TEN TEN TEN TEN
    if (KNOWN) {
        CHECK(strstr(dump(mp, NULL), "],\"taken_elsewhere\":6}") != NULL);
        FILE *out = new_stream();
        mempool_dump(mp, out);
        close_stream(out, text, sizeof text);
        CHECK(strstr(text, "  64 B:         1 taken at ") != NULL);
        CHECK(strstr(text, "  64 B:        54 taken elsewhere\n") != NULL);
    }
    mempool_destroy(mp);
    mp = mempool_create(COUNT, SIZE, false);
    CHECK(mp != NULL && strstr(dump(mp, NULL), "holders") == NULL);
    mempool_destroy(mp);
}

/* ---- Who freed ---- */

struct deed {
    take_function *take;
    free_function *free;
    uint64_t flags;
    bool moves;
};

static void free_twice(void *argument)
{
    const struct deed *deed = argument;
    mempool *mp = create(COUNT, deed->flags);
    r_mempool *rmp = create_ranged(128, deed->flags);
    void *entry = hide(deed->take(mp, rmp)), *old = entry;
    if (deed->moves)
        entry = grown(rmp, entry, 3 * SIZE);
    else
        deed->free(entry);
    (mempool_free_entry)(hide(old));
}

/* The place is in a module that begins at a page, or stands there as it is. */
static void expect_freed_at(struct deed deed, uintptr_t function, const char *verb)
{
    int status;
    const char *line = run_in_child(free_twice, &deed, &status), *at = strstr(line, verb);
    if (check_passing_by)
        return;
    CHECK(status != 0);
    if (at == NULL || strncmp(line, "cmempool: ", 10) != 0)
        fprintf(stderr, "said: %s\n", line);
    CHECK(at != NULL);
    const char *end = strstr(at, ", by thread 0x");
    CHECK(end != NULL && strstr(end, ", call ") != NULL);
    if (!KNOWN) {
        CHECK((strstr(at, "an unknown caller") == NULL) == NOTED);
        return;
    }
    const char *place = end;
    while (place > at && strncmp(place, "0x", 2) != 0)
        place--;
    uintptr_t number = (uintptr_t)strtoull(place, NULL, 16);
    if ((number & 0xF00) != (function & 0xF00))
        fprintf(stderr, "said: %s\n", line);
    CHECK(place > at && (number & 0xF00) == (function & 0xF00) && (number & 0xFF) != 0);
}

static void who_freed(uint64_t flags)
{
    static free_function *const frees[] = {by_free, by_macro, by_ranged_free, by_free_bulk, by_reset};
    for (size_t i = 0; i < LENGTH(frees); i++) {
        row("who freed, way %zu, flags %llu", i, (unsigned long long)flags);
        struct deed deed = {.take = by_alloc, .free = frees[i], .flags = flags};
        expect_freed_at(deed, (uintptr_t)frees[i], "; freed at ");
    }
    row("who moved it, flags %llu", (unsigned long long)flags);
    struct deed deed = {.take = by_sized_alloc, .flags = flags, .moves = true};
    expect_freed_at(deed, (uintptr_t)grown, "; freed at ");
}

static void spoil(void *unused)
{
    (void)unused;
    mempool *mp = create(COUNT, 0);
    char *entry = hide(by_calloc(mp, NULL));
    memset(entry - 8, 1, 8);
    (mempool_free_entry)(entry);
}

static void leak(void *unused)
{
    (void)unused;
    mempool *mp = create(COUNT, MEMPOOL_REPORT_LEAKS | MEMPOOL_FALL_BACK);
    for (size_t i = 0; i < COUNT + 3; i++)
        CHECK((i < 10 ? by_calloc : by_alloc)(mp, NULL) != NULL);
    mempool_destroy(mp);
}

static void who_is_to_blame(void)
{
    row("a header that was overwritten");
    int status;
    const char *line = run_in_child(spoil, NULL, &status);
    if (strstr(line, "; taken at ") == NULL)
        fprintf(stderr, "said: %s\n", line);
    CHECK(status != 0 && strstr(line, "; taken at ") != NULL);

    row("a leak");
    line = run_in_child(leak, NULL, &status);
    if (check_passing_by)
        return;
    CHECK(status == 0 && strstr(line, "leak of 103 entries: 0x") != NULL);
    const char *at = strstr(line, "; taken at ");
    CHECK(at != NULL);
    if (KNOWN)
        CHECK(strstr(at, ": 93, ") != NULL && strstr(at, ": 10\n") != NULL);
    else
        CHECK((strstr(at, "an unknown caller: 103\n") == NULL) == NOTED);
}

/* ---- Threads ---- */

static atomic_bool stop;

static void *use(void *pool)
{
    for (size_t i = 0; i < scaled(100000, 2000); i++) {
        void *entries[3];
        for (size_t n = 0; n < LENGTH(entries); n++)
            entries[n] = by_alloc(pool, NULL);
        for (size_t n = 0; n < LENGTH(entries); n++)
            by_free(entries[n]);
    }
    return NULL;
}

static void *look(void *pool)
{
    FILE *out = null_stream();
    while (!atomic_load(&stop)) {
        mempool_dump_json(pool, out);
        mempool_dump_all(out);
    }
    fclose(out);
    return NULL;
}

/* Any thread may look at a single thread's pool. */
static void threads(uint64_t flags)
{
    size_t count = flags & MEMPOOL_SINGLE_THREAD ? 1 : 3;
    row("threads, flags %llu", (unsigned long long)flags);
    /* Entries come from the heap, too. */
    mempool *mp = create(flags & MEMPOOL_SINGLE_THREAD ? 1 : 8, MEMPOOL_FALL_BACK | flags);
    struct thread users[3], looker;
    atomic_store(&stop, false);
    CHECK(thread_start(&looker, look, mp));
    for (size_t i = 0; i < count; i++)
        CHECK(thread_start(&users[i], use, mp));
    for (size_t i = 0; i < count; i++)
        CHECK(thread_join(&users[i]));
    atomic_store(&stop, true);
    CHECK(thread_join(&looker));
    CHECK(strstr(dump(mp, NULL), "\"holders\":[],\"taken_elsewhere\":0") != NULL);
    mempool_destroy(mp);
}

int main(void)
{
    static const uint64_t flags[] = {0, MEMPOOL_HARDENED, MEMPOOL_SINGLE_THREAD,
                                     MEMPOOL_ZERO_ON_FREE};
    for (size_t i = 0; i < LENGTH(flags); i++) {
        who_took(flags[i]);
        who_freed(flags[i]);
    }
    in_a_buffer();
    many_callers();
    who_is_to_blame();
    threads(0);
    threads(MEMPOOL_HARDENED);
    threads(MEMPOOL_SINGLE_THREAD);
    threads(MEMPOOL_SINGLE_THREAD | MEMPOOL_HARDENED);
    return done();
}
