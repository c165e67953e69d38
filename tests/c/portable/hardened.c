/* Is a hardened pool a pool like any other, but for its order and its guard pages? What does it catch that
 * is not a free (those misuse.c knows): bytes that nobody may write, wherever they lie, when they are
 * looked at? */
#include "../check_child.h"

#include <signal.h>

enum { COUNT = 40 };

_Alignas(16) static char buffer[64 << 10];

static mempool *make(size_t size, uint64_t flags, bool in_buffer)
{
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = COUNT;
    options.elem_size = size;
    options.name = "guarded";
    options.flags = MEMPOOL_HARDENED | flags;
    if (in_buffer) {
        options.buffer = buffer;
        options.buffer_size = sizeof buffer;
    }
    mempool *pool = mempool_create_with(&options);
    CHECK(pool != NULL);
    return pool;
}

/* ---- What is as ever ------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    const char *x = *(char *const *)a, *y = *(char *const *)b;
    return (x > y) - (x < y);
}

static void promises_hold(uint64_t flags, bool in_buffer)
{
    mempool *pool = make(48, flags, in_buffer);
    char *entries[COUNT], *sorted[COUNT], *first_order[COUNT];
    bool foreseen = true, same = true;
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < COUNT; i++) {
            entries[i] = mempool_alloc_entry(pool);
            CHECK(entries[i] != NULL && (uintptr_t)entries[i] % 16 == 0);
            CHECK(mempool_used_count(pool) == (size_t)i + 1);
            memset(entries[i], i, 48);
            foreseen = foreseen && (i == 0 || entries[i] > entries[i - 1]);
        }
        CHECK(mempool_alloc_entry(pool) == NULL);
        if (round == 0) {
            CHECK(!foreseen);
            memcpy(first_order, entries, sizeof entries);
        }
        same = same && memcmp(first_order, entries, sizeof entries) == 0;
        memcpy(sorted, entries, sizeof entries);
        qsort(sorted, COUNT, sizeof *sorted, compare);
        for (int i = 1; i < COUNT; i++)
            CHECK(sorted[i] - sorted[i - 1] >= 48 + 8);
        for (int i = 0; i < COUNT; i++) {
            for (int b = 0; b < 48; b++)
                CHECK(entries[i][b] == (char)i);
            (mempool_free_entry)(entries[i]);
            CHECK(mempool_used_count(pool) == (size_t)(COUNT - 1 - i));
        }
    }
    CHECK(!same);
    (mempool_destroy)(pool);
}

/* What was freed last is not handed out next, as long as there is another. */
static void kept_back(void)
{
    mempool *pool = make(64, 0, false);
    for (int round = 0; round < 1000; round++) {
        char *entry = mempool_alloc_entry(pool);
        (mempool_free_entry)(entry);
        char *next = mempool_alloc_entry(pool);
        CHECK(next != entry);
        (mempool_free_entry)(next);
    }
    (mempool_destroy)(pool);
}

static void zeroed_and_ranged(void)
{
    r_mempool_options options = R_MEMPOOL_OPTIONS_INIT;
    options.smallest_size = 16;
    options.largest_size = 1024;
    options.smallest_count = 256;
    options.flags = MEMPOOL_HARDENED;
    options.policy = fallback_at_last_exhaustion;
    r_mempool *pool = r_mempool_create_with(&options);
    CHECK(pool != NULL);
    for (size_t size = 1; size <= 1024; size += 13) {
        char *entry = r_mempool_calloc_entry(pool, size);
        for (size_t i = 0; i < size; i++)
            CHECK(entry[i] == 0);
        memset(entry, 7, size);
        char *larger = r_mempool_realloc_entry(pool, entry, size * 2 > 1024 ? 1024 : size * 2);
        CHECK(larger != NULL && larger[0] == 7 && larger[size - 1] == 7);
        (r_mempool_free_entry)(larger);
    }
    (r_mempool_destroy)(pool);
}

static void read_on(void *up)
{
    mempool *pool = make(64, 0, false);
    volatile char *at = mempool_alloc_entry(pool);
    signal(SIGSEGV, SIG_DFL); /* a sanitizer has a handler */
    for (int i = 0; i < 1 << 16; i++, at += *(int *)up ? 1 : -1)
        (void)*at;
}

/* A page that can't be touched lies before the region and after it. */
static void between_guard_pages(void)
{
    for (int up = 0; up < 2; up++) {
        int status;
        row("beyond the %s of a pool's memory", up ? "end" : "start");
        run_in_child(read_on, &up, &status);
        CHECK(ended_by_fault(status));
    }
}

/* ---- Writes where nobody may ----------------------------------------------------------------- */

/* What a child's line must say: in memory that it shares. */
struct expected {
    char deed[64], detail[64];
};

static struct expected *expected;

static void blame(const char *verb, const void *entry, const char *detail)
{
    snprintf(expected->deed, sizeof expected->deed, "%s %#zx", verb, (size_t)address(entry));
    snprintf(expected->detail, sizeof expected->detail, "%s", detail);
}

static void overflown(const void *entry)
{
    blame("overflow of", entry, "written past its end");
}

static void written(const void *entry, size_t offset)
{
    char detail[64];
    snprintf(detail, sizeof detail, ", %zu bytes past its start", offset);
    blame("write to", entry, detail);
}

/* Changes a byte. */
static void poke(const void *entry, size_t at)
{
    volatile char *byte = (char *)hide(entry) + hide_size(at);
    *byte = (char)(*byte ^ 0x55);
}

/* Zeros it. False if it was zero. */
static bool zero(const void *entry, size_t at, size_t size)
{
    char *bytes = (char *)hide(entry) + hide_size(at);
    bool changes = !all_bytes(bytes, 0, size);
    memset(bytes, 0, size);
    return changes;
}

/* What a deed is done in. */
struct place {
    bool in_buffer;
    uint64_t flags;
    size_t size;
};

static mempool *pool_in(const struct place *place)
{
    return make(place->size, place->flags, place->in_buffer);
}

static r_mempool *ranged_in(const struct place *place, r_memory_fallback_policy_t policy)
{
    static const r_mempool_class classes[] = {{16, 8}, {128, 8}, {256, 8}, {512, 8}};
    r_mempool_options options = R_MEMPOOL_OPTIONS_INIT;
    options.classes = classes;
    options.class_count = LENGTH(classes);
    options.name = "guarded";
    options.policy = policy;
    options.flags = MEMPOOL_HARDENED | place->flags;
    if (place->in_buffer) {
        options.buffer = buffer;
        options.buffer_size = sizeof buffer;
    }
    r_mempool *pool = r_mempool_create_with(&options);
    CHECK(pool != NULL);
    return pool;
}

/* Takes all entries of a pool, and sorts them. */
static void take_all(mempool *pool, char **entries)
{
    for (int i = 0; i < COUNT; i++)
        CHECK((entries[i] = mempool_alloc_entry(pool)) != NULL);
    qsort(entries, COUNT, sizeof *entries, compare);
}

static void finish(mempool *pool)
{
    (mempool_destroy)(pool);
}

static char *dynamic_entry(mempool *pool)
{
    char *entries[COUNT];
    take_all(pool, entries);
    char *entry = mempool_alloc_entry(pool);
    CHECK(entry != NULL && mempool_dynamic_allocs_count(pool) == 1);
    return memset(entry, 1, mempool_usable_size(entry));
}

/* A write into the word after an entry shows, whatever is written, in whatever state the slot there is. */
static void zeros_over_a_word(const struct place *place, int state)
{
    mempool *pool = pool_in(place);
    char *entries[COUNT];
    take_all(pool, entries);
    size_t stride = (size_t)(entries[1] - entries[0]);
    if (state > 0)
        (mempool_free_entry)(entries[8]);
    overflown(entries[7]);
    CHECK(zero(entries[7], stride - 8, 8));
    (mempool_free_entry)(entries[7]);
}

static void zeros_over_an_entry_that_is_out(const struct place *place)
{
    zeros_over_a_word(place, 0);
}

static void zeros_over_an_entry_that_is_free(const struct place *place)
{
    zeros_over_a_word(place, 1);
}

static void zeros_over_an_entry_that_was_never_out(const struct place *place)
{
    /* A word may have a zero where the write begins. */
    for (int tries = 0; tries < 3; tries++) {
        mempool *pool = pool_in(place);
        char *first = mempool_alloc_entry(pool);
        mempool_stats stats = MEMPOOL_STATS_INIT;
        CHECK(mempool_get_stats(pool, &stats));
        overflown(first);
        if (zero(first, stats.bytes_per_entry - 8, 8))
            (mempool_free_entry)(first);
        finish(pool);
    }
}

/* A word of zeros does not turn the look at a freed entry off. */
static void write_after_free_under_a_word_of_zeros(const struct place *place)
{
    mempool *pool = pool_in(place);
    char *entries[COUNT];
    take_all(pool, entries);
    (mempool_free_entry)(entries[0]);
    blame("", entries[0], "whose header was overwritten");
    CHECK(zero(entries[0], (size_t)-8, 8));
    poke(entries[0], 0);
    finish(pool);
}

/* A word that was overwritten while its entry was free shows when that is handed out again: the new word
 * would hide both the overflow and a write after free. */
static void over_a_free_word_that_is_handed_out(const struct place *place)
{
    mempool *pool = pool_in(place);
    char *entries[COUNT];
    take_all(pool, entries);
    (mempool_free_entry)(entries[8]);
    blame("alloc of", entries[8], "whose header was overwritten");
    CHECK(zero(entries[8], (size_t)-8, 8));
    poke(entries[8], 0);
    (mempool_free_entry)(mempool_alloc_entry(pool));
    finish(pool);
}

static void end_of_pool(const struct place *place, bool reset, bool overflow, bool kept_back)
{
    mempool *pool = pool_in(place);
    char *entries[COUNT];
    take_all(pool, entries);
    if (overflow) {
        overflown(entries[5]);
        poke(entries[5], place->size);
    } else {
        written(entries[5], place->size - 1);
        (mempool_free_entry)(entries[5]);
        for (int i = 10; !kept_back && i < COUNT; i++)
            (mempool_free_entry)(entries[i]);
        poke(entries[5], place->size - 1);
    }
    if (reset)
        mempool_reset(pool);
    else
        finish(pool);
}

static void written_after_free_at_destroy(const struct place *place)
{
    end_of_pool(place, false, false, true);
}

static void written_after_free_long_ago_at_destroy(const struct place *place)
{
    end_of_pool(place, false, false, false);
}

static void written_after_free_at_reset(const struct place *place)
{
    end_of_pool(place, true, false, true);
}

static void overflown_at_destroy(const struct place *place)
{
    end_of_pool(place, false, true, true);
}

static void overflown_at_reset(const struct place *place)
{
    end_of_pool(place, true, true, true);
}

static void the_last_in_memory(const struct place *place)
{
    mempool *pool = pool_in(place);
    char *entries[COUNT];
    take_all(pool, entries);
    overflown(entries[COUNT - 1]);
    poke(entries[COUNT - 1], place->size);
    (mempool_free_entry)(entries[COUNT - 1]);
}

/* Behind an entry that is free, where an overflow would go. */
static void written_past_a_freed_entry(const struct place *place)
{
    mempool *pool = pool_in(place);
    char *entries[COUNT];
    take_all(pool, entries);
    (mempool_free_entry)(entries[5]);
    written(entries[5], place->size);
    poke(entries[5], place->size);
    finish(pool);
}

static void dynamic_at_free(const struct place *place)
{
    struct place with = *place;
    with.flags |= MEMPOOL_FALL_BACK;
    char *entry = dynamic_entry(pool_in(&with));
    overflown(entry);
    poke(entry, place->size);
    (mempool_free_entry)(entry);
}

static void dynamic_far_past_its_end(const struct place *place)
{
    struct place with = *place;
    with.flags |= MEMPOOL_FALL_BACK;
    char *entry = dynamic_entry(pool_in(&with));
    overflown(entry);
    poke(entry, place->size + 15);
    (mempool_free_entry)(entry);
}

static void dynamic_word_at_the_end(const struct place *place, bool reset)
{
    struct place with = *place;
    with.flags |= MEMPOOL_FALL_BACK;
    mempool *pool = pool_in(&with);
    char *entry = dynamic_entry(pool);
    blame("", entry, "whose header was overwritten");
    CHECK(zero(entry, (size_t)-8, 8) && mempool_alloc_entry(pool) != NULL);
    if (reset)
        mempool_reset(pool);
    else
        finish(pool);
}

static void dynamic_word_at_destroy(const struct place *place)
{
    dynamic_word_at_the_end(place, false);
}

static void dynamic_word_at_reset(const struct place *place)
{
    dynamic_word_at_the_end(place, true);
}

static void dynamic_at_destroy(const struct place *place)
{
    struct place with = *place;
    with.flags |= MEMPOOL_FALL_BACK;
    mempool *pool = pool_in(&with);
    char *entry = dynamic_entry(pool);
    overflown(entry);
    poke(entry, place->size);
    CHECK(mempool_alloc_entry(pool) != NULL);
    finish(pool);
}

static void dynamic_at_reset(const struct place *place)
{
    struct place with = *place;
    with.flags |= MEMPOOL_FALL_BACK;
    mempool *pool = pool_in(&with);
    char *entry = dynamic_entry(pool);
    overflown(entry);
    poke(entry, place->size);
    CHECK(mempool_alloc_entry(pool) != NULL);
    mempool_reset(pool);
}

/* ---- What was asked for ---- */

static void past_what_was_asked_for(char *entry, size_t at)
{
    CHECK(entry != NULL);
    overflown(entry);
    poke(entry, at);
    (r_mempool_free_entry)(entry);
}

static void byte_100_of_100(const struct place *place)
{
    past_what_was_asked_for(r_mempool_alloc_entry(ranged_in(place, fallback_disabled), 100), 100);
}

static void byte_127_of_1(const struct place *place)
{
    past_what_was_asked_for(r_mempool_alloc_entry(ranged_in(place, fallback_disabled), 17), 127);
}

static void of_calloc(const struct place *place)
{
    past_what_was_asked_for(r_mempool_calloc_entry(ranged_in(place, fallback_disabled), 99), 99);
}

static void of_bulk(const struct place *place)
{
    void *entries[8];
    r_mempool *pool = ranged_in(place, fallback_disabled);
    CHECK(r_mempool_alloc_bulk(pool, 100, entries, 8));
    past_what_was_asked_for(entries[4], 100);
}

/* Some come from the class, some from the larger ones, some from the heap. */
static void of_bulk_everywhere(const struct place *place, int number)
{
    void *entries[30];
    r_mempool *pool = ranged_in(place, fallback_at_last_exhaustion);
    CHECK(r_mempool_alloc_bulk(pool, 100, entries, 30));
    past_what_was_asked_for(entries[number], 100);
}

static void of_bulk_in_a_larger_class(const struct place *place)
{
    of_bulk_everywhere(place, 12);
}

static void of_bulk_on_the_heap(const struct place *place)
{
    of_bulk_everywhere(place, 29);
}

static void of_a_cascade(const struct place *place)
{
    r_mempool *pool = ranged_in(place, fallback_disabled);
    char *entry = NULL;
    for (int i = 0; i < 9; i++)
        entry = r_mempool_alloc_entry(pool, 100);
    CHECK(mempool_usable_size(entry) == 256);
    past_what_was_asked_for(entry, 100);
}

static void of_the_heap(const struct place *place)
{
    r_mempool *pool = ranged_in(place, fallback_at_first_exhaustion);
    char *entry = NULL;
    for (int i = 0; i < 9; i++)
        entry = r_mempool_alloc_entry(pool, 100);
    CHECK(r_mempool_dynamic_allocs_count(pool, 100) == 1 && mempool_usable_size(entry) == 128);
    past_what_was_asked_for(entry, 100);
}

static void moved_by_realloc(const struct place *place)
{
    r_mempool *pool = ranged_in(place, fallback_disabled);
    char *entry = r_mempool_realloc_entry(pool, r_mempool_alloc_entry(pool, 100), 200);
    past_what_was_asked_for(entry, 200);
}

static void moved_down_by_realloc(const struct place *place)
{
    r_mempool *pool = ranged_in(place, fallback_disabled);
    char *entry = r_mempool_realloc_entry(pool, r_mempool_alloc_entry(pool, 300), 200);
    CHECK(mempool_usable_size(entry) == 256);
    past_what_was_asked_for(entry, 200);
}

static void shrunk_where_it_is(const struct place *place)
{
    r_mempool *pool = ranged_in(place, fallback_disabled);
    char *entry = r_mempool_alloc_entry(pool, 120);
    CHECK(r_mempool_realloc_entry(pool, entry, 90) == entry);
    past_what_was_asked_for(entry, 90);
}

static void shrunk_where_it_is_for_want_of_room(const struct place *place)
{
    r_mempool *pool = ranged_in(place, fallback_disabled);
    for (int i = 0; i < 8; i++)
        CHECK(r_mempool_alloc_entry(pool, 16) != NULL);
    char *entry = r_mempool_alloc_entry(pool, 120);
    CHECK(r_mempool_realloc_entry(pool, entry, 10) == entry);
    past_what_was_asked_for(entry, 10);
}

static void grown_where_it_is(const struct place *place)
{
    r_mempool *pool = ranged_in(place, fallback_disabled);
    char *entry = r_mempool_alloc_entry(pool, 90);
    CHECK(r_mempool_realloc_entry(pool, entry, 120) == entry);
    memset(hide(entry), 1, 120);
    past_what_was_asked_for(entry, 120);
}

static void grown_on_the_heap(const struct place *place)
{
    r_mempool *pool = ranged_in(place, fallback_at_first_exhaustion);
    char *entry = NULL;
    for (int i = 0; i < 9; i++)
        entry = r_mempool_alloc_entry(pool, 90);
    CHECK(r_mempool_realloc_entry(pool, entry, 120) == entry);
    memset(hide(entry), 1, 120);
    past_what_was_asked_for(entry, 120);
}

/* Realloc looks before it moves what it looks at. */
static void seen_by_realloc(const struct place *place, r_memory_fallback_policy_t policy, int count,
                            size_t size)
{
    r_mempool *pool = ranged_in(place, policy);
    char *entry = NULL;
    for (int i = 0; i < count; i++)
        entry = r_mempool_alloc_entry(pool, 100);
    overflown(entry);
    poke(entry, 100);
    entry = r_mempool_realloc_entry(pool, entry, size);
}

static void seen_by_realloc_in_place(const struct place *place)
{
    seen_by_realloc(place, fallback_disabled, 1, 110);
}

static void seen_by_realloc_on_the_heap(const struct place *place)
{
    seen_by_realloc(place, fallback_at_first_exhaustion, 9, 110);
}

static void seen_by_realloc_that_moves(const struct place *place)
{
    seen_by_realloc(place, fallback_disabled, 1, 300);
}

static void ranged_at_destroy(const struct place *place)
{
    r_mempool *pool = ranged_in(place, fallback_disabled);
    char *entry = r_mempool_alloc_entry(pool, 100);
    overflown(entry);
    poke(entry, 100);
    (r_mempool_destroy)(pool);
}

static void ranged_at_reset(const struct place *place)
{
    r_mempool *pool = ranged_in(place, fallback_disabled);
    char *entry = r_mempool_alloc_entry(pool, 100);
    overflown(entry);
    poke(entry, 101);
    r_mempool_reset(pool);
}

static const struct {
    const char *what;
    void (*commit)(const struct place *place);
    bool ranged;
} deeds[] = {
    {"zeros over the word of one that is out", zeros_over_an_entry_that_is_out, false},
    {"zeros over the word of one that is free", zeros_over_an_entry_that_is_free, false},
    {"zeros over the word of one never out", zeros_over_an_entry_that_was_never_out, false},
    {"zeros for a freed entry's word", write_after_free_under_a_word_of_zeros, false},
    {"over a free word that is handed out", over_a_free_word_that_is_handed_out, false},
    {"write after free, destroy", written_after_free_at_destroy, false},
    {"write after free long ago, destroy", written_after_free_long_ago_at_destroy, false},
    {"write after free, reset", written_after_free_at_reset, false},
    {"overflow, destroy", overflown_at_destroy, false},
    {"overflow, reset", overflown_at_reset, false},
    {"overflow of the last in memory", the_last_in_memory, false},
    {"write past a freed entry", written_past_a_freed_entry, false},
    {"overflow of a dynamic entry, free", dynamic_at_free, false},
    {"far overflow of a dynamic entry", dynamic_far_past_its_end, false},
    {"zeros for a dynamic entry's word, destroy", dynamic_word_at_destroy, false},
    {"zeros for a dynamic entry's word, reset", dynamic_word_at_reset, false},
    {"overflow of a dynamic entry, destroy", dynamic_at_destroy, false},
    {"overflow of a dynamic entry, reset", dynamic_at_reset, false},
    {"byte 100 of 100", byte_100_of_100, true},
    {"the last byte of the class", byte_127_of_1, true},
    {"after calloc", of_calloc, true},
    {"after bulk", of_bulk, true},
    {"after bulk, in a larger class", of_bulk_in_a_larger_class, true},
    {"after bulk, on the heap", of_bulk_on_the_heap, true},
    {"in a larger class", of_a_cascade, true},
    {"on the heap", of_the_heap, true},
    {"after a realloc that moves", moved_by_realloc, true},
    {"after a realloc that moves down", moved_down_by_realloc, true},
    {"after a realloc to less in place", shrunk_where_it_is, true},
    {"after a realloc to less that stays", shrunk_where_it_is_for_want_of_room, true},
    {"after a realloc to more in place", grown_where_it_is, true},
    {"after a realloc to more on the heap", grown_on_the_heap, true},
    {"seen by realloc in place", seen_by_realloc_in_place, true},
    {"seen by realloc on the heap", seen_by_realloc_on_the_heap, true},
    {"seen by realloc that moves", seen_by_realloc_that_moves, true},
    {"ranged, destroy", ranged_at_destroy, true},
    {"ranged, reset", ranged_at_reset, true},
};

struct job {
    void (*commit)(const struct place *place);
    struct place place;
};

static void run(void *argument)
{
    const struct job *job = argument;
    job->commit(&job->place);
}

/* With a variable of the environment set, says what goes unseen and goes on. */
static void everything_is_seen(void)
{
    static const size_t sizes[] = {1, 24, 40, 100};
    static const uint64_t flags[] = {0, MEMPOOL_SINGLE_THREAD, MEMPOOL_ZERO_ON_FREE};
    expected = shared_memory(sizeof *expected);
    bool list = getenv("CMEMPOOL_TEST_LIST") != NULL;
    for (size_t i = 0; i < LENGTH(deeds); i++)
        for (size_t s = 0; s < (deeds[i].ranged ? 1 : LENGTH(sizes)); s++)
            for (size_t f = 0; f < LENGTH(flags); f++)
                for (int in_buffer = 0; in_buffer < 2; in_buffer++) {
                    /* In brief, one of the flags for each deed. */
                    if (is_brief() && f != (i + s) % LENGTH(flags))
                        continue;
                    struct job job = {deeds[i].commit, {in_buffer, flags[f], sizes[s]}};
                    row("%s, %zu bytes, flags %#x%s", deeds[i].what, sizes[s], (unsigned)flags[f],
                        in_buffer ? ", in a buffer" : "");
                    if (list) {
                        int status;
                        const char *line = run_in_child(run, &job, &status);
                        if (!strstr(line, expected->deed) || !strstr(line, expected->detail))
                            printf("unseen: %s\n", check_row);
                        continue;
                    }
                    EXPECT_ABORT(run, &job, expected->deed, expected->detail, "\"guarded\"");
                }
}

/* What the holder may write, it may: none of these is a report. */
static void what_is_the_holders(void)
{
    static const struct place places[] = {{false, 0, 0}, {true, 0, 0}, {true, MEMPOOL_ZERO_ON_FREE, 0}};
    for (size_t p = 0; p < LENGTH(places); p++) {
        r_mempool *pool = ranged_in(&places[p], fallback_at_last_exhaustion);
        char *entries[40];
        uint64_t state = 1;
        for (size_t i = 0; i < LENGTH(entries); i++) {
            size_t size = 1 + random_below(&state, 512);
            CHECK((entries[i] = r_mempool_alloc_entry(pool, size)) != NULL);
            memset(entries[i], (int)i, size);
            for (int round = 0; round < 20; round++) {
                size_t next = 1 + random_below(&state, 512), kept = next < size ? next : size;
                entries[i] = r_mempool_realloc_entry(pool, entries[i], next);
                CHECK(entries[i] != NULL && all_bytes(entries[i], (unsigned char)i, kept));
                memset(entries[i], (int)i, size = next);
            }
        }
        for (size_t i = 0; i < LENGTH(entries); i += 2)
            (r_mempool_free_entry)(entries[i]);
        r_mempool_reset(pool);
        for (size_t i = 0; i < LENGTH(entries); i++)
            CHECK(memset(r_mempool_alloc_entry(pool, 100), 1, 100) != NULL);
        (r_mempool_destroy)(pool);
    }
}

/* ---- The order ------------------------------------------------------------------------------- */

static void offsets_of_all(mempool *pool, size_t count, size_t *offsets)
{
    for (size_t i = 0; i < count; i++) {
        char *entry = mempool_alloc_entry(pool);
        CHECK(entry != NULL);
        offsets[i] = (size_t)address(entry);
    }
}

static void pools_at_one_address_differ(void)
{
    size_t first[COUNT], second[COUNT];
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 2; i++) {
            mempool *pool = make(48, 0, true);
            offsets_of_all(pool, COUNT, i == 0 ? first : second);
            (mempool_destroy)(pool);
        }
        CHECK(memcmp(first, second, sizeof first) != 0);
    }
}

/* All 24 orders of four entries come: one of them not in a thousand pools once in 10^17. */
static void few_entries_come_in_every_order(void)
{
    bool seen[256] = {false};
    int orders = 0;
    for (int round = 0; round < 1000; round++) {
        mempool_options options = MEMPOOL_OPTIONS_INIT;
        options.elem_count = 4;
        options.elem_size = 24;
        options.flags = MEMPOOL_HARDENED;
        options.buffer = buffer;
        options.buffer_size = sizeof buffer;
        mempool *pool = mempool_create_with(&options);
        CHECK(pool != NULL);
        size_t offsets[4];
        unsigned order = 0;
        offsets_of_all(pool, 4, offsets);
        for (int i = 0; i < 4; i++)
            for (int j = 0; j < 4; j++)
                if (offsets[j] < offsets[i])
                    order += 1u << (2 * i);
        orders += !seen[order];
        seen[order] = true;
        (mempool_destroy)(pool);
    }
    CHECK(orders == 24);
}

/* The first of a large pool come from all of it. */
static void many_entries_come_from_everywhere(void)
{
    enum { ALL = 100000, DRAWN = 1000 };
    mempool_options options = MEMPOOL_OPTIONS_INIT;
    options.elem_count = ALL;
    options.elem_size = 24;
    options.flags = MEMPOOL_HARDENED;
    mempool *pool = mempool_create_with(&options);
    CHECK(pool != NULL);
    size_t drawn[DRAWN], tenths[10] = {0};
    offsets_of_all(pool, DRAWN, drawn);
    size_t lowest = drawn[0];
    for (int i = 1; i < DRAWN; i++)
        lowest = drawn[i] < lowest ? drawn[i] : lowest;
    for (int i = 0; i < DRAWN; i++) {
        size_t tenth = (drawn[i] - lowest) / (ALL * 48 / 10);
        tenths[tenth < 10 ? tenth : 9]++;
    }
    for (int i = 0; i < 10; i++)
        CHECK(tenths[i] > 30);
    (mempool_destroy)(pool);
}

int main(void)
{
    for (int in_buffer = 0; in_buffer < 2; in_buffer++) {
        promises_hold(0, in_buffer);
        promises_hold(MEMPOOL_SINGLE_THREAD, in_buffer);
    }
    kept_back();
    zeroed_and_ranged();
    if (!under_valgrind()) {
        between_guard_pages();
        everything_is_seen();
    }
    what_is_the_holders();
    pools_at_one_address_differ();
    few_entries_come_in_every_order();
    many_entries_come_from_everywhere();
    return done();
}
